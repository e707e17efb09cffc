package coa_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/coa"
	"sallyport/coa/coatest/foreign"
	"sallyport/coa/coatest/strongswan"
	"sallyport/coa/recipe"
	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
	"sallyport/sessions"
)

// TestStrongswanEndsTheRealTunnel: a Disconnect-ACK of strongSwan is the end of a real IKE
// session, at both of its ends, and its Accounting-Stop confirms it. What the recipe for
// it goes by is so: of a new authorization it takes nothing but Session-Timeout, and
// acknowledges the rest with that; it refuses without saying why.
func TestStrongswanEndsTheRealTunnel(t *testing.T) {
	t.Parallel()
	box := strongswan.Start(t)
	began := box.Await("the Start of the tunnel", func(r *foreign.Record) bool {
		return r.Status == radius.AcctStatusTypeStart && r.UserName == strongswan.UserName
	})
	if tunnels := box.Tunnels(); !strings.Contains(tunnels, "ESTABLISHED, IKEv2") || !strings.Contains(tunnels, "INSTALLED, TUNNEL-in-UDP") {
		t.Fatalf("the gateway has %q", tunnels)
	}
	confirmations := make(chan coa.Confirmation, 1)
	var e *coa.Engine
	var l *ledger
	box.Inside(func() error { // the sockets must be where the gateway is
		e, l = start(t, coa.Config{Source: netip.MustParseAddr("127.0.0.1"), Confirmation: func(all []coa.Confirmation) { confirmations <- all[0] }})
		return nil
	})
	serial := uint64(0)
	change := func(name, user string, timeout uint32) coa.Settlement {
		t.Helper()
		r, ok := recipe.Lookup(name)
		if !ok {
			t.Fatal(name)
		}
		serial++
		submit(t, e, coa.Change{Session: sessions.ID(began.AcctSessionID), Serial: serial, Kind: r.Means(recipe.Push), Grant: &recipe.Grant{FilterID: "full", SessionTimeout: timeout},
			NAS:   &coa.NAS{Name: "vpn-1", Addr: box.CoA, Key: radiustest.Key(t, strongswan.Secret), Recipe: r, ConfirmWithin: 10 * time.Second},
			Ident: recipe.Ident{NASIP: netip.MustParseAddr("10.9.0.1"), AcctSessionID: began.AcctSessionID, UserName: user}})
		return l.await(t, int(serial))[serial-1]
	}
	if s := change("strongswan", "mallory@example.com", 0); s.Outcome != coa.NAK || s.Cause != 0 || s.Did != recipe.Disconnect {
		t.Errorf("a user without a tunnel: %s", s.String())
	}
	if s := change("rfc5176", strongswan.UserName, 0); s.Outcome != coa.NAK || s.Cause != 0 {
		t.Errorf("a new authorization: %s", s.String())
	}
	if s := change("rfc5176", strongswan.UserName, 3600); s.Outcome != coa.ACK || !strings.Contains(box.Tunnels(), "ESTABLISHED") {
		t.Errorf("a new authorization with a timeout: %s; %s", s.String(), box.Tunnels())
	}
	if s := change("strongswan", strongswan.UserName, 0); s.Outcome != coa.ACK || s.Did != recipe.Disconnect {
		t.Fatal(s.String())
	}
	box.Await("the Stop of the tunnel", func(r *foreign.Record) bool {
		return r.Status == radius.AcctStatusTypeStop && r.AcctSessionID == began.AcctSessionID
	})
	box.Eventually("the endpoint was told", box.Told)
	if tunnels := box.Tunnels(); strings.Contains(tunnels, "ESTABLISHED") {
		t.Errorf("the gateway has %s", tunnels)
	}
	e.Confirmed(coa.Confirmed{Sign: recipe.SignStop, Session: sessions.ID(began.AcctSessionID)})
	select {
	case c := <-confirmations:
		if c.State != coa.ConfirmedByNAS {
			t.Error(c.String())
		}
	case <-time.After(10 * time.Second):
		t.Error("the Stop confirmed nothing")
	}
}
