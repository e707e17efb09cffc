package engine

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/coa"
	"sallyport/coa/recipe"
	"sallyport/engine/record"
	"sallyport/netio/udp"
	"sallyport/sessions"
)

func stormID(n int) string { return fmt.Sprintf("0a3042ca%08x56e2dce3", n) }

// TestOpenChangesLeaveRoomForLogins: after a start with very many open changes they go to
// the CoA engine a few at a time, and a login that comes meanwhile is answered between
// them. All go, each once.
func TestOpenChangesLeaveRoomForLogins(t *testing.T) {
	const open = 5 * resendStep
	s := newStage(t)
	for n := range open {
		s.login(stormID(n))
		s.do(&operatorEvent{id: sessions.ID(stormID(n)), kind: sessions.ChangeReauth, who: "root", finished: make(chan struct{})})
	}
	s.crashed()
	c := s.e.core
	if n := len(c.unsent); n != open {
		t.Fatalf("%d open changes after the start, want %d", n, open)
	}
	c.nextTick = time.Time{}
	c.group(c.fill(nil))
	if n := len(s.nas.changes); n != resendStep {
		t.Fatalf("the first group gave %d changes to the CoA engine, want %d", n, resendStep)
	}
	d := udp.NewDatagram(s.out, udp.Listener{Role: RoleAuthentication}, 0, asaAddr, netip.MustParseAddrPort("192.0.2.1:1812"), s.pap("cisco", "cisco", stormID(open)))
	s.e.ServeBatch(0, []udp.Datagram{d})
	c.group(c.fill(nil))
	answered := 0
	s.out.Drain(func(udp.Late, []byte) { answered++ })
	if n := len(s.nas.changes); answered != 1 || n > 3*resendStep {
		t.Fatalf("%d changes were given when the login was answered (%d answers)", n, answered)
	}
	s.run()
	given := map[sessions.ID]int{}
	for _, change := range s.nas.changes {
		given[change.Session]++
	}
	if len(given) != open || len(s.nas.changes) != open || len(c.unsent) != 0 {
		t.Errorf("%d changes of %d sessions were given, want %d; %d are left", len(s.nas.changes), len(given), open, len(c.unsent))
	}
}

// TestANASThatIsAwayLeavesRoomInTheLog: when a NAS says nothing, every one of its sessions
// fails alike; a few of the failures are shown, all are kept.
func TestANASThatIsAwayLeavesRoomInTheLog(t *testing.T) {
	const many = 4 * manyFree
	s := newStage(t)
	failed := func() (shown int, last *record.Decision) {
		for _, d := range s.rows() {
			if d.Details == "Change of authorization failed" {
				shown, last = shown+1, d
			}
		}
		return shown, last
	}
	for n := range many {
		id := sessions.ID(stormID(n))
		s.login(stormID(n))
		s.do(&operatorEvent{id: id, kind: sessions.ChangeReauth, who: "root", finished: make(chan struct{})})
		s.do(&settleEvent{in: settlement{Settlement: coa.Settlement{Session: id, Serial: s.session(stormID(n)).Change.Serial, NAS: "asa",
			Outcome: coa.Silent, Kind: recipe.Reauthenticate, Attempts: 4, Remote: netip.MustParseAddrPort("127.0.0.1:1700")}}})
	}
	shown, last := failed()
	if want := manyFree + 2; shown != want || last.RepeatCount != many || last.NetworkDevice != "asa" {
		t.Errorf("%d rows, want %d; the last: %+v", shown, want, last)
	}
	if n := len(s.e.suppress.open(last.FoldID)); n != many {
		t.Errorf("%d rows are kept, want %d", n, many)
	}
}

// TestStormRows: what the live log says while a storm goes on, and how often.
func TestStormRows(t *testing.T) {
	var s storm
	now := time.Unix(1e9, 0)
	var said []string
	look := func(after time.Duration, made uint64, open int) {
		now = now.Add(after)
		if words := s.look(now, made, open); words != "" {
			said = append(said, words)
		}
	}
	look(0, 5000, 999)
	look(time.Second, 6001, 2000)
	look(4*time.Second, 50_000, 40_000)
	look(time.Second, 104_001, 88_000)
	look(9*time.Second, 104_001, 50_000) // too soon
	look(time.Second, 104_001, 20_000)
	for range 10 {
		look(100*time.Second, 104_001, 500)
	}
	look(time.Second, 104_001, 12)
	look(time.Second, 104_002, 13)
	look(time.Second, 0, 100_000) // a start: another run made them
	look(10*time.Second, 1000, 12_000)
	want := `A storm of changes of authorization: 2000 are open
The storm goes on: 12000 of 100000 changes of authorization are settled
The storm goes on: 80000 of 100000 changes of authorization are settled
The storm goes on: 99500 of 100000 changes of authorization are settled
The storm goes on: 99500 of 100000 changes of authorization are settled
The storm goes on: 99500 of 100000 changes of authorization are settled
The storm goes on: 99500 of 100000 changes of authorization are settled
The storm goes on: 99500 of 100000 changes of authorization are settled
The storm is over: 100000 changes of authorization within 16m56s, 12 are open
A storm of changes of authorization: 100000 are open
The storm goes on: 89000 of 101000 changes of authorization are settled`
	if got := strings.Join(said, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	names := busiest([]coa.PeerState{{Name: "idle"}, {Name: "a", Queued: 5}, {Name: "b", Queued: 1, InFlight: 1, Dead: true}, {Name: "c", Queued: 9000, InFlight: 128}, {Name: "d", Queued: 1}})
	if want := "c at invalid AddrPort: 9000 wait, 128 in flight; a at invalid AddrPort: 5 wait, 0 in flight; b at invalid AddrPort: 1 wait, 1 in flight, it answers nothing; and others"; names != want {
		t.Errorf("got  %s\nwant %s", names, want)
	}
}
