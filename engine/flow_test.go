package engine

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/coa/coatest"
	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/console"
	"sallyport/netio/radius"
	"sallyport/netio/report"
	"sallyport/sessions"
	"sallyport/sessions/store"
)

// script is the CoA side of the NAS.
func script(t *testing.T) (*coatest.Script, int) {
	s := coatest.NewScript(t, sharedSecret)
	return s, int(s.Addr().Port())
}

// await polls a condition that other goroutines make true.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// bound logs in and claims, and returns the nonce.
func (r *rig) bound(id string) string {
	r.t.Helper()
	_, ticket := r.redirect(r.exchange(asaAddr, 0, r.pap("cisco", "cisco", id)))
	c, err := r.claim(id, ticket)
	if err != nil {
		r.t.Fatal(err)
	}
	if c.Assurance != "ticket" || c.Status != "Pending" || c.PolicyETag == "" {
		r.t.Fatalf("%+v", c)
	}
	if doc, ok := r.e.Posture().Policy(c.PolicyETag); !ok || !strings.Contains(string(doc), "USB_Block") {
		r.t.Fatalf("policy %s: %s", c.PolicyETag, doc)
	}
	return c.Nonce
}

// TestReportToCoA: NonCompliant changes nothing at the NAS, Compliant opens it by CoA,
// a stick closes it again.
func TestReportToCoA(t *testing.T) {
	nas, port := script(t)
	r := newRig(t, port)
	nonce := r.bound(audit)
	v, err := r.report(audit, 1, nonce, report.USBActive)
	if err != nil || v.Status != "NonCompliant" || len(v.Actions) != 1 || v.Actions[0].Verb != report.VerbUSBBlock || v.Message == "" {
		t.Fatalf("%+v %v", v, err)
	}
	if s := r.session(audit); s.Change != nil {
		t.Fatalf("a change for the same profile: %+v", s.Change)
	}
	if v, err = r.report(audit, 2, v.Nonce, report.USBBlocked); err != nil || v.Status != "Compliant" {
		t.Fatalf("%+v %v", v, err)
	}
	await(t, "full access acknowledged", func() bool { return r.session(audit).Grant.Profile == "FullAccess" })
	if heard := nas.Await(1)[0]; !heard.Genuine || !strings.Contains(heard.Words(), "ACS:CiscoSecure-Defined-ACL=#ACSACL#-IP-PERMIT_ALL_TRAFFIC") || strings.Contains(heard.Words(), "url-redirect") {
		t.Fatal(heard.Words())
	}
	if v, err = r.report(audit, 3, v.Nonce, report.USBActive); err != nil || v.Status != "NonCompliant" {
		t.Fatalf("%+v %v", v, err)
	}
	await(t, "redirect acknowledged", func() bool { return r.session(audit).Grant.Profile == "Posture_Redirect" })
	if heard := nas.Await(2)[1]; !strings.Contains(heard.Words(), "url-redirect-acl=ACL_WEBAUTH_REDIRECT") {
		t.Fatal(heard.Words())
	}
	var why []string
	for _, row := range r.rows() {
		if row.Kind == record.KindCoA {
			why = append(why, strings.SplitN(row.Reason, " to ", 2)[0])
		}
	}
	if !slices.Equal(why, []string{"posture Compliant: push", "posture NonCompliant: push"}) {
		t.Errorf("the live log says why: %q", why)
	}
	var records []*record.Posture
	if err := r.e.Reports(context.Background(), time.Time{}, func(p *record.Posture) bool { records = append(records, p); return true }); err != nil {
		t.Fatal(err)
	}
	if len(records) != 3 || records[0].Status != "NonCompliant" || records[1].CoA != "push FullAccess" || records[2].Policies[0].Failed[0] != "USB_Check" ||
		records[2].DecisionID == "" || records[0].IPAddress != "" {
		b, _ := json.Marshal(records)
		t.Fatalf("%s", b)
	}
}

