package coa

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/coa/recipe"
	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
	"sallyport/sessions"
)

// TestOutcomes is the outcome table row by row: outcome, Error-Cause, what follows.
func TestOutcomes(t *testing.T) {
	radiustest.Golden(t, "testdata/outcomes.txt", func(t *testing.T, input []string) string {
		var out strings.Builder
		for o := range outcomes {
			if o.String() != input[0] {
				continue
			}
			if o != NAK {
				return fmt.Sprintf("%s, whatever the cause: %s %s", o, ActionFor(o, 0), ActionFor(o, 503))
			}
			for _, cause := range append([]uint32{0, 200, 999}, causes()...) {
				fmt.Fprintf(&out, "%s: %s\n", ActionFor(o, cause), CauseWords(cause))
			}
		}
		return out.String()
	})
	for o := range outcomes {
		if o.String() == "" || o.String() == "unknown" {
			t.Errorf("outcome %d has no name", o)
		}
	}
	if Outcome(99).String() != "unknown" || Action(99).String() != "unknown" || Drop(99).String() != "unknown" || EventKind(99).String() != "unknown" {
		t.Error("an unknown number has a name")
	}
}

func causes() (all []uint32) {
	for _, c := range consequences {
		all = append(all, c.cause)
	}
	return all
}

// TestEveryErrorCauseHasAConsequence of those that the dictionary names.
func TestEveryErrorCauseHasAConsequence(t *testing.T) {
	for cause := uint32(1); cause < 1000; cause++ {
		named := !strings.Contains(CauseWords(cause), "without a cause that is known")
		if slices.Contains(causes(), cause) != named {
			t.Errorf("cause %d: %s", cause, CauseWords(cause))
		}
	}
}

// TestRetransmissionTimes: each pause is within a tenth of what RFC 5080 section 2.2.1
// gives without jitter, and the pauses differ.
func TestRetransmissionTimes(t *testing.T) {
	r := Retransmission{}.withDefaults()
	random := rand.New(rand.NewPCG(1, 2))
	seen := map[time.Duration]bool{}
	for range 1000 {
		pause := r.first(random)
		if pause < 1800*time.Millisecond || pause > 2200*time.Millisecond {
			t.Fatalf("first pause %s", pause)
		}
		for range 6 {
			next := r.next(pause, random)
			doubled := next >= pause*19/10 && next <= pause*21/10 && next <= r.Max
			capped := pause*21/10 > r.Max && next >= r.Max*9/10 && next <= r.Max*11/10
			if !doubled && !capped {
				t.Fatalf("after %s comes %s", pause, next)
			}
			seen[next], pause = true, next
		}
	}
	if len(seen) < 5000 {
		t.Fatalf("%d different pauses of 6000", len(seen))
	}
}

// TestTimersAgainstSorting: random sets, moves and stops; the heap gives the order that
// sorting gives.
func TestTimersAgainstSorting(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var h timers
	all := make([]timer, 200)
	for range 5000 {
		one := &all[random.IntN(len(all))]
		if random.IntN(3) == 0 {
			h.stop(one)
		} else {
			h.set(one, began.Add(time.Duration(random.IntN(1000))))
		}
		var want *timer
		set := 0
		for i := range all {
			if all[i].index == 0 {
				continue
			}
			set++
			if want == nil || all[i].at.Before(want.at) {
				want = &all[i]
			}
		}
		if got := h.first(); set != len(h.heap) || (got == nil) != (want == nil) || got != nil && !got.at.Equal(want.at) {
			t.Fatalf("seed %d: %d of %d timers set, first %v, want %v", seed, len(h.heap), set, got, want)
		}
	}
}

// TestRandomly drives the machine with random changes, answers, losses and times, and
// holds the promises of the package comment: one settlement for each change, one request
// in flight for a session, epochs that never go back, identifiers that are not shared.
func TestRandomly(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		w := &world{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 1)), open: map[changeID]bool{}, newest: map[string]uint64{}}
		w.run(3000)
	}
}

type changeID struct {
	session string
	serial  uint64
}

type world struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand
	script *script
	open   map[changeID]bool // changes without a settlement
	newest map[string]uint64 // epoch last sent, by session
	flying []request
	serial uint64
}

func (w *world) run(steps int) {
	w.script = newScript(w.t, nil)
	for i := range 3 {
		w.script.nas(fmt.Sprintf("nas%d", i), map[string]string{"recipe": "cisco-asa", "inflight": fmt.Sprint(i * 5), "rate": fmt.Sprint(i * 100), "confirm": "5s",
			"fallback": recipe.Fallback(i + 1).String()})
	}
	for range steps {
		switch w.random.IntN(10) {
		case 0, 1, 2, 3:
			w.submit()
		case 4, 5, 6:
			w.answer()
		case 7:
			w.script.m.cancel(w.script.now, sessions.ID(w.session()), w.serial-uint64(w.random.IntN(int(min(w.serial+1, 30)))))
		case 8:
			w.script.m.confirmed(w.script.now, &Confirmed{Sign: recipe.SignStop, Session: sessions.ID(w.session())})
		case 9:
			w.script.now = w.script.now.Add(time.Duration(w.random.IntN(int(4 * time.Second))))
			w.script.m.tick(w.script.now)
		}
		w.look()
	}
	w.script.m.closeWaiting(w.script.now)
	w.look()
	w.script.m.closeFlying(w.script.now)
	w.look()
	if len(w.open) != 0 || w.script.m.stats.Pending != 0 || w.script.m.stats.InFlight != 0 {
		w.t.Fatalf("seed %d: %d changes were never settled; %+v", w.seed, len(w.open), w.script.m.stats)
	}
}

