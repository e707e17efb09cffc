package sessions

import "sync/atomic"

// Update is one of many changes that are published together: a session with its
// encoding, or the id of one that is to be forgotten.
type Update struct {
	ID      ID
	Session *Session // nil: forget ID
	Record  []byte   // of Session; nil: it is encoded here
}

// prepared is what can be known of an update before the table is touched.
type prepared struct {
	id   uint32
	keys keySet
}

// applyAhead is how many updates are prepared before the first is made. A session that is
// new touches six places of memory that are in no cache, and a processor waits for ten
// such places as long as for one if it is told of them at once.
const applyAhead = 64

// Apply makes updates one after the other, as PutRecord and Delete do, in half of their
// time when the table is large. Writer only. Nothing of the updates is kept.
func (t *Table) Apply(all []Update) {
	for len(all) > 0 {
		some := all[:min(applyAhead, len(all))]
		all = all[len(some):]
		t.prepare(some)
		for i := range some {
			if u := &some[i]; u.Session == nil {
				t.forget(t.ahead[i].id, u.ID)
			} else {
				t.publish(&t.ahead[i], u.Session, u.Record)
			}
		}
	}
}

// prepare computes the keys of some updates and asks for the memory that they lead to.
func (t *Table) prepare(some []Update) {
	var sum uint64
	for i := range some {
		u, p := &some[i], &t.ahead[i]
		*p = prepared{}
		if u.Session != nil {
			u.ID = u.Session.ID
			p.keys = t.keysOf(u.Session)
		}
		p.id = idHash(t.dict.seed, string(u.ID))
		sum += t.ids.peek(p.id)
		if k := &p.keys; t.later == nil {
			sum += t.acct.peek(k.acct) + t.user.peek(k.user) + t.station.peek(k.calling) + t.address.peek(k.address)
			for _, key := range k.stations[:k.nStations] {
				sum += t.station.peek(key)
			}
		}
	}
	for i := range some {
		t.scratch.found = t.ids.group(t.ahead[i].id, 0, t.scratch.found[:0])
		for _, n := range t.scratch.found {
			sum += t.entries.at(n)[2]
		}
	}
	t.warmth = sum
}

// peek reads the home of a key and what comes soon behind it.
func (x *index) peek(key uint32) uint64 {
	if key == 0 {
		return 0
	}
	a := x.shards[key>>24].slots.Load()
	if a == nil {
		return 0
	}
	return atomic.LoadUint64(&a.slots[a.home(key)])
}

// Expect tells an empty table how many sessions it will soon hold, so that it need not
// grow by steps. It may hold any number.
func (t *Table) Expect(n int) {
	for _, x := range []*index{t.ids, t.acct, t.user, t.station, t.address} {
		x.expect = n / indexShards * 32 / (loadMax - 1)
	}
	t.station.expect += t.station.expect / 2 // for MACs beside the Calling-Station-Id
}

// Filler fills a table that nobody else uses yet. One goroutine finds the sessions and
// writes their records, another keeps the indexes.
type Filler struct {
	t     *Table
	moves chan []move
	empty chan []move
	done  chan struct{}
}

// move is one change of an index: entry n had the key from, and has the key to.
type move struct {
	x           *index
	from, to, n uint32
}

// movesAhead is how many pieces of work wait for the second goroutine.
const movesAhead = 8

// Fill begins. Until Close nobody but the Filler writes, and sessions are found by their
// ids alone.
func (t *Table) Fill() *Filler {
	f := &Filler{t: t, moves: make(chan []move, movesAhead), empty: make(chan []move, movesAhead+2), done: make(chan struct{})}
	for range movesAhead + 2 {
		f.empty <- nil
	}
	go f.index()
	return f
}

// Apply is Table.Apply.
func (f *Filler) Apply(all []Update) {
	moves := (<-f.empty)[:0]
	f.t.later = &moves
	f.t.Apply(all)
	f.t.later = nil
	f.moves <- moves
}

// Close waits until the indexes are complete.
func (f *Filler) Close() {
	close(f.moves)
	<-f.done
}

func (f *Filler) index() {
	defer close(f.done)
	var sum uint64
	for moves := range f.moves {
		for i := range moves {
			sum += moves[i].x.peek(moves[i].to)
		}
		for _, m := range moves {
			m.x.move(m.from, m.to, m.n)
		}
		f.empty <- moves
	}
	f.t.coldness = sum
}

// rehome moves entry n in an index, or has it moved.
func (t *Table) rehome(x *index, from, to, n uint32) {
	switch {
	case from == to:
	case t.later != nil:
		*t.later = append(*t.later, move{x, from, to, n})
	default:
		x.move(from, to, n)
	}
}
