package sessions

import (
	"runtime"
	"sync/atomic"
)

// index finds entries by a key of 32 bits, a hash. It gives candidates, and the record
// itself has the last word: two values with one key are one to the index.
//
// It is open addressing in 256 shards by the top octet of the key; a slot is 8 octets,
// the key and the number of the entry, and its home grows with the key, so that a walk
// over slots is one over keys. One writer; a reader never locks nor allocates. A slot
// changes as a whole; where slots move, in a removal or when a shard grows, the shard's
// counter is odd, and a reader that saw it change begins again.
//
// groupMax entries of one key stand side by side. More of them, as the sessions behind
// one address can be a hundred thousand, stand in groups of groupMax under keys made of
// the key and the number of the group, which keeps every change at constant time: the
// writer knows the number of each member, and the last takes the place of one that goes.
// A reader may miss the one that moves while it reads.
type index struct {
	memory *memory
	expect int // slots that a shard begins with
	shards [indexShards]indexShard
	crowds map[uint32]uint32 // how many members a key with more than groupMax has had
	places map[uint64]uint32 // and which number each member has, by key and entry
}

type indexShard struct {
	counter atomic.Uint64
	slots   atomic.Pointer[slotArray]
	used    int
}

// slotArray has size homes, and room behind them for what the last ones push out.
type slotArray struct {
	size  uint64
	slots []uint64
}

const (
	indexShards = 256
	slotsMin    = 24
	slotsTail   = 32
	groupMax    = 8

	// A shard is filled to 27/32 and then grows by a quarter: 10.6 octets for each slot in
	// use, and twenty slots, three cache lines, to look at before one is put in.
	loadMax = 27

	// A slot is key << 32 | further | entry; further marks groups after the first.
	further = 1 << 31
)

func newIndex(m *memory) *index {
	return &index{memory: m, crowds: map[uint32]uint32{}, places: map[uint64]uint32{}}
}

// home is where the search for a key begins. It grows with the key.
func (a *slotArray) home(key uint32) uint64 { return uint64(key<<8) * a.size >> 32 }

func newSlotArray(m *memory, size int) *slotArray {
	return &slotArray{uint64(size), m.get(size + slotsTail)}
}

// groupKey is the key of the n-th group of a key.
func groupKey(key, n uint32) uint32 {
	if n == 0 {
		return key
	}
	return fold(mix(uint64(key)<<32|uint64(n), 0x9e3779b97f4a7c15))
}

// group appends the entries of one group of a key to out.
func (x *index) group(key, n uint32, out []uint32) []uint32 {
	want := uint64(groupKey(key, n)) << 32
	if n > 0 {
		want |= further
	}
	shard := &x.shards[want>>56]
	begin := len(out)
	for tries := 1; ; tries++ {
		before := shard.counter.Load()
		if before&1 == 0 {
			a := shard.slots.Load()
			if a == nil {
				return out
			}
			for i := a.home(uint32(want >> 32)); i < uint64(len(a.slots)); i++ {
				slot := atomic.LoadUint64(&a.slots[i])
				if slot == 0 {
					break
				}
				if slot&^(further-1) == want {
					out = append(out, uint32(slot&(further-1)))
				}
			}
			if shard.counter.Load() == before || tries > 1000 {
				runtime.KeepAlive(x)
				return out
			}
			out = out[:begin]
		}
		if tries%64 == 0 {
			runtime.Gosched()
		}
	}
}

// all appends the entries of a key to out.
func (x *index) all(key uint32, out []uint32) []uint32 {
	for n := uint32(0); ; n++ {
		had := len(out)
		out = x.group(key, n, out)
		if len(out)-had < groupMax {
			return out
		}
	}
}

// add notes that entry has the key. Writer only.
func (x *index) add(key, entry uint32) {
	if len(x.crowds) > 0 {
		if n, crowd := x.crowds[key]; crowd {
			x.join(key, entry, n)
			return
		}
	}
	if x.insertFew(key, entry) {
		return
	}
	var found [groupMax * 2]uint32
	members := x.group(key, 0, found[:0])
	for i, m := range members {
		x.places[uint64(key)<<32|uint64(m)] = uint32(i)
	}
	x.join(key, entry, uint32(len(members)))
}

// insertFew puts a slot of the first group, unless that is full.
func (x *index) insertFew(key, entry uint32) bool {
	shard := &x.shards[key>>24]
	a := x.room(shard, key)
	members := 0
	for i := a.home(key); i < uint64(len(a.slots)); i++ {
		slot := a.slots[i]
		if slot == 0 {
			atomic.StoreUint64(&a.slots[i], uint64(key)<<32|uint64(entry))
			shard.used++
			return true
		}
		if uint32(slot>>32) == key && slot&further == 0 {
			if members++; members == groupMax {
				return false
			}
		}
	}
	x.insert(key, 0, entry) // no room before the end
	return true
}

func (x *index) join(key, entry, n uint32) {
	x.places[uint64(key)<<32|uint64(entry)] = n
	x.crowds[key] = n + 1
	x.insert(key, n/groupMax, entry)
}

