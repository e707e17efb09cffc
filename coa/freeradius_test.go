package coa_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/coa"
	"sallyport/coa/coatest/freeradius"
	"sallyport/coa/recipe"
	"sallyport/sessions"
)

// TestFreeRADIUSDecodesOurPush: an independent server reads what an ASA would be sent,
// believes its authenticators, and acknowledges; it refuses a session it does not know
// with Error-Cause 503, and is silent when the secret is another (RFC 5176 section 3.5).
func TestFreeRADIUSDecodesOurPush(t *testing.T) {
	t.Parallel()
	const known, unknown = "0a3042ca0001d00056e2dce3", "0a3042ca0001e00056e2dce4"
	server := freeradius.Start(t, freeradius.Options{Sessions: []string{known}})
	e, l := start(t, coa.Config{Source: netip.MustParseAddr("127.0.0.1"), Retry: coa.Retransmission{Initial: 200 * time.Millisecond, CountMax: 2}})
	submit(t, e, push(asa(t, "right", server.CoA, server.Secret), known, 1))
	submit(t, e, push(asa(t, "right", server.CoA, server.Secret), unknown, 1))
	ended := byOutcome(l.await(t, 2))
	if s := ended[coa.ACK]; s == nil || s.Session != known {
		t.Errorf("no ACK for the session that exists: %v", ended)
	}
	if s := ended[coa.NAK]; s == nil || s.Session != unknown || s.Cause != 503 || s.Action() != coa.CloseSession {
		t.Errorf("no NAK 503 for the session that does not: %v", ended)
	}
	received := server.Received(t, "CoA-Request", 2)
	got := strings.Join(received[0], "\n")
	for i, want := range []string{
		"Message-Authenticator = 0x", "NAS-IP-Address = 10.48.66.202", `Calling-Station-Id = "10.62.145.44"`, "Event-Timestamp = ",
		`Cisco-AVPair = "audit-session-id=` + known + `"`, `Cisco-AVPair = "coa-push=true"`,
		`Cisco-AVPair = "ACS:CiscoSecure-Defined-ACL=#ACSACL#-IP-PERMIT_ALL_TRAFFIC-57e5bcbd"`,
	} {
		if !strings.Contains(got, want) || i == 0 && !strings.HasPrefix(got, want) {
			t.Errorf("%q is not where it should be in what FreeRADIUS decoded:\n%s", want, got)
		}
	}

	submit(t, e, push(asa(t, "wrong", server.CoA, "another secret"), known, 2))
	if s := l.await(t, 3)[2]; s.Outcome != coa.Silent || s.Attempts != 2 {
		t.Errorf("with a wrong secret: %s", s.String())
	}
}

// TestFreeRADIUSDecodesTheOtherRecipes: reauthentication, plain attributes, Disconnect.
func TestFreeRADIUSDecodesTheOtherRecipes(t *testing.T) {
	server := freeradius.Start(t, freeradius.Options{Sessions: []string{"0A30", "63815AAF"}})
	e, l := start(t, coa.Config{Source: netip.MustParseAddr("127.0.0.1")})
	id := recipe.Ident{NASIP: netip.MustParseAddr("10.48.66.203"), CallingStationID: "00-50-56-AA-BB-CC", AcctSessionID: "63815AAF", UserName: "bob"}
	change := func(serial uint64, name string, kind recipe.Kind, audit string, g *recipe.Grant) coa.Change {
		nas := *asa(t, "peer", server.CoA, server.Secret)
		nas.Recipe, _ = recipe.Lookup(name)
		ident := id
		ident.AuditSessionID = audit
		return coa.Change{Session: "s1", Serial: serial, NAS: &nas, Kind: kind, Ident: ident, Grant: g}
	}
	for i, c := range []coa.Change{
		change(1, "cisco-ios", recipe.Reauthenticate, "0A30", nil),
		change(2, "rfc5176", recipe.Push, "", &recipe.Grant{VLAN: "663", FilterID: "PERMIT", Class: [][]byte{[]byte("CACS:1")}}),
		change(3, "rfc5176", recipe.Disconnect, "", nil),
	} {
		submit(t, e, c)
		if s := l.await(t, i+1)[i]; s.Outcome != coa.ACK {
			t.Fatal(s.String())
		}
	}
	changes, ends := server.Received(t, "CoA-Request", 2), server.Received(t, "Disconnect-Request", 1)
	for _, test := range []struct {
		got  []string
		want []string
	}{
		{changes[0], []string{`Cisco-AVPair = "subscriber:command=reauthenticate"`, `Cisco-AVPair = "subscriber:reauthenticate-type=last"`, `Cisco-AVPair = "audit-session-id=0A30"`}},
		{changes[1], []string{`User-Name = "bob"`, `Acct-Session-Id = "63815AAF"`, `Filter-Id = "PERMIT"`, "Tunnel-Type:0 = VLAN", "Tunnel-Medium-Type:0 = IEEE-802", `Tunnel-Private-Group-Id:0 = "663"`}},
		{ends[0], []string{`User-Name = "bob"`, `Acct-Session-Id = "63815AAF"`}},
	} {
		for _, want := range test.want {
			if !strings.Contains(strings.Join(test.got, "\n"), want) {
				t.Errorf("%s is not in what FreeRADIUS decoded:\n%s", want, strings.Join(test.got, "\n"))
			}
		}
	}
}

// TestFreeRADIUSRefusesInEveryWay: each Error-Cause as an independent server writes it,
// and what the engine does about it: once more, twice more, or never.
func TestFreeRADIUSRefusesInEveryWay(t *testing.T) {
	t.Parallel()
	server := freeradius.Start(t, freeradius.Options{})
	e, l := start(t, coa.Config{Source: netip.MustParseAddr("127.0.0.1")})
	nas := *asa(t, "peer", server.CoA, server.Secret)
	nas.Recipe, _ = recipe.Lookup("rfc5176")
	tries := map[sessions.ID]int{"causeless": 3, "cause-504": 3, "cause-505": 3, "cause-506": 3, "cause-601": 3, "cause-508": 2}
	for _, cause := range []int{201, 202, 401, 402, 403, 404, 405, 406, 407, 501, 502, 503, 504, 505, 506, 507, 508, 509, 510, 601} {
		if id := sessions.ID(fmt.Sprint("cause-", cause)); tries[id] == 0 {
			tries[id] = 1
		}
	}
	for id := range tries {
		submit(t, e, coa.Change{Session: id, Serial: 1, NAS: &nas, Kind: recipe.Push, Grant: &recipe.Grant{FilterID: "PERMIT"},
			Ident: recipe.Ident{AcctSessionID: string(id), CallingStationID: "02-00-00-00-00-01"}})
	}
	for _, s := range l.await(t, len(tries)) {
		want, _ := strings.CutPrefix(string(s.Session), "cause-")
		if want == "causeless" {
			want = "0"
		}
		if s.Outcome != coa.NAK || fmt.Sprint(s.Cause) != want || s.Tries != tries[s.Session] {
			t.Errorf("%s", s.String())
		}
	}
}

func byOutcome(all []coa.Settlement) map[coa.Outcome]*coa.Settlement {
	ended := map[coa.Outcome]*coa.Settlement{}
	for i := range all {
		ended[all[i].Outcome] = &all[i]
	}
	return ended
}
