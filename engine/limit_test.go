package engine

import (
	"strings"
	"testing"
	"time"

	"sallyport/engine/record"
	"sallyport/netio/radius"
	"sallyport/ops/clock"
)

// TestLimitsOfTheConfiguration: a limit that is set while the appliance is down holds for
// the sessions that are there: the NAS is told to end them, and the live log says why.
func TestLimitsOfTheConfiguration(t *testing.T) {
	for key, reason := range map[string]string{"session-timeout": "the session lasted 1h0m0s", "idle-timeout": "nothing was heard for 1h0m0s"} {
		t.Run(key, func(t *testing.T) {
			nas, port := script(t)
			r := newRig(t, port)
			r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
			r.close()
			r.write("sallyport.yaml", read(t, r.dir+"/sallyport.yaml")+"sessions: {"+key+": 1h}\n")
			later := clock.NewManual(time.Now().Add(50 * time.Minute))
			r.clock = later
			r.open()
			r.idle()
			if s := r.session(audit); !s.Live() || s.Change != nil {
				t.Fatalf("ten minutes too early: %+v", s.Change)
			}
			later.Advance(11 * time.Minute)
			await(t, "disconnected", func() bool { later.Advance(10 * time.Millisecond); return !r.session(audit).Live() })
			if heard := nas.Await(1)[0]; radius.Code(heard.Packet[0]) != radius.DisconnectRequest {
				t.Error(heard.Words())
			}
			if s := r.session(audit); s.EndCause != "disconnected: "+reason {
				t.Error(s.EndCause)
			}
			found := false
			for _, row := range r.rows() {
				found = found || row.Kind == record.KindSession && strings.Contains(row.Details, "as long, or as idle")
			}
			if !found {
				t.Error("no row says so")
			}
		})
	}
}
