package core

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sallyport/netio/report"
)

// world answers the agent at random: late, twice, never, out of order.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	a      *Agent
	now    time.Time
	seqs   map[string]uint64 // highest number sent, by session
	bodies map[string][]byte // by session and number
	over   bool              // the appliance said that the session is no more, or asked to un-block
	gens   []uint64
	steps  []string
}

func (w *world) step(ev Event) {
	w.steps = append(w.steps, fmt.Sprintf("%T", ev))
	for _, e := range w.a.Step(w.now, ev) {
		switch e := e.(type) {
		case Send:
			w.sent(e)
		case Unblock:
			if !w.over {
				w.t.Fatalf("gave back although the session lives: %s", e.Why)
			}
		}
	}
	w.gens = append(w.gens, w.a.gen)
	w.over = false
}

// sent: numbers only grow, and a number never carries other octets.
func (w *world) sent(e Send) {
	r, err := report.DecodeReport(e.Body)
	if err != nil {
		w.t.Fatalf("the appliance would refuse this report: %v\n%s", err, e.Body)
	}
	key := fmt.Sprintf("%s %d", r.SessionID, r.Seq)
	if old, again := w.bodies[key]; again {
		if !bytes.Equal(old, e.Body) {
			w.t.Fatalf("number %d was used for other octets", r.Seq)
		}
		return
	}
	if r.Seq <= w.seqs[r.SessionID] {
		w.t.Fatalf("number %d after %d in %s", r.Seq, w.seqs[r.SessionID], r.SessionID)
	}
	w.seqs[r.SessionID], w.bodies[key] = r.Seq, bytes.Clone(e.Body)
}

func (w *world) pick(list ...string) string { return list[w.rng.IntN(len(list))] }

// gen is mostly the present link's, sometimes an older one's.
func (w *world) gen() uint64 {
	if len(w.gens) > 0 && w.rng.IntN(8) == 0 {
		return w.gens[w.rng.IntN(len(w.gens))]
	}
	return w.a.gen
}

func (w *world) event() Event {
	session := w.pick("S1", "S2", "S3")
	switch w.rng.IntN(17) {
	case 0:
		return NetworkChanged{}
	case 1, 2:
		return DevicesChanged{}
	case 3, 4, 5:
		return Facts{report.Facts{USB: &report.USB{Devices: []report.USBDevice{{Port: w.pick("2-1", "2-2"), Ifaces: []string{"08/06/50"},
			State: w.pick(report.USBActive, report.USBBlocked)}}}}}
	case 6:
		return Found{Gen: w.gen(), Appliance: "https://a", SessionID: session, Ticket: w.pick("", "T")}
	case 7:
		return NotFound{Gen: w.gen(), Err: "nobody"}
	case 8:
		return Claimed{Gen: w.gen(), Claimed: report.Claimed{SessionID: session, Status: "Pending", Nonce: "n", Seq: w.seqs[session],
			PolicyETag: w.pick("", "e1", "e2")}}
	case 9:
		return PolicyFetched{Gen: w.gen(), Policy: report.Policy{ETag: w.pick("e1", "e2"), Collect: []string{w.pick("usb", "services")},
			Requirements: []report.Requirement{{Name: "r", Enforcement: "mandatory", Remediation: &report.Action{ID: "a1", Verb: report.VerbUSBBlock, Mode: "automatic"}}}}}
	case 10:
		v := report.Verdict{Status: w.pick("Compliant", "NonCompliant"), Nonce: "m", Epoch: w.rng.Uint64N(9), NextS: w.rng.IntN(90)}
		if w.rng.IntN(2) == 0 {
			v.Actions = []report.Action{{ID: w.pick("a1", "a2"), Verb: w.pick(report.VerbUSBBlock, report.VerbUSBUnblock, "erase"), Mode: "automatic"}}
		}
		return Judged{Gen: w.gen(), Seq: w.seq(), Verdict: v}
	case 11:
		return w.failure()
	case 12:
		e := report.Event{Seq: w.rng.Uint64N(9), Kind: w.pick(report.EventRecheck, report.EventPolicy, report.EventStatus, report.EventEnd), ETag: "e2"}
		w.over = e.Kind == report.EventEnd
		return Heard{Gen: w.gen(), Events: report.Events{After: e.Seq, Events: []report.Event{e}}}
	case 15:
		return Struck{Action: report.Action{ID: "a1", Verb: report.VerbUSBBlock}, Device: report.USBDevice{Port: w.pick("2-1", "2-3"), Ifaces: []string{"08/06/50"}, State: report.USBActive}}
	case 13, 14:
		return Surveyed{ETag: w.pick("e1", "e2"), Facts: report.Facts{Services: &report.Services{Items: []report.Service{{Name: "s",
			State: w.pick(report.StateRunning, report.StateStopped)}}}}}
	}
	return ActionEnded{Result: report.ActionResult{ID: w.pick("a1", "a2", "a3"), Result: w.pick("done", "failed")}}
}

