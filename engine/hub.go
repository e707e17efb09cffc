package engine

import (
	"context"
	"sync"

	"sallyport/netio/report"
	"sallyport/sessions"
)

// eventsMax bounds the events kept for one session. An agent that missed more asks for
// everything anyway.
const eventsMax = 16

// hub wakes the agents that wait for news of their session. It holds no truth: an
// agent that comes after a restart gets the state as it is.
type hub struct {
	mu   sync.Mutex // guards all below
	byID map[sessions.ID]*mailbox
}

type mailbox struct {
	last    uint64
	events  []report.Event
	wake    chan struct{}
	waiting int
}

func newHub() *hub { return &hub{byID: map[sessions.ID]*mailbox{}} }

// changed tells the waiting agent what it should know of a change.
func (h *hub) changed(before, s *sessions.Session) {
	switch {
	case before == nil:
	case before.Live() && !s.Live():
		h.send(s.ID, report.Event{Kind: report.EventEnd, Message: s.EndCause})
	case before.Epoch != s.Epoch:
		h.send(s.ID, report.Event{Kind: report.EventStatus, Status: s.Posture.Status.String(), Epoch: s.Epoch})
	}
}

// send delivers to one session. Without a mailbox nobody ever waited, and nobody misses it.
func (h *hub) send(id sessions.ID, ev report.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.byID[id]; m != nil {
		m.put(ev)
	}
}

// broadcast delivers to every session that anybody waits for.
func (h *hub) broadcast(ev report.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.byID {
		m.put(ev)
	}
}

func (m *mailbox) put(ev report.Event) {
	m.last++
	ev.Seq = m.last
	if m.events = append(m.events, ev); len(m.events) > eventsMax {
		m.events = append(m.events[:0], m.events[1:]...)
	}
	close(m.wake)
	m.wake = make(chan struct{})
}

func (h *hub) forget(id sessions.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.byID[id]; m != nil && m.waiting == 0 {
		delete(h.byID, id)
	}
}

// wait returns the events after after, or none when ctx ended first. An agent that
// knows of more than there was, since we restarted, is told to report again, and so is one
// that was not here when it was asked.
func (h *hub) wait(ctx context.Context, id sessions.ID, after uint64, asked bool) *report.Events {
	h.mu.Lock()
	m := h.byID[id]
	if m == nil {
		m = &mailbox{wake: make(chan struct{})}
		h.byID[id] = m
		if asked {
			m.put(report.Event{Kind: report.EventRecheck})
		}
	}
	m.waiting++
	defer func() {
		h.mu.Lock()
		m.waiting--
		h.mu.Unlock()
	}()
	for {
		if after > m.last {
			last := m.last
			h.mu.Unlock()
			return &report.Events{V: report.Version, After: last, Events: []report.Event{{Seq: last, Kind: report.EventRecheck}}}
		}
		if m.last > after {
			out := &report.Events{V: report.Version, After: m.last}
			for _, ev := range m.events {
				if ev.Seq > after {
					out.Events = append(out.Events, ev)
				}
			}
			h.mu.Unlock()
			return out
		}
		wake := m.wake
		h.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return &report.Events{V: report.Version, After: after, Events: []report.Event{}}
		}
		h.mu.Lock()
	}
}
