package coa

import (
	"fmt"
	"net/netip"
	"time"

	"sallyport/coa/recipe"
	"sallyport/netio/radius"
	"sallyport/sessions"
)

// EventKind is what happened to a change on its way.
type EventKind uint8

// The kinds. A drop is a datagram that is no answer to anything in flight.
const (
	EventSent EventKind = iota
	EventRetransmitted
	EventAnswered
	EventDropped
	EventFollows      // the answer, or its absence, is followed by another request
	EventSettled      // the change has ended
	EventConfirmation // what was expected after an acknowledgement has ended
	eventKinds
)

var eventNames = [eventKinds]string{"sent", "retransmitted", "answered", "dropped", "follows", "settled", "confirmation"}

// String is the kind in a word.
func (k EventKind) String() string {
	if k < eventKinds {
		return eventNames[k]
	}
	return "unknown"
}

// Event is one line of a session's ledger.
type Event struct {
	Kind    EventKind
	At      time.Time
	Session sessions.ID // empty for a drop that belongs to none
	Serial  uint64
	NAS     string
	Local   netip.AddrPort
	Remote  netip.AddrPort
	Attempt int    // of EventSent and EventRetransmitted, from 1
	Drop    Drop   // of EventDropped
	Packet  []byte // borrowed until the function that got the Event returns

	// Of EventFollows and EventSettled:
	Outcome Outcome
	Cause   uint32        // Error-Cause
	Did     recipe.Kind   // follows: what will be asked for; settled: what was asked for last
	Pause   time.Duration // of EventFollows
	All     bool          // of EventFollows: with all that is known of the session
	Err     error         // of EventSettled

	Confirmation Confirmation // of EventConfirmation
}

// Words is the packet, attribute by attribute; "" when it cannot be read.
func (e *Event) Words() string { return words(e.Packet) }

// String is the event in one line.
func (e *Event) String() string {
	switch e.Kind {
	case EventSent, EventRetransmitted:
		return fmt.Sprintf("%s %s %d to %s %s, attempt %d", e.Kind, radius.Code(e.Packet[0]), e.Packet[1], e.NAS, e.Remote, e.Attempt)
	case EventAnswered:
		return fmt.Sprintf("%s %s %d by %s %s", e.Kind, radius.Code(e.Packet[0]), e.Packet[1], e.NAS, e.Remote)
	case EventFollows:
		return "follows: " + e.next()
	case EventSettled:
		return "settled: " + e.end()
	case EventConfirmation:
		return e.Confirmation.String()
	}
	return fmt.Sprintf("%s %d octets from %s: %s", e.Kind, len(e.Packet), e.Remote, e.Drop)
}

// next is what follows, and why.
func (e *Event) next() string {
	why := "no answer to the end"
	if e.Outcome == NAK {
		why = CauseWords(e.Cause)
	}
	what := e.Did.String()
	switch {
	case e.Outcome == Silent:
		what += " as the fallback"
	case e.All:
		what += " again with all that is known of the session"
	default:
		what += " again"
	}
	if e.Pause > 0 {
		what += " in " + e.Pause.Round(time.Millisecond).String()
	}
	return what + ", since: " + why
}

// end is how the change ended.
func (e *Event) end() string {
	switch {
	case e.Outcome == NAK:
		return "refused: " + CauseWords(e.Cause)
	case e.Outcome == FellBack:
		return "no answer to the change; the NAS acknowledged the fallback: " + e.Did.String()
	case e.Err != nil:
		return e.Outcome.String() + ": " + e.Err.Error()
	}
	return outcomeWords[e.Outcome]
}

// Drop is why a datagram was not taken for an answer. RFC 5176 asks for silence; each
// reason is counted.
type Drop uint8

// The reasons.
const (
	DropUnknownSource           Drop = iota // from an address that no request went to
	DropMalformed                           // header or attributes
	DropWrongCode                           // an answer to another kind of request
	DropBadAuthenticator                    // Response Authenticator: wrong secret, or an old reply
	DropBadMessageAuthenticator             // Message-Authenticator
	DropStale                               // Event-Timestamp out of the window
	DropLate                                // right, but its request had been given up
	DropDuplicate                           // right, and its request had been answered before
	drops                                   // the number of them
)

var dropNames = [drops]string{"unknown_source", "malformed", "wrong_code", "bad_authenticator",
	"bad_message_authenticator", "stale", "late", "duplicate"}

// String is the reason as a metric's label.
func (d Drop) String() string {
	if d < drops {
		return dropNames[d]
	}
	return "unknown"
}

// Stats counts since the start; the last three are what there is now.
type Stats struct {
	Submitted     uint64
	Sent          uint64 // first transmissions
	Retransmitted uint64
	SendErrors    uint64 // datagrams that the system refused to send
	Again         uint64 // requests that followed a refusal
	Fallbacks     uint64 // fallbacks that followed silence
	Settled       [outcomes]uint64
	Dropped       [drops]uint64
	Confirmations [confirmationStates]uint64

	Pending  uint64 // changes not settled
	InFlight uint64 // of these, requests without an answer
	Awaiting uint64 // changes sent of which the NAS has to show something yet
}

// Each calls f for every counter by its metric's name.
func (s *Stats) Each(f func(name string, value uint64)) {
	f("submitted", s.Submitted)
	f("sent", s.Sent)
	f("retransmitted", s.Retransmitted)
	f("send_errors", s.SendErrors)
	f("again", s.Again)
	f("fallbacks", s.Fallbacks)
	for o, n := range s.Settled {
		f("settled_"+Outcome(o).String(), n)
	}
	for d, n := range s.Dropped {
		f("dropped_"+Drop(d).String(), n)
	}
	for c, n := range s.Confirmations {
		f(ConfirmationState(c).String(), n)
	}
	f("pending", s.Pending)
	f("in_flight", s.InFlight)
	f("awaiting", s.Awaiting)
}
