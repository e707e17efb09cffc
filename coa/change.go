package coa

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"sallyport/coa/recipe"
	"sallyport/netio/radius"
	"sallyport/sessions"
)

// NAS is where a change goes. It is not changed once it was used; after a reload there
// is a new one, and changes that are in flight finish with the old one.
type NAS struct {
	Name   string
	Addr   netip.AddrPort // where it listens for CoA
	Key    *radius.Key
	Recipe *recipe.Recipe

	// Source is the address to send from, one of Config.Sources; zero: Config.Source.
	Source netip.Addr

	InFlightMax int // requests unanswered at a time; 0: the recipe's, else 128. The windows hold 192 a socket
	RateMax     int // first transmissions a second; 0: the recipe's, else any. Retransmissions have their own pace

	Retry Retransmission // zero fields are the Engine's

	// Fallback is what is sent when the NAS was silent about a push or a reauthentication
	// to the end; recipe.FallbackDefault: as the recipe says.
	Fallback recipe.Fallback

	// ConfirmWithin is how long after an acknowledgement the NAS may take to show that it
	// carried the change out; 0: the recipe's, negative: nothing is expected of it.
	ConfirmWithin time.Duration
}

// at is the address as the sockets show it.
func (n *NAS) at() netip.AddrPort { return netip.AddrPortFrom(n.Addr.Addr().Unmap(), n.Addr.Port()) }

func (n *NAS) inFlightMax() int {
	return firstOf(n.InFlightMax, n.Recipe.InFlightMax(), inFlightDefault)
}

func (n *NAS) rateMax() int { return firstOf(n.RateMax, n.Recipe.RateMax(), 0) }

// confirmWithin is 0 when nothing is expected.
func (n *NAS) confirmWithin() time.Duration {
	if n.ConfirmWithin == 0 {
		return n.Recipe.ConfirmWithin()
	}
	return max(0, n.ConfirmWithin)
}

func (n *NAS) fallback() (recipe.Kind, bool) {
	if n.Fallback == recipe.FallbackDefault {
		return n.Recipe.Fallback().Kind()
	}
	return n.Fallback.Kind()
}

func firstOf(own, recipes, otherwise int) int {
	switch {
	case own > 0:
		return own
	case recipes > 0:
		return recipes
	}
	return otherwise
}

// Change is one session's intended new authorization. What it points to must not be
// changed after Submit.
type Change struct {
	Session sessions.ID
	Serial  uint64 // counts the changes of the session
	Epoch   uint64 // posture epoch it was made for
	NAS     *NAS
	Kind    recipe.Kind
	Ident   recipe.Ident
	Grant   *recipe.Grant // needed where the request carries it
	Made    time.Time

	// Began is when the session logged in; zero: not known. A NAS that does not have a
	// session yet which it has only just let in is asked again.
	Began time.Time

	// Operator: a person asked for it. A disconnect of an operator is not replaced by a
	// change that is none: that one waits for its end.
	Operator bool

	// Bulk: one of very many, as after a change of policy. Others of the same NAS go first.
	Bulk bool
}

// firm says that changes which are none of an operator wait behind it.
func (c *Change) firm() bool { return c.Operator && c.Kind == recipe.Disconnect }

// ErrBadChange refuses a change that could never be sent.
var ErrBadChange = errors.New("coa: bad change")

func (c *Change) validate() error {
	switch {
	case c.Session == "":
		return fmt.Errorf("%w: no session", ErrBadChange)
	case c.NAS == nil || c.NAS.Key == nil || c.NAS.Recipe == nil:
		return fmt.Errorf("%w: session %s: no NAS, or one without secret or recipe", ErrBadChange, c.Session)
	case !c.NAS.Addr.IsValid() || c.NAS.Addr.Port() == 0:
		return fmt.Errorf("%w: session %s: NAS %s has no CoA address and port", ErrBadChange, c.Session, c.NAS.Name)
	case c.Grant == nil && c.NAS.Recipe.CarriesGrant(c.Kind):
		return fmt.Errorf("%w: session %s: a %s to NAS %s without an authorization", ErrBadChange, c.Session, c.Kind, c.NAS.Name)
	}
	return nil
}

// ErrNoIdentity says that the NAS could not find the session by what is known of it.
var ErrNoIdentity = errors.New("coa: the session cannot be identified")

// order places a change among those of its session.
type order struct{ epoch, serial uint64 }

func (c *Change) order() order { return order{c.Epoch, c.Serial} }

func (o order) after(p order) bool {
	return o.epoch > p.epoch || o.epoch == p.epoch && o.serial > p.serial
}
