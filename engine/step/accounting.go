package step

import (
	"time"

	"sallyport/sessions"
)

// Kinds of accounting record (RFC 2866 section 5.1).
const (
	AcctStart   = 1
	AcctStop    = 2
	AcctInterim = 3
	AcctOn      = 7
	AcctOff     = 8
)

// AccountingInput is one Accounting-Request about one session.
type AccountingInput struct {
	Attributes
	Kind        uint32
	At          time.Time // when it happened: received less Acct-Delay-Time
	SessionTime uint32
	InOctets    uint64
	OutOctets   uint64
	InPackets   uint64
	OutPackets  uint64
	Cause       uint32 // Acct-Terminate-Cause, of a Stop
	NASUpdate   bool   // Cisco-AVPair nas-update=true: a roam, not a logout
}

// What an accounting record did.
const (
	AcctStarted = "started"
	AcctUpdated = "updated"
	AcctEnded   = "ended"
	AcctRoamed  = "roamed" // a Stop that is not a logout
	AcctStale   = "stale"  // a record from before what is known
)

// sameEvent is how far apart in time the copies of one record may seem to have happened. A
// NAS sends a record again for 30 s (MRD of RFC 5080 section 2.2.1) without correcting its
// Acct-Delay-Time, which has whole seconds, and the last copy is on its way for a while. No
// NAS that lost its memory begins sessions that soon.
const sameEvent = 33 * time.Second

// Accounting writes a record into the totals. The totals only grow, times only move
// towards the truth, and an ended session stays ended: in whatever order the records of a
// session come, and however often, the same totals, the same beginning and the same end
// come out.
//
// A Start with another Acct-Session-Id that happened after the end begins a new life of the
// id. A record of the life before that comes late, since it was sent again say, means
// nothing to this one.
func Accounting(now time.Time, old *sessions.Session, in *AccountingInput) (*sessions.Session, string) {
	return AccountingInto(&sessions.Session{}, now, old, in)
}

// AccountingInto is Accounting that makes the new record in next, which is the
// caller's, and allocates nothing.
func AccountingInto(next *sessions.Session, now time.Time, old *sessions.Session, in *AccountingInput) (*sessions.Session, string) {
	switch {
	case old == nil:
		freshInto(next, now, &in.Attributes, nil)
		next.Started = in.At
	case in.ofLifeBefore(now, old):
		return old, AcctStale
	case in.anew(old):
		freshInto(next, now, &in.Attributes, old)
		next.Started = in.At
	default:
		copyInto(next, old, now)
	}
	a := &next.Accounting
	stale := !next.Live() || in.before(now, a.LastEvent)
	if stale {
		in.fill(next)
	} else {
		in.apply(now, next)
	}
	if in.UserName != "" && !next.Authenticated && (!stale || next.UserName == "") {
		next.UserName = in.UserName // else the name is proved, and this one only what the NAS writes
	}
	next.LastSeen = now
	in.count(now, a)
	if !next.Authenticated && a.Started.Before(next.Started) && !a.Started.IsZero() {
		next.Started = a.Started
	}
	switch {
	case in.Kind == AcctStop && in.NASUpdate:
		return next, AcctRoamed
	case in.Kind == AcctStop:
		if !in.stop(next) {
			return next, AcctStale
		}
		return next, AcctEnded
	case in.Kind == AcctStart && a.Started.Equal(in.At) && (old == nil || !old.Accounting.Started.Equal(in.At)):
		return next, AcctStarted
	case stale:
		return next, AcctStale
	}
	return next, AcctUpdated
}

// count makes the totals what all records so far say together.
func (in *AccountingInput) count(now time.Time, a *sessions.Accounting) {
	if in.At.After(a.LastEvent) || a.LastEvent.After(now) {
		a.LastEvent = in.At
	}
	a.SessionTime = max(a.SessionTime, in.SessionTime)
	a.InOctets = max(a.InOctets, in.InOctets)
	a.OutOctets = max(a.OutOctets, in.OutOctets)
	a.InPackets = max(a.InPackets, in.InPackets)
	a.OutPackets = max(a.OutPackets, in.OutPackets)
	began := in.began()
	if known := in.Kind == AcctStart || in.Kind == AcctStop && !in.NASUpdate || in.SessionTime > 0; known && (a.Started.IsZero() || began.Before(a.Started)) {
		a.Started = began
	}
}

// stop writes the end down; false when it was known. Of several times the first is right:
// a record seems to be of later when it was delayed.
func (in *AccountingInput) stop(next *sessions.Session) bool {
	a := &next.Accounting
	known := !a.Stopped.IsZero()
	if !known {
		a.Cause = in.Cause
	}
	own := known && next.Ended.Equal(a.Stopped)
	if !known || in.At.Before(a.Stopped) {
		a.Stopped = in.At
	}
	if next.Live() {
		end(next, a.Stopped, stopCause(a.Cause))
		return true
	}
	if own {
		next.Ended = a.Stopped
	}
	return false
}

