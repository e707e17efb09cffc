package coa

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"sallyport/coa/recipe"
	"sallyport/sessions"
)

// TestLedgerTellsTheStory of a change that took two requests, in words.
func TestLedgerTellsTheStory(t *testing.T) {
	l := NewLedger(0)
	s := newScript(t, nil)
	for _, line := range []string{"nas asa recipe=cisco-asa confirm=10s", "submit s1 nas=asa dacl=#ACSACL#-IP-A-00000001",
		"submit s2 nas=asa", "advance 3s", "nak s1 cause=506", "advance 2s", "ack s1", "advance 11s"} {
		s.note = l.Note
		s.run(line)
	}
	var got strings.Builder
	for _, e := range l.Timeline("s1") {
		fmt.Fprintf(&got, "%s %d %s\n", e.At.Sub(began).Round(time.Millisecond), e.Serial, e.Line)
		switch {
		case strings.HasPrefix(e.Line, "sent"), strings.HasPrefix(e.Line, "retransmitted"):
			if !strings.Contains(e.Attributes, `Cisco-AVPair = "ACS:CiscoSecure-Defined-ACL=#ACSACL#-IP-A-00000001"`) || !e.Local.IsValid() {
				t.Errorf("not all of what was sent: %+v", e)
			}
		case strings.HasPrefix(e.Line, "answered CoA-NAK"):
			if !strings.Contains(e.Attributes, "Error-Cause = Resources-Unavailable") {
				t.Errorf("not all of what was answered: %+v", e)
			}
		}
	}
	const want = `5ms 1 sent CoA-Request 0 to asa 192.0.2.1:1700, attempt 1
2.163s 1 retransmitted CoA-Request 0 to asa 192.0.2.1:1700, attempt 2
3s 1 answered CoA-NAK 0 by asa 192.0.2.1:1700
3s 1 follows: push again in 1.023s, since: Error-Cause 506 Resources-Unavailable: the NAS is out of resources
4.028s 1 sent CoA-Request 2 to asa 192.0.2.1:1700, attempt 1
5s 1 answered CoA-ACK 2 by asa 192.0.2.1:1700
5s 1 settled: acknowledged
15s 1 acknowledged, not confirmed: within 10s asa has not: fetched the downloadable ACL
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
	if l.Timeline("nobody") != nil {
		t.Error("a session that nothing happened to has a timeline")
	}
}

// TestLedgerForgetsTheOldest: against a list that keeps everything, the timeline of each
// session is the end of the whole one, and memory does not grow.
func TestLedgerForgetsTheOldest(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	l := NewLedger(0)
	all := map[sessions.ID][]int{}
	for i := range 20_000 {
		id := sessions.ID(fmt.Sprint("s", random.IntN(300)))
		e := Event{Kind: EventDropped, Session: id, Serial: uint64(i), At: began, Packet: make([]byte, random.IntN(600))}
		l.Note(&e)
		all[id] = append(all[id], i)
		if i%100 != 0 {
			continue
		}
		for id, want := range all {
			got := l.Timeline(id)
			if len(got) > len(want) {
				t.Fatalf("seed %d: %s has %d entries of %d", seed, id, len(got), len(want))
			}
			for k, e := range got {
				if e.Serial != uint64(want[len(want)-len(got)+k]) {
					t.Fatalf("seed %d: entry %d of %s is %d", seed, k, id, e.Serial)
				}
			}
		}
	}
	if len(l.ring) != LedgerLeast || len(l.newest) > 300 {
		t.Errorf("%d octets, %d sessions", len(l.ring), len(l.newest))
	}
}

// TestLedgerKeepsEvents as they were.
func TestLedgerKeepsEvents(t *testing.T) {
	at := began.Add(3 * time.Nanosecond)
	for _, e := range []Event{
		{Kind: EventSent, At: at, Session: "s1", Serial: 7, NAS: "asa", Local: netip.MustParseAddrPort("192.0.2.9:50000"),
			Remote: netip.MustParseAddrPort("[2001:db8::1]:1700"), Attempt: 3, Packet: []byte{1, 2, 3}},
		{Kind: EventFollows, At: at, Session: "s1", NAS: "asa", Outcome: NAK, Cause: 506, Pause: time.Second, Did: recipe.Bounce, All: true, Packet: []byte{}},
		{Kind: EventSettled, At: at, Session: "s1", NAS: "asa", Outcome: Unsayable, Err: errors.New("why"), Packet: []byte{}},
		{Kind: EventConfirmation, At: at, Session: "s1", NAS: "asa", Serial: 2, Packet: []byte{}, Confirmation: Confirmation{Session: "s1",
			Serial: 2, NAS: "asa", At: at, Kind: recipe.Push, State: Unconfirmed, Expects: recipe.SignACL, Acked: at, Within: time.Minute, Epoch: 9}},
	} {
		if got := readEvent(appendEvent(nil, &e)); !reflect.DeepEqual(*got, e) {
			t.Errorf("got  %+v\nwant %+v", *got, e)
		}
	}
}

// TestLedgerTakesNoMemory for an event of a session that it knows.
func TestLedgerTakesNoMemory(t *testing.T) {
	_, c := quick(t)
	l := NewLedger(1 << 20)
	e := Event{Kind: EventSent, At: began, Session: "s1", NAS: "asa", Remote: c.NAS.Addr, Packet: make([]byte, 200)}
	for range 10_000 {
		l.Note(&e)
	}
	if n := testing.AllocsPerRun(1000, func() { l.Note(&e) }); n != 0 {
		t.Errorf("an event allocates %v times", n)
	}
}
