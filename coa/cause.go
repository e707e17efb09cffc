package coa

import (
	"fmt"

	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
)

// Outcome is how a change was settled.
type Outcome uint8

// The outcomes. Their numbers are kept nowhere; their names are metrics' labels and stand
// in the journal.
const (
	ACK        Outcome = iota // the NAS did it
	NAK                       // the NAS refused; Cause says why, 0 when it did not
	Silent                    // no valid answer to the last retransmission; without any, the NAS is dead
	Superseded                // a newer change of the session was there already
	Unsayable                 // the recipe cannot express it; Err says what
	Unsent                    // the engine was closed first; the intent is still open
	Abandoned                 // the engine was closed while it was in flight; still open
	Cancelled                 // withdrawn before it left, or before it was sent or tried again
	FellBack                  // silence, and then the NAS acknowledged the fallback; Did says which
	outcomes                  // the number of them
)

var outcomeNames = [outcomes]string{"ack", "nak", "silent", "superseded", "unsayable", "unsent", "abandoned", "cancelled", "fell_back"}

// outcomeWords are the outcomes for a timeline.
var outcomeWords = [outcomes]string{"acknowledged", "refused", "no answer to the end", "replaced by a newer change",
	"it cannot be said to this NAS", "not sent: the appliance stops; it is open in the journal",
	"not answered when the appliance stopped; it is open in the journal", "withdrawn", "fallback acknowledged"}

// String is the outcome as a metric's label.
func (o Outcome) String() string {
	if o < outcomes {
		return outcomeNames[o]
	}
	return "unknown"
}

// Action is what follows from an outcome.
type Action uint8

// The actions.
const (
	Done         Action = iota // nothing: the NAS holds the change, or a newer one decides
	CloseSession               // the NAS does not have the session
	Retry                      // back off and send again as a new change
	Stricter                   // send again with more identification
	Configure                  // a fault in the recipe or on the NAS: alarm, no retry
	Forbidden                  // the NAS is told not to allow it: alarm, no retry
	Expect                     // an Access-Request with Service-Type Authorize-Only follows
	Reopen                     // nothing was proved: the intent stays in the journal
	Again                      // the machine itself sends it once more, see follow.go
	FallBack                   // the machine itself sends the fallback
	actions                    // the number of them
)

var actionNames = [actions]string{"done", "close_session", "retry", "stricter", "configure", "forbidden", "expect", "reopen", "again", "fall_back"}

// String is the action as a word for logs.
func (a Action) String() string {
	if a < actions {
		return actionNames[a]
	}
	return "unknown"
}

// consequence is a row of the outcome table: what a NAK's Error-Cause means here and
// what an operator is to look at.
type consequence struct {
	cause  uint32
	action Action
	words  string
}

// consequences is the table for NAKs (RFC 5176 section 3.5). A cause that is not in it,
// and none at all (strongSwan sends none), is treated as one that may pass.
var consequences = [...]consequence{
	{201, Done, "the NAS had nothing but leftovers of the session and removed them"},
	{202, Configure, "the NAS received an invalid EAP packet: a proxy between changes packets"},
	{401, Configure, "the NAS does not know one of the attributes sent: choose another recipe or take it out of the profile"},
	{402, Configure, "the NAS misses an attribute: choose another recipe, or give the profile what it wants"},
	{403, Configure, "the NAS goes by another address or identifier than it was addressed by: look at NAS-IP-Address and NAS-Identifier of its requests, it may be behind an address translation"},
	{404, Configure, "the NAS says that the request makes no sense: choose another recipe"},
	{405, Configure, "the NAS does not support the service asked for: choose another recipe"},
	{406, Configure, "the NAS does not support the extension asked for: choose another recipe"},
	{407, Configure, "the NAS refuses a value, or one identification of several does not match the session: compare what was sent with the session on the NAS, or choose a recipe that tells less"},
	{501, Forbidden, "the NAS is configured to refuse such requests: allow dynamic authorization from this appliance on it"},
	{502, Configure, "a proxy has no route to the NAS: tell it the way, or reach the NAS without it"},
	{503, CloseSession, "the NAS does not have the session"},
	{504, Retry, "the NAS could not remove the session"},
	{505, Retry, "a proxy failed"},
	{506, Retry, "the NAS is out of resources"},
	{507, Expect, "the NAS asks for the authorization itself"},
	{508, Stricter, "the identification fits several sessions of the NAS"},
	{509, Configure, "the NAS asks for location information, which no recipe has: switch that off on it"},
	{510, Configure, "the NAS misses Message-Authenticator, which every request has: something between takes it out"},
	{601, Retry, "the answer was too big for the transport"},
}

func consequenceOf(cause uint32) consequence {
	for _, c := range consequences {
		if c.cause == cause {
			return c
		}
	}
	return consequence{cause, Retry, "the NAS refused without a cause that is known"}
}

// ActionFor is what follows from an outcome and, for a NAK, its Error-Cause. An ACK may
// carry an Error-Cause, some devices send 200 in each; it changes nothing.
func ActionFor(o Outcome, cause uint32) Action {
	switch o {
	case NAK:
		return consequenceOf(cause).action
	case Silent:
		return Retry
	case FellBack:
		return CloseSession
	case Unsayable:
		return Configure
	case Unsent, Abandoned:
		return Reopen
	}
	return Done
}

// CauseWords is an Error-Cause in words, with what to look at.
func CauseWords(cause uint32) string {
	c := consequenceOf(cause)
	switch name := dictionary.ErrorCause(cause); {
	case cause == 0:
		return "no Error-Cause: " + c.words
	case name == "":
		return fmt.Sprintf("Error-Cause %d: %s", cause, c.words)
	default:
		return fmt.Sprintf("Error-Cause %d %s: %s", cause, name, c.words)
	}
}

// answers says whether code is an answer to a request of code request, and which.
func answers(request, code radius.Code) (Outcome, bool) {
	switch {
	case request == radius.CoARequest && code == radius.CoAACK,
		request == radius.DisconnectRequest && code == radius.DisconnectACK:
		return ACK, true
	case request == radius.CoARequest && code == radius.CoANAK,
		request == radius.DisconnectRequest && code == radius.DisconnectNAK:
		return NAK, true
	}
	return 0, false
}
