package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/radius"
	"sallyport/netio/report"
	"sallyport/sessions"
	"sallyport/sessions/store"
)

// TestARetryIsNotAcknowledgedEarly: a report and its retry can come to the core in one
// group. When that is not kept, neither has an answer: the retry's would say that the
// report was.
func TestARetryIsNotAcknowledgedEarly(t *testing.T) {
	r := newRig(t, 1700)
	nonce := r.bound(audit)
	event := func() *reportEvent {
		doc := &report.Report{V: 1, SessionID: audit, Seq: 1, Nonce: nonce, Facts: report.Facts{USB: &report.USB{}}}
		return &reportEvent{in: step.ReportInput{Report: doc, Hash: []byte("h"), Key: r.spki()}, finished: make(chan struct{})}
	}
	r.e.journal.SetFreeMin(1 << 62)
	release := r.occupy()
	first, retry := event(), event()
	r.e.core.submit(first)
	r.e.core.submit(retry)
	release()
	<-first.finished
	<-retry.finished
	if !retry.judged.Again {
		t.Fatal("the two were not in one group")
	}
	for _, ev := range []*reportEvent{first, retry} {
		if ev.judged.Problem == nil || ev.judged.Problem.Code != report.CodeStorage {
			t.Errorf("again %v: %v, want %s", ev.judged.Again, ev.judged.Problem, report.CodeStorage)
		}
	}
	r.e.journal.SetFreeMin(store.FreeMin)
}

// holdEvent keeps the core busy until it is released.
type holdEvent struct{ held, release chan struct{} }

func (ev *holdEvent) step(*core, time.Time) {
	close(ev.held)
	<-ev.release
}
func (ev *holdEvent) done(*core, error) {}

// occupy lets events gather, so that they are one group.
func (r *rig) occupy() (release func()) {
	ev := &holdEvent{make(chan struct{}), make(chan struct{})}
	r.e.core.submit(ev)
	<-ev.held
	return func() { close(ev.release) }
}

// TestAnAnswerOutlivesDiskTrouble: the NAS acknowledges while nothing can be written.
// What it holds is written down once that is possible again.
func TestAnAnswerOutlivesDiskTrouble(t *testing.T) {
	nas, port := script(t)
	r := newRig(t, port)
	nonce := r.bound(audit)
	nas.Late()
	if _, err := r.report(audit, 1, nonce, ""); err != nil {
		t.Fatal(err)
	}
	nas.Await(1)
	r.e.journal.SetFreeMin(1 << 62)
	failed := r.e.counters.failed.Load()
	nas.Release()
	await(t, "a commit that fails", func() bool { return r.e.counters.failed.Load() > failed })
	if r.session(audit).Grant.Profile != "Posture_Redirect" {
		t.Fatal("something was published that is not on disk")
	}
	r.e.journal.SetFreeMin(store.FreeMin)
	await(t, "full access noted", func() bool {
		s := r.session(audit)
		return s.Change == nil && s.Grant.Profile == "FullAccess"
	})
}

// TestNumbersAreTheirNASesOwn: two switches under one entry count their sessions alike
// (RFC 2866 section 5.5: unique for the one that sends it).
func TestNumbersAreTheirNASesOwn(t *testing.T) {
	r := newRig(t, 1700)
	text := strings.Replace(read(t, r.dir+"/sallyport.yaml"), "name: ios, address: 127.0.0.2", "name: ios, address: 127.0.0.128/25", 1)
	r.write("sallyport.yaml", text)
	if err := r.e.Reload(); err != nil {
		t.Fatal(err)
	}
	one, other := netip.MustParseAddrPort("127.0.0.130:20000"), netip.MustParseAddrPort("127.0.0.131:20000")
	for _, from := range []netip.AddrPort{one, other} {
		if v := r.exchange(from, 1, r.acct(step.AcctStart, "", nil)); v.Code() != radius.AccountingResponse {
			t.Fatal(v.Code())
		}
	}
	if n := r.e.table.Len(); n != 2 {
		t.Fatalf("%d sessions of two switches", n)
	}
	r.exchange(other, 1, r.acct(step.AcctStop, "", nil))
	for s := range r.e.table.All() {
		if s.Live() != (s.NASAddress == one.Addr()) {
			t.Errorf("the session of %s: live %v", s.NASAddress, s.Live())
		}
	}
}

