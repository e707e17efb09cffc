package engine

import (
	"runtime"
	"sync"
	"testing"
)

// TestRingLosesNothing: four writers and four readers over a ring that is nearly always
// full or empty; every value comes out once, and those of one writer in their order.
func TestRingLosesNothing(t *testing.T) {
	const writers, readers, each = 4, 4, 20000
	r := newRing[[2]int](64)
	var writing, reading sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for n := range each {
				for !r.put([2]int{w, n}) {
					runtime.Gosched()
				}
			}
		})
	}
	done := make(chan struct{})
	got := make([][][2]int, readers)
	for i := range readers {
		reading.Go(func() {
			for {
				v, ok := r.take()
				if ok {
					got[i] = append(got[i], v)
					continue
				}
				select {
				case <-done:
					if v, ok = r.take(); !ok {
						return
					}
					got[i] = append(got[i], v)
				default:
					runtime.Gosched()
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	seen := map[[2]int]bool{}
	for i := range got {
		last := [writers]int{-1, -1, -1, -1}
		for _, v := range got[i] {
			if seen[v] {
				t.Fatalf("%v came out twice", v)
			}
			seen[v] = true
			if v[1] <= last[v[0]] {
				t.Fatalf("reader %d: %d of writer %d after %d", i, v[1], v[0], last[v[0]])
			}
			last[v[0]] = v[1]
		}
	}
	if len(seen) != writers*each {
		t.Errorf("%d of %d came out", len(seen), writers*each)
	}
}

func TestRingIsBounded(t *testing.T) {
	r := newRing[int](5)
	for i := range 8 {
		if !r.put(i) {
			t.Fatalf("no room for %d of 8", i)
		}
	}
	if r.put(8) || r.len() != 8 {
		t.Errorf("a ninth went in, or %d wait", r.len())
	}
	if v, ok := r.take(); !ok || v != 0 || !r.put(8) {
		t.Errorf("%d %v", v, ok)
	}
	allocs := testing.AllocsPerRun(1000, func() { v, _ := r.take(); r.put(v) })
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