// TestWhoMayReport: nobody else's session, nothing twice, nothing stale.
func TestWhoMayReport(t *testing.T) {
	r := newRig(t, 1700)
	nonce := r.bound(audit)
	_, ticket := r.redirect(r.exchange(asaAddr, 0, r.pap("cisco", "cisco", "0a3042ca0001d00056e2dce4")))
	const other = "0a3042ca0001d00056e2dce4"
	first, err := r.report(audit, 1, nonce, "")
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.report(audit, 1, nonce, "")
	if err != nil || again.DecisionID != first.DecisionID {
		t.Fatalf("a retry: %+v %v, want the same answer", again, err)
	}
	for what, c := range map[string]struct {
		call func() error
		want string
	}{
		"another's session":             {func() error { _, err := r.report(other, 1, nonce, ""); return err }, report.CodeNotBound},
		"an unknown session":            {func() error { _, err := r.report("ffffffffffffffffffffffff", 1, nonce, ""); return err }, report.CodeUnknownSession},
		"a replay with other facts":     {func() error { _, err := r.report(audit, 1, nonce, report.USBActive); return err }, report.CodeReplay},
		"a stale nonce":                 {func() error { _, err := r.report(audit, 2, nonce, ""); return err }, report.CodeStaleNonce},
		"a ticket of another session":   {func() error { _, err := r.claim(audit, ticket); return err }, report.CodeTicketUnknown},
		"an id that is no id":           {func() error { _, err := r.claim("../x", ticket); return err }, report.CodeUnknownSession},
		"a guessed id without a ticket": {func() error { _, err := r.claim(other, ""); return err }, report.CodeAddressMismatch},
	} {
		if err := c.call(); code(err) != c.want {
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
	// The page opens with a ticket and with nothing else.
	if _, ok := r.e.Posture().Gateway(other, ticket); !ok {
		t.Error("the page does not open with its ticket")
	}
	if _, ok := r.e.Posture().Gateway(audit, ticket); ok {
		t.Error("the page opens with another session's ticket")
	}
}

// TestNAKClosesOrKeeps: what the NAS answers is seen in the session and the live log.
func TestNAKClosesOrKeeps(t *testing.T) {
	nas, port := script(t)
	r := newRig(t, port)
	nas.NAK(401).NAK(503)
	// The session began a minute ago; of one that is younger than the NAS's own knowledge of
	// it a 503 means nothing yet.
	r.exchange(asaAddr, 1, r.acct(1, audit, func(b *radius.Builder) { b.U32(radius.AcctDelayTime, 60) }))
	v, err := r.report(audit, 1, r.bound(audit), "")
	if err != nil {
		t.Fatal(err)
	}
	await(t, "NAK 401 settled", func() bool { return r.session(audit).Settled.Cause == 401 })
	if s := r.session(audit); s.Grant.Profile != "Posture_Redirect" || !s.Live() {
		t.Fatalf("%+v", s)
	}
	if _, err = r.report(audit, 2, v.Nonce, ""); err != nil {
		t.Fatal(err)
	}
	await(t, "NAK 503 ends the session", func() bool { return !r.session(audit).Live() })
	var why []string
	for _, d := range r.rows() {
		if d.Kind == record.KindCoA {
			why = append(why, d.Reason)
		}
	}
	if len(why) != 2 || !strings.Contains(why[0], "Unsupported-Attribute") || !strings.Contains(why[1], "Session-Context-Not-Found") {
		t.Fatalf("%q", why)
	}
}

// TestChangeSurvivesARestart: a change that was durable and not acknowledged goes out
// after the start, once, and the one that was settled does not.
func TestChangeSurvivesARestart(t *testing.T) {
	nas, port := script(t)
	r := newRig(t, port)
	nas.Silent(100)
	r.write("sallyport.yaml", strings.Replace(read(t, r.dir+"/sallyport.yaml"), ", timeout: 100ms, retries: 1", "", 1))
	if err := r.e.Reload(); err != nil { // the usual patience: the stop comes before the end of it
		t.Fatal(err)
	}
	nonce := r.bound(audit)
	if _, err := r.report(audit, 1, nonce, ""); err != nil {
		t.Fatal(err)
	}
	before := r.session(audit)
	if before.Change == nil {
		t.Fatal("no change")
	}
	nas.Await(1)
	r.close()
	fresh := coatest.NewScript(t, sharedSecret)
	r.write("sallyport.yaml", strings.Replace(read(t, r.dir+"/sallyport.yaml"), "port: "+itoa(port), "port: "+itoa(int(fresh.Addr().Port())), 1))
	r.open()
	await(t, "the change goes out after the restart", func() bool { return r.session(audit).Grant.Profile == "FullAccess" })
	s := r.session(audit)
	if s.Posture.Status != sessions.Compliant || s.Epoch != before.Epoch || s.Settled.Serial != before.Change.Serial {
		t.Fatalf("%+v", s)
	}
	r.close()
	r.open()
	r.idle()
	if s := r.session(audit); s.Change != nil || len(fresh.Heard()) != 1 {
		t.Fatalf("%d packets for one change", len(fresh.Heard()))
	}
	// The agent goes on where it was: its key is bound, its sequence known.
	if _, err := r.report(audit, 2, s.Posture.Binding.Nonce, ""); err != nil {
		t.Fatal(err)
	}
}

// TestAccountingFlow: the address comes with accounting, a roam is no end, a stop is.
func TestAccountingFlow(t *testing.T) {
	r := newRig(t, 1700)
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	r.exchange(asaAddr, 1, r.acct(1, audit, func(b *radius.Builder) { b.Addr(radius.FramedIPAddress, netip.MustParseAddr("10.10.10.10")) }))
	if s := r.session(audit); s.FramedIP.String() != "10.10.10.10" || s.AcctSessionID != "63815AAF" {
		t.Fatalf("%+v", s)
	}
	r.exchange(asaAddr, 1, r.acct(3, audit, func(b *radius.Builder) {
		b.U32(radius.AcctInputOctets, 5)
		b.U32(radius.AcctInputGigawords, 2)
	}))
	if s := r.session(audit); s.Accounting.InOctets != 2<<32+5 {
		t.Fatal(s.Accounting.InOctets)
	}
	r.exchange(asaAddr, 1, r.acct(2, audit, func(b *radius.Builder) { b.AVPair("nas-update", "true") }))
	if !r.session(audit).Live() {
		t.Fatal("a roam ended the session")
	}
	if v := r.exchange(asaAddr, 1, r.acct(99, audit, nil)); v.Code() != radius.AccountingResponse {
		t.Fatal("an unknown Acct-Status-Type is not acknowledged")
	}
	r.exchange(asaAddr, 1, r.acct(2, audit, func(b *radius.Builder) { b.U32(radius.AcctTerminateCause, 1) }))
	if s := r.session(audit); s.Live() || !strings.Contains(s.EndCause, "User-Request") {
		t.Fatalf("%+v", s)
	}
}

// TestAccountingOn ends the NAS's sessions from before, and no others.
func TestAccountingOn(t *testing.T) {
	r := newRig(t, 1700)
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	b := r.request(radius.AccessRequest)
	b.U32(radius.ServiceType, 10)
	b.Text(radius.CallingStationID, "00-0C-29-C9-D9-99")
	b.AVPair("audit-session-id", "BBBB")
	r.exchange(iosAddr, 0, r.seal(&b))
	r.exchange(asaAddr, 1, r.acct(step.AcctOn, "", nil))
	if r.session(audit).Live() || !r.session("bbbb").Live() {
		t.Fatal("Accounting-On ends all sessions of its NAS and no others")
	}
}

// TestReloadIsAllOrNothing: a fault keeps the old configuration, a sound one is in force
// for the next packet and changes what sessions may do by CoA.
func TestReloadIsAllOrNothing(t *testing.T) {
	nas, port := script(t)
	r := newRig(t, port)
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	text, revision := read(t, r.dir+"/sallyport.yaml"), r.e.Revision()
	for what, bad := range map[string]string{
		"an unknown key": strings.Replace(text, "appliance: {name", "appliance: {nam: x, name", 1),
		"a CEL fault":    strings.Replace(text, `session.posture == "Compliant"`, `session.posture == "compliant"`, 1),
		"a new listener": strings.Replace(text, `accounting: ["127.0.0.1:0"]`, `accounting: ["127.0.0.1:0", "127.0.0.1:0"]`, 1),
		"no YAML":        "{",
	} {
		r.write("sallyport.yaml", bad)
		if err := r.e.Reload(); err == nil || r.e.Revision() != revision {
			t.Errorf("%s: %v, revision %s", what, err, r.e.Revision())
		}
	}
	if r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit)).Code() != radius.AccessAccept {
		t.Fatal("the old configuration does not work any more")
	}
	r.write("sallyport.yaml", strings.Replace(text, `session.posture != "Compliant"`, `session.posture == "NonCompliant"`, 1)+"  # default now\n")
	if err := r.e.Reload(); err != nil {
		t.Fatal(err)
	}
	if r.e.Revision() == revision {
		t.Fatal("the revision is the old one")
	}
	// Pending is DenyAccess now: the session is ended at the NAS.
	await(t, "disconnected", func() bool { return !r.session(audit).Live() })
	if heard := nas.Await(1)[0]; radius.Code(heard.Packet[0]) != radius.DisconnectRequest {
		t.Fatal(heard.Words())
	}
}

