package coatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/coa/recipe"
	"sallyport/netio/radius"
	"sallyport/ops/clock"
)

func nothing(*radius.Builder) {}

func filter(name string) func(*radius.Builder) {
	return func(b *radius.Builder) { b.Text(radius.FilterID, name) }
}

// TestPushIsTheWholeAuthorization: what a push leaves out is gone, and what the recipe
// writes the ASA understands.
func TestPushIsTheWholeAuthorization(t *testing.T) {
	s := newServer(t)
	a := newASA(t, s)
	session := login(t, a, "cisco")
	r, _ := recipe.Lookup("cisco-asa")
	id := recipe.Ident{NASIP: a.NASIP(), CallingStationID: "10.62.145.44", AcctSessionID: session.AcctSessionID(),
		AuditSessionID: strings.ToUpper(session.AuditSessionID()), EventTime: began}
	push := func(kind recipe.Kind, g *recipe.Grant) string {
		t.Helper()
		return outcome(s.tell(a, s.change(r.Change(kind), nil, func(b *radius.Builder) {
			if err := r.AppendChange(b, kind, &id, g); err != nil {
				t.Fatal(err)
			}
		})))
	}
	full := recipe.Grant{RedirectURL: portal, RedirectACL: "ACL", VLAN: "663", FilterID: "IN", GroupPolicy: "GP", SGT: 17,
		SessionTimeout: 60, Class: [][]byte{[]byte("CACS:2")}}
	if got := push(recipe.Push, &full); got != "CoA-ACK" {
		t.Fatal(got)
	}
	const want = "{RedirectURL:" + portal + " RedirectACL:ACL DACLName: DACL:[] FilterID:IN GroupPolicy:GP VLAN:663 SGT:0011-00 SessionTimeout:60"
	if got := fmt.Sprintf("%+v", plain(session.Authorization())); !strings.HasPrefix(got, want) {
		t.Errorf("access %s, want %s", got, want)
	}
	if got := push(recipe.Push, &recipe.Grant{FilterID: "ONLY"}); got != "CoA-ACK" || session.Access() != "filter ONLY" {
		t.Errorf("%s, access %s", got, session.Access())
	}
	if class := session.Authorization().Class; len(class) != 2 || string(class[0]) != "CACS:2" {
		t.Errorf("accounting lost its Class: %q", class)
	}
	if n := session.Pushes(); n != 2 {
		t.Errorf("%d pushes", n)
	}
	if got := push(recipe.Disconnect, nil); got != "Disconnect-ACK" {
		t.Fatal(got)
	}
	if why, err := session.WaitEnd(soon(t)); err != nil || why != "Disconnect-Request" {
		t.Error(why, err)
	}
}

// plain is an Access that prints as a structure.
func plain(a Access) any {
	type fields Access
	return fields(a)
}

