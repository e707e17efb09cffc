package engine

import (
	"container/heap"
	"time"

	"sallyport/sessions"
)

// deadlines says which sessions time has something to do for. A session has one entry
// that counts, its earliest; entries that were overtaken are dropped when they come up.
type deadlines struct {
	heap  deadlineHeap
	entry map[sessions.ID]time.Time
}

type deadline struct {
	at time.Time
	id sessions.ID
}

type deadlineHeap []deadline

func (h deadlineHeap) Len() int           { return len(h) }
func (h deadlineHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h deadlineHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *deadlineHeap) Push(x any)        { *h = append(*h, x.(deadline)) }
func (h *deadlineHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func newDeadlines() deadlines { return deadlines{entry: map[sessions.ID]time.Time{}} }

// schedule notes that id has to be looked at. A later time than the one noted is found
// out when that one comes up, which spares an entry for every packet.
func (d *deadlines) schedule(id sessions.ID, at time.Time) {
	if noted, ok := d.entry[id]; ok && !at.Before(noted) {
		return
	}
	d.entry[id] = at
	heap.Push(&d.heap, deadline{at, id})
}

// due takes the next id that is due at now.
func (d *deadlines) due(now time.Time) (sessions.ID, bool) {
	for len(d.heap) > 0 && !d.heap[0].at.After(now) {
		next := heap.Pop(&d.heap).(deadline)
		if noted, ok := d.entry[next.id]; ok && noted.Equal(next.at) {
			delete(d.entry, next.id)
			return next.id, true
		}
	}
	return "", false
}