// TestLoginAcrossAReload: a login that was judged by the old configuration while its
// password was hashed does not keep the old grant.
func TestLoginAcrossAReload(t *testing.T) {
	_, port := script(t)
	r := newRig(t, port)
	old := r.e.snapshot()
	text := read(t, r.dir+"/sallyport.yaml")
	r.write("sallyport.yaml", strings.Replace(text, "profile: Posture_Redirect", "profile: FullAccess", 1))
	if err := r.e.Reload(); err != nil {
		t.Fatal(err)
	}
	pkt := r.pap("cisco", "cisco", audit)
	q := &request{snap: old, nas: old.NASByName("asa"), counters: r.e.counters.of("asa"), buf: pkt}
	if why := q.view.Decode(pkt); why != radius.Sound {
		t.Fatal(why)
	}
	ev := &q.login
	*ev = loginEvent{q: q, in: step.LoginInput{Method: "pap"}}
	q.attributes(&ev.in.Attributes)
	ev.in.UserName, ev.in.NASAddress = "cisco", asaAddr.Addr()
	if !r.e.core.submitFor(q.counters, ev) {
		t.Fatal("no room")
	}
	r.idle()
	await(t, "the new profile", func() bool { return r.session(audit).Grant.Profile == "FullAccess" })
}

// TestStorageTrouble: what cannot be kept is not acknowledged, not to the NAS and not to
// the agent; what needs no write is still answered; with space all goes on.
func TestStorageTrouble(t *testing.T) {
	r := newRig(t, 1700)
	nonce := r.bound(audit)
	before := r.session(audit)
	r.e.journal.SetFreeMin(1 << 62)
	r.silent(asaAddr, 0, r.pap("cisco", "cisco", "aaaa"))
	r.silent(asaAddr, 1, r.acct(1, audit, nil))
	if _, err := r.report(audit, 1, nonce, ""); code(err) != report.CodeStorage {
		t.Fatalf("%v", err)
	}
	if r.drops("asa", dropStorage) != 2 || !reflect.DeepEqual(r.session(audit), before) || r.e.session("aaaa") != nil {
		t.Fatal("something was published that is not on disk")
	}
	if v := r.exchange(asaAddr, 0, r.pap("cisco", "wrong", audit)); v.Code() != radius.AccessReject {
		t.Fatal("a Reject needs no disk")
	}
	if !strings.Contains(r.e.Status().Journal, "too little free space") {
		t.Fatal(r.e.Status().Journal)
	}
	r.e.journal.SetFreeMin(store.FreeMin)
	if v := r.exchange(asaAddr, 0, r.pap("cisco", "cisco", "aaaa")); v.Code() != radius.AccessAccept {
		t.Fatal(v.Code())
	}
	if r.e.Status().Journal != "ok" {
		t.Fatal(r.e.Status().Journal)
	}
}

