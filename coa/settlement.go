package coa

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"sallyport/coa/recipe"
	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
	"sallyport/sessions"
)

// Settlement is the end of a change. Each change that Submit took gets exactly one.
type Settlement struct {
	Session sessions.ID
	Serial  uint64
	Epoch   uint64
	NAS     string
	Kind    recipe.Kind // of the change
	Did     recipe.Kind // what the last request asked for: the change's kind, or the fallback's
	Outcome Outcome
	Cause   uint32 // Error-Cause of the answer; 0: it had none
	Err     error  // of Unsayable

	Tries     int           // requests, each with an identifier of its own
	Attempts  int           // transmissions of all of them
	Latency   time.Duration // from the first transmission of the last request to the answer
	Made      time.Time     // as the change had it
	FirstSent time.Time     // zero: nothing was sent
	LastSent  time.Time
	Settled   time.Time
	Local     netip.AddrPort // the socket it left from
	Remote    netip.AddrPort

	Request []byte // as sent; borrowed until the function that got the Settlement returns
	Reply   []byte // likewise
}

// Action is what follows from the settlement.
func (s *Settlement) Action() Action { return ActionFor(s.Outcome, s.Cause) }

// Words is what was sent, attribute by attribute; "" when nothing was.
func (s *Settlement) Words() string { return words(s.Request) }

// ReplyWords is what was answered; "" when nothing was.
func (s *Settlement) ReplyWords() string { return words(s.Reply) }

func words(pkt []byte) string {
	var v radius.View
	if v.Decode(pkt) != radius.Sound {
		return ""
	}
	return dictionary.Format(&v)
}

// String is the settlement in one line, for logs.
func (s *Settlement) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "coa nas=%s session=%s serial=%d epoch=%d kind=%s outcome=%s", s.NAS, s.Session, s.Serial, s.Epoch, s.Kind, s.Outcome)
	if s.Cause != 0 {
		fmt.Fprintf(&out, " cause=%d", s.Cause)
	}
	if s.Did != s.Kind {
		fmt.Fprintf(&out, " did=%s", s.Did)
	}
	if s.Tries > 1 {
		fmt.Fprintf(&out, " tries=%d", s.Tries)
	}
	if s.Attempts > 0 {
		fmt.Fprintf(&out, " attempts=%d", s.Attempts)
	}
	if s.Outcome == ACK || s.Outcome == NAK || s.Outcome == FellBack {
		fmt.Fprintf(&out, " latency=%s", s.Latency)
	}
	if s.Err != nil {
		fmt.Fprintf(&out, " error=%q", s.Err)
	}
	return out.String()
}
