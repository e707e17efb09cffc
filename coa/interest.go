package coa

import (
	"hash/maphash"
	"sync/atomic"
)

// interest is what the machine waits for, as a filter that any goroutine may ask without
// a lock: every packet of a NAS could confirm something, and hardly any does.
type interest struct {
	seed   maphash.Seed
	counts [interestSlots]atomic.Int32
}

// interestSlots is a power of two. A thousand expectations make one answer in eight
// wrong, which costs a note to the machine and no more.
const interestSlots = 1 << 13

func newInterest() *interest { return &interest{seed: maphash.MakeSeed()} }

func (i *interest) slot(key string) *atomic.Int32 {
	return &i.counts[maphash.String(i.seed, key)&(interestSlots-1)]
}

func (i *interest) add(key string) { i.slot(key).Add(1) }

func (i *interest) drop(key string) { i.slot(key).Add(-1) }

// has may be wrongly true.
func (i *interest) has(key string) bool { return i.slot(key).Load() > 0 }
