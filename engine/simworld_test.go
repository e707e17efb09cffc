package engine

import (
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"sallyport/coa"
	"sallyport/engine/authn"
	"sallyport/netio/udp"
	"sallyport/ops/clock"
	"sallyport/ops/config"
	"sallyport/sessions"
	"sallyport/sessions/store"
)

// The simulation is one goroutine, a queue of what is to happen, and a clock that is set
// to when the next thing happens. The appliance in it is the real one without sockets and
// without the core's goroutine: datagrams go through ServeBatch, events through the core,
// commits into the journal on a disk of memory, changes through the CoA engine's machine.
//
//	queue -> NAS, agent, operator -> network -> ServeBatch -> core.group -> network -> ...
//
// Whoever acts has a random source of its own, made of the seed and the number of the
// script's line that brought it about, so that a line that is left out changes nothing for
// the others. Oracles look at the appliance from outside: simoracle_test.go.

// simEpoch is when every simulation begins.
var simEpoch = time.Date(2026, 3, 11, 14, 57, 39, 0, time.UTC)

var simServer = netip.MustParseAddrPort("192.0.2.1:1812")

// simItem is one thing that is to happen.
type simItem struct {
	at time.Time
	n  uint64 // breaks ties: first planned, first done
	do func()
}

type simQueue []simItem

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].n < q[j].n
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simItem)) }
func (q *simQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	(*q)[last] = simItem{}
	*q = (*q)[:last]
	return x
}

// simFailure is what an oracle throws.
type simFailure struct{ text string }

// simWorld is everything in one simulation.
type simWorld struct {
	seed   uint64
	flaws  flaws
	now    time.Time     // the true time
	skew   time.Duration // of the appliance's clock
	jumped time.Time     // when that changed last
	queue  simQueue
	n      uint64
	rng    *rand.Rand // of the world itself: the network, the appliance's pace
	slack  time.Duration
	net    simNet
	trace  []string

	// The appliance:
	configs    []string // paths, by variant
	variant    int
	lenient    bool          // simLenient was in force once
	authorized string        // revision by which every session was authorized last
	leapt      bool          // the clock was set forward once
	leaps      time.Duration // and by so much in all
	backs      time.Duration // and back by so much in all
	wasSetBack time.Time     // the last time, or zero
	setBackBy  time.Duration
	mended     time.Time // when it could write again
	clock      *clock.Manual
	disk       *simDisk
	e          *Engine // nil: it is down
	coa        *coa.Stepped
	coaAt      time.Time // when its next step is planned
	out        *udp.Outbox
	inbox      [2][]udp.Datagram
	asks       []*simAsk
	group      []event
	lives      int
	before     map[sessions.ID]*sessions.Session // the table before a crash, to be found again
	exact      bool

	nases     []*simNAS
	endpoints []*simEndpoint
	all       []*simSession
	oracle    simOracle
	pumps     int
	counts    map[string]int
}

func newSimWorld(seed uint64, broken flaws, configs []string) *simWorld {
	w := &simWorld{
		seed: seed, flaws: broken, now: simEpoch, configs: configs,
		rng: rand.New(rand.NewPCG(seed, 0)), clock: clock.NewManual(simEpoch), disk: newSimDisk(vfs.NewCrashableMem()),
		counts: map[string]int{},
	}
	w.disk.settled(filepath.Join(filepath.Dir(configs[0]), "state", "journal"))
	w.slack = []time.Duration{0, 0, 5 * time.Millisecond, 50 * time.Millisecond}[w.rng.IntN(4)]
	w.oracle.begin(w)
	for i, kind := range []simKind{simASA, simIOS, simPlain} {
		w.nases = append(w.nases, newSimNAS(w, kind, i+1))
	}
	for i := range simEndpoints {
		w.endpoints = append(w.endpoints, &simEndpoint{w: w, n: i, nas: w.nases[i%len(w.nases)], metered: i == simEndpoints-1})
	}
	return w
}