// TestChangesJudged sends one request of each kind and looks at the answer and at what
// is in force.
func TestChangesJudged(t *testing.T) {
	const same = "redirect ACL_WEBAUTH_REDIRECT to " + portal
	coa, disconnect := radius.CoARequest, radius.DisconnectRequest
	for _, c := range []struct {
		name    string
		code    radius.Code
		named   bool // the session is named by the helper
		write   func(*radius.Builder)
		outcome string
		access  string
	}{
		{"full", coa, true, nothing, "CoA-ACK", "full"},
		{"filter", coa, true, filter("IN"), "CoA-ACK", "filter IN"},
		{"inline", coa, true, func(b *radius.Builder) { b.AVPair("ip:inacl#1", "deny ip any any") }, "CoA-ACK", "inline ACL (1 entries)"},
		{"no push: merged", coa, false, func(b *radius.Builder) {
			b.Text(radius.AcctSessionID, "63815AAF")
			b.Text(radius.FilterID, "IN")
		}, "CoA-ACK", same + ", filter IN"},
		{"by user", coa, false, func(b *radius.Builder) { b.Text(radius.UserName, "cisco"); b.AVPair("coa-push", "true") }, "CoA-ACK", "full"},
		{"by address", disconnect, false, func(b *radius.Builder) {
			b.Addr(radius.FramedIPAddress, netip.MustParseAddr("172.16.31.10"))
		}, "Disconnect-ACK", "ended: Disconnect-Request"},
		{"by port", disconnect, false, func(b *radius.Builder) { b.U32(radius.NASPort, firstPort) }, "Disconnect-ACK", "ended: Disconnect-Request"},
		{"redirect without its ACL", coa, true, func(b *radius.Builder) { b.AVPair("url-redirect", portal) }, "CoA-NAK 402", same},
		{"unknown pair", coa, true, func(b *radius.Builder) { b.AVPair("subscriber:command", "reauthenticate") }, "CoA-NAK 401", same},
		{"unknown attribute, good filter", coa, true, func(b *radius.Builder) {
			b.Text(radius.FilterID, "IN")
			b.U32(radius.FramedMTU, 1400)
		}, "CoA-NAK 401", same},
		{"unknown vendor", coa, true, func(b *radius.Builder) { b.VendorText(14823, 1, "guest") }, "CoA-NAK 401", same},
		{"unknown ASA attribute", coa, true, func(b *radius.Builder) { b.VendorU32(3076, 254, 1) }, "CoA-NAK 401", same},
		{"opaque vendor", coa, true, func(b *radius.Builder) { b.Bytes(radius.VendorSpecific, []byte{0, 0, 0, 9, 1, 99}) }, "CoA-NAK 401", same},
		{"tunnel set", coa, true, func(b *radius.Builder) { b.TaggedU32(radius.TunnelType, 1, 13) }, "CoA-NAK 401", same},
		{"bad timeout", coa, true, func(b *radius.Builder) { b.Bytes(radius.SessionTimeout, []byte{1, 2}) }, "CoA-NAK 407", same},
		{"bad VLAN", coa, true, func(b *radius.Builder) { b.Vendor(3076, radius.ASAVLAN, []byte{1}) }, "CoA-NAK 407", same},
		{"authorize only", coa, true, func(b *radius.Builder) { b.U32(radius.ServiceType, 17) }, "CoA-NAK 405", same},
		{"no session named", coa, false, filter("IN"), "CoA-NAK 402", same},
		{"no such session", coa, false, func(b *radius.Builder) { b.AVPair("audit-session-id", "0a3042ca0001d00056e2dcff") }, "CoA-NAK 503", same},
		{"one name does not match", coa, true, func(b *radius.Builder) { b.Text(radius.AcctSessionID, "00000001") }, "CoA-NAK 503", same},
		{"another NAS", coa, false, func(b *radius.Builder) {
			b.Addr(radius.NASIPAddress, netip.MustParseAddr("10.48.66.203"))
			b.Text(radius.AcctSessionID, "63815AAF")
		}, "CoA-NAK 403", same},
		{"disconnect with Service-Type", disconnect, true, func(b *radius.Builder) { b.U32(radius.ServiceType, 1) }, "Disconnect-NAK 404", same},
		{"disconnect with a filter", disconnect, true, filter("IN"), "Disconnect-NAK 401", same},
		{"disconnect with a push", disconnect, true, func(b *radius.Builder) { b.AVPair("coa-push", "true") }, "Disconnect-NAK 401", same},
		{"disconnect of nobody", disconnect, false, func(b *radius.Builder) { b.Text(radius.UserName, "nobody") }, "Disconnect-NAK 503", same},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			a := newASA(t, s)
			session := login(t, a, "cisco")
			named := session
			if !c.named {
				named = nil
			}
			if got := outcome(s.tell(a, s.change(c.code, named, c.write))); got != c.outcome {
				t.Errorf("answered %s, want %s", got, c.outcome)
			}
			if got := session.Access(); got != c.access {
				t.Errorf("access %s, want %s", got, c.access)
			}
		})
	}
}

// TestTwoSessionsOfOneUser: a name that fits both changes neither (RFC 5176 section 3.5, 508).
func TestTwoSessionsOfOneUser(t *testing.T) {
	s := newServer(t)
	a := newASA(t, s)
	one, two := login(t, a, "cisco"), login(t, a, "cisco")
	got := outcome(s.tell(a, s.change(radius.DisconnectRequest, nil, func(b *radius.Builder) { b.Text(radius.UserName, "cisco") })))
	_, gone := one.Ended()
	_, gone2 := two.Ended()
	if got != "Disconnect-NAK 508" || gone || gone2 {
		t.Error(got, gone, gone2)
	}
}

