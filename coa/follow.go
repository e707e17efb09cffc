package coa

import (
	"time"

	"sallyport/coa/recipe"
)

// Why a change that was refused or not answered goes out once more.
//
//	what happened                          what follows
//	NAK 503, session younger than 10 s     the same again after 1, 2, 4 s
//	NAK 504, 505, 506, 601, none, unknown  the same again after 1, 2 s
//	NAK 508                                once more with all that is known of the session
//	silence to the end                     the configured fallback: disconnect or bounce
//
// Nothing follows when a newer change of the session waits, when it was cancelled, or
// when the engine closes.
const (
	youngAge     = 10 * time.Second // a NAS may answer the login before it has the session
	youngTries   = 4
	refusedTries = 3
	pauseFirst   = time.Second
)

// Causes that the machine itself knows.
const (
	causeNoSession = 503
	causeResources = 506
)

// follow decides what comes after an answer, or after none. True when the errand of s
// goes out once more.
func (m *machine) follow(now time.Time, t *track, s *slot) bool {
	e := s.errand
	if e.outcome == ACK || e.outcome == Abandoned || e.cancelled || m.closing {
		return false
	}
	firm := e.change.firm()
	if t.next != nil && !(firm && !t.next.change.Operator) {
		return false
	}
	pause := time.Duration(0)
	switch e.action(now) {
	case Again:
		pause = jittered(pauseFirst<<(e.tries-1), 0, m.random)
		m.stats.Again++
	case Stricter:
		e.change.Ident.All = true
		m.stats.Again++
	case FallBack:
		e.kind, _ = e.change.NAS.fallback()
		e.fallen = true
		m.stats.Fallbacks++
	default:
		return false
	}
	m.follows(now, s, pause)
	if t.next != nil { // a posture change waits for the end of a disconnect
		t.behind = t.next
	}
	t.next = e
	t.after = later(t.after, now.Add(pause))
	m.ready(now, t)
	return true
}

// action is what the machine does after the errand's last request; Done: nothing more.
func (e *errand) action(now time.Time) Action {
	nas := e.change.NAS
	switch {
	case e.outcome == Silent:
		if _, ok := nas.fallback(); ok && !e.fallen && (e.kind == recipe.Push || e.kind == recipe.Reauthenticate) {
			return FallBack
		}
		return Done
	case e.cause == causeNoSession:
		young := !e.change.Began.IsZero() && e.first.Sub(e.change.Began) < youngAge
		if young && e.kind != recipe.Disconnect && e.tries < youngTries {
			return Again
		}
		return Done
	}
	switch ActionFor(NAK, e.cause) {
	case Retry:
		if e.tries < refusedTries {
			return Again
		}
	case Stricter:
		if id := &e.change.Ident; !id.All && nas.Recipe.KnowsMore(e.kind, id) {
			return Stricter
		}
	}
	return Done
}

// follows writes down for the ledger what comes next.
func (m *machine) follows(now time.Time, s *slot, pause time.Duration) {
	if !m.watched {
		return
	}
	e := s.errand
	m.events = append(m.events, Event{Kind: EventFollows, At: now, Session: e.change.Session, Serial: e.change.Serial,
		NAS: e.change.NAS.Name, Local: e.local, Remote: s.peer.addr, Outcome: e.outcome, Cause: e.cause, Pause: pause,
		Did: e.kind, All: e.change.Ident.All})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
