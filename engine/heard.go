package engine

import (
	"bytes"
	"container/list"
	"encoding/json"
	"sync"

	"sallyport/netio/report"
	"sallyport/sessions"
)

// heardOctets bounds the reports that are kept to explain decisions by. At 8 KiB a report,
// which is much, four thousand endpoints can be explained down to each fact; the others by
// what their report came to.
const heardOctets = 32 << 20

// heard keeps the last report of the sessions that reported last. It is memory only: facts
// name what people have on their machines, and agents report again soon after a restart.
type heard struct {
	mu     sync.Mutex // guards all below
	byID   map[sessions.ID]*list.Element
	order  *list.List // the newest last
	octets int
}

// heardReport is one report as it came.
type heardReport struct {
	id         sessions.ID
	decisionID string
	raw        []byte
}

// heardOverhead is what a report takes besides its octets.
const heardOverhead = 256

func (r *heardReport) size() int { return len(r.raw) + heardOverhead }

func newHeard() *heard { return &heard{byID: map[sessions.ID]*list.Element{}, order: list.New()} }

// keep notes the report of a session in place of the one before.
func (h *heard) keep(r heardReport) {
	r.id, r.raw = keep(r.id), bytes.Clone(r.raw)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(r.id)
	h.byID[r.id] = h.order.PushBack(&r)
	h.octets += r.size()
	for h.octets > heardOctets {
		h.drop(h.order.Front().Value.(*heardReport).id)
	}
}

// forget drops the report of a session.
func (h *heard) forget(id sessions.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(id)
}

func (h *heard) drop(id sessions.ID) {
	if e := h.byID[id]; e != nil {
		h.octets -= h.order.Remove(e).(*heardReport).size()
		delete(h.byID, id)
	}
}

// of is the report that the session's decision rests on, nil when it is not kept any more.
func (h *heard) of(s *sessions.Session) *report.Report {
	h.mu.Lock()
	e := h.byID[s.ID]
	var raw []byte
	if e != nil && e.Value.(*heardReport).decisionID == s.Posture.DecisionID {
		raw = e.Value.(*heardReport).raw
	}
	h.mu.Unlock()
	r := &report.Report{}
	if raw == nil || json.Unmarshal(raw, r) != nil {
		return nil
	}
	return r
}