// TestSilence: nothing is said about what is not sound. Each bad request is followed by
// a good one from the same socket: the first answer heard must be to the good one.
func TestSilence(t *testing.T) {
	s := newServer(t)
	a := newASA(t, s)
	session := login(t, a, "cisco")
	stamped := func(off time.Duration) []byte {
		return s.change(radius.CoARequest, nil, func(b *radius.Builder) {
			b.AVPair("audit-session-id", session.AuditSessionID())
			b.U32(radius.EventTimestamp, uint32(began.Add(off).Unix()))
			b.Text(radius.FilterID, "BAD")
		})
	}
	flip := func(at int) []byte {
		pkt := s.change(radius.CoARequest, session, filter("BAD"))
		pkt[at]++
		return pkt
	}
	badSignature := s.change(radius.CoARequest, nil, func(b *radius.Builder) {
		b.AVPair("audit-session-id", session.AuditSessionID())
		b.Text(radius.FilterID, "BAD")
	})
	badSignature = resealed(s, badSignature)
	for name, pkt := range map[string][]byte{
		"authenticator": flip(4), "attribute": flip(len(flip(4)) - 1), "code": flip(0), "length": flip(3),
		"old": stamped(-301 * time.Second), "future": stamped(301 * time.Second), "Message-Authenticator": badSignature,
		"short": {43, 1, 0}, "request of another kind": accessRequest(s),
	} {
		good := s.change(radius.CoARequest, session, filter(name))
		s.send(a, pkt)
		s.send(a, good)
		if got := outcome(s.hear(good)); got != "CoA-ACK" || session.Access() != "filter "+name {
			t.Errorf("%s: %s, access %s", name, got, session.Access())
		}
	}
	for _, off := range []time.Duration{-300 * time.Second, 300 * time.Second} {
		if got := outcome(s.tell(a, stamped(off))); got != "CoA-ACK" {
			t.Errorf("a request that is %s off: %s", off, got)
		}
	}
}

