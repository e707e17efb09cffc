package step_test

import (
	"net/netip"
	"testing"
	"time"

	. "sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/sessions"
)

var (
	athome   = netip.MustParseAddr("10.10.10.10")
	awayfrom = netip.MustParseAddr("10.9.9.9")
)

// loginOf is a session of an endpoint whose address the NAS told.
func loginOf(t *testing.T, r *Rules, id, user string, macs []string, station string, address netip.Addr) *sessions.Session {
	t.Helper()
	a := asa()
	a.ID, a.AuditSessionID, a.UserName, a.MACs, a.CallingStationID, a.FramedIP = sessions.ID(id), id, user, macs, station, address
	s, d := Login(at(0), nil, &LoginInput{Attributes: a, Method: "pap"}, r)
	if s == nil {
		t.Fatalf("rejected by %s", d.Rule)
	}
	return s
}

// bind claims by the ticket of the session; serial 0 claims without.
func bind(t *testing.T, r *Rules, s *sessions.Session, key string, d *report.Device, peer netip.Addr, serial uint32, macs ...string) *sessions.Session {
	t.Helper()
	c := &report.Claim{MACs: macs}
	if serial > 0 {
		c.Ticket = "t"
	}
	next, p := Claim(at(time.Minute), s, &ClaimInput{Claim: c, Key: []byte(key), Device: d, Peer: peer, TicketSerial: serial, Nonce: "n"}, r)
	if p != nil {
		t.Fatal(p)
	}
	return next
}

