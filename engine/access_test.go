package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"sallyport/engine/step"
	"sallyport/netio/radius"
	"sallyport/netio/report"
	"sallyport/netio/udp/udptest"
	"sallyport/sessions"
)

const audit = "0a3042ca0001d00056e2dce3"

func TestLoginIsRedirected(t *testing.T) {
	r := newRig(t, 1700)
	v := r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	if v.Code() != radius.AccessAccept {
		t.Fatal(v.Code())
	}
	url, ticket := r.redirect(v)
	acl, _ := v.AVPair("url-redirect-acl")
	class, _ := v.Get(radius.Class)
	if string(acl) != "ACL_WEBAUTH_REDIRECT" || string(class) != "SP:"+audit || len(ticket) != ticketLen || len(url) > 234 || !strings.Contains(url, "sessionId="+audit) {
		t.Fatalf("%s %s %s", url, acl, class)
	}
	s := r.session(audit)
	if s.Posture.Status != sessions.Pending || s.Grant.Profile != "Posture_Redirect" || s.UserName != "cisco" || s.OS != "linux" || s.EndpointID() != "00:0c:29:c9:d9:37" || !s.CoAPush {
		t.Fatalf("%+v", s)
	}
	row := r.rows()[0]
	if row.Status != "pass" || row.AuthorizationPolicy != "Posture_Unknown" || row.PostureStatus != "Pending" || !strings.Contains(row.RulePosition, "sallyport.yaml:") {
		t.Fatalf("%+v", row)
	}
}

// TestRejects: authentic requests that are not good enough get a Reject, a reason in the
// live log, and no session.
func TestRejects(t *testing.T) {
	r := newRig(t, 1700)
	build := func(f func(*radius.Builder)) []byte {
		b := r.request(radius.AccessRequest)
		f(&b)
		return r.seal(&b)
	}
	for _, c := range []struct {
		what, reason string
		pkt          []byte
	}{
		{"a wrong password", "the password is wrong", r.pap("cisco", "Cisco", audit)},
		{"an unknown user", "no store knows the user", r.pap("nobody", "x", audit)},
		{"CHAP", "CHAP needs the password", build(func(b *radius.Builder) { b.Bytes(radius.CHAPPassword, make([]byte, 17)) })},
		{"EAP", "EAP is not offered", build(func(b *radius.Builder) { b.Bytes(radius.EAPMessage, []byte{2, 0, 0, 4}) })},
		{"MS-CHAP", "MS-CHAP needs an NT hash", build(func(b *radius.Builder) { b.Vendor(radius.VendorMicrosoft, 11, make([]byte, 16)) })},
		{"no credentials", "carries no credentials", build(func(b *radius.Builder) { b.Text(radius.UserName, "cisco") })},
		{"a password of 17 octets", "not 16 to 128 octets", build(func(b *radius.Builder) { b.Bytes(radius.UserPassword, make([]byte, 17)) })},
		{"an unknown endpoint", "not in the endpoints file", build(func(b *radius.Builder) {
			b.U32(radius.ServiceType, 10)
			b.Text(radius.CallingStationID, "00-0C-29-C9-D9-00")
		})},
		{"authorize-only without a session", "Authorize-Only for a session", build(func(b *radius.Builder) { b.U32(radius.ServiceType, 17); b.Text(radius.UserName, "cisco") })},
		{"a rejecting profile", "the profile GoAway of rule Locked_Out rejects", r.pap("out", "cisco", audit)},
	} {
		v := r.exchange(asaAddr, 0, c.pkt)
		if v.Code() != radius.AccessReject {
			t.Errorf("%s: %s", c.what, v.Code())
		}
		rows := r.rows()
		if last := rows[len(rows)-1]; last.Status != "fail" || !strings.Contains(last.Reason, c.reason) {
			t.Errorf("%s: %q, want %q", c.what, last.Reason, c.reason)
		}
	}
	if r.e.table.Len() != 0 {
		t.Errorf("%d sessions", r.e.table.Len())
	}
	v := r.exchange(asaAddr, 0, r.pap("out", "cisco", audit))
	if message, _ := v.Get(radius.ReplyMessage); string(message) != "Not today" {
		t.Errorf("Reply-Message %q", message)
	}
}