func (w *world) session() string { return fmt.Sprintf("s%d", w.random.IntN(40)) }

func (w *world) submit() {
	session := w.session()
	nas := w.script.nases[fmt.Sprintf("nas%d", w.random.IntN(3))]
	w.serial++
	c := w.script.change(nas, session)
	c.Serial, c.Epoch = w.serial, w.serial-uint64(min(w.serial, uint64(w.random.IntN(20))))
	// The epoch travels in the packet, so that what left can be checked from outside.
	c.Grant = &recipe.Grant{FilterID: fmt.Sprint(c.Epoch)}
	c.Bulk, c.Began = w.random.IntN(3) == 0, w.script.now.Add(-time.Duration(w.random.IntN(int(20*time.Second))))
	if w.random.IntN(8) == 0 {
		c.Kind, c.Operator = recipe.Disconnect, true
	}
	w.open[changeID{session, c.Serial}] = true
	w.script.m.submit(w.script.now, &c)
}

func (w *world) answer() {
	if len(w.flying) == 0 {
		return
	}
	q := w.flying[w.random.IntN(len(w.flying))]
	b := radius.Begin(nil, radius.Code(q.pkt[0])+1+radius.Code(w.random.IntN(2)), q.pkt[1])
	b.U32(radius.ErrorCause, []uint32{401, 503, 506, 508}[w.random.IntN(4)])
	pkt, err := q.nas.Key.SealReply(&b, radius.Authenticator(q.pkt[4:20]))
	if err != nil {
		w.t.Fatal(err)
	}
	w.script.m.receive(w.script.now, q.socket, q.to, pkt)
}

// look checks what came out of the machine.
func (w *world) look() {
	m := w.script.m
	m.pumpDirty(w.script.now)
	for i := range m.settled {
		key := changeID{string(m.settled[i].Session), m.settled[i].Serial}
		if !w.open[key] {
			w.t.Fatalf("seed %d: %v was settled twice or never submitted", w.seed, key)
		}
		delete(w.open, key)
	}
	for _, d := range m.sends {
		w.sent(d)
	}
	m.done()
	inFlight := map[string]bool{}
	for _, p := range m.peers {
		for _, window := range p.windows {
			used := 0
			for id, s := range window.slots {
				if s == nil {
					continue
				}
				used++
				session := string(s.errand.change.Session)
				if inFlight[session] || int(s.identifier) != id || s.track.flying != s {
					w.t.Fatalf("seed %d: session %s has two requests in flight, or a slot is lost", w.seed, session)
				}
				inFlight[session] = true
			}
			if used != window.used || used > windowMax {
				w.t.Fatalf("seed %d: window has %d of %d", w.seed, used, window.used)
			}
		}
	}
	awaiting := 0
	for _, t := range m.tracks {
		if t.expects.open {
			awaiting++
		}
	}
	if awaiting != int(m.stats.Awaiting) {
		w.t.Fatalf("seed %d: %d expectations, %d counted", w.seed, awaiting, m.stats.Awaiting)
	}
	if len(inFlight) != int(m.stats.InFlight) || uint64(len(w.open)) != m.stats.Pending {
		w.t.Fatalf("seed %d: %d in flight of %d, %d open of %d", w.seed, len(inFlight), m.stats.InFlight, len(w.open), m.stats.Pending)
	}
}

func (w *world) sent(d datagram) {
	var v radius.View
	if why := v.Decode(d.pkt); why != radius.Sound {
		w.t.Fatal(why)
	}
	session, _ := v.AVPair("audit-session-id")
	epoch := uint64(number(v.Text(radius.FilterID)))
	if v.Code() == radius.CoARequest && epoch < w.newest[string(session)] {
		w.t.Fatalf("seed %d: session %s: epoch %d left after %d", w.seed, session, epoch, w.newest[string(session)])
	}
	if v.Code() == radius.CoARequest {
		w.newest[string(session)] = epoch
	}
	for _, nas := range w.script.nases {
		if nas.Addr == d.to {
			w.flying = append(w.flying, request{datagram{d.socket, d.to, slices.Clone(d.pkt)}, nas})
		}
	}
	if len(w.flying) > 50 {
		w.flying = w.flying[1:]
	}
}

// TestValidate: a change that could never be sent is refused with its reason.
func TestValidate(t *testing.T) {
	r, _ := recipe.Lookup("cisco-asa")
	nas := &NAS{Name: "asa", Addr: netip.MustParseAddrPort("192.0.2.1:1700"), Key: radiustest.Key(t, "s"), Recipe: r}
	for _, test := range []struct {
		change Change
		want   string
	}{
		{Change{Session: "s1", NAS: nas, Grant: &recipe.Grant{}}, ""},
		{Change{Session: "s1", NAS: nas, Kind: recipe.Disconnect}, ""},
		{Change{NAS: nas}, "coa: bad change: no session"},
		{Change{Session: "s1"}, "coa: bad change: session s1: no NAS, or one without secret or recipe"},
		{Change{Session: "s1", NAS: &NAS{Name: "x", Key: nas.Key, Recipe: r}},
			"coa: bad change: session s1: NAS x has no CoA address and port"},
		{Change{Session: "s1", NAS: nas}, "coa: bad change: session s1: a push to NAS asa without an authorization"},
	} {
		err := test.change.validate()
		if got := fmt.Sprint(err); got != test.want && (err != nil || test.want != "") {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}
