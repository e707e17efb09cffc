package bench

import (
	"testing"

	"sallyport/netio/radius"
)

// TestRequestsAreSound: what the emulated NAS sends is a right packet, in which the
// password, the session and its point in life are to be found.
func TestRequestsAreSound(t *testing.T) {
	key := keyOf(t)
	auth := newMaker(&Scenario{Kind: KindAuth, Users: 3, Sessions: 10, NASes: 1}, key)
	pkt, err := auth.request(nil, 0, 25, 9)
	if err != nil {
		t.Fatal(err)
	}
	var v radius.View
	if why := v.Decode(pkt); why != radius.Sound {
		t.Fatal(why)
	}
	if why := key.VerifyMessageAuthenticator(&v); why != radius.Sound {
		t.Fatal(why)
	}
	hidden, _ := v.Get(radius.UserPassword)
	plain, _ := key.RevealPassword(nil, hidden, v.Authenticator())
	audit, _ := v.AVPair("audit-session-id")
	if v.Identifier() != 9 || v.Text(radius.UserName) != UserName(2) || string(plain) != Password || string(audit) != "be0000000005000000000000" {
		t.Fatalf("identifier %d, user %s, password %q, session %s", v.Identifier(), v.Text(radius.UserName), plain, audit)
	}
}

// TestAccountingIsAThirdOfEach: at any moment the mix is the same, and each session goes
// Start, Interim-Update, Stop, then lives again under other ids.
func TestAccountingIsAThirdOfEach(t *testing.T) {
	key := keyOf(t)
	m := newMaker(&Scenario{Kind: KindAccounting, Users: 3, Sessions: 7, NASes: 1}, key)
	kinds := map[uint32]int{}
	order := map[uint32]uint32{1: 3, 3: 2, 2: 1} // Start, Interim-Update, Stop, Start
	lastKind, lastLife := map[string]uint32{}, map[string]string{}
	for n := range uint64(7 * 30) {
		pkt, err := m.request(nil, 0, n, byte(n))
		if err != nil {
			t.Fatal(err)
		}
		var v radius.View
		if why := v.Decode(pkt); why != radius.Sound {
			t.Fatal(why)
		}
		if why := key.VerifyRequest(&v); why != radius.Sound {
			t.Fatal(why)
		}
		kind, _ := v.U32(radius.AcctStatusType)
		kinds[kind]++
		station, id := v.Text(radius.CallingStationID), v.Text(radius.AcctSessionID)
		if last := lastKind[station]; last != 0 && order[last] != kind {
			t.Fatalf("%s: kind %d after %d", station, kind, last)
		}
		if last := lastLife[station]; last != "" && (last != id) != (kind == radius.AcctStatusTypeStart) {
			t.Fatalf("%s: kind %d has Acct-Session-Id %s after %s", station, kind, id, last)
		}
		lastKind[station], lastLife[station] = kind, id
	}
	for kind, n := range kinds {
		if n != 70 {
			t.Fatalf("%d of kind %d: %v", n, kind, kinds)
		}
	}
}

// auditOf is the audit-session-id of a packet.
func auditOf(t *testing.T, packet []byte) string {
	t.Helper()
	var v radius.View
	if why := v.Decode(packet); why != radius.Sound {
		t.Fatal(why)
	}
	id, _ := v.AVPair("audit-session-id")
	return string(id)
}

// TestSessionsStayWithTheirNAS: no two NASes name the same session, and a fresh login
// names one that nobody named before.
func TestSessionsStayWithTheirNAS(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		m := newMaker(&Scenario{Kind: KindAuth, Users: 3, Sessions: 12, NASes: 4, Fresh: fresh}, keyOf(t))
		owner := map[string]int{}
		for nas := range 4 {
			for n := range uint64(9) { // three rounds
				pkt, err := m.request(nil, nas, n, 0)
				if err != nil {
					t.Fatal(err)
				}
				id := auditOf(t, pkt)
				if was, known := owner[id]; known && (was != nas || fresh) {
					t.Fatalf("fresh %v: session %s of NAS %d is named by NAS %d", fresh, id, was, nas)
				}
				owner[id] = nas
			}
		}
		if want := map[bool]int{false: 12, true: 36}[fresh]; len(owner) != want {
			t.Fatalf("fresh %v: %d sessions, want %d", fresh, len(owner), want)
		}
	}
}