// TestCertificateRaisesAssurance: a key that proved itself in one session of an endpoint
// counts for more in its next one, and in nobody else's.
func TestCertificateRaisesAssurance(t *testing.T) {
	r := rules(t)
	const mac, other = "00:0c:29:c9:d9:37", "00:0c:29:00:00:99"
	byMAC := report.Device{}.With(report.Proof{MAC: mac, Session: "first"})
	byUser := report.Device{}.With(report.Proof{User: "ana", Session: "first"})
	wired := loginOf(t, r, "second", "ana", nil, "00-0C-29-C9-D9-37", athome)
	unknown := loginOf(t, r, "second", "ana", nil, "00-0C-29-C9-D9-37", netip.Addr{})
	tunnel := loginOf(t, r, "second", "ana", nil, "198.51.100.7", athome)
	tunnelUnknown := loginOf(t, r, "second", "ana", nil, "198.51.100.7", netip.Addr{})
	for _, c := range []struct {
		what   string
		s      *sessions.Session
		device *report.Device
		peer   netip.Addr
		want   sessions.Assurance
	}{
		{"no certificate", wired, nil, athome, sessions.Ticket},
		{"a certificate that says nothing", wired, &report.Device{}, athome, sessions.Ticket},
		{"the same MAC", wired, &byMAC, athome, sessions.Key},
		{"the same MAC, the address is not known", unknown, &byMAC, awayfrom, sessions.Key},
		{"the same MAC, from another address", wired, &byMAC, awayfrom, sessions.TicketElsewhere},
		{"another MAC", loginOf(t, r, "second", "ana", []string{other}, "", athome), &byMAC, athome, sessions.Ticket},
		{"the user alone where there is a MAC", wired, &byUser, athome, sessions.Ticket},
		{"the user, where there is none", tunnel, &byUser, athome, sessions.Key},
		{"the user, from another address", tunnel, &byUser, awayfrom, sessions.TicketElsewhere},
		{"the user, and no address to compare", tunnelUnknown, &byUser, athome, sessions.Ticket},
		{"another user", loginOf(t, r, "second", "bea", nil, "198.51.100.7", athome), &byUser, athome, sessions.Ticket},
		{"made in this very session", loginOf(t, r, "first", "ana", []string{mac}, "", athome), &byMAC, athome, sessions.Ticket},
	} {
		next := bind(t, r, c.s, "device key", c.device, c.peer, c.s.Posture.Binding.TicketSerial)
		if got := next.Posture.Binding.Assurance; got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	if got := bind(t, r, wired, "device key", &byMAC, athome, 0, mac).Posture.Binding.Assurance; got != sessions.Key {
		t.Errorf("address, MAC and certificate: %s", got)
	}
	bound := bind(t, r, wired, "device key", &byMAC, athome, 1)
	if got := bind(t, r, bound, "device key", nil, athome, 0).Posture.Binding.Assurance; got != sessions.Key {
		t.Errorf("the same key again, without its certificate: %s", got)
	}
	in := Input(bound, at(time.Minute), r)
	if in.Assurance.String() != "key" {
		t.Errorf("rules see %s", in.Assurance)
	}
}

// TestStolenTicketRaisesNothing: whoever redeems another's ticket is bound by it and no
// better, now and in the endpoint's next session, whatever certificates he collects.
func TestStolenTicketRaisesNothing(t *testing.T) {
	r := rules(t)
	const victimMAC, thiefMAC = "00:0c:29:c9:d9:37", "00:0c:29:00:00:99"
	victim := loginOf(t, r, "victim-1", "ana", []string{victimMAC}, "", athome)
	next := loginOf(t, r, "victim-2", "ana", []string{victimMAC}, "", athome)
	unknown := loginOf(t, r, "victim-3", "ana", []string{victimMAC}, "", netip.Addr{})

	// His own device, enrolled in order.
	own := bind(t, r, loginOf(t, r, "thief-1", "eve", []string{thiefMAC}, "", awayfrom), "thief", nil, awayfrom, 1)
	proof, ok := Prove(own, awayfrom)
	if !ok || proof.MAC != thiefMAC {
		t.Fatalf("his own device is not enrolled: %+v", proof)
	}
	thief := report.Device{}.With(proof)

	for _, s := range []*sessions.Session{victim, next, unknown} {
		bound := bind(t, r, s, "thief", &thief, awayfrom, 1)
		if got := bound.Posture.Binding.Assurance; got == sessions.Key {
			t.Errorf("%s: his own certificate raised a stolen ticket to %s", s.ID, got)
		}
		if p, ok := Prove(bound, awayfrom); ok {
			t.Errorf("%s: he gets a certificate of the victim: %+v", s.ID, p)
		}
		again := bind(t, r, bound, "thief", &thief, awayfrom, 0)
		if got := again.Posture.Binding.Assurance; got == sessions.Key {
			t.Errorf("%s: claiming again made it %s", s.ID, got)
		}
	}

	// The key of the session's own device was the stronger one: the ticket takes it away.
	device := report.Device{}.With(report.Proof{MAC: victimMAC, Session: "victim-0"})
	strong := bind(t, r, victim, "device key", &device, athome, 0, victimMAC)
	taken := bind(t, r, strong, "thief", &thief, awayfrom, 1)
	if strong.Posture.Binding.Assurance != sessions.Key || taken.Posture.Binding.Assurance != sessions.TicketElsewhere {
		t.Errorf("%s became %s", strong.Posture.Binding.Assurance, taken.Posture.Binding.Assurance)
	}
}

// TestProve: only a ticket that was redeemed at the endpoint's own address enrols.
func TestProve(t *testing.T) {
	r := rules(t)
	s := loginOf(t, r, "one", "ana", []string{"00:0c:29:c9:d9:37"}, "", athome)
	ticket := bind(t, r, s, "device key", nil, athome, 1)
	nobody := loginOf(t, r, "one", "", nil, "198.51.100.7", athome)
	for _, c := range []struct {
		what string
		s    *sessions.Session
		peer netip.Addr
		want bool
	}{
		{"in order", ticket, athome, true},
		{"as IPv4 in IPv6", ticket, netip.MustParseAddr("::ffff:10.10.10.10"), true},
		{"asked from another address", ticket, awayfrom, false},
		{"asked from nowhere", ticket, netip.Addr{}, false},
		{"nobody bound", s, athome, false},
		{"bound by address and MAC", bind(t, r, s, "device key", nil, athome, 0, "00:0c:29:c9:d9:37"), athome, false},
		{"a ticket from elsewhere", bind(t, r, s, "device key", nil, awayfrom, 1), athome, false},
		{"neither MAC nor user", bind(t, r, nobody, "device key", nil, athome, 1), athome, false},
		{"an ended session", End(at(time.Hour), at(time.Hour), ticket, "x"), athome, false},
	} {
		p, ok := Prove(c.s, c.peer)
		if ok != c.want || ok && (p != report.Proof{MAC: "00:0c:29:c9:d9:37", Session: "one"}) {
			t.Errorf("%s: %+v %t", c.what, p, ok)
		}
	}
}
