package engine

import "sync/atomic"

// ring is a bounded queue for many writers and many readers without a lock. Each slot
// has a sequence number that says whose turn it is:
//
//	seq == position          free, a writer may claim it
//	seq == position + 1      full, a reader may take it
//	seq == position + slots  free again, one round later
//
// Neither side ever waits for the other: put says that there is no room, take that
// there is nothing.
type ring[T any] struct {
	slots []ringSlot[T]
	mask  uint64

	_    cacheLine
	tail atomic.Uint64 // writers claim here
	_    cacheLine
	head atomic.Uint64 // readers claim here
	_    cacheLine
}

type ringSlot[T any] struct {
	seq   atomic.Uint64
	value T
}

type cacheLine [64]byte

// newRing makes a ring of so many slots, rounded up to a power of two.
func newRing[T any](slots int) *ring[T] {
	size := 2
	for size < slots {
		size *= 2
	}
	r := &ring[T]{slots: make([]ringSlot[T], size), mask: uint64(size - 1)}
	for i := range r.slots {
		r.slots[i].seq.Store(uint64(i))
	}
	return r
}

// put adds v at the end, false when there is no room.
func (r *ring[T]) put(v T) bool {
	at := r.tail.Load()
	for {
		s := &r.slots[at&r.mask]
		switch turn := int64(s.seq.Load() - at); {
		case turn < 0:
			return false
		case turn == 0 && r.tail.CompareAndSwap(at, at+1):
			s.value = v
			s.seq.Store(at + 1)
			return true
		default:
			at = r.tail.Load()
		}
	}
}

// take removes the oldest, false when there is none.
func (r *ring[T]) take() (v T, ok bool) {
	at := r.head.Load()
	for {
		s := &r.slots[at&r.mask]
		switch turn := int64(s.seq.Load() - (at + 1)); {
		case turn < 0:
			return v, false
		case turn == 0 && r.head.CompareAndSwap(at, at+1):
			v = s.value
			var none T
			s.value = none // the ring keeps nothing alive
			s.seq.Store(at + r.mask + 1)
			return v, true
		default:
			at = r.head.Load()
		}
	}
}

// len is about how many wait; writers and readers may be between two steps.
func (r *ring[T]) len() int {
	return int(max(int64(r.tail.Load()-r.head.Load()), 0))
}