func (w *simWorld) failf(format string, args ...any) {
	panic(simFailure{fmt.Sprintf(format, args...)})
}

// tracef notes what happens, for whoever looks at a failure.
func (w *simWorld) tracef(format string, args ...any) {
	const kept = 4000
	if len(w.trace) >= 2*kept {
		w.trace = append(w.trace[:0], w.trace[kept:]...)
	}
	w.trace = append(w.trace, fmt.Sprintf("%10.3f ", w.now.Sub(simEpoch).Seconds())+fmt.Sprintf(format, args...))
}

// at plans something.
func (w *simWorld) at(when time.Time, do func()) {
	if when.Before(w.now) {
		when = w.now
	}
	w.n++
	heap.Push(&w.queue, simItem{when, w.n, do})
}

func (w *simWorld) after(d time.Duration, do func()) { w.at(w.now.Add(d), do) }

// appNow is what the appliance's clock shows.
func (w *simWorld) appNow() time.Time { return w.now.Add(w.skew) }

// run lets things happen until the given time.
func (w *simWorld) run(until time.Time) {
	for len(w.queue) > 0 && !w.queue[0].at.After(until) {
		it := heap.Pop(&w.queue).(simItem)
		w.turn(it.at)
		it.do()
		if len(w.queue) > 0 && !w.queue[0].at.After(w.now.Add(w.slack)) && w.pending() < udp.BatchMax {
			continue // it comes so soon that the appliance sees both at once
		}
		w.pump()
	}
	w.turn(until)
	w.pump()
}

func (w *simWorld) pending() int { return len(w.inbox[0]) + len(w.inbox[1]) }

func (w *simWorld) turn(to time.Time) {
	if to.After(w.now) {
		w.now = to
	}
	w.setClock()
}

func (w *simWorld) setClock() { w.clock.Advance(w.appNow().Sub(w.clock.Now())) }

// start assembles the appliance on what the disk holds.
func (w *simWorld) start() {
	w.lives++
	log := slog.New(slog.DiscardHandler)
	push := func(c coa.Config) (pusher, error) {
		c.Seed, c.Source = w.seed+uint64(w.lives), simServer.Addr()
		var err error
		w.coa, err = coa.NewStepped(c)
		return w.coa, err
	}
	e, err := assemble(Options{Config: w.configs[w.variant], Clock: w.clock, Logger: func(config.Log) *slog.Logger { return log },
		Store: store.Options{FS: w.disk.fs, Journal: 64 << 10}, push: push, small: true, flaws: w.flaws})
	if err != nil {
		w.failf("the appliance does not start: %v", err)
	}
	w.e, w.coaAt = e, time.Time{}
	e.loops = e.loops[:1]
	e.resume()
	w.knowPassword()
	w.mended = w.now
	if w.authorized != e.snapshot().Revision {
		w.reauthorize()
	}
	w.out = udp.NewOutbox(1024, func() {})
	w.disk.alive()
	w.tracef("the appliance starts, with %d sessions", e.table.Len())
	w.found()
}

// knowPassword has the users' passwords hashed before anybody asks, so that no login goes
// through the pool, whose goroutines come back when they like.
func (w *simWorld) knowPassword() {
	users := w.e.snapshot().Users
	users.Verify(simUser, []byte(simPassword))
	w.e.memory.Wait()
	if _, o := users.Remembered(simUser, []byte(simPassword)); o != authn.OK {
		w.failf("the password is not remembered: %s", o)
	}
}

// pump lets the appliance work until it has nothing left to do at this moment.
func (w *simWorld) pump() {
	if w.e == nil {
		return
	}
	for again := true; again; {
		w.serve()
		w.draw()
		w.group = w.e.core.fill(w.group[:0])
		w.e.core.group(w.group)
		if w.disk.dead() {
			w.crashed()
			return
		}
		w.collect()
		w.stepCoA()
		again = w.pending() > 0 || w.e.core.events.len() > 0
	}
	w.oracle.look()
}

