package replay

import (
	"sync"
	"time"

	"sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// Shadow decides beside the configuration in force, on live events, and counts where it
// would have decided otherwise. It enforces nothing. It keeps no sessions of its own: each
// decision starts from where the session really stands. Any number of goroutines may use it.
type Shadow struct {
	rules *step.Rules

	mu     sync.Mutex
	result Result // guarded by mu
}

// shadowSessions bounds the sessions that are told apart; beyond them only decisions
// are counted.
const shadowSessions = 100_000

// NewShadow makes a shadow of compiled rules.
func NewShadow(rules *step.Rules) *Shadow {
	return &Shadow{rules: rules, result: newResult(rules.Revision)}
}

// Difference is a decision that the shadow would have made otherwise.
type Difference struct {
	Session       sessions.ID
	Before, After Outcome // as it is, and as the shadow has it
	Count         int     // decisions that differ like this so far, this one included
}

// Login holds a login that was granted against what the shadow says of it. s is the
// record as the login left it, granted what the answer says. Nil when they agree.
func (h *Shadow) Login(now time.Time, s *sessions.Session, granted Outcome) *Difference {
	in := step.Input(s, now, h.rules)
	d := h.rules.Authz.Decide(&in)
	return h.count(now, s.ID, granted, outcome(&d, s))
}

// Report judges the facts of a report by the shadow, for a session as the report left it.
func (h *Shadow) Report(now time.Time, s *sessions.Session, r *report.Report, decided Outcome) *Difference {
	e := PostureReport(now, s, r, Outcome{})
	w := NewWorld(h.rules)
	w.sessions[s.ID] = s
	w.report(e)
	return h.count(now, s.ID, decided, w.Outcome(s.ID))
}

func (h *Shadow) count(now time.Time, id sessions.ID, real, shadow Outcome) *Difference {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.result.Events++
	if real == shadow {
		return nil
	}
	d := &Difference{Session: id, Before: real, After: shadow}
	if len(h.result.seen) >= shadowSessions && !h.result.seen[id] {
		id = "others"
	}
	d.Count = h.result.add(now, id, real, shadow)
	return d
}

// Result is what was found so far.
func (h *Shadow) Result() Result {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.result
	out.Groups, out.index = nil, nil
	for _, g := range h.result.Groups {
		one := *g
		out.Groups = append(out.Groups, &one)
	}
	out.finish()
	return out
}
