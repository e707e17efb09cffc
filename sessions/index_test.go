package sessions

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"sallyport/ops/assert"
)

// TestIndexAgainstModel adds and removes pairs where keys have one, some and thousands
// of entries.
func TestIndexAgainstModel(t *testing.T) {
	rng := seeded(t)
	x, model := newIndex(newMemory(t, false)), map[uint32][]uint32{}
	for range 60000 {
		key := fold(mix(uint64(rng.IntN(1<<rng.IntN(10))), 0x9e3779b97f4a7c15))
		entry := uint32(rng.IntN(3000) + 1)
		if at := slices.Index(model[key], entry); at >= 0 {
			x.remove(key, entry)
			model[key] = slices.Delete(model[key], at, at+1)
		} else {
			x.add(key, entry)
			model[key] = append(model[key], entry)
		}
		if rng.IntN(100) == 0 {
			got := x.all(key, nil)
			slices.Sort(got)
			if want := slices.Sorted(slices.Values(model[key])); !slices.Equal(got, want) {
				t.Fatalf("%d: got %v, want %v", key, got, want)
			}
		}
	}
	n := 0
	for shard := range uint32(indexShards) {
		x.keys(shard<<24, shard<<24|0xffffff, func(uint32) { n++ })
	}
	for key, entries := range model {
		n -= len(entries)
		for _, e := range slices.Clone(entries) {
			x.remove(key, e)
		}
	}
	if n != 0 {
		t.Errorf("keys found %d more than there are", n)
	}
	for i := range x.shards {
		if x.shards[i].used != 0 {
			t.Errorf("shard %d: %d slots", i, x.shards[i].used)
		}
	}
	if len(x.crowds)+len(x.places) != 0 {
		t.Errorf("%d crowds, %d places", len(x.crowds), len(x.places))
	}
}

// TestIndexReadersNeverMiss: in one shard, where slots move with every removal and the
// array grows, what is there all the time is found all the time.
func TestIndexReadersNeverMiss(t *testing.T) {
	rng := seeded(t)
	x := newIndex(newMemory(t, false))
	key := func(n int) uint32 { return uint32(n) * 2654435761 >> 8 }
	const stay = 200
	for i := range stay {
		x.add(key(i), uint32(i+1))
	}
	var stop atomic.Bool
	var lookups atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			var found []uint32
			for i := 0; !stop.Load(); i = (i + 1) % stay {
				lookups.Add(1)
				if found = x.all(key(i), found[:0]); !slices.Contains(found, uint32(i+1)) {
					t.Errorf("entry %d is not found", i+1)
					return
				}
			}
		})
	}
	there := map[int]bool{}
	enough := int64(1 << 23)
	if assert.Enabled {
		enough = 1 << 20
	}
	for step := 0; lookups.Load() < enough && !t.Failed(); step++ {
		n := stay + rng.IntN(min(step/10+1, 2000))
		if there[n] {
			x.remove(key(n), uint32(n+1))
		} else {
			x.add(key(n), uint32(n+1))
		}
		there[n] = !there[n]
	}
	stop.Store(true)
	wg.Wait()
}