// before says whether the record's event was before a moment that was noted, as far as
// that can be told: our clock may have been set back since.
func (in *AccountingInput) before(now, noted time.Time) bool {
	return in.At.Before(noted) && !noted.After(now)
}

// ofLifeBefore says whether a record is of another session that had the same id: the NAS
// gave it another number, and it happened before what is known of this one.
func (in *AccountingInput) ofLifeBefore(now time.Time, s *sessions.Session) bool {
	if in.AcctSessionID == "" || in.AcctSessionID == s.AcctSessionID {
		return false
	}
	if s.AcctSessionID == "" {
		return false // it tells the number of this one
	}
	return in.before(now, s.Started) || in.before(now, s.Accounting.LastEvent)
}

// anew says whether a Start begins another session than the one of that id which ended. One
// with the same Acct-Session-Id too is that of the ended session, overtaken by its Stop. So
// is one that tells the number of a session that logged in and ended before any record of
// it came, for as long as the NAS may go on sending its lost Start: another session would
// have logged in.
func (in *AccountingInput) anew(old *sessions.Session) bool {
	over := old.Ended
	if old.Authenticated && old.AcctSessionID == "" && old.Accounting.LastEvent.IsZero() {
		over = over.Add(startTrails)
	}
	return !old.Live() && in.Kind == AcctStart && in.AcctSessionID != old.AcctSessionID && in.At.After(over)
}

// startTrails is how long a NAS may send a Start that nobody acknowledges, without telling
// in it how old it is.
const startTrails = time.Minute

// Renumbered says whether a record that names its session by the NAS's number alone is of
// another one than the session that ended and had that number: it began later. NASes count
// anew when they start again.
func Renumbered(old *sessions.Session, in *AccountingInput) bool {
	over := old.Ended
	if !old.Accounting.Stopped.IsZero() {
		over = over.Add(sameEvent) // its own Start may have been overtaken by its Stop
	}
	return !old.Live() && in.began().After(over)
}

// began is when the session began, as far as the record tells.
func (in *AccountingInput) began() time.Time {
	return in.At.Add(-time.Duration(in.SessionTime) * time.Second)
}

// Replaced says whether a Start of another session with the number of s shows that s is
// over: the NAS would not give it again while it has s. What s has of later than now is of
// before our clock was set back.
func Replaced(now time.Time, s *sessions.Session, in *AccountingInput) bool {
	return s.Live() && s.NAS == in.NAS && !in.before(now, s.Started) && !in.before(now, s.Accounting.LastEvent)
}

// Over says whether the NAS's Accounting-On or -Off, of the given time, ends a session: it
// was there before. An On may seem to be of later than it was by what its retransmission
// took, and the NAS may have let somebody in by then; a session of which it told something
// since is one that it has. A session of later than now is of before our clock was set back.
func Over(now time.Time, s *sessions.Session, kind uint32, at time.Time) bool {
	last := s.Accounting.LastEvent
	switch {
	case !s.Live():
		return false
	case s.Started.After(now) || last.After(now) || s.LastSeen.After(now):
		return true
	case kind == AcctOn && last.After(at):
		return false
	}
	return s.Started.Before(at)
}

// End closes a session for a reason other than its own Stop. It ended at the given time.
func End(now, at time.Time, old *sessions.Session, cause string) *sessions.Session {
	if !old.Live() {
		return old
	}
	next := copyOf(old, now)
	end(next, at, cause)
	return next
}

// end closes next. Who may report and what was to change end with it.
func end(next *sessions.Session, at time.Time, cause string) {
	next.Ended, next.EndCause = at, cause
	if next.Change != nil {
		next.Settled = sessions.Settled{
			Serial: next.Change.Serial, Kind: next.Change.Kind, Profile: next.Change.Grant.Profile,
			At: at, Outcome: OutcomeCancelled,
		}
		next.Change = nil
	}
	stopClocks(&next.Posture)
}

// causes are RFC 2866 section 5.10.
var causes = [...]string{1: "User-Request", 2: "Lost-Carrier", 3: "Lost-Service", 4: "Idle-Timeout",
	5: "Session-Timeout", 6: "Admin-Reset", 7: "Admin-Reboot", 8: "Port-Error", 9: "NAS-Error",
	10: "NAS-Request", 11: "NAS-Reboot", 12: "Port-Unneeded", 13: "Port-Preempted", 14: "Port-Suspended",
	15: "Service-Unavailable", 16: "Callback", 17: "User-Error", 18: "Host-Request"}

// stopCauses are the causes as sessions keep them, made once: a Stop makes no text.
var stopCauses = func() (out [len(causes)]string) {
	for i, c := range causes {
		if c == "" {
			c = "no cause given"
		}
		out[i] = "accounting stop: " + c
	}
	return out
}()

func stopCause(n uint32) string {
	if int64(n) >= int64(len(stopCauses)) {
		n = 0
	}
	return stopCauses[n]
}
