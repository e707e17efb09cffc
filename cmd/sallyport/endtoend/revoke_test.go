package endtoend

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"sallyport/engine/record"
	"sallyport/netio/report"
)

// TestRevokedDevice: from the reload that names it on, nothing of a device is believed, not
// in the session it is bound to and not in a new one; and after another reload all is again.
func TestRevokedDevice(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	n := newNAS(t, "127.0.0.1")
	d := a.device()
	d.bind(n.redirected(a, auditID))
	d.enrol()
	d.compliant()
	name := a.session(auditID).Posture.Device
	if out, _, _ := a.run("sessions", auditID); len(name) != 24 || !strings.Contains(out, name) {
		t.Fatalf("the session does not show its device %q:\n%s", name, out)
	}
	reload := func() {
		t.Helper()
		before := strings.Count(a.log(), "configuration reloaded")
		a.signal(t, syscall.SIGHUP)
		eventually(t, "the configuration is in force", func() bool { return strings.Count(a.log(), "configuration reloaded") > before })
	}
	sound := a.read("sallyport.yaml")
	a.edit("posture:\n", "posture:\n  agent: {revoked: ["+strings.ToUpper(name)+"]}\n")
	reload()
	d.refuses(t, "a report of a revoked device", report.PathReport, encoded(t, d.document()), refusal{http.StatusNotFound, report.CodeUnknownSession})
	want := refusal{http.StatusForbidden, report.CodeRevoked}
	if got := d.refused(d.claim(d.id, "")); got != want {
		t.Errorf("the claim of its session: %+v", got)
	}
	second, err := url.Parse(n.redirected(a, auditID[:23]+"9"))
	must(t, err)
	id, ticket := second.Query().Get(report.QuerySessionID), second.Query().Get(report.QueryTicket)
	if got := d.refused(d.claim(id, ticket)); got != want {
		t.Errorf("the claim of a new session: %+v", got)
	}
	if a.metric(`portal_total\{event="refused_revoked"\}`) != 2 {
		t.Error("not counted as revoked")
	}
	row := a.row(func(d *record.Decision) bool { return d.Details == "Agent refused" })
	if row == nil || !strings.Contains(row.Reason, "revoked") || row.Identity == "" {
		t.Errorf("the live log says %+v", row)
	}
	a.write("sallyport.yaml", sound)
	reload()
	if status, body := d.claim(id, ticket); status != http.StatusOK {
		t.Errorf("the claim after all: %d %s", status, body)
	}
}

// TestReloadIsNoMessage: agents hear of another policy at once, and have nothing to show to the
// person who sits there.
func TestReloadIsNoMessage(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	n := newNAS(t, "127.0.0.1")
	d := a.device()
	d.bind(n.redirected(a, auditID))
	d.compliant()
	path := report.PathEvents + "?" + report.QueryEventSessionID + "=" + d.id + "&" + report.QueryEventAfter + "=0"
	signature, err := report.Sign(d.key, path, nil)
	must(t, err)
	r, err := http.NewRequest(http.MethodGet, d.base+path, nil)
	must(t, err)
	r.Header.Set(report.HeaderSignature, signature)
	type answer struct {
		body []byte
		err  error
	}
	heard := make(chan answer, 1)
	go func() {
		resp, err := d.http.Do(r)
		if err != nil {
			heard <- answer{nil, err}
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		heard <- answer{body, err}
	}()
	eventually(t, "the poll waits", func() bool { return a.metric(`portal_open\{what="polls"\}`) == 1 })
	a.edit("posture:\n", "posture:\n  agent: {heartbeat: 7m}\n")
	a.signal(t, syscall.SIGHUP)
	got := <-heard
	must(t, got.err)
	news, err := report.DecodeEvents(got.body)
	must(t, err)
	if len(news.Events) != 1 || news.Events[0].Kind != report.EventPolicy || news.Events[0].Message != "" {
		t.Errorf("the agent is told %+v, want of the policy and nothing for the person", news.Events)
	}
}