// resealed spoils Message-Authenticator and makes the Request Authenticator right again.
func resealed(s *server, pkt []byte) []byte {
	var v radius.View
	v.Decode(pkt)
	b := radius.BeginWith(nil, v.Code(), v.Identifier(), false)
	for t, value := range v.Attrs() {
		value = bytes.Clone(value)
		if t == radius.MessageAuthenticator {
			value[0]++
		}
		b.Bytes(t, value)
	}
	out, err := s.key.SealRequest(&b)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func accessRequest(s *server) []byte {
	b := radius.Begin(nil, radius.AccessRequest, 1)
	pkt, err := s.key.SealRequest(&b)
	if err != nil {
		s.t.Fatal(err)
	}
	return pkt
}

// TestForeignServer: a change with the right secret from an address that is not of the
// group is dropped, as an ASA does.
func TestForeignServer(t *testing.T) {
	s := newServer(t)
	dropped := make(chan string, 1)
	a := newASA(t, s, func(c *ASAConfig) {
		c.AuthServer, c.AcctServer = netip.MustParseAddrPort("127.0.0.9:1812"), netip.AddrPort{}
		c.Log = func(step Step) {
			if strings.HasPrefix(step.Note, "dropped") {
				dropped <- step.Note
			}
		}
	})
	s.send(a, s.change(radius.DisconnectRequest, nil, func(b *radius.Builder) { b.Text(radius.UserName, "cisco") }))
	select {
	case why := <-dropped:
		if why != "dropped: not from a server of the group" {
			t.Error(why)
		}
	case <-soon(t).Done():
		t.Error("it was not dropped")
	}
}

// TestDuplicates get the same octets and change nothing twice (RFC 5080 section 2.2.2);
// another request under the same identifier is another request.
func TestDuplicates(t *testing.T) {
	s := newServer(t)
	a := newASA(t, s)
	session := login(t, a, "cisco")
	pkt := s.change(radius.CoARequest, session, filter("ONE"))
	one := bytes.Clone(s.tell(a, pkt).Bytes())
	a.clock.(*clock.Manual).Advance(2 * time.Second)
	if two := s.tell(a, pkt).Bytes(); !bytes.Equal(one, two) {
		t.Error("the duplicate got other octets")
	}
	s.next--
	if got := outcome(s.tell(a, s.change(radius.CoARequest, session, filter("TWO")))); got != "CoA-ACK" || session.Access() != "filter TWO" {
		t.Error(got, session.Access())
	}
	if n := session.Pushes(); n != 2 {
		t.Errorf("%d pushes were applied", n)
	}
}

// TestProxyStateComesBack in order, State as well (RFC 5176 section 3.1).
func TestProxyStateComesBack(t *testing.T) {
	s := newServer(t)
	a := newASA(t, s)
	session := login(t, a, "cisco")
	v := s.tell(a, s.change(radius.CoARequest, session, func(b *radius.Builder) {
		b.Text(radius.ProxyState, "one")
		b.Text(radius.State, "state")
		b.Text(radius.ProxyState, "two")
	}))
	var proxies []string
	for value := range v.All(radius.ProxyState) {
		proxies = append(proxies, string(value))
	}
	if strings.Join(proxies, " ") != "one two" || v.Text(radius.State) != "state" || !v.HasMessageAuthenticator() {
		t.Error(proxies, v.Text(radius.State))
	}
}

// TestMisbehaviour: silence, refusal and lies happen as often as told.
func TestMisbehaviour(t *testing.T) {
	s := newServer(t)
	a := newASA(t, s)
	session := login(t, a, "cisco")
	before := session.Access()

	a.SetAnswer(ASASilent(2))
	pkt := s.change(radius.CoARequest, session, filter("SILENT"))
	s.send(a, pkt)
	s.send(a, pkt)
	if session.Access() != before {
		t.Error("silence changed the access to ", session.Access())
	}
	if got := outcome(s.tell(a, pkt)); got != "CoA-ACK" || session.Access() != "filter SILENT" {
		t.Error(got, session.Access())
	}

	a.SetAnswer(ASANAK(radius.ErrorCauseResourcesUnavailable, 1))
	pkt = s.change(radius.CoARequest, session, filter("NAK"))
	for range 2 {
		if got := outcome(s.tell(a, pkt)); got != "CoA-NAK 506" || session.Access() != "filter SILENT" {
			t.Error("the refusal and its duplicate: ", got, session.Access())
		}
	}
	if got := outcome(s.tell(a, s.change(radius.CoARequest, session, filter("NAK")))); got != "CoA-ACK" {
		t.Error(got)
	}

	a.SetAnswer(ASALies(1))
	if got := outcome(s.tell(a, s.change(radius.CoARequest, session, filter("LIE")))); got != "CoA-ACK" || session.Access() != "filter NAK" {
		t.Error(got, session.Access())
	}
	asked := make(chan ASARequest, 2)
	a.SetAnswer(func(r ASARequest) ASAAnswer {
		asked <- r
		return ASAAnswer{Silent: r.Arrival == 1}
	})
	pkt = s.change(radius.DisconnectRequest, session, nothing)
	s.send(a, pkt)
	s.tell(a, pkt)
	<-asked
	if r := <-asked; r.Arrival != 2 || r.Code != radius.DisconnectRequest || r.Session != session.AuditSessionID() {
		t.Errorf("the hook heard %+v", r)
	}
}

// TestDACLAfterPush: acknowledged first; while the dACL is on its way the old access
// stays, and when it does not come nothing passes.
func TestDACLAfterPush(t *testing.T) {
	named := func(name string) func(*radius.Builder) {
		return func(b *radius.Builder) { b.AVPair("ACS:CiscoSecure-Defined-ACL", name) }
	}
	s := newServer(t)
	a := newASA(t, s, func(c *ASAConfig) {
		c.Retransmit = Retransmit{Initial: 20 * time.Millisecond, Most: 20 * time.Millisecond, Count: 500, Duration: awaitFor}
	})
	session := login(t, a, "cisco")
	s.set(func(s *server) { s.silent = 1 << 30 })
	if got := outcome(s.tell(a, s.change(radius.CoARequest, session, named(aclName)))); got != "CoA-ACK" || !session.Authorization().Redirected() {
		t.Errorf("%s, access %s", got, session.Access())
	}
	s.set(func(s *server) { s.silent = 0 })
	if err := session.WaitFor(soon(t), func(a Access) bool { return a.DACLName == aclName && len(a.DACL) == 1 }); err != nil {
		t.Error(err)
	}
	s.set(func(s *server) {
		s.reply = func(v *radius.View) [][]byte { return [][]byte{s.seal(v, radius.AccessReject, nothing)} }
	})
	s.tell(a, s.change(radius.CoARequest, session, named("#ACSACL#-IP-OTHER-00000000")))
	if err := session.WaitFor(soon(t), func(a Access) bool { return a.Blocked != "" }); err != nil {
		t.Error(err)
	}
	if got := session.Access(); got != "nothing: dACL #ACSACL#-IP-OTHER-00000000: coatest: Access-Reject" {
		t.Error(got)
	}
}

// TestSlowDACLIsLateNews: what a newer push replaced must not come into force when its
// dACL is there at last.
func TestSlowDACLIsLateNews(t *testing.T) {
	s := newServer(t)
	here := make(chan struct{})
	a := newASA(t, s, func(c *ASAConfig) {
		c.Retransmit = Retransmit{Initial: 20 * time.Millisecond, Most: 20 * time.Millisecond, Count: 500, Duration: awaitFor}
		c.Log = func(step Step) {
			if strings.HasSuffix(step.Note, "has 1 entries") {
				close(here)
			}
		}
	})
	session := login(t, a, "cisco")
	s.set(func(s *server) { s.silent = 1 << 30 })
	s.tell(a, s.change(radius.CoARequest, session, func(b *radius.Builder) { b.AVPair("ACS:CiscoSecure-Defined-ACL", aclName) }))
	s.tell(a, s.change(radius.CoARequest, session, filter("NEWER")))
	s.set(func(s *server) { s.silent = 0 })
	select {
	case <-here:
	case <-soon(t).Done():
		t.Fatal("the dACL never came")
	}
	a.Close() // waits for what the download does next
	if got := session.Access(); got != "filter NEWER" || len(session.History()) != 2 {
		t.Errorf("access %s, history %q", got, session.History())
	}
}

// TestWaits: what is waited for must come, or it is said what is there instead.
func TestWaits(t *testing.T) {
	s := newServer(t)
	a := newASA(t, s)
	session := login(t, a, "cisco")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := session.WaitFor(ctx, Access.Full); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "redirect ACL_WEBAUTH_REDIRECT") {
		t.Error(err)
	}
	if _, err := session.WaitEnd(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	changed, waited := session.Changed(), make(chan error, 1)
	go func() { waited <- session.WaitFor(soon(t), Access.Full) }()
	s.tell(a, s.change(radius.CoARequest, session, nothing))
	if err := <-waited; err != nil {
		t.Error(err)
	}
	<-changed
	if found, ok := a.Session(strings.ToUpper(session.AuditSessionID())); !ok || found != session {
		t.Error("the session is not found by its id in upper case")
	}
	s.tell(a, s.change(radius.DisconnectRequest, session, nothing))
	if err := session.WaitFor(soon(t), Access.Redirected); !errors.Is(err, ErrEnded) {
		t.Error(err)
	}
	if _, ok := a.Session(session.AuditSessionID()); ok {
		t.Error("the dead are found")
	}
}

// TestWhoseRedirect: the client's address says whose it is; with several tunnels and an
// address of none nothing is given away.
func TestWhoseRedirect(t *testing.T) {
	s := newServer(t)
	a := newASA(t, s)
	get := func() string {
		t.Helper()
		client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		got, err := client.Get(a.RedirectURL() + "anything?at=all")
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		body, _ := io.ReadAll(got.Body)
		return strings.TrimSpace(fmt.Sprint(got.StatusCode, " ", got.Header.Get("Location"), string(body)))
	}
	if got := get(); got != "403 no tunnel is open" {
		t.Error(got)
	}
	one, two := login(t, a, "cisco"), login(t, a, "cisco")
	if got := get(); !strings.HasPrefix(got, "403 2 tunnels are open") {
		t.Error(got)
	}
	local, err := a.Login(soon(t), "clean", "cisco", Endpoint{PublicIP: netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	if got := get(); got != "200 full access: "+local.Access() {
		t.Error(got)
	}
	if err := errors.Join(one.Logout(soon(t)), local.Logout(soon(t))); err != nil {
		t.Fatal(err)
	}
	if got := get(); !strings.HasPrefix(got, "302 "+portal) {
		t.Error(got, two.Access())
	}
}

// TestDisconnectStopsAccounting: the Stop says Admin-Reset.
func TestDisconnectStopsAccounting(t *testing.T) {
	s := newServer(t)
	stopped := make(chan uint32, 1)
	a := newASA(t, s)
	session := login(t, a, "cisco")
	s.set(func(s *server) {
		s.reply = func(v *radius.View) [][]byte {
			if cause, ok := v.U32(radius.AcctTerminateCause); ok {
				stopped <- cause
			}
			return [][]byte{s.story(v)}
		}
	})
	s.tell(a, s.change(radius.DisconnectRequest, session, nothing))
	select {
	case cause := <-stopped:
		if cause != radius.AcctTerminateCauseAdminReset {
			t.Error(cause)
		}
	case <-soon(t).Done():
		t.Error("no Stop came")
	}
}
