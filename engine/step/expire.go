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
	return at
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

// purgeAt is when silence of the NAS means that its Stop was lost.
func purgeAt(s *sessions.Session, r *Rules) time.Time {
	if s.Accounting.Started.IsZero() {
		return s.LastSeen.Add(r.PurgeWithoutAccounting)
	}
	return s.LastSeen.Add(r.PurgeWithoutStop)
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
		end(next, now, fmt.Sprintf("nothing was heard since %s", old.LastSeen.UTC().Format(time.RFC3339)))
		return next, ExpiredPurge
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
