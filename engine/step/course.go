package step

import (
	"slices"
	"time"

	"sallyport/engine/posture"
	"sallyport/sessions"
)

// courseOf is where the session stands, as package posture moves it on.
func courseOf(p *sessions.Posture) posture.Course {
	return posture.Course{
		Status: p.Status, Judged: p.Judged, Since: p.Since, ValidUntil: p.ValidUntil, Clocks: p.Clocks,
		Continued: p.Continued, Logoff: p.Logoff,
	}
}

// follow writes down where the session stands now. Another status is a new epoch.
func follow(next *sessions.Session, c *posture.Course) {
	p := &next.Posture
	if p.Status != c.Status {
		next.Epoch++
		p.Since = c.Since
	}
	p.Status, p.Judged, p.ValidUntil, p.Clocks = c.Status, c.Judged, c.ValidUntil, c.Clocks
	p.Continued, p.Logoff = c.Continued, c.Logoff
}

// stopClocks is for a session that has ended.
func stopClocks(p *sessions.Posture) {
	p.ValidUntil, p.Clocks, p.Logoff = time.Time{}, sessions.Clocks{}, false
}

// logoff has the session disconnected. What the rules say it may do goes with that: a NAS
// that does not take the disconnect is told this much by and by.
func logoff(now time.Time, next *sessions.Session, r *Rules, reason string) {
	if !next.Live() || !next.Authenticated || next.Change != nil && next.Change.Kind == sessions.ChangeDisconnect {
		return
	}
	in := Input(next, now, r)
	d := r.Authz.Decide(&in)
	setChange(now, next, sessions.ChangeDisconnect, grantOf(&d), reason)
}

// Clocks are all that run for a session, in the order of time: when something happens to
// it without any event from outside, and what.
func Clocks(s *sessions.Session, now time.Time, r *Rules) []posture.Clock {
	var out []posture.Clock
	add := func(at time.Time, name, then string) {
		out = append(out, posture.Clock{At: at.UTC(), Name: name, Then: then})
	}
	if !s.Live() {
		add(forgetAt(s, r), "forget", "the ended session is forgotten")
		return out
	}
	c, in := courseOf(&s.Posture), postureInput(now, s, r)
	out = r.Posture.Clocks(&c, &in)
	if at, ok := retryAt(s); ok {
		add(at, "retry", "the NAS did not take the last change: it is told again what the rules say then")
	}
	if at, ok := limitAt(s, r); ok {
		add(at, "limit", "the session is as long, or as idle, as it may be: it is disconnected")
	}
	add(purgeAt(s, r), "purge", "the NAS has said nothing of the session: it counts as ended")
	slices.SortStableFunc(out, func(a, b posture.Clock) int { return a.At.Compare(b.At) })
	return out
}

// Deadlines are the clocks that the person at the endpoint should know of, in words.
func Deadlines(s *sessions.Session, now time.Time, r *Rules) []string {
	c := courseOf(&s.Posture)
	return r.Posture.Deadlines(&c, now)
}

// Asked says whether the agent owes a report: a reassessment or a lease that is over has
// asked for one.
func Asked(s *sessions.Session) bool {
	p := &s.Posture
	return s.Live() && (!p.AnswerBy.IsZero() || p.Status == sessions.Pending && !p.ReportAt.IsZero())
}

// Last is what an earlier session tells of the endpoint, for the lease.
func Last(s *sessions.Session) posture.Last {
	if !s.Lends() {
		return posture.Last{}
	}
	return posture.Last{Status: sessions.Compliant, At: s.Posture.ReportAt}
}

// HandOver notes that a later session rests on what s tells of the endpoint, so that s is
// not kept for it any longer.
func HandOver(now time.Time, s *sessions.Session) *sessions.Session {
	if s.Live() || !s.Lends() {
		return s
	}
	next := copyOf(s, now)
	next.Changed, next.Posture.Leased = s.Changed, true
	return next
}

// leasedUntil is until when an endpoint that comes back is believed by what s tells of it.
func leasedUntil(s *sessions.Session, r *Rules) time.Time {
	if lease := r.Posture.Lease(); lease > 0 {
		if last := Last(s); last.Status == sessions.Compliant {
			return last.At.Add(lease)
		}
	}
	return time.Time{}
}