func (w *world) seq() uint64 {
	if w.a.sending != nil {
		return w.a.sending.seq
	}
	return 0
}

func (w *world) failure() Event {
	f := Failed{Gen: w.gen(), Doing: w.pick(DoingClaim, DoingPolicy, DoingReport, DoingPoll), Seq: w.seq(), Err: "it failed"}
	if w.rng.IntN(2) == 0 {
		code := w.pick(report.CodeStaleNonce, report.CodeBusy, report.CodeNotBound, report.CodeUnknownSession, report.CodeSessionEnded,
			report.CodeMalformed, report.CodeReplay, report.CodeTicketUsed)
		f.Problem = &report.Problem{Status: 409, Code: code, Nonce: "fresh", Retry: w.rng.IntN(100)}
		w.over = code == report.CodeSessionEnded || code == report.CodeUnknownSession && f.Doing == DoingClaim
	}
	return f
}

// TestRandomWorlds: whatever comes, numbers grow, octets of a number stay the same,
// nothing is given back while the session lives, and time always gets on.
func TestRandomWorlds(t *testing.T) {
	first := rand.Uint64()
	for seed := first; seed < first+100; seed++ {
		w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), a: New(Config{Agent: report.Agent{Name: "a"}, Seed: seed, Holding: true}),
			now: time.Unix(0, 0), seqs: map[string]uint64{}, bodies: map[string][]byte{}}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("seed %d, last steps %v", seed, w.steps[max(0, len(w.steps)-12):])
			}
		})
		w.step(Started{})
		for range 500 {
			w.now = w.now.Add(time.Duration(w.rng.Int64N(int64(2 * time.Second))))
			w.step(w.event())
			for range 20 {
				if next := w.a.Next(); next.IsZero() || next.After(w.now) {
					break
				}
				w.step(Tick{})
			}
			if next := w.a.Next(); !next.IsZero() && !next.After(w.now) {
				t.Fatalf("seed %d: ticks do not get on", seed)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// TestNobodyIsForgotten: an agent that is not bound always has a search, a claim or a
// time for the next one.
func TestNobodyIsForgotten(t *testing.T) {
	for seed := uint64(1); seed < 60; seed++ {
		w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 2)), a: New(Config{Agent: report.Agent{Name: "a"}, Seed: seed}),
			now: time.Unix(0, 0), seqs: map[string]uint64{}, bodies: map[string][]byte{}}
		w.step(Started{})
		for range 300 {
			w.now = w.now.Add(time.Duration(w.rng.Int64N(int64(time.Second))))
			w.step(w.event())
			if w.a.phase == Searching && !w.a.searching && w.a.Next().IsZero() {
				t.Fatalf("seed %d: nothing will ever happen again after %v", seed, w.steps[max(0, len(w.steps)-6):])
			}
		}
	}
}

// TestDeadlinesGoByTheClockThatNobodySets: whatever comes, each of them keeps the monotonic
// reading of the time that it was made from. A clock that is set a day back would else
// silence the heartbeat for a day, and one that is set forward would bring all at once.
func TestDeadlinesGoByTheClockThatNobodySets(t *testing.T) {
	kept := 0
	for seed := uint64(1); seed < 30; seed++ {
		w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 3)), a: New(Config{Agent: report.Agent{Name: "a"}, Seed: seed, Renew: true}),
			now: time.Now(), seqs: map[string]uint64{}, bodies: map[string][]byte{}}
		w.step(Started{})
		for range 300 {
			w.now = w.now.Add(time.Duration(w.rng.Int64N(int64(time.Second))))
			w.step(w.event())
			for i, d := range w.a.deadlines() {
				switch {
				case d.IsZero():
				case !strings.Contains(d.String(), " m="):
					t.Fatalf("seed %d: deadline %d is %s after %v", seed, i, d, w.steps[max(0, len(w.steps)-6):])
				default:
					kept++
				}
			}
		}
	}
	if kept == 0 {
		t.Error("there never was a deadline")
	}
}
