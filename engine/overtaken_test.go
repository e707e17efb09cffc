package engine

import (
	"net/netip"
	"testing"

	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/radius"
	"sallyport/netio/report"
	"sallyport/netio/udp"
)

// TestAnAnswerIsNotOvertaken: a login is judged by its loop, and before the answer leaves
// a push of its session is published. Then the core judges again: one answer, one row, and
// it is late. A push of another session delays nobody.
func TestAnAnswerIsNotOvertaken(t *testing.T) {
	for _, pushed := range []string{"nothing", "another", "this"} {
		overtaken := pushed == "this"
		r := newRig(t, 1700)
		r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
		r.e.memory.Wait()
		before := len(r.rows())
		f, l := newFeeder(r.e), r.e.loops[0]
		pkt := r.pap("cisco", "cisco", audit)
		d := []udp.Datagram{udp.NewDatagram(f.out, udp.Listener{Role: RoleAuthentication}, 0, asaAddr, netip.MustParseAddrPort("192.0.2.1:1812"), pkt)}
		now := r.e.clock.Now()
		l.admit(now, d)
		l.sums.Run()
		pushes := r.e.pushes.Load()
		if l.work[0].fate = r.e.access(now, l, &l.work[0]); l.work[0].fate != again {
			t.Fatalf("fate %d: the loop did not judge", l.work[0].fate)
		}
		if pushed != "nothing" {
			r.e.pushes.Add(1)
		}
		if overtaken {
			l.work[0].version-- // the table has a newer record
		}
		l.answer(now, pushes)
		r.idle()
		late := 0
		f.out.Drain(func(_ udp.Late, reply []byte) {
			late++
			if v := r.verified(pkt, reply); v.Code() != radius.AccessAccept {
				t.Error(v.Code())
			}
		})
		if at := len(d[0].Reply) > 0; at == overtaken || late != map[bool]int{true: 1}[overtaken] {
			t.Errorf("%s pushed: answered at once %v, late %d", pushed, at, late)
		}
		rows := r.rows()[before:]
		if len(rows) != 1 || rows[0].Kind != record.KindAuth || rows[0].Status != record.Passed {
			t.Errorf("%s pushed: %d rows", pushed, len(rows))
		}
		if n := r.e.counters.of("asa").accepts.Load(); n != 2 {
			t.Errorf("%s pushed: %d accepts", pushed, n)
		}
	}
}

// TestARetransmissionAfterAChange: the same login comes again after its answer was taken
// back by a CoA-Request. It is answered by what is true now, it begins nothing, and when the
// session is over it gets silence.
func TestARetransmissionAfterAChange(t *testing.T) {
	_, port := script(t)
	r := newRig(t, port)
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	nonce := r.bound(audit)
	login := r.pap("cisco", "cisco", audit)
	if redirected := r.granted(login); !redirected {
		t.Fatal("not redirected at first")
	}
	if redirected := r.granted(login); !redirected {
		t.Fatal("a copy differs")
	}
	v, err := r.report(audit, 1, nonce, report.USBBlocked)
	if err != nil || v.Status != "Compliant" {
		t.Fatalf("%+v %v", v, err)
	}
	await(t, "full access acknowledged", func() bool { return r.session(audit).Grant.Profile == "FullAccess" })
	duplicates := r.e.counters.of("asa").duplicates.Load()
	if redirected := r.granted(login); redirected {
		t.Error("a copy closes what a CoA opened")
	}
	if n := r.e.counters.of("asa").duplicates.Load() - duplicates; n != 0 {
		t.Errorf("%d answers were sent again", n)
	}
	if _, err = r.report(audit, 2, v.Nonce, report.USBActive); err != nil {
		t.Fatal(err)
	}
	await(t, "redirect acknowledged", func() bool { return r.session(audit).Grant.Profile == "Posture_Redirect" })
	r.exchange(asaAddr, 1, r.acct(step.AcctStop, audit, nil))
	r.silent(asaAddr, 0, login)
	if s := r.session(audit); s.Live() || r.drops("asa", dropOver) != 1 {
		t.Errorf("live %v, %d dropped", s.Live(), r.drops("asa", dropOver))
	}
}

// granted sends a login and reads the answer.
func (r *rig) granted(login []byte) (redirected bool) {
	r.t.Helper()
	v := r.exchange(asaAddr, 0, login)
	_, redirected = v.AVPair("url-redirect")
	return redirected
}
