package record

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
)

// Ring holds the newest decisions, in memory that is used again: a row is copied into
// the slot of the row that it replaces, its text into the slot's own octets, so that
// adding one allocates nothing once the ring has gone round. A writer waits for a reader
// only while that one copies the very same slot.
type Ring struct {
	slots []slot
	next  atomic.Uint64 // number of the next row; the first row is 1

	mu    sync.Mutex // guards wake
	wake  chan struct{}
	armed atomic.Bool // somebody waits on wake: many rows cost one wake-up
}

type slot struct {
	mu   sync.Mutex // guards row and text
	row  Decision   // its strings lie in text
	text []byte
}

// NewRing makes a ring of n rows, at least one.
func NewRing(n int) *Ring {
	r := &Ring{slots: make([]slot, max(n, 1)), wake: make(chan struct{})}
	r.next.Store(1)
	return r
}

// Add numbers a copy of d and makes it the newest row. It keeps nothing of d: the caller
// may use it, and the octets that its strings lie in, for the next row.
func (r *Ring) Add(d *Decision) {
	number := r.next.Add(1) - 1
	s := &r.slots[number%uint64(len(r.slots))]
	s.mu.Lock()
	if s.row.Number < number { // else a writer that came later went round and was quicker
		s.set(d)
		s.row.Number = number
	}
	s.mu.Unlock()
	if r.armed.Load() && r.armed.Swap(false) {
		r.mu.Lock()
		close(r.wake)
		r.wake = make(chan struct{})
		r.mu.Unlock()
	}
}

// set copies d and its text.
func (s *slot) set(d *Decision) {
	s.row = *d
	if s.row.RepeatCount == 0 {
		s.row.RepeatCount = 1
	}
	s.row.ElapsedSeconds = d.Elapsed.Seconds()
	need := 0
	for _, t := range s.row.texts() {
		need += len(*t)
	}
	if cap(s.text) < need {
		s.text = make([]byte, 0, need+need/4)
	}
	b := s.text[:0]
	for _, t := range s.row.texts() {
		from := len(b)
		b = append(b, *t...)
		*t = alias(b[from:])
	}
	s.text = b
}

// get copies the row out, false when it is not the one with the number.
func (s *slot) get(number uint64) (d *Decision, newest uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.row.Number != number {
		return nil, s.row.Number
	}
	d = &Decision{}
	*d = s.row
	for _, t := range d.texts() {
		*t = strings.Clone(*t)
	}
	return d, number
}

// Since returns up to limit rows with a number above after, oldest first; limit <= 0:
// all there are. upTo is what the next call asks for, missed how many of the rows up to
// there are gone.
func (r *Ring) Since(after uint64, limit int) (rows []*Decision, upTo, missed uint64) {
	end := r.next.Load()
	n := after + 1
	if oldest := end - min(end-1, uint64(len(r.slots))); n < oldest {
		n = oldest
	}
	for ; n < end && (limit <= 0 || len(rows) < limit); n++ {
		d, newest := r.slots[n%uint64(len(r.slots))].get(n)
		if d != nil {
			rows = append(rows, d)
		} else if newest < n {
			break // numbered, not yet stored: the writer is between the two
		}
	}
	upTo = max(n-1, after)
	return rows, upTo, upTo - after - uint64(len(rows))
}

// Last is the number of the newest row, 0 when there is none.
func (r *Ring) Last() uint64 { return r.next.Load() - 1 }

// Wait returns when there may be a row above after, or ctx ends.
func (r *Ring) Wait(ctx context.Context, after uint64) error {
	for {
		r.mu.Lock()
		wake := r.wake
		r.armed.Store(true)
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
