package step

import (
	"fmt"
	"time"

	"sallyport/engine/posture"
	"sallyport/sessions"
)

// What the passing of time did, besides what the clocks of the course do
// (posture.HappenedPending and so on).
const (
	ExpiredRetry  = "retry"  // a change that the NAS did not take is tried again
	ExpiredPurge  = "purge"  // the session ended without a word of the NAS
	ExpiredForget = "forget" // an ended session was kept long enough
	ExpiredLimit  = "limit"  // it was idle, or lasted, for as long as it may: it is to be disconnected
)

// Deadline is when Expire has something to do for s; the zero time is never.
func Deadline(s *sessions.Session, r *Rules) time.Time {
	if !s.Live() {
		return forgetAt(s, r)
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

// forgetAt is when an ended session is forgotten. A NAS that was cut off tells of ends long
// ago; the record is kept from when it told, and for as long as a lease rests on it.
func forgetAt(s *sessions.Session, r *Rules) time.Time {
	at := s.Changed.Add(r.KeepEnded)
	if lease := leasedUntil(s, r); lease.After(at) {
		return lease
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

// retryAt is when to look again at a session whose last change the NAS did not take, or
// that is to end and has not. Reports bring that about too, but an agent that is gone
// sends none.
func retryAt(s *sessions.Session) (time.Time, bool) {
	last := &s.Settled
	switch {
	case s.Change != nil || !s.Authenticated:
	case (s.Posture.Logoff || s.Doubt) && last.Outcome == OutcomeSilence:
		return last.At.Add(retrySilent), true
	case s.Posture.Logoff || s.Doubt:
		return last.At.Add(retryNAK), true
	case last.Profile == s.Grant.Profile:
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

// Expire does what is due at now, and says what it did, in the order of time; nothing when
// nothing was due. The record is nil when the session is to be forgotten.
func Expire(now time.Time, old *sessions.Session, r *Rules) (*sessions.Session, []posture.Happening) {
	if Deadline(old, r).After(now) {
		return old, nil
	}
	if !old.Live() {
		return nil, happened(now, ExpiredForget, "the session ended long ago")
	}
	next := copyOf(old, now)
	if !purgeAt(old, r).After(now) {
		why, since := "nothing was heard", old.LastSeen
		if quiet, ok := interimAt(old, r); ok && !quiet.After(now) {
			why, since = "no interim record came", old.Accounting.LastEvent
		}
		end(next, now, fmt.Sprintf("%s since %s", why, since.UTC().Format(time.RFC3339)))
		return next, happened(now, ExpiredPurge, next.EndCause)
	}
	if limit, ok := limitAt(old, r); ok && !limit.After(now) {
		reason := limitReason(now, old, r)
		setChange(now, next, sessions.ChangeDisconnect, intended(old), reason)
		return next, happened(now, ExpiredLimit, reason)
	}
	if v := old.Posture.ValidUntil; !v.IsZero() && !v.After(now) {
		return next, expireCourse(now, next, r)
	}
	return next, retry(now, next, r)
}

func happened(at time.Time, what, words string) []posture.Happening {
	return []posture.Happening{{At: at, What: what, Words: words}}
}

// expireCourse does what the clocks that are due ask for. The NAS is told when the profile
// is another one now, or when the session is to end.
func expireCourse(now time.Time, next *sessions.Session, r *Rules) []posture.Happening {
	in := postureInput(now, next, r)
	c, all := r.Posture.Expire(now, courseOf(&next.Posture), &in)
	follow(next, &c)
	reason, disconnect := "", false
	for _, h := range all {
		switch {
		case h.What == posture.HappenedLost && c.Status == sessions.NonCompliant:
			next.Posture.Failed, next.Posture.Facts = []string{"agent lost"}, sessions.Facts{}
		case h.What == posture.HappenedUnanswered && c.Status == sessions.NonCompliant:
			next.Posture.Failed = []string{"reassessment unanswered"}
		}
		if !disconnect {
			reason, disconnect = h.Words, h.Do == posture.DoDisconnect
		}
	}
	if disconnect {
		logoff(now, next, r, reason)
	} else {
		authorize(now, next, r, reason)
	}
	return all
}

// retry tells the NAS again what it did not take.
func retry(now time.Time, next *sessions.Session, r *Rules) []posture.Happening {
	d := authorize(now, next, r, notTaken)
	switch {
	case next.Change != nil:
		return happened(now, ExpiredRetry, "the NAS did not take the last change: it is told again, profile "+d.Profile.Name)
	case next.Posture.Logoff:
		logoff(now, next, r, "the NAS did not take the last disconnect")
		return happened(now, ExpiredRetry, "the NAS did not take the last disconnect: it is told again")
	}
	next.Settled.Outcome = OutcomeCancelled // it is not wanted any more
	return happened(now, ExpiredRetry, "the change that the NAS did not take is not wanted any more")
}

func limitReason(now time.Time, s *sessions.Session, r *Rules) string {
	if r.SessionMax > 0 && !s.Started.Add(r.SessionMax).After(now) {
		return fmt.Sprintf("the session lasted %s", r.SessionMax)
	}
	return fmt.Sprintf("nothing was heard for %s", r.IdleMax)
}
