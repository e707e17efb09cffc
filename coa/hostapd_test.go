package coa_test

import (
	"net/netip"
	"testing"
	"time"

	"sallyport/coa"
	"sallyport/coa/coatest/foreign"
	"sallyport/coa/coatest/hostapd"
	"sallyport/coa/recipe"
	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
	"sallyport/sessions"
)

// TestHostapdEndsTheRealSession: a Disconnect-ACK of hostapd is the end of a real 802.1X
// session, whose Accounting-Stop confirms it; what it refuses, the recipe for it does not
// say.
func TestHostapdEndsTheRealSession(t *testing.T) {
	t.Parallel()
	box := hostapd.Start(t)
	began := box.Await("the Start of a login", func(r *foreign.Record) bool {
		return r.Status == radius.AcctStatusTypeStart
	})
	confirmations := make(chan coa.Confirmation, 1)
	var e *coa.Engine
	var l *ledger
	box.Inside(func() error { // the sockets must be where hostapd is
		e, l = start(t, coa.Config{Source: netip.MustParseAddr("127.0.0.1"),
			Confirmation: func(all []coa.Confirmation) { confirmations <- all[0] }})
		return nil
	})
	serial := uint64(0)
	change := func(name, acct string, nas netip.Addr) coa.Settlement {
		t.Helper()
		r, ok := recipe.Lookup(name)
		if !ok {
			t.Fatal(name)
		}
		serial++
		submit(t, e, coa.Change{Session: sessions.ID(acct), Serial: serial, Kind: r.Means(recipe.Push), Grant: &recipe.Grant{},
			NAS:   &coa.NAS{Name: "switch-1", Addr: box.CoA, Key: radiustest.Key(t, hostapd.Secret), Recipe: r, ConfirmWithin: 10 * time.Second},
			Ident: recipe.Ident{NASIP: nas, AcctSessionID: acct, CallingStationID: began.CallingStationID, AuditSessionID: "0A63000100000001"}})
		return l.await(t, int(serial))[serial-1]
	}
	for _, test := range []struct {
		recipe, acct string
		nas          netip.Addr
		cause        uint32
	}{
		{"cisco-ios", began.AcctSessionID, box.NASIP, 401}, // Vendor-Specific
		{"hostapd", "0000000000000000", box.NASIP, 503},
		{"hostapd", began.AcctSessionID, netip.MustParseAddr("192.0.2.1"), 403},
		{"rfc5176", began.AcctSessionID, box.NASIP, 402}, // a push that says nothing
	} {
		if s := change(test.recipe, test.acct, test.nas); s.Outcome != coa.NAK || s.Cause != test.cause {
			t.Errorf("%s about %s by %s: %s", test.recipe, test.acct, test.nas, s.String())
		}
	}
	if s := change("hostapd", began.AcctSessionID, box.NASIP); s.Outcome != coa.ACK || s.Did != recipe.Disconnect {
		t.Fatal(s.String())
	}
	box.Await("the Stop of the session", func(r *foreign.Record) bool {
		return r.Status == radius.AcctStatusTypeStop && r.AcctSessionID == began.AcctSessionID
	})
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