// draw fills the core's store of chance from the seed.
func (w *simWorld) draw() {
	c := &w.e.core.chance
	for i := 0; i < len(c.octets); i += 8 {
		binary.LittleEndian.PutUint64(c.octets[i:], w.rng.Uint64())
	}
	c.left = len(c.octets)
}

// serve hands over what has arrived.
func (w *simWorld) serve() {
	for role := range w.inbox {
		batch := w.inbox[role]
		w.inbox[role] = nil
		for part := range slices.Chunk(batch, udp.BatchMax) {
			w.e.ServeBatch(0, part)
			for i := range part {
				if len(part[i].Reply) > 0 {
					w.reply(part[i].From, part[i].Reply)
				}
			}
		}
	}
}

// collect brings what the appliance has said on its way.
func (w *simWorld) collect() {
	w.out.Drain(func(to udp.Late, reply []byte) { w.reply(to.From(), reply) })
	asks := w.asks
	w.asks = nil
	for _, a := range asks {
		select {
		case <-a.done:
			w.answerAsk(a)
		default:
			w.asks = append(w.asks, a)
		}
	}
}

func (w *simWorld) answerAsk(a *simAsk) {
	if a.at != nil {
		a.at()
	}
	if answered := a.answered; answered != nil && !w.net.lost(w.rng) {
		w.after(time.Duration(1+w.rng.IntN(20))*time.Millisecond, answered)
	} else if a.lost != nil {
		w.after(5*time.Second, a.lost)
	}
}

func (w *simWorld) reply(to netip.AddrPort, octets []byte) {
	n := w.nas(to.Addr())
	pkt := slices.Clone(octets)
	n.flies(pkt, 1)
	w.carry(func() { n.receive(to, pkt) }, func() { n.flies(pkt, -1) })
}

func (w *simWorld) nas(a netip.Addr) *simNAS {
	i := slices.IndexFunc(w.nases, func(n *simNAS) bool { return n.addr == a })
	return w.nases[i]
}

// stepCoA lets the CoA engine work, which goes by a clock that does not jump.
func (w *simWorld) stepCoA() {
	next, ok := w.coa.Step(w.now, func(d coa.Datagram) {
		n := w.nas(d.To.Addr())
		pkt := slices.Clone(d.Packet)
		n.fliesCoA(pkt, 1)
		w.carry(func() { n.change(d.From, pkt) }, func() { n.fliesCoA(pkt, -1) })
	})
	if ok && !w.coaAt.Equal(next) {
		w.coaAt = next
		w.at(next, func() {})
	}
}

// simAsk is a question of an agent or an operator that the core has.
type simAsk struct {
	ev       event
	done     <-chan struct{}
	at       func() // called when it is done, whether or not anybody hears of it
	answered func() // its answer has reached whoever asked
	lost     func() // nothing came: the connection broke
}

// ask puts a question to the core, as the portal and the control socket do.
func (w *simWorld) ask(a *simAsk) {
	w.after(time.Duration(1+w.rng.IntN(20))*time.Millisecond, func() {
		if w.e == nil || w.net.lost(w.rng) || !w.e.core.submit(a.ev) {
			if a.lost != nil {
				w.after(5*time.Second, a.lost)
			}
			return
		}
		w.asks = append(w.asks, a)
	})
}

// datagram brings a packet to the appliance.
//
// What was under way while the clock was set is lost. The duplicate cache goes by the
// monotonic clock, which nobody sets and which there is none of here: it would take a copy
// of a request for a new one.
func (w *simWorld) datagram(from netip.AddrPort, role int, pkt []byte) {
	jumped := w.jumped
	w.carry(func() {
		if w.e == nil || w.jumped != jumped {
			return
		}
		to := netip.AddrPortFrom(simServer.Addr(), uint16(1812+role))
		w.inbox[role] = append(w.inbox[role], udp.NewDatagram(w.out, udp.Listener{Role: role}, role, from, to, slices.Clone(pkt)))
	}, nil)
}

