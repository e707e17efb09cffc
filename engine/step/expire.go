package step

import (
	"fmt"
	"time"

	"sallyport/sessions"
)

// What the passing of time did.
const (
	ExpiredNothing = ""
	ExpiredPending = "pending"    // the endpoint was redirected and no agent reported
	ExpiredAgent   = "agent-lost" // reports stopped coming
	ExpiredRetry   = "retry"      // a change that the NAS did not take is tried again
	ExpiredPurge   = "purge"      // the session ended without a word of the NAS
	ExpiredForget  = "forget"     // an ended session was kept long enough
	ExpiredLimit   = "limit"      // it was idle, or lasted, for as long as it may: it is to be disconnected
)

// Deadline is when Expire has something to do for s; the zero time is never.
func Deadline(s *sessions.Session, r *Rules) time.Time {
	if !s.Live() {
		// A NAS that was cut off tells of ends long ago; the record is kept from when it told.
		return s.Changed.Add(r.KeepEnded)
	}
	at := purgeAt(s, r)
	if v := s.Posture.ValidUntil; !v.IsZero() && v.Before(at) {
		at = v
	}
	if again, ok := retryAt(s); ok && again.Before(at) {
		at = again
	}
	if limit, ok := limitAt(s, r); ok && limit.Before(at) {
		at = limit
	}
	return at
}

// limitAt is when the session has been idle, or has lasted, for as long as it may. A NAS
// that did not take the disconnect is told again.
func limitAt(s *sessions.Session, r *Rules) (at time.Time, limited bool) {
	if !s.Authenticated || s.Change != nil && s.Change.Kind == sessions.ChangeDisconnect {
		return time.Time{}, false
	}
	if r.SessionMax > 0 {
		at, limited = s.Started.Add(r.SessionMax), true
	}
	if idle := s.LastSeen.Add(r.IdleMax); r.IdleMax > 0 && (!limited || idle.Before(at)) {
		at, limited = idle, true
	}
	if last := &s.Settled; limited && last.Kind == sessions.ChangeDisconnect && last.Outcome != OutcomeCancelled {
		if again := last.At.Add(retryNAK); again.After(at) {
			at = again
		}
	}
	return at, limited
}

// When a change that failed is tried again: a NAS that said nothing may be back soon, one
// that refused will mostly refuse again.
const (
	retrySilent = time.Minute
	retryNAK    = 5 * time.Minute
)

// retryAt is when to look again at a session whose last change the NAS did not take.
// Reports bring that about too, but an agent that is gone sends none.
func retryAt(s *sessions.Session) (time.Time, bool) {
	last := &s.Settled
	switch {
	case s.Change != nil || !s.Authenticated || last.Profile == s.Grant.Profile:
	case last.Outcome == OutcomeSilence:
		return last.At.Add(retrySilent), true
	case last.Outcome == OutcomeNAK:
		return last.At.Add(retryNAK), true
	}
	return time.Time{}, false
}

// purgeAt is when silence of the NAS means that its Stop was lost: it has said nothing of
// the session, or no interim record has come where some came before.
func purgeAt(s *sessions.Session, r *Rules) time.Time {
	if s.Accounting.Started.IsZero() {
		return s.LastSeen.Add(r.PurgeWithoutAccounting)
	}
	at := s.LastSeen.Add(r.PurgeWithoutStop)
	if quiet, ok := interimAt(s, r); ok && quiet.Before(at) {
		return quiet
	}
	return at
}

// interimAt is when interim records have been missing for too long. An agent that reports
// shows that the session is there.
func interimAt(s *sessions.Session, r *Rules) (time.Time, bool) {
	a := &s.Accounting
	if r.InterimMax <= 0 || !a.LastEvent.After(a.Started) {
		return time.Time{}, false // the NAS sends none, or it is too soon to tell
	}
	last := a.LastEvent
	if s.Posture.ReportAt.After(last) {
		last = s.Posture.ReportAt
	}
	return last.Add(r.InterimMax), true
}

// Expire does what is due at now. The record is nil when the session is to be forgotten.
func Expire(now time.Time, old *sessions.Session, r *Rules) (*sessions.Session, string) {
	if Deadline(old, r).After(now) {
		return old, ExpiredNothing
	}
	if !old.Live() {
		return nil, ExpiredForget
	}
	next := copyOf(old, now)
	if !purgeAt(old, r).After(now) {
		why, since := "nothing was heard", old.LastSeen
		if quiet, ok := interimAt(old, r); ok && !quiet.After(now) {
			why, since = "no interim record came", old.Accounting.LastEvent
		}
		end(next, now, fmt.Sprintf("%s since %s", why, since.UTC().Format(time.RFC3339)))
		return next, ExpiredPurge
	}
	if limit, ok := limitAt(old, r); ok && !limit.After(now) {
		setChange(now, next, sessions.ChangeDisconnect, intended(old), limitReason(now, old, r))
		return next, ExpiredLimit
	}
	if again, ok := retryAt(old); ok && !again.After(now) {
		authorize(now, next, r, "the NAS did not take the last change")
		if next.Change == nil {
			next.Settled.Outcome = OutcomeCancelled // it is not wanted any more
		}
		return next, ExpiredRetry
	}
	next.Posture.ValidUntil = time.Time{}
	if old.Posture.Status == sessions.Pending {
		return next, ExpiredPending
	}
	if !r.LostKeeps && setStatus(now, next, sessions.NonCompliant) {
		next.Posture.Failed = []string{"agent lost"}
		authorize(now, next, r, "the agent fell silent")
	}
	return next, ExpiredAgent
}

func limitReason(now time.Time, s *sessions.Session, r *Rules) string {
	if r.SessionMax > 0 && !s.Started.Add(r.SessionMax).After(now) {
		return fmt.Sprintf("the session lasted %s", r.SessionMax)
	}
	return fmt.Sprintf("nothing was heard for %s", r.IdleMax)
}
