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

	// outcomeCancelled: given up here, because the session ended or a login overtook it.
	outcomeCancelled = "cancelled"
)

// causeNoSession is Error-Cause Session-Context-Not-Found (RFC 5176 section 3.5).
const causeNoSession = 503

// Settled is the answer to a change, or that there was none.
type Settled struct {
	Serial   uint64
	Outcome  string
	Cause    uint32 // Error-Cause, 0 when there was none
	Attempts int
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
	case in.Outcome == OutcomeACK && change.Kind == sessions.ChangeDisconnect:
		end(next, now, "disconnected: "+change.Reason)
	case in.Outcome == OutcomeACK:
		next.Grant = change.Grant
	case in.Outcome == OutcomeNAK && in.Cause == causeNoSession:
		end(next, now, "the NAS does not know the session (Error-Cause 503)")
	}
	return next
}
