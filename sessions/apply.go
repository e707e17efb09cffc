package sessions

import "sync/atomic"

// Update is one of many changes that are published together: a session with its
// encoding, or the id of one that is to be forgotten.
type Update struct {
	ID      ID
	Session *Session // nil: forget ID
	Record  []byte   // of Session; nil: it is encoded here
}

// Prepared is what can be known of an update before the table is touched.
type Prepared struct {
	id   uint32
	keys keySet
}

// Prepare is the part of Apply that any goroutine may do.
func (t *Table) Prepare(u *Update) (p Prepared) {
	if u.Session != nil {
		u.ID = u.Session.ID
		p.keys = t.keysOf(u.Session)
	}
	p.id = idHash(t.dict.seed, string(u.ID))
	return p
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
		for i := range some {
			t.ahead[i] = t.Prepare(&some[i])
		}
		t.applySome(some, t.ahead[:len(some)])
	}
}

// applySome makes at most applyAhead updates.
func (t *Table) applySome(some []Update, ready []Prepared) {
	t.approach(ready)
	for i := range some {
		if u := &some[i]; u.Session == nil {
			t.forget(ready[i].id, u.ID)
		} else {
			t.publish(&ready[i], u.Session, u.Record)
		}
	}
}

// approach asks for the memory that some updates lead to.
func (t *Table) approach(ready []Prepared) {
	var sum uint64
	for i := range ready {
		p := &ready[i]
		sum += t.ids.peek(p.id)
		if k := &p.keys; t.later == nil {
			sum += t.acct.peek(k.acct) + t.user.peek(k.user) + t.station.peek(k.calling) + t.address.peek(k.address)
			for _, key := range k.stations[:k.nStations] {
				sum += t.station.peek(key)
			}
		}
	}
	for i := range ready {
		t.scratch.found = t.ids.group(ready[i].id, 0, t.scratch.found[:0])
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
	t.ids.expect = n / indexShards * 32 / (loadMax - 1) // the others are built at the end, see Filler
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
