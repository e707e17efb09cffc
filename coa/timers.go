package coa

import "time"

// timer is a deadline of a slot, a peer or a track, in the machine's heap while it is set.
type timer struct {
	at    time.Time
	index int // in the heap, from 1; 0: not set
	slot  *slot
	peer  *peer
	track *track
	late  bool // of a track: what it expects has not come
}

// timers is a binary heap, the earliest first. It knows where each timer is, so that
// moving or stopping one takes no search.
type timers struct{ heap []*timer }

// set sets or moves t.
func (h *timers) set(t *timer, at time.Time) {
	if t.index == 0 {
		h.heap = append(h.heap, t)
		t.index = len(h.heap)
	}
	t.at = at
	h.down(h.up(t.index))
}

// stop takes t out; nothing happens when it is not set.
func (h *timers) stop(t *timer) {
	i, last := t.index, len(h.heap)
	if i == 0 {
		return
	}
	h.swap(i, last)
	h.heap[last-1] = nil
	h.heap = h.heap[:last-1]
	t.index = 0
	if i < last {
		h.down(h.up(i))
	}
}

// first is the earliest timer, nil when none is set.
func (h *timers) first() *timer {
	if len(h.heap) == 0 {
		return nil
	}
	return h.heap[0]
}

func (h *timers) less(i, j int) bool { return h.heap[i-1].at.Before(h.heap[j-1].at) }

func (h *timers) swap(i, j int) {
	h.heap[i-1], h.heap[j-1] = h.heap[j-1], h.heap[i-1]
	h.heap[i-1].index, h.heap[j-1].index = i, j
}

func (h *timers) up(i int) int {
	for i > 1 && h.less(i, i/2) {
		h.swap(i, i/2)
		i /= 2
	}
	return i
}

func (h *timers) down(i int) {
	for {
		child := 2 * i
		if child+1 <= len(h.heap) && h.less(child+1, child) {
			child++
		}
		if child > len(h.heap) || !h.less(child, i) {
			return
		}
		h.swap(i, child)
		i = child
	}
}