// TestRestartBringsBackWhatWasAcknowledged closes nothing in order: the journal alone
// must have it. (A process killed for real: see the end-to-end tests.)
func TestRestartBringsBackWhatWasAcknowledged(t *testing.T) {
	r := newRig(t, 1700)
	for i := range 50 {
		r.exchange(asaAddr, 0, r.pap("cisco", "cisco", "aaaa"+itoa(i)))
		r.exchange(asaAddr, 1, r.acct(1, "aaaa"+itoa(i), nil))
	}
	want := map[sessions.ID]uint64{}
	for s := range r.e.table.All() {
		want[s.ID] = s.Version
	}
	r.close()
	r.open()
	if len(want) != 50 || r.e.table.Len() != 50 {
		t.Fatalf("%d sessions, %d before", r.e.table.Len(), len(want))
	}
	for id, version := range want {
		if s := r.e.table.Get(id); s == nil || s.Version != version {
			t.Fatalf("%s: %+v, version %d before", id, s, version)
		}
	}
}

// TestLongPoll: an agent that waits hears of its status, of a new policy and of the end.
func TestLongPoll(t *testing.T) {
	r := newRig(t, 1700)
	nonce := r.bound(audit)
	api := r.e.Posture()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	poll := func(after uint64) chan *report.Events {
		out := make(chan *report.Events, 1)
		go func() {
			ev, err := api.Events(ctx, audit, after)
			if err != nil {
				ev = &report.Events{Events: []report.Event{{Kind: err.Error()}}}
			}
			out <- ev
		}()
		await(t, "somebody waits", func() bool {
			r.e.hub.mu.Lock()
			defer r.e.hub.mu.Unlock()
			m := r.e.hub.byID[audit]
			return m != nil && m.waiting > 0
		})
		return out
	}
	got := poll(0)
	if _, err := r.report(audit, 1, nonce, ""); err != nil {
		t.Fatal(err)
	}
	ev := <-got
	if len(ev.Events) != 1 || ev.Events[0].Kind != report.EventStatus || ev.Events[0].Status != "Compliant" {
		t.Fatalf("%+v", ev)
	}
	got = poll(ev.After)
	r.exchange(asaAddr, 1, r.acct(2, audit, nil))
	if ev = <-got; ev.Events[0].Kind != report.EventEnd {
		t.Fatalf("%+v", ev)
	}
	if _, err := api.Events(ctx, audit, 0); code(err) != report.CodeSessionEnded {
		t.Fatal(err)
	}
	if ev := r.e.hub.wait(ctx, "x", 99, false); ev.Events[0].Kind != report.EventRecheck {
		t.Fatal("an agent that knows more than we do is not asked to report again")
	}
	short, stop := context.WithCancel(ctx)
	stop()
	if ev := r.e.hub.wait(short, "y", 0, false); len(ev.Events) != 0 {
		t.Fatal(ev)
	}
}