// TestSilence: what is not authentic, or not for us, gets no octet back and is counted
// by NAS and reason.
func TestSilence(t *testing.T) {
	r := newRig(t, 1700)
	good := r.pap("cisco", "cisco", audit)
	bent := func(f func([]byte) []byte) []byte { return f(bytes.Clone(good)) }
	bare := func(f func(*radius.Builder)) []byte {
		r.next++
		b := radius.BeginWith(nil, radius.AccessRequest, r.next, false)
		f(&b)
		return r.seal(&b)
	}
	acct := r.acct(1, audit, nil)
	acct[4] ^= 1
	for _, c := range []struct {
		what     string
		from     netip.AddrPort
		listener int
		pkt      []byte
		nas      string
		why      dropReason
	}{
		{"nothing at all", asaAddr, 0, nil, "asa", dropReason(radius.WhyShort)},
		{"19 octets", asaAddr, 0, good[:19], "asa", dropReason(radius.WhyShort)},
		{"cut short", asaAddr, 0, good[:len(good)-1], "asa", dropReason(radius.WhyTruncated)},
		{"too long", asaAddr, 0, make([]byte, 4097), "asa", dropOversize},
		{"an answer", asaAddr, 0, bent(func(p []byte) []byte { p[0] = 2; return p }), "asa", dropReason(radius.WhyWrongCode)},
		{"accounting on the login port", asaAddr, 0, r.acct(1, audit, nil), "asa", dropReason(radius.WhyWrongCode)},
		{"a bad Message-Authenticator", asaAddr, 0, bent(func(p []byte) []byte { p[25] ^= 1; return p }), "asa", dropReason(radius.WhyBadMessageAuthenticator)},
		{"an unknown NAS", netip.MustParseAddrPort("127.0.0.9:1"), 0, good, "", dropUnknownNAS},
		{"no Message-Authenticator where it is required", iosAddr, 0, bare(func(b *radius.Builder) { b.Text(radius.UserName, "x") }), "ios", dropReason(radius.WhyNoMessageAuthenticator)},
		{"neither credentials nor Message-Authenticator", asaAddr, 0, bare(func(b *radius.Builder) { b.Text(radius.UserName, "x") }), "asa", dropNoCredentials},
		{"accounting with a wrong secret", asaAddr, 1, acct, "asa", dropReason(radius.WhyBadAuthenticator)},
		{"an ACL download without its pair", asaAddr, 0, func() []byte {
			b := r.request(radius.AccessRequest)
			b.Text(radius.UserName, "#ACSACL#-IP-X-12345678")
			return r.seal(&b)
		}(), "asa", dropACLDownload},
		{"authorize-only that proves nothing", asaAddr, 0, bare(func(b *radius.Builder) { b.U32(radius.ServiceType, 17) }), "asa", dropReason(radius.WhyNoMessageAuthenticator)},
	} {
		before := r.drops(c.nas, c.why)
		r.silent(c.from, c.listener, c.pkt)
		if got := r.drops(c.nas, c.why); got != before+1 {
			t.Errorf("%s: %d drops of %s for NAS %q, want one more than %d", c.what, got, c.why, c.nas, before)
		}
	}
	if r.e.table.Len() != 0 {
		t.Errorf("%d sessions were made of drops", r.e.table.Len())
	}
}

// TestEveryCutIsSilent: a request cut at every length is dropped, and nothing panics.
func TestEveryCutIsSilent(t *testing.T) {
	r := newRig(t, 1700)
	good := r.pap("cisco", "cisco", audit)
	for n := range good {
		r.silent(asaAddr, 0, good[:n])
	}
}

