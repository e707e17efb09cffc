package sessions

import (
	"container/heap"
	"time"
)

// timers says which sessions time has something to do for. A session has one entry
// that counts, its earliest; entries that were overtaken are dropped when they come up.
type timers struct {
	heap  timerHeap
	entry map[ID]time.Time
}

type timer struct {
	at time.Time
	id ID
}

type timerHeap []timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)        { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// Schedule notes that the session has to be looked at. Writer only. A time later than
// the one noted is found out when that one comes up, which spares work for every packet.
// The zero time, and a session that is not in the table, are no timer.
func (t *Table) Schedule(id ID, at time.Time) {
	if at.IsZero() || t.Get(id) == nil {
		return
	}
	if noted, ok := t.timers.entry[id]; ok && !at.Before(noted) {
		return
	}
	t.timers.entry[id] = at
	heap.Push(&t.timers.heap, timer{at, id})
}

// Due takes the next session whose time has come; false when there is none at now.
// Writer only. What is taken has no timer any more until it is scheduled again.
func (t *Table) Due(now time.Time) (ID, bool) {
	for len(t.timers.heap) > 0 && !t.timers.heap[0].at.After(now) {
		next := heap.Pop(&t.timers.heap).(timer)
		if noted, ok := t.timers.entry[next.id]; ok && noted.Equal(next.at) {
			delete(t.timers.entry, next.id)
			return next.id, true
		}
	}
	return "", false
}