// TestOperator: reauthenticate, disconnect and the rehearsal with a NAS.
func TestOperator(t *testing.T) {
	nas, port := script(t)
	r := newRig(t, port)
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	o := operator{e: r.e}
	for _, c := range []struct {
		answer func()
		sound  bool
		words  string
	}{{func() { nas.NAK(503) }, true, "are right"}, {func() { nas.NAK(401) }, false, "does not know one of the attributes"},
		{func() { nas.Silent(100) }, false, "without a word"}} {
		c.answer()
		var got rehearsal
		err := o.TestNAS(context.Background(), "asa", func(row console.Row) error { got = row.(rehearsal); return nil })
		if err != nil || got.Sound != c.sound || !strings.Contains(got.Meaning, c.words) {
			t.Fatalf("%+v %v, want %q", got, err, c.words)
		}
	}
	if err := o.TestNAS(context.Background(), "nobody", nil); code(err) != "unknown-nas" {
		t.Fatal(err)
	}
	_, port2 := script(t) // one that acknowledges
	r.write("sallyport.yaml", strings.Replace(read(t, r.dir+"/sallyport.yaml"), "port: "+itoa(port), "port: "+itoa(port2), 1))
	if err := r.e.Reload(); err != nil {
		t.Fatal(err)
	}
	row, err := o.Disconnect(context.Background(), audit)
	if err != nil || row.(SessionView).State != "ended" {
		t.Fatalf("%+v %v", row, err)
	}
	if _, err := o.Disconnect(context.Background(), audit); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Fatal(err)
	}
	x, err := o.Explain(context.Background(), json.RawMessage(`{"session":"`+audit+`"}`))
	if b, _ := json.Marshal(x); err != nil || !strings.Contains(string(b), "Posture_Unknown") {
		t.Fatalf("%s %v", b, err)
	}
}

func TestSecondEngineOnTheSameState(t *testing.T) {
	r := newRig(t, 1700)
	_, err := Open(r.e.opts)
	if !errors.Is(err, store.ErrInUse) {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
