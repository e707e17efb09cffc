package sessions

import (
	"hash/maphash"
	"iter"
	"sync/atomic"
)

// hashTable is open addressing over atomic pointers: any number of readers, one
// writer. A reader never locks, never allocates and never waits; it sees an entry as
// it was at some moment of its own call.
//
// Growing publishes a new slot array. A reader that still holds the old one sees
// what was true before the array was replaced, which lies within its call; the writer
// never touches an array again once it is replaced.
type hashTable[K comparable, V any] struct {
	seed  maphash.Seed
	slots atomic.Pointer[slotArray[K, V]]
	live  atomic.Int64 // entries
	used  int          // entries and tombstones; the writer's
}

type slotArray[K comparable, V any] struct {
	mask  uint64
	slots []atomic.Pointer[entry[K, V]]
}

// entry is immutable. val == nil marks a tombstone: the key was here, probing goes on.
type entry[K comparable, V any] struct {
	key K
	val *V
}

const slotsMin = 16

func newHashTable[K comparable, V any](seed maphash.Seed) *hashTable[K, V] {
	t := &hashTable[K, V]{seed: seed}
	t.slots.Store(newSlots[K, V](slotsMin))
	return t
}

func newSlots[K comparable, V any](n int) *slotArray[K, V] {
	return &slotArray[K, V]{mask: uint64(n - 1), slots: make([]atomic.Pointer[entry[K, V]], n)}
}

// get returns the value of key, or nil.
func (t *hashTable[K, V]) get(key K) *V {
	a := t.slots.Load()
	for i := maphash.Comparable(t.seed, key) & a.mask; ; i = (i + 1) & a.mask {
		e := a.slots[i].Load()
		if e == nil {
			return nil
		}
		if e.key == key {
			return e.val
		}
	}
}

// put sets the value of key. Writer only; v must not be nil.
func (t *hashTable[K, V]) put(key K, v *V) {
	a := t.slots.Load()
	if (t.used+1)*4 > len(a.slots)*3 {
		a = t.rehash()
	}
	for i := maphash.Comparable(t.seed, key) & a.mask; ; i = (i + 1) & a.mask {
		e := a.slots[i].Load()
		if e != nil && e.key != key {
			continue
		}
		switch {
		case e == nil:
			t.used++
			t.live.Add(1)
		case e.val == nil:
			t.live.Add(1)
		}
		a.slots[i].Store(&entry[K, V]{key: key, val: v})
		return
	}
}

// del removes key. Writer only.
func (t *hashTable[K, V]) del(key K) {
	a := t.slots.Load()
	for i := maphash.Comparable(t.seed, key) & a.mask; ; i = (i + 1) & a.mask {
		e := a.slots[i].Load()
		if e == nil {
			return
		}
		if e.key != key {
			continue
		}
		if e.val != nil {
			a.slots[i].Store(&entry[K, V]{key: key})
			t.live.Add(-1)
		}
		return
	}
}

// rehash makes room: twice the slots when half are live, else the same number with
// the tombstones gone.
func (t *hashTable[K, V]) rehash() *slotArray[K, V] {
	old := t.slots.Load()
	size := len(old.slots)
	if int(t.live.Load())*2 >= size {
		size *= 2
	}
	next := newSlots[K, V](size)
	t.used = 0
	for i := range old.slots {
		e := old.slots[i].Load()
		if e == nil || e.val == nil {
			continue
		}
		j := maphash.Comparable(t.seed, e.key) & next.mask
		for next.slots[j].Load() != nil {
			j = (j + 1) & next.mask
		}
		next.slots[j].Store(e)
		t.used++
	}
	t.slots.Store(next)
	return next
}

// all walks the values of one slot array. An entry that changes meanwhile is seen
// before or after its change, one that comes or goes may be seen or not.
func (t *hashTable[K, V]) all() iter.Seq[*V] {
	return func(yield func(*V) bool) {
		a := t.slots.Load()
		for i := range a.slots {
			if e := a.slots[i].Load(); e != nil && e.val != nil && !yield(e.val) {
				return
			}
		}
	}
}
