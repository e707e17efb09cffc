package sessions

import (
	"math"
	"math/bits"
	"time"
)

// wheel holds the timers of the entries: slots of lists that run through the entries
// themselves, so that setting, moving and dropping one is a few words and no memory.
//
// Time is counted in ticks of 2^26 ns, 67 ms. A level has 256 slots; a slot of level n
// spans 256^n ticks. A timer stands where its tick first differs from the one the wheel
// has come to: at the level of the highest octet that differs, in the slot of that
// octet. When the wheel comes to a slot of a higher level it spreads it over the lower
// ones. Five levels reach over all of time.
//
// When the clock goes back, further than the tick at hand, the slots that were passed
// are in the future again. Then the other half of the slots is used from there on, and
// what stands in this one is moved over, some with every call: a timer can be late by
// the time that takes, and is never early.
type wheel struct {
	heads     [2][wheelLists]uint32
	filled    [2][wheelLevels][wheelSlots / 64]uint64
	now       int64 // tick the wheel has come to
	half      uint32
	spreading uint32 // list that is being spread
	moving    uint32 // next list of the other half to be moved; wheelLists: none
	waitUntil int64  // when the first of listWait is due
}

const (
	wheelTick   = 26
	wheelLevels = 5
	wheelSlots  = 256

	listNow    = wheelLevels * wheelSlots // due in this tick or before
	listWait   = listNow + 1              // looked at, and due later in this tick
	wheelLists = listNow + 2

	// moveMax bounds the timers that one call of Due moves from slot to slot.
	moveMax = 16384

	// isHead marks a head of a list in place of the entry before, in word 6.
	isHead = 1 << 31
)

func newWheel() *wheel { return &wheel{moving: wheelLists, waitUntil: math.MaxInt64} }

// listOf is the list for a tick.
func (w *wheel) listOf(tick int64) uint32 {
	if tick <= w.now {
		return listNow
	}
	level := (63 - bits.LeadingZeros64(uint64(tick^w.now))) / 8
	return uint32(level*wheelSlots) + uint32(tick>>(8*level))&(wheelSlots-1)
}

// Schedule notes that the session has to be looked at. Writer only. A time later than
// the one noted is found out when that one comes up, which spares work for every packet.
// The zero time, and a session that is not in the table, are no timer.
func (t *Table) Schedule(id ID, at time.Time) {
	if n := t.entryOf(id); n != 0 && !at.IsZero() {
		t.schedule(n, nanos(at))
	}
}

func (t *Table) schedule(n uint32, at int64) {
	e := t.entries.at(n)
	at = max(at, 1)
	if noted := int64(e[7]); noted != 0 {
		if at >= noted {
			return
		}
		t.unlink(e)
	}
	e[7] = uint64(at)
	t.link(n, e)
}

func (t *Table) link(n uint32, e *entry) {
	t.linkTo(n, e, t.wheel.listOf(int64(e[7])>>wheelTick))
}

func (t *Table) linkTo(n uint32, e *entry, list uint32) {
	w := t.wheel
	head := &w.heads[w.half][list]
	e[6] = halves(*head, isHead|w.half<<16|list)
	if *head != 0 {
		next := t.entries.at(*head)
		next[6] = halves(high(next[6]), n)
	}
	*head = n
	if list < listNow {
		w.filled[w.half][list/wheelSlots][list%wheelSlots/64] |= 1 << (list % 64)
	}
}

func (t *Table) unlink(e *entry) {
	next, before := high(e[6]), low(e[6])
	if before&isHead != 0 {
		half, list := before>>16&1, before&0xffff
		t.wheel.heads[half][list] = next
		if next == 0 && list < listNow {
			t.wheel.filled[half][list/wheelSlots][list%wheelSlots/64] &^= 1 << (list % 64)
		}
	} else {
		b := t.entries.at(before)
		b[6] = halves(next, low(b[6]))
	}
	if next != 0 {
		x := t.entries.at(next)
		x[6] = halves(high(x[6]), before)
	}
	e[6] = 0
}

