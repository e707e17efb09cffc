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

// Accounting writes a record into the totals. The totals only grow, times only move
// towards the truth, and an ended session stays ended, so a duplicate, or a record that
// arrives late, changes nothing that was right.
//
// A Start that happened after the end begins a new life of the id. A Stop of the life
// before that comes late, since it was sent again say, does not end this one.
func Accounting(now time.Time, old *sessions.Session, in *AccountingInput) (*sessions.Session, string) {
	return AccountingInto(&sessions.Session{}, now, old, in)
}

// AccountingInto is Accounting that makes the new record in next, which is the
// caller's, and allocates nothing.
func AccountingInto(next *sessions.Session, now time.Time, old *sessions.Session, in *AccountingInput) (*sessions.Session, string) {
	switch {
	case old != nil && ofLifeBefore(old, in):
		return old, AcctStale
	case old == nil:
		freshInto(next, now, &in.Attributes, nil)
		next.Started = in.At
	case !old.Live() && in.Kind == AcctStart && in.At.After(old.Ended):
		freshInto(next, now, &in.Attributes, old)
		next.Started = in.At
	default:
		copyInto(next, old, now)
	}
	a := &next.Accounting
	stale := !next.Live() || in.At.Before(a.LastEvent)
	if !stale {
		in.apply(now, next)
		if !next.Authenticated { // else the name is proved, and this one only what the NAS writes
			setText(&next.UserName, in.UserName)
		}
		a.LastEvent = in.At
	}
	next.LastSeen = now
	a.SessionTime = max(a.SessionTime, in.SessionTime)
	a.InOctets = max(a.InOctets, in.InOctets)
	a.OutOctets = max(a.OutOctets, in.OutOctets)
	a.InPackets = max(a.InPackets, in.InPackets)
	a.OutPackets = max(a.OutPackets, in.OutPackets)
	switch {
	case in.Kind == AcctStop && in.NASUpdate:
		return next, AcctRoamed
	case in.Kind == AcctStop && next.Live():
		a.Stopped, a.Cause = in.At, in.Cause
		if a.Started.IsZero() {
			a.Started = in.At.Add(-time.Duration(in.SessionTime) * time.Second)
		}
		end(next, in.At, "accounting stop: "+terminateCause(in.Cause))
		return next, AcctEnded
	case in.Kind == AcctStart && (a.Started.IsZero() || in.At.Before(a.Started)):
		a.Started = in.At
		return next, AcctStarted
	case stale:
		return next, AcctStale
	}
	return next, AcctUpdated
}

// ofLifeBefore says whether a Stop is of another session that had the same id: the NAS
// gave it another number, and it happened before what is known of this one.
func ofLifeBefore(s *sessions.Session, in *AccountingInput) bool {
	if !s.Live() || in.Kind != AcctStop || in.AcctSessionID == "" || in.AcctSessionID == s.AcctSessionID {
		return false
	}
	return in.At.Before(s.Started) || in.At.Before(s.Accounting.LastEvent)
}

// End closes a session for a reason other than its own Stop.
func End(now time.Time, old *sessions.Session, cause string) *sessions.Session {
	if !old.Live() {
		return old
	}
	next := copyOf(old, now)
	end(next, now, cause)
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
	next.Posture.ValidUntil = time.Time{}
}

// causes are RFC 2866 section 5.10.
var causes = [...]string{1: "User-Request", 2: "Lost-Carrier", 3: "Lost-Service", 4: "Idle-Timeout",
	5: "Session-Timeout", 6: "Admin-Reset", 7: "Admin-Reboot", 8: "Port-Error", 9: "NAS-Error",
	10: "NAS-Request", 11: "NAS-Reboot", 12: "Port-Unneeded", 13: "Port-Preempted", 14: "Port-Suspended",
	15: "Service-Unavailable", 16: "Callback", 17: "User-Error", 18: "Host-Request"}

func terminateCause(n uint32) string {
	if n > 0 && int(n) < len(causes) {
		return causes[n]
	}
	return "no cause given"
}
