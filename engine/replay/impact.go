package replay

import (
	"iter"
	"time"

	"sallyport/engine/authz"
	"sallyport/engine/posture"
	"sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// Impact says for which of the sessions another configuration would change what their NAS
// holds: at once, by their status as it is, or when their agent reports again what it
// reported last. The profile and its content count; a rule with another name does not.
// heard gives the report that a session stands by, or nil when it is not at hand; a change
// that comes only of facts which were never asked for is not counted, since nobody knows
// them.
func Impact(now time.Time, all iter.Seq[*sessions.Session], heard func(*sessions.Session) *report.Report, next *step.Rules) Result {
	r := newResult(next.Revision)
	for s := range all {
		if !s.Live() || !s.Authenticated {
			continue
		}
		r.Events++
		if d := decideAgain(now, s, next); !holds(s, d) {
			r.add(time.Time{}, s.ID, OutcomeOf(s), outcome(d, s))
			continue
		}
		if s.Posture.ReportAt.IsZero() {
			continue
		}
		last := heard(s)
		if last == nil {
			r.Unheard++
			continue
		}
		r.again(now, s, last, next)
	}
	r.finish()
	return r
}

// again counts what the last report of a session would come to.
func (r *Result) again(now time.Time, s *sessions.Session, last *report.Report, next *step.Rules) {
	w := NewWorld(next)
	w.sessions[s.ID] = s
	w.report(PostureReport(now, s, last, Outcome{}))
	after := w.sessions[s.ID]
	if !after.Live() { // logged off
		r.add(time.Time{}, s.ID, OutcomeOf(s), w.Outcome(s.ID))
		return
	}
	d := decideAgain(now, after, next)
	switch {
	case holds(s, d):
	case next.Posture.Unasked(now, posture.Input{Session: step.Input(after, now, next), Facts: &last.Facts, FactsAt: now, System: &last.System}):
		r.Unasked++
	default:
		r.add(time.Time{}, s.ID, OutcomeOf(s), outcome(d, after))
	}
}

func decideAgain(now time.Time, s *sessions.Session, next *step.Rules) *authz.Decision {
	in := step.Input(s, now, next)
	d := next.Authz.Decide(&in)
	return &d
}

// holds says whether what a session's NAS holds, or is being told, is what was decided.
func holds(s *sessions.Session, d *authz.Decision) bool {
	held := s.Grant
	if s.Change != nil {
		held = s.Change.Grant
	}
	return d.Profile.Name == held.Profile && d.Profile.Digest == held.Digest
}

// Refused is the outcome of a login that the profile rejects: there is no session that
// could have a posture.
func Refused(d *authz.Decision) Outcome {
	return Outcome{Rule: d.Rule, Profile: d.Profile.Name, Posture: sessions.Unknown.String()}
}

func outcome(d *authz.Decision, s *sessions.Session) Outcome {
	return Outcome{Rule: d.Rule, Profile: d.Profile.Name, Posture: s.Posture.Status.String()}
}