// remove takes the pair out. Writer only.
func (x *index) remove(key, entry uint32) {
	n, crowd := x.crowds[key]
	if !crowd {
		x.take(key, 0, entry)
		return
	}
	at, last := x.places[uint64(key)<<32|uint64(entry)], n-1
	if at/groupMax != last/groupMax {
		var found [groupMax * 2]uint32
		for _, m := range x.group(key, last/groupMax, found[:0]) {
			// Another key's group can be of the same key.
			if p, ok := x.places[uint64(key)<<32|uint64(m)]; ok && p == last {
				x.insert(key, at/groupMax, m)
				x.take(key, last/groupMax, m)
				x.places[uint64(key)<<32|uint64(m)] = at
				break
			}
		}
	} else if at != last {
		x.renumber(key, last, at)
	}
	x.take(key, at/groupMax, entry)
	delete(x.places, uint64(key)<<32|uint64(entry))
	x.crowds[key] = last
	if last <= groupMax/2 {
		x.disperse(key)
	}
}

// renumber gives the member with a number another of the same group.
func (x *index) renumber(key, number, to uint32) {
	var found [groupMax * 2]uint32
	for _, m := range x.group(key, number/groupMax, found[:0]) {
		if p, ok := x.places[uint64(key)<<32|uint64(m)]; ok && p == number {
			x.places[uint64(key)<<32|uint64(m)] = to
			return
		}
	}
}

// disperse makes the few members of the first group ordinary again.
func (x *index) disperse(key uint32) {
	var found [groupMax * 2]uint32
	for _, m := range x.group(key, 0, found[:0]) {
		delete(x.places, uint64(key)<<32|uint64(m))
	}
	delete(x.crowds, key)
}

// insert puts one slot.
func (x *index) insert(key, n, entry uint32) {
	slot := uint64(groupKey(key, n))<<32 | uint64(entry)
	if n > 0 {
		slot |= further
	}
	shard := &x.shards[slot>>56]
	a := x.room(shard, uint32(slot>>32))
	for !a.insert(slot) {
		a = x.grow(shard, a.size+a.size/4)
	}
	shard.used++
}

// room is the array of a shard with room for one slot more.
func (x *index) room(shard *indexShard, key uint32) *slotArray {
	a := shard.slots.Load()
	if a == nil {
		// The shards grow one after the other, not all at once: each begins a little larger.
		size := slotsMin + slotsMin/4*int(key>>24)/indexShards
		if x.expect > size {
			size = x.expect + x.expect/8*int(key>>24)/indexShards
		}
		a = newSlotArray(x.memory, size)
		shard.slots.Store(a)
	} else if uint64(shard.used+1)*32 > a.size*loadMax {
		a = x.grow(shard, a.size+a.size/4)
	}
	return a
}

// insert is false when there is no room before the end.
func (a *slotArray) insert(slot uint64) bool {
	for i := a.home(uint32(slot >> 32)); i < uint64(len(a.slots)); i++ {
		if a.slots[i] == 0 {
			atomic.StoreUint64(&a.slots[i], slot)
			return true
		}
	}
	return false
}

// grow moves a shard to an array of another size.
func (x *index) grow(shard *indexShard, size uint64) *slotArray {
	old := shard.slots.Load()
	next := newSlotArray(x.memory, int(size))
	for _, slot := range old.slots {
		if slot != 0 && !next.insert(slot) {
			x.memory.put(next.slots)
			return x.grow(shard, size+size/8)
		}
	}
	shard.counter.Add(1)
	shard.slots.Store(next)
	x.memory.put(old.slots)
	shard.counter.Add(1)
	return next
}

// take removes one slot and closes the gap.
func (x *index) take(key, n, entry uint32) {
	slot := uint64(groupKey(key, n))<<32 | uint64(entry)
	if n > 0 {
		slot |= further
	}
	shard := &x.shards[slot>>56]
	a := shard.slots.Load()
	if a == nil {
		return
	}
	i := a.home(uint32(slot >> 32))
	for ; i < uint64(len(a.slots)) && a.slots[i] != slot; i++ {
		if a.slots[i] == 0 {
			return
		}
	}
	if i == uint64(len(a.slots)) {
		return
	}
	shard.used--
	shard.counter.Add(1)
	for j := i + 1; j < uint64(len(a.slots)) && a.slots[j] != 0; j++ {
		if a.home(uint32(a.slots[j]>>32)) <= i {
			atomic.StoreUint64(&a.slots[i], a.slots[j])
			i = j
		}
	}
	atomic.StoreUint64(&a.slots[i], 0)
	shard.counter.Add(1)
}

// keys calls yield for the entries whose keys are from low to high, in one shard.
// Writer only.
func (x *index) keys(low, high uint32, yield func(entry uint32)) {
	a := x.shards[low>>24].slots.Load()
	if a == nil {
		return
	}
	last := a.home(high)
	for i := a.home(low); i < uint64(len(a.slots)); i++ {
		slot := a.slots[i]
		if slot == 0 && i > last {
			break
		}
		if key := uint32(slot >> 32); slot != 0 && key >= low && key <= high && slot&further == 0 {
			yield(uint32(slot & (further - 1)))
		}
	}
	for key := range x.crowds {
		if key >= low && key <= high {
			for _, entry := range x.all(key, nil) {
				if x.places[uint64(key)<<32|uint64(entry)] >= groupMax {
					yield(entry)
				}
			}
		}
	}
}
