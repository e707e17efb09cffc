package step

import (
	"time"

	"sallyport/sessions"
)

// Outcomes of a change.
const (
	OutcomeACK     = "ack"
	OutcomeNAK     = "nak"
	OutcomeSilence = "silent"
	// OutcomeFellBack: silence, and then the NAS acknowledged what was tried instead.
	OutcomeFellBack = "fell_back"
	// OutcomeFollows: NAK 507, the NAS asks for the authorization itself (RFC 5176 section 3.2).
	OutcomeFollows = "authorize-only follows"
	// OutcomeConfirmed and OutcomeUnconfirmed: acknowledged, and the NAS did, or did not
	// in time, what it does when it carries a change out.
	OutcomeConfirmed   = "confirmed"
	OutcomeUnconfirmed = "acknowledged, not confirmed"

	// OutcomeCancelled: given up here, because the session ended or a login overtook it.
	OutcomeCancelled = "cancelled"
)

// causeNoSession is Error-Cause Session-Context-Not-Found (RFC 5176 section 3.5).
const causeNoSession = 503

// Settled is the answer to a change, or that there was none.
type Settled struct {
	Serial   uint64
	Outcome  string
	Cause    uint32 // Error-Cause, 0 when there was none
	Attempts int
	Ended    bool // what the NAS acknowledged was the end of the session
}

// Settle writes down what the NAS answered. An answer to a change that was replaced
// meanwhile is late news: the same record comes back.
func Settle(now time.Time, old *sessions.Session, in *Settled) *sessions.Session {
	if old.Change == nil || old.Change.Serial != in.Serial {
		return old
	}
	next := copyOf(old, now)
	next.Settled = sessions.Settled{
		Serial: in.Serial, Kind: old.Change.Kind, Profile: old.Change.Grant.Profile, At: now,
		Outcome: in.Outcome, Cause: in.Cause, Attempts: uint32(in.Attempts),
	}
	change := old.Change
	next.Change = nil
	switch {
	case in.Outcome == OutcomeFellBack && in.Ended:
		end(next, now, "disconnected: the NAS said nothing to the change to "+change.Grant.Profile)
	case in.Outcome == OutcomeACK && (in.Ended || change.Kind == sessions.ChangeDisconnect):
		end(next, now, "disconnected: "+change.Reason)
	case in.Outcome == OutcomeACK:
		next.Grant, next.Doubt = change.Grant, false
	case in.Outcome == OutcomeSilence && change.Kind == sessions.ChangePush:
		next.Doubt = true // what was lost may be its answer
	case in.Outcome == OutcomeNAK && in.Cause == causeNoSession:
		end(next, now, "the NAS does not know the session (Error-Cause 503)")
	}
	return next
}

// OnceMore has a push repeated that the NAS acknowledged and that an older Access-Accept may
// have overtaken on the network. When there is newer news the same record comes back.
func OnceMore(now time.Time, old *sessions.Session, serial uint64) *sessions.Session {
	done := &old.Settled
	if !old.Live() || old.Change != nil || done.Serial != serial || done.Profile != old.Grant.Profile {
		return old
	}
	next := copyOf(old, now)
	setChange(now, next, sessions.ChangePush, old.Grant, "once more: an older answer to a login may have arrived after it")
	return next
}

// Flying says whether a change of a session may be on its way to the NAS, or have been a
// moment ago.
func Flying(now time.Time, s *sessions.Session) bool {
	return s.Change != nil || s.Settled.Serial != 0 && now.Sub(s.Settled.At) < stillFlying
}

// TellAgain has a session's grant sent, since a change that was meant for the session that
// had its number before may have reached it. A change that is open does as well. s is the
// caller's.
func TellAgain(now time.Time, s *sessions.Session) {
	if s.Live() && s.Authenticated && s.Change == nil {
		setChange(now, s, sessions.ChangePush, s.Grant, "a change to the session that had its number before may have reached it")
	}
}

// Confirm writes down whether the NAS showed that it carried out what it acknowledged.
// Of a change that is not the session's last one it is late news.
func Confirm(now time.Time, old *sessions.Session, serial uint64, confirmed bool) *sessions.Session {
	if old.Settled.Serial != serial || old.Settled.Outcome != OutcomeACK {
		return old
	}
	next := copyOf(old, now)
	next.Settled.Outcome = OutcomeUnconfirmed
	if confirmed {
		next.Settled.Outcome = OutcomeConfirmed
	}
	return next
}
