package sessions

import (
	"runtime"
	"sync/atomic"
)

// entry is what the table knows of a session besides its record: one cache line, no
// pointer. Readers look at the first two words only.
//
//	0  counter of its changes, odd while one is made (low half); octets of the record,
//	   0: no session (high half)
//	1  place of the record
//	2  keys in the indexes: NAS and Acct-Session-Id, User-Name
//	3  keys: Calling-Station-Id, Framed-IP-Address
//	4  all keys beyond those together (high half); flags
//	5  sessions of the same NAS: the one after it, the one before
//	6  timers of the same slot: the one after it, the one before
//	7  when its timer is due, nanoseconds since 1970; 0: no timer
//
// Numbers of entries are counted from 1; 0 is none. An entry is used again for another
// session; its counter goes on.
type entry [8]uint64

const (
	entryWords  = 8
	entryShift  = 12 // entries of a chunk
	entryNumber = 1<<31 - 1
)

// entries grow by chunks that never move.
type entries struct {
	memory *memory
	chunks atomic.Pointer[[]*[1 << entryShift]entry]
	next   uint32 // the highest number that was used
	free   uint32 // head of the free ones, linked by word 5
}

// at is nil for a number that was never given.
func (e *entries) at(n uint32) *entry {
	chunks := e.chunks.Load()
	if n == 0 || chunks == nil || int(n>>entryShift) >= len(*chunks) {
		return nil
	}
	return &(*chunks)[n>>entryShift][n&(1<<entryShift-1)]
}

func (e *entries) get() (uint32, *entry) {
	if n := e.free; n != 0 {
		x := e.at(n)
		e.free = uint32(x[5])
		x[5] = 0
		return n, x
	}
	e.next++
	if e.at(e.next) == nil {
		e.grow()
	}
	return e.next, e.at(e.next)
}

func (e *entries) grow() {
	var chunks []*[1 << entryShift]entry
	if old := e.chunks.Load(); old != nil {
		chunks = *old
	}
	chunks = append(chunks, entriesOf(e.memory.get(entryWords<<entryShift)))
	e.chunks.Store(&chunks)
}

// put gives an entry back. What readers look at stays.
func (e *entries) put(n uint32, x *entry) {
	x[2], x[3], x[4], x[6], x[7] = 0, 0, 0, 0, 0
	x[5] = uint64(e.free)
	e.free = n
}

func low(w uint64) uint32  { return uint32(w) }
func high(w uint64) uint32 { return uint32(w >> 32) }

func halves(high, low uint32) uint64 { return uint64(high)<<32 | uint64(low) }

// read copies the record of entry n into x as it was at one moment. The result is nil
// when the entry has no session.
//
// The copy is made between two readings of the counter that are equal and even: then
// nothing was written meanwhile, or what was written was another's and is thrown away
// with the copy. A writer is in the way for some nanoseconds; a reader never is.
func (t *Table) read(n uint32, x *Scratch) []byte {
	for tries := 1; ; tries++ {
		e := t.entries.at(n)
		if e == nil {
			return nil
		}
		before := atomic.LoadUint64(&e[0])
		octets := int(high(before))
		if before&1 == 0 {
			if octets == 0 {
				return nil
			}
			words := (octets + 7) / 8
			piece := t.slabs.at(place(atomic.LoadUint64(&e[1])))
			if words <= len(piece) {
				record := x.room(words)
				loadWords(record, piece[:words])
				if atomic.LoadUint64(&e[0]) == before {
					runtime.KeepAlive(t)
					return octetsOf(record)[:octets]
				}
			}
		}
		if tries%64 == 0 {
			runtime.Gosched() // the writer may have lost its processor
		}
	}
}

// write sets the record of an entry. Writer only.
func (t *Table) write(e *entry, record []byte) {
	words := (len(record) + 7) / 8
	from := t.scratch.room(words)
	from[words-1] = 0
	copy(octetsOf(from), record)
	counter := low(e[0])
	if had := int(high(e[0])); had > 0 && classOf((had+7)/8) == classOf(words) {
		// The counter first, then the record, then the counter.
		atomic.StoreUint64(&e[0], halves(high(e[0]), counter+1))
		storeWords(t.slabs.at(place(e[1]))[:words], from)
		atomic.StoreUint64(&e[0], halves(uint32(len(record)), counter+2))
		return
	}
	was := e[1]
	p, piece := t.slabs.get(words)
	storeWords(piece[:words], from)
	atomic.StoreUint64(&e[0], halves(high(e[0]), counter+1))
	atomic.StoreUint64(&e[1], uint64(p))
	if had := high(e[0]); had > 0 {
		t.slabs.put(place(was))
	}
	atomic.StoreUint64(&e[0], halves(uint32(len(record)), counter+2))
}

// erase leaves the entry without a session. Writer only.
func (t *Table) erase(e *entry) {
	counter := low(e[0])
	t.slabs.put(place(e[1]))
	atomic.StoreUint64(&e[0], halves(0, counter+2))
}

// known says whether entry n has a session.
func (t *Table) known(n uint32) bool {
	e := t.entries.at(n)
	return e != nil && high(atomic.LoadUint64(&e[0])) != 0
}