// TestDuplicates: a retransmission gets the very octets of the first answer and is not
// processed again (RFC 5080 section 2.2.2).
func TestDuplicates(t *testing.T) {
	r := newRig(t, 1700)
	pkt := r.pap("cisco", "cisco", audit)
	r.net.Feed(0, udptest.Packet{From: asaAddr, Data: pkt})
	first := r.net.AwaitLate(t, 1)[0]
	version := r.session(audit).Version
	again := r.net.Feed(0, udptest.Packet{From: asaAddr, Data: pkt})
	if len(again) != 1 || !bytes.Equal(again[0].Data, first.Data) || r.session(audit).Version != version {
		t.Fatalf("%d replies, version %d after %d", len(again), r.session(audit).Version, version)
	}
	if other := r.exchange(netip.MustParseAddrPort("127.0.0.1:20001"), 0, pkt); other.Code() != radius.AccessAccept {
		t.Fatal("another port is another request")
	}
}

// TestANASMayNotTouchAnothersSession: audit-session-ids are guessable, so naming one
// proves nothing, not even for a NAS.
func TestANASMayNotTouchAnothersSession(t *testing.T) {
	r := newRig(t, 1700)
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	before := r.session(audit)
	if v := r.exchange(iosAddr, 0, r.pap("cisco", "cisco", audit)); v.Code() != radius.AccessReject {
		t.Fatal(v.Code())
	}
	if v := r.exchange(iosAddr, 1, r.acct(2, audit, nil)); v.Code() != radius.AccountingResponse {
		t.Fatal(v.Code())
	}
	if !reflect.DeepEqual(r.session(audit), before) {
		t.Fatal("the session of another NAS was changed")
	}
}

// TestNASWithoutAuditSessionID: the id is made here, carried in Class, and accounting
// finds the session by it, or by Acct-Session-Id.
func TestNASWithoutAuditSessionID(t *testing.T) {
	r := newRig(t, 1700)
	v := r.exchange(asaAddr, 0, r.pap("cisco", "cisco", ""))
	class, _ := v.Get(radius.Class)
	id, ok := strings.CutPrefix(string(class), "SP:")
	if !ok || len(id) != 24 {
		t.Fatalf("Class %q", class)
	}
	if s := r.session(id); !s.Minted || s.AuditSessionID != "" {
		t.Fatalf("%+v", s)
	}
	withClass := func(b *radius.Builder) {
		b.Bytes(radius.Class, []byte("OU=other;"))
		b.Bytes(radius.Class, class)
		b.Addr(radius.FramedIPAddress, netip.MustParseAddr("10.10.10.10"))
	}
	r.exchange(asaAddr, 1, r.acct(1, "", withClass))
	if s := r.session(id); s.FramedIP.String() != "10.10.10.10" || s.AcctSessionID != "63815AAF" {
		t.Fatalf("%+v", s)
	}
	r.exchange(asaAddr, 1, r.acct(2, "", nil))
	if s := r.session(id); s.Live() || r.e.table.Len() != 1 {
		t.Fatalf("%+v, %d sessions", s, r.e.table.Len())
	}
}

func TestMAB(t *testing.T) {
	r := newRig(t, 1700)
	b := r.request(radius.AccessRequest)
	b.Text(radius.UserName, "000c29c9d999")
	b.Password(r.key, []byte("000c29c9d999"))
	b.U32(radius.ServiceType, 10)
	b.Text(radius.CallingStationID, "00-0C-29-C9-D9-99")
	b.AVPair("audit-session-id", "0A300000000000010000AAAA")
	v := r.exchange(iosAddr, 0, r.seal(&b))
	s := r.session("0a300000000000010000aaaa")
	// The endpoint is a mac, for which no requirement is: NotApplicable, and so redirected
	// by the rule for everything that is not Compliant.
	if v.Code() != radius.AccessAccept || s.Method != "mab" || s.Posture.Status != sessions.NotApplicable || s.AuditSessionID != "0A300000000000010000AAAA" {
		t.Fatalf("%s %+v", v.Code(), s)
	}
}