// TestNoRoomIsNoReceipt: a record that is thrown away is not acknowledged, so that the
// NAS keeps it or goes elsewhere (RFC 2866 section 2).
func TestNoRoomIsNoReceipt(t *testing.T) {
	r := newRig(t, 1700)
	r.e.snapshot().Config.Sessions.Max = 1
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	r.silent(asaAddr, 1, r.acct(step.AcctStart, "0a3042ca0001d00056e2dce4", func(b *radius.Builder) { b.Text(radius.AcctSessionID, "x") }))
	if r.drops("asa", dropTableFull) != 1 {
		t.Error("not counted")
	}
	r.exchange(asaAddr, 1, r.acct(step.AcctStart, audit, nil))
}

// TestUnknownPoliciesCostLittle: anybody who reaches the portal can ask for policies that
// never were; only the first such question since the configuration was loaded looks at
// every session.
func TestUnknownPoliciesCostLittle(t *testing.T) {
	r := newRig(t, 1700)
	r.bound(audit)
	etag := r.e.snapshot().policyFor(r.session(audit), r.e.clock.Now())
	r.e.snapshot().documents.Clear() // as after a restart
	if _, ok := r.e.Posture().Policy(etag); !ok {
		t.Fatal("a policy that was given out before the restart is not found")
	}
	r.e.snapshot().documents.Clear()
	if _, ok := r.e.Posture().Policy("never-was"); ok {
		t.Fatal("found")
	}
	made := 0
	r.e.snapshot().documents.Range(func(any, any) bool { made++; return true })
	if made != 0 {
		t.Errorf("%d documents made again for a policy that never was", made)
	}
}

// TestNobodyWaitsForACoreThatEnded: an operator's wish that comes during a stop.
func TestNobodyWaitsForACoreThatEnded(t *testing.T) {
	r := newRig(t, 1700)
	e := r.e
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	r.close()
	ev := &operatorEvent{id: sessions.ID(audit), kind: sessions.ChangeDisconnect, finished: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := e.ask(ctx, ev, ev.finished); !errors.Is(err, errBusy) || ctx.Err() != nil {
		t.Errorf("%v, context %v", err, ctx.Err())
	}
}

// TestTheLiveLogHoldsNoTicket: the console shows the live log to whoever has a login on
// the machine, and a ticket is worth a session.
func TestTheLiveLogHoldsNoTicket(t *testing.T) {
	nas, port := script(t)
	r := newRig(t, port)
	nonce := r.bound(audit)
	v, err := r.report(audit, 1, nonce, "")
	if err != nil {
		t.Fatal(err)
	}
	await(t, "full access", func() bool { return r.session(audit).Grant.Profile == "FullAccess" })
	if _, err := r.report(audit, 2, v.Nonce, report.USBActive); err != nil {
		t.Fatal(err)
	}
	await(t, "redirect", func() bool { return r.session(audit).Grant.Profile == "Posture_Redirect" })
	s := r.session(audit)
	ticket := r.e.tickets.ticket(s)
	if heard := nas.Await(2); !strings.Contains(heard[1].Words(), ticket) {
		t.Fatal("the NAS got no ticket")
	}
	redirected := false
	await(t, "the row of the redirect", func() bool {
		redirected = slices.ContainsFunc(r.rows(), func(d *record.Decision) bool { return strings.Contains(d.Sent, "url-redirect") })
		return redirected
	})
	for _, d := range r.rows() {
		if strings.Contains(d.Sent, ticket) || strings.Contains(d.Sent, "ticket=") && !strings.Contains(d.Sent, "ticket=[hidden]") {
			t.Errorf("%s", d.Sent)
		}
	}
}

// TestTextThatMovesTheCursor: C1 controls and marks of writing direction do on a terminal
// and on a page what escapes do.
func TestTextThatMovesTheCursor(t *testing.T) {
	for in, want := range map[string]string{
		"a\u009b2Jb":       "a?2Jb",
		"a\u202egpj.exe":   "a?gpj.exe",
		"a\u2028b":         "a?b",
		"\x1b]0;x\x07":     "?]0;x?",
		"Zoë \u4e2d\u6587": "Zoë \u4e2d\u6587",
		"a\u2066b\u200f":   "a?b?",
		"\u0085":           "?",
	} {
		if got := clean([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestAStopIsNotHeldUp: somebody who sends a body octet by octet does not use up the time
// in which NASes are to answer, and does not make a clean stop a failed one.
func TestAStopIsNotHeldUp(t *testing.T) {
	r := newRig(t, 1700)
	s, err := r.e.Serve()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.Bound().Portal, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n", report.PathReport, report.MediaType)
	if _, err := conn.Read(make([]byte, 100)); err != nil { // 100 Continue: the handler waits for the body
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil || ctx.Err() != nil {
		t.Errorf("%v, context %v", err, ctx.Err())
	}
	r.net.Close()
	r.e = nil
}
