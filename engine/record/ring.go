package record

import (
	"context"
	"sync"
	"sync/atomic"
)

// Ring holds the newest decisions. Add never waits for a reader.
type Ring struct {
	rows []atomic.Pointer[Decision]
	next atomic.Uint64 // number of the next row; the first row is 1

	mu      sync.Mutex // guards wake
	wake    chan struct{}
	waiting atomic.Int64
}

// NewRing makes a ring of n rows, at least one.
func NewRing(n int) *Ring {
	r := &Ring{rows: make([]atomic.Pointer[Decision], max(n, 1)), wake: make(chan struct{})}
	r.next.Store(1)
	return r
}

// Add numbers d and makes it the newest row. The caller must not change it afterwards.
func (r *Ring) Add(d *Decision) {
	d.Number = r.next.Add(1) - 1
	if d.RepeatCount == 0 {
		d.RepeatCount = 1
	}
	d.ElapsedSeconds = d.Elapsed.Seconds()
	r.rows[d.Number%uint64(len(r.rows))].Store(d)
	if r.waiting.Load() > 0 {
		r.mu.Lock()
		close(r.wake)
		r.wake = make(chan struct{})
		r.mu.Unlock()
	}
}

// Since returns up to limit rows with a number above after, oldest first; limit <= 0:
// all there are. upTo is what the next call asks for, missed how many of the rows up to
// there are gone.
func (r *Ring) Since(after uint64, limit int) (rows []*Decision, upTo, missed uint64) {
	end := r.next.Load()
	n := after + 1
	if oldest := end - min(end-1, uint64(len(r.rows))); n < oldest {
		n = oldest
	}
	for ; n < end && (limit <= 0 || len(rows) < limit); n++ {
		d := r.rows[n%uint64(len(r.rows))].Load()
		if d == nil || d.Number < n {
			break // numbered, not yet stored: the writer is between the two
		}
		if d.Number == n {
			rows = append(rows, d)
		}
	}
	upTo = max(n-1, after)
	return rows, upTo, upTo - after - uint64(len(rows))
}

// Last is the number of the newest row, 0 when there is none.
func (r *Ring) Last() uint64 { return r.next.Load() - 1 }

// Wait returns when there may be a row above after, or ctx ends.
func (r *Ring) Wait(ctx context.Context, after uint64) error {
	r.waiting.Add(1)
	defer r.waiting.Add(-1)
	for {
		r.mu.Lock()
		wake := r.wake
		r.mu.Unlock()
		if _, upTo, _ := r.Since(after, 1); upTo > after {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