// TestACLDownload: whole entries, numbered on through the parts, State between them.
func TestACLDownload(t *testing.T) {
	r := newRig(t, 1700)
	v := r.exchange(asaAddr, 0, r.pap("long", "cisco", audit))
	pointer, _ := v.AVPair("ACS:CiscoSecure-Defined-ACL")
	name := string(pointer)
	if !strings.HasPrefix(name, "#ACSACL#-IP-LONG-") {
		t.Fatal(name)
	}
	ask := func(name string, state []byte) *radius.View {
		b := r.request(radius.AccessRequest)
		b.Text(radius.UserName, name)
		b.AVPair("aaa:service", "vpn")
		b.AVPair("aaa:event", "acl-download")
		b.Bytes(radius.State, state)
		return r.exchange(asaAddr, 0, r.seal(&b))
	}
	entries, parts := 0, 0
	for state := []byte(nil); ; parts++ {
		v := ask(name, state)
		for pair, value := range v.AVPairs() {
			entries++
			if want := "ip:inacl#" + itoa(entries); string(pair) != want || !strings.HasPrefix(string(value), "permit tcp any host") {
				t.Fatalf("part %d: %s=%s, want %s", parts, pair, value, want)
			}
		}
		if v.Code() == radius.AccessAccept {
			break
		}
		if v.Code() != radius.AccessChallenge {
			t.Fatal(v.Code())
		}
		s, _ := v.Get(radius.State)
		state = bytes.Clone(s)
	}
	if entries != 300 || parts < 2 {
		t.Fatalf("%d entries in %d parts and a last one", entries, parts)
	}
	for _, c := range []struct {
		name  string
		state []byte
	}{{name[:len(name)-8] + "00000000", nil}, {"#ACSACL#-IP-NONE-12345678", nil}, {name, []byte("unknown state")}, {name, make([]byte, aclStateLen)}} {
		if v := ask(c.name, c.state); v.Code() != radius.AccessReject {
			t.Errorf("%s %x: %s", c.name, c.state, v.Code())
		}
	}
	if last := r.rows()[len(r.rows())-4]; !strings.Contains(last.Reason, "it is "+name+" now") {
		t.Errorf("an old version: %q", last.Reason)
	}
	if r.e.table.Len() != 1 {
		t.Errorf("%d sessions; a download makes none", r.e.table.Len())
	}
}

func itoa(n int) string {
	if n >= 10 {
		return itoa(n/10) + itoa(n%10)
	}
	return string(rune('0' + n))
}

func TestStatusServer(t *testing.T) {
	r := newRig(t, 1700)
	for listener, want := range []radius.Code{radius.AccessAccept, radius.AccountingResponse} {
		b := r.request(radius.StatusServer)
		b.Bytes(radius.ProxyState, []byte("p1"))
		b.Bytes(radius.ProxyState, []byte("p2"))
		v := r.exchange(asaAddr, listener, r.seal(&b))
		var states []string
		for s := range v.All(radius.ProxyState) {
			states = append(states, string(s))
		}
		if v.Code() != want || !v.HasMessageAuthenticator() || strings.Join(states, ",") != "p1,p2" {
			t.Errorf("listener %d: %s %v", listener, v.Code(), states)
		}
	}
}

// TestPasswordIsHashedOnce: the second login does not wait for the pool.
func TestPasswordIsHashedOnce(t *testing.T) {
	r := newRig(t, 1700)
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	r.e.memory.Wait()
	before := r.e.snapshot().Users.Hashes()
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", "0a3042ca0001d00056e2dce4"))
	if after := r.e.snapshot().Users.Hashes(); before != 1 || after != 1 {
		t.Fatalf("%d hashes, then %d", before, after)
	}
}

// TestHostileTextIsTamed: what a NAS sends reaches tables and pages without control
// characters and as valid UTF-8.
func TestHostileTextIsTamed(t *testing.T) {
	r := newRig(t, 1700)
	r.exchange(asaAddr, 0, r.pap("evil\x1b[2J\x00\xff<script>", "x", audit))
	rows := r.rows()
	if id := rows[len(rows)-1].Identity; strings.ContainsAny(id, "\x1b\x00\xff") || !strings.Contains(id, "evil") {
		t.Fatalf("%q", id)
	}
}

func TestSessionLimit(t *testing.T) {
	r := newRig(t, 1700)
	r.e.snapshot().Config.Sessions.Max = 1
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	if v := r.exchange(asaAddr, 0, r.pap("cisco", "cisco", "0a3042ca0001d00056e2dce4")); v.Code() != radius.AccessReject {
		t.Fatal(v.Code())
	}
	rows := r.rows()
	if last := rows[len(rows)-1]; !strings.Contains(last.Reason, "sessions.max") {
		t.Fatal(last.Reason)
	}
	if v := r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit)); v.Code() != radius.AccessAccept {
		t.Fatal("a session that is there may come again: ", v.Code())
	}
}

