package engine

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"sallyport/sessions"
)

// simOp is one line of a script: what somebody outside does to the simulated world. What
// follows from it goes on by itself.
type simOp struct {
	at   time.Duration // since the line before
	kind string
	n    int    // whom it is about: an endpoint, a NAS, a variant; see simActs
	arg  uint64 // seed of whatever is random in it
}

func (o simOp) String() string { return fmt.Sprintf("%s %s %d %d", o.at, o.kind, o.n, o.arg) }

// simAct is a kind of line: how often it comes, and what it does.
type simAct struct {
	kind   string
	weight int
	do     func(w *simWorld, o simOp, rng *rand.Rand)
}

var simActs = []simAct{
	{"connect", 30, func(w *simWorld, o simOp, rng *rand.Rand) { w.endpoint(o.n).connect(rng) }},
	{"leave", 10, func(w *simWorld, o simOp, _ *rand.Rand) { w.with(o.n, func(s *simSession) { s.stop(1) }) }},
	{"again", 8, func(w *simWorld, o simOp, _ *rand.Rand) {
		w.with(o.n, func(s *simSession) {
			if !s.metered && s.loggedIn != (time.Time{}) && s.nas.kind != simPlain {
				s.login()
			}
		})
	}},
	{"roam", 4, func(w *simWorld, o simOp, _ *rand.Rand) { w.with(o.n, (*simSession).roam) }},
	{"stick-in", 12, func(w *simWorld, o simOp, _ *rand.Rand) { w.endpoint(o.n).plug(true) }},
	{"stick-out", 14, func(w *simWorld, o simOp, _ *rand.Rand) { w.endpoint(o.n).plug(false) }},
	{"silence", 3, func(w *simWorld, o simOp, rng *rand.Rand) { w.silence(o.n, rng) }},
	{"reauth", 3, func(w *simWorld, o simOp, _ *rand.Rand) { w.operate(o.n, sessions.ChangeReauth) }},
	{"disconnect", 3, func(w *simWorld, o simOp, _ *rand.Rand) { w.operate(o.n, sessions.ChangeDisconnect) }},
	{"reload", 3, func(w *simWorld, o simOp, _ *rand.Rand) { w.tracef("reload %d", o.n); w.reload(o.n % simLenient) }},
	{"crash", 7, func(w *simWorld, o simOp, rng *rand.Rand) {
		w.crash(simCrash(o.n)%simCrashes, []int{0, 0, 0, 100}[rng.IntN(4)], rng)
	}},
	{"disk", 4, func(w *simWorld, o simOp, rng *rand.Rand) { w.spoil(simTrouble(1+o.n%int(simTroubles-1)), rng) }},
	{"boot", 2, func(w *simWorld, o simOp, rng *rand.Rand) {
		n := w.nases[o.n%len(w.nases)]
		w.tracef("%s: power cut", n.name)
		n.boot(rng.IntN(4) > 0)
	}},
	{"cut", 3, func(w *simWorld, o simOp, rng *rand.Rand) {
		n := w.nases[o.n%len(w.nases)]
		n.cut = true
		w.tracef("%s: cut off", n.name)
		w.after(time.Duration(5+rng.IntN(120))*time.Second, func() { n.cut = false })
	}},
	{"deaf", 3, func(w *simWorld, o simOp, rng *rand.Rand) {
		n := w.nases[o.n%len(w.nases)]
		n.deaf = true
		w.tracef("%s: deaf to changes", n.name)
		w.after(time.Duration(5+rng.IntN(90))*time.Second, func() { n.deaf = false })
	}},
	{"nak", 2, func(w *simWorld, o simOp, rng *rand.Rand) {
		n := w.nases[o.n%len(w.nases)]
		n.nak = []uint32{401, 504, 506, 508}[rng.IntN(4)]
		w.after(time.Duration(5+rng.IntN(60))*time.Second, func() { n.nak = 0 })
	}},
	{"network", 5, func(w *simWorld, o simOp, rng *rand.Rand) { w.weather(rng) }},
	{"jump", 2, func(w *simWorld, o simOp, rng *rand.Rand) {
		by := time.Duration(rng.IntN(3600)-1800) * time.Second
		w.tracef("the clock jumps by %s", by)
		w.jump(by)
	}},
	{"lie", 3, func(w *simWorld, o simOp, rng *rand.Rand) { w.lie(o.n, rng) }},
	{"replay", 6, func(w *simWorld, o simOp, rng *rand.Rand) { w.replay(rng) }},
	{"lenient", 4, func(w *simWorld, o simOp, _ *rand.Rand) { w.tracef("reload, lenient"); w.reload(simLenient) }},
	{"wait", 1, func(w *simWorld, o simOp, rng *rand.Rand) {}},
}