// reload brings another variant of the configuration into force, as Reload does.
func (w *simWorld) reload(variant int) {
	if w.e == nil {
		return
	}
	w.variant = variant
	w.lenient = w.lenient || variant == simLenient
	next, _, err := loadSnapshot(w.configs[w.variant])
	if err != nil {
		w.failf("the configuration: %v", err)
	}
	e := w.e
	next.bind(e.memory, e.memo, e.counters)
	e.snap.Store(next)
	w.knowPassword()
	w.reauthorize()
}

// reauthorize decides again for every session, until that is in the journal, as
// reauthorizeAll does in a goroutine.
func (w *simWorld) reauthorize() {
	var ids []sessions.ID
	for s := range w.e.table.All() {
		if s.Live() && s.Authenticated {
			ids = append(ids, s.ID)
		}
	}
	slices.Sort(ids)
	snap := w.e.snapshot()
	ev := &reauthorizeEvent{ids: ids, finished: make(chan struct{})}
	w.e.core.submit(ev)
	w.asks = append(w.asks, &simAsk{ev: ev, done: ev.finished, at: func() {
		if ev.fault == nil {
			w.authorized = snap.Revision
			return
		}
		w.after(reauthorizeAgain, func() {
			if w.e != nil && w.e.snapshot() == snap {
				w.reauthorize()
			}
		})
	}})
}

// jump sets the appliance's clock forward or back. Timers of a process do not notice that,
// since Go measures them by another clock; the moments in records do.
func (w *simWorld) jump(by time.Duration) {
	w.skew += by
	w.jumped = w.now
	// A record without a name that comes again after the clock was set forward seems to be of
	// another session: by its number and its time it is.
	w.leapt = w.leapt || by > 0
	w.leaps += max(0, by)
	if by < 0 {
		w.wasSetBack, w.setBackBy = w.now, -by
		w.backs -= by
	}
	for _, x := range w.all { // what comes now is of before what was acknowledged
		if now := w.appNow(); x.ackAt.After(now) {
			x.ackAt = now
		}
	}
	w.setClock()
	if w.e != nil {
		w.e.clockSteps.set(w.appNow(), by)
		w.e.core.nextTick, w.e.core.nextTrim = w.appNow(), w.appNow()
	}
}

// end gives back what the appliance holds.
func (w *simWorld) end() {
	if w.e == nil {
		return
	}
	e := w.e
	w.e = nil
	_ = e.pool.Close(context.Background())
	e.end()
	e.memory.Close()
	e.memo.Close()
	w.disk.release()
	_ = e.journal.Close() // of a disk that nobody has any more
}

// simNet is how bad the network is, in thousandths.
type simNet struct{ loss, twice, slow int }

func (n *simNet) lost(rng *rand.Rand) bool { return rng.IntN(1000) < n.loss }

// carry brings something over the network: mostly at once, or never, twice, late. The
// second function is called for every copy that is not on its way any more.
func (w *simWorld) carry(arrive, landed func()) {
	copies := 1
	switch {
	case w.net.lost(w.rng):
		copies = 0
	case w.rng.IntN(1000) < w.net.twice:
		copies = 2
	}
	left := copies
	if copies == 0 && landed != nil {
		landed()
	}
	for range copies {
		d := time.Duration(200+w.rng.IntN(3000)) * time.Microsecond
		if w.rng.IntN(1000) < w.net.slow {
			d = time.Duration(5+w.rng.IntN(simPacketLifetime-5)) * time.Millisecond
		}
		w.after(d, func() {
			left--
			if left == 0 && landed != nil {
				landed()
			}
			arrive()
		})
	}
}

// simPacketLifetime is how long the network may keep a packet, in milliseconds. Nothing
// protects from packets of before a restart that come seconds later.
const simPacketLifetime = 800