// TestOneNASDoesNotFillTheTable: at its share a NAS begins no session more, which is said
// and counted; others do; what ends and is forgotten makes room; a restart counts again.
func TestOneNASDoesNotFillTheTable(t *testing.T) {
	r := newRig(t, 1700)
	share := func() { r.e.snapshot().Config.Sessions.MaxPerNAS = 2 }
	share()
	id := func(n int) string { return fmt.Sprintf("0a3042ca%08x56e2dce3", n) }
	for n := range 2 {
		r.exchange(asaAddr, 0, r.pap("cisco", "cisco", id(n)))
	}
	refused := func() {
		t.Helper()
		if v := r.exchange(asaAddr, 0, r.pap("cisco", "cisco", id(2))); v.Code() != radius.AccessReject {
			t.Fatal(v.Code())
		}
		if rows := r.rows(); !strings.Contains(rows[len(rows)-1].Reason, "sessions.max-per-nas") {
			t.Fatal(rows[len(rows)-1].Reason)
		}
	}
	refused()
	before := r.drops("asa", dropTableFull)
	r.silent(asaAddr, 1, r.acct(step.AcctStart, id(3), func(b *radius.Builder) { b.Text(radius.AcctSessionID, "3") }))
	if r.drops("asa", dropTableFull) != before+1 {
		t.Error("not counted")
	}
	r.exchange(iosAddr, 1, r.acct(step.AcctStart, id(4), func(b *radius.Builder) { b.Text(radius.AcctSessionID, "4") }))
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", id(0))) // one that is there may come again
	r.close()
	r.open()
	share()
	refused()
	r.forget(id(0))
	if v := r.exchange(asaAddr, 0, r.pap("cisco", "cisco", id(2))); v.Code() != radius.AccessAccept {
		t.Fatal("a forgotten session makes room: ", v.Code())
	}
	if v := r.exchange(asaAddr, 0, r.pap("cisco", "cisco", id(5))); v.Code() != radius.AccessReject {
		t.Fatal("room for one was room for two: ", v.Code())
	}
}

// TestATicketIsOfOneLife: when a session was forgotten and its id comes again, serials begin
// again, and a ticket of before is none.
func TestATicketIsOfOneLife(t *testing.T) {
	r := newRig(t, 1700)
	_, old := r.redirect(r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit)))
	serial := r.session(audit).Posture.Binding.TicketSerial
	r.forget(audit)
	_, ticket := r.redirect(r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit)))
	if again := r.session(audit).Posture.Binding.TicketSerial; again != serial || old == ticket {
		t.Fatalf("serial %d, then %d; the same ticket: %v", serial, again, old == ticket)
	}
	if _, ok := r.e.Posture().Gateway(audit, old); ok {
		t.Error("the page opens with a ticket of the life before")
	}
	if _, err := r.claim(audit, old); code(err) != report.CodeTicketUnknown {
		t.Errorf("a claim with a ticket of the life before: %v", err)
	}
	r.close()
	r.open()
	if _, err := r.claim(audit, ticket); err != nil {
		t.Errorf("a claim with its own ticket, after a restart: %v", err)
	}
}

// forgetEvent forgets a session, as time does.
type forgetEvent struct {
	id       sessions.ID
	finished chan struct{}
}

func (ev *forgetEvent) step(c *core, _ time.Time) { c.forget(c.get(ev.id)) }
func (ev *forgetEvent) done(*core, error)         { close(ev.finished) }

func (r *rig) forget(id string) {
	r.t.Helper()
	ev := &forgetEvent{sessions.ID(id), make(chan struct{})}
	if err := r.e.core.submitWait(context.Background(), ev); err != nil {
		r.t.Fatal(err)
	}
	<-ev.finished
}

var errProblem *report.Problem

func code(err error) string {
	if errors.As(err, &errProblem) {
		return errProblem.Code
	}
	return ""
}