// Due takes the next session whose time has come; false when there is none at now, or
// when so much had to be put in order that the rest is left to the next call, a tick
// later. Writer only. What is taken has no timer until it is scheduled again.
func (t *Table) Due(now time.Time) (ID, bool) {
	w, ns := t.wheel, max(nanos(now), 0)
	tick, work := ns>>wheelTick, moveMax
	if tick < w.now {
		t.turnBack(tick)
	}
	for {
		t.moveOver(&work)
		t.spread(&work)
		if id, ok := t.dueNow(ns, &work); ok {
			return id, true
		}
		if w.now >= tick || work <= 0 {
			return "", false
		}
		t.advance(tick)
	}
}

// dueNow looks through the list of this tick. What is due later within the tick waits
// in a list of its own, so that it is not looked at with every call.
func (t *Table) dueNow(ns int64, work *int) (ID, bool) {
	w := t.wheel
	if ns >= w.waitUntil {
		t.moveList(w.half, listWait, work)
		if w.heads[w.half][listWait] == 0 {
			w.waitUntil = math.MaxInt64
		}
	}
	for n := w.heads[w.half][listNow]; n != 0 && *work > 0; n = w.heads[w.half][listNow] {
		e := t.entries.at(n)
		*work--
		t.unlink(e)
		if at := int64(e[7]); at > ns {
			t.linkTo(n, e, listWait)
			w.waitUntil = min(w.waitUntil, at)
			continue
		}
		e[7] = 0
		if id := t.idOf(n); id != "" {
			return id, true
		}
	}
	return "", false
}

// moveList moves a list to where its timers stand now. False when the work ran out.
func (t *Table) moveList(half, list uint32, work *int) bool {
	for n := t.wheel.heads[half][list]; n != 0; n = t.wheel.heads[half][list] {
		if *work <= 0 {
			return false
		}
		*work--
		e := t.entries.at(n)
		t.unlink(e)
		t.link(n, e)
	}
	return true
}

// advance takes the wheel on to the next slot that holds something, at most to tick.
// The slot is to be spread before it goes on.
func (t *Table) advance(tick int64) {
	w := t.wheel
	for level := range wheelLevels {
		shift := 8 * level
		slot := nextFilled(&w.filled[w.half][level], int(w.now>>shift)&(wheelSlots-1)+1)
		if slot == wheelSlots {
			continue // nothing until the next slot of the level above
		}
		begin := (w.now>>shift&^(wheelSlots-1) | int64(slot)) << shift
		if begin > tick {
			break
		}
		w.now, w.spreading = begin, uint32(level*wheelSlots+slot)
		return
	}
	w.now = tick
}

// spread goes on with the slot that the wheel has come to. While it is not done the
// wheel stands still.
func (t *Table) spread(work *int) {
	if list := t.wheel.spreading; list != 0 && t.moveList(t.wheel.half, list, work) {
		t.wheel.spreading = 0
	}
}

func nextFilled(bitmap *[wheelSlots / 64]uint64, from int) int {
	for from < wheelSlots {
		if word := bitmap[from/64] >> (from % 64); word != 0 {
			return from + bits.TrailingZeros64(word)
		}
		from = (from/64 + 1) * 64
	}
	return wheelSlots
}

// turnBack begins again at an earlier tick with the other half.
func (t *Table) turnBack(tick int64) {
	w := t.wheel
	for w.moving < wheelLists {
		// The clock went back twice in short time: all is in this half before it turns.
		work := moveMax
		t.moveOver(&work)
	}
	w.half ^= 1
	w.now, w.moving, w.spreading, w.waitUntil = tick, 0, 0, math.MaxInt64
}

// moveOver moves timers from the other half to where they stand now.
func (t *Table) moveOver(work *int) {
	w := t.wheel
	for w.moving < wheelLists && t.moveList(w.half^1, w.moving, work) {
		w.moving++
	}
}