func (w *simWorld) endpoint(n int) *simEndpoint { return w.endpoints[n%len(w.endpoints)] }

// with does something to the session of an endpoint, if it has one.
func (w *simWorld) with(n int, do func(*simSession)) {
	if s := w.endpoint(n).session; s != nil {
		do(s)
	}
}

func (w *simWorld) silence(n int, rng *rand.Rand) {
	a := w.endpoint(n).agent
	if a == nil {
		return
	}
	a.silent = true
	w.tracef("e%d: the agent is silent", n%len(w.endpoints))
	w.after(time.Duration(10+rng.IntN(600))*time.Second, func() { a.silent = false })
}

func (w *simWorld) operate(n int, kind string) {
	w.with(n, func(s *simSession) {
		if s.id == "" || s.metered {
			return
		}
		w.tracef("%s: an operator wants to %s", s, kind)
		ev := &operatorEvent{id: s.id, kind: kind, who: "operator", finished: make(chan struct{})}
		w.ask(&simAsk{ev: ev, done: ev.finished})
	})
}

// spoil makes the disk fail for a while.
func (w *simWorld) spoil(t simTrouble, rng *rand.Rand) {
	if w.e == nil || w.disk.trouble != simDiskGood || w.disk.armed > 0 {
		return
	}
	w.breakDisk(t)
	life := w.lives
	w.after(time.Duration(1+rng.IntN(40))*time.Second, func() {
		if w.e != nil && w.lives == life {
			w.breakDisk(simDiskGood)
		}
	})
}

// weather makes the network bad for a while.
func (w *simWorld) weather(rng *rand.Rand) {
	w.net = simNet{loss: rng.IntN(300), twice: rng.IntN(300), slow: rng.IntN(400)}
	w.tracef("the network: %+v", w.net)
	bad := w.net
	w.after(time.Duration(10+rng.IntN(90))*time.Second, func() {
		if w.net == bad {
			w.net = simNet{}
		}
	})
}

// lie has a NAS tell the end of another's session.
func (w *simWorld) lie(n int, rng *rand.Rand) {
	w.with(n, func(s *simSession) {
		if s.audit == "" || !s.started {
			return
		}
		liar := w.nases[(int(s.nas.kind)+1+rng.IntN(2))%len(w.nases)]
		w.tracef("%s says that %s ended", liar.name, s)
		told := *s
		told.nas, told.records, told.boot = liar, nil, liar.boots
		told.account(2, 1)
	})
}

// replay sends an acknowledged record once more, as NASes do that lost the answer.
func (w *simWorld) replay(rng *rand.Rand) {
	if len(w.all) == 0 {
		return
	}
	s := w.all[rng.IntN(len(w.all))]
	if len(s.records) == 0 || s.boot != s.nas.boots || w.now.Sub(s.began) > simReplayMax {
		return
	}
	r := s.records[rng.IntN(len(s.records))]
	w.tracef("%s: once more", s)
	s.send(r)
}

// simReplayMax is how old a session may be of which a NAS sends records again: younger
// than ended sessions are kept, for nobody knows them afterwards.
const simReplayMax = 40 * time.Minute

// simScript makes the lines of a seed.
func simScript(seed uint64) (ops []simOp) {
	rng := rand.New(rand.NewPCG(seed, 1))
	total := 0
	for _, a := range simActs {
		total += a.weight
	}
	for range 40 + rng.IntN(120) {
		o := simOp{n: rng.IntN(2 * 3 * simEndpoints), arg: rng.Uint64() >> 12}
		switch rng.IntN(10) {
		case 0: // at once
		case 1, 2, 3:
			o.at = time.Duration(rng.IntN(1000)) * time.Millisecond
		default:
			o.at = time.Duration(rng.IntN(15000)) * time.Millisecond
		}
		pick := rng.IntN(total)
		for _, a := range simActs {
			if pick -= a.weight; pick < 0 {
				o.kind = a.kind
				break
			}
		}
		if o.kind == "wait" {
			o.at = time.Duration(rng.IntN(7200)) * time.Second
		}
		ops = append(ops, o)
	}
	return ops
}

// parseScript reads lines that String made.
func parseScript(text string) (ops []simOp, err error) {
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		var o simOp
		var at string
		if _, err := fmt.Sscan(line, &at, &o.kind, &o.n, &o.arg); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		if o.at, err = time.ParseDuration(at); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		ops = append(ops, o)
	}
	return ops, nil
}
