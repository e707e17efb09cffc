package sessions

import "hash/maphash"

// multiIndex maps a key to every session that has it, in constant time for each
// change however many share a key: sessions behind one address can be a hundred
// thousand. The members of a key are numbered; leaving, the last takes the free number.
//
// A reader may miss a member that takes a new number while it reads, so an index
// gives candidates, and the record itself has the last word.
type multiIndex[K comparable] struct {
	members *hashTable[numbered[K], ID]
	counts  *hashTable[K, uint32]
	place   map[placeOf[K]]uint32 // the writer's
}

type numbered[K comparable] struct {
	key K
	n   uint32
}

type placeOf[K comparable] struct {
	key K
	id  ID
}

func newMultiIndex[K comparable](seed maphash.Seed) *multiIndex[K] {
	return &multiIndex[K]{
		members: newHashTable[numbered[K], ID](seed),
		counts:  newHashTable[K, uint32](seed),
		place:   map[placeOf[K]]uint32{},
	}
}

func (x *multiIndex[K]) count(key K) uint32 {
	if n := x.counts.get(key); n != nil {
		return *n
	}
	return 0
}

func (x *multiIndex[K]) setCount(key K, n uint32) {
	if n == 0 {
		x.counts.del(key)
		return
	}
	x.counts.put(key, &n)
}

func (x *multiIndex[K]) add(key K, id ID) {
	at := placeOf[K]{key, id}
	if _, ok := x.place[at]; ok {
		return
	}
	n := x.count(key)
	x.members.put(numbered[K]{key, n}, &id)
	x.place[at] = n
	x.setCount(key, n+1)
}

func (x *multiIndex[K]) remove(key K, id ID) {
	at := placeOf[K]{key, id}
	n, ok := x.place[at]
	if !ok {
		return
	}
	last := x.count(key) - 1
	if n != last {
		moved := x.members.get(numbered[K]{key, last})
		x.members.put(numbered[K]{key, n}, moved)
		x.place[placeOf[K]{key, *moved}] = n
	}
	x.setCount(key, last)
	x.members.del(numbered[K]{key, last})
	delete(x.place, at)
}

// each calls yield for the members of key until it returns false.
func (x *multiIndex[K]) each(key K, yield func(ID) bool) {
	for n := uint32(0); n < x.count(key); n++ {
		if id := x.members.get(numbered[K]{key, n}); id != nil && !yield(*id) {
			return
		}
	}
}
