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

	InFlightMax int // requests unanswered at a time; 0: 128. The windows hold 192 a socket
	RateMax     int // first transmissions a second; 0: any. Retransmissions have their own pace

	Retry Retransmission // zero fields are the Engine's
}

// at is the address as the sockets show it.
func (n *NAS) at() netip.AddrPort { return netip.AddrPortFrom(n.Addr.Addr().Unmap(), n.Addr.Port()) }

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
}

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

// request makes the change a packet in buf, sent for the first time at now. The
// Event-Timestamp stays when it is sent again (RFC 5176 section 6.3).
func (c *Change) request(buf []byte, identifier byte, now time.Time) ([]byte, error) {
	r := c.NAS.Recipe
	if missing := r.Missing(c.Kind, &c.Ident); missing != "" {
		return nil, fmt.Errorf("%w: %s", ErrNoIdentity, missing)
	}
	c.Ident.EventTime = now
	b := radius.Begin(buf, r.Change(c.Kind), identifier)
	r.AppendChange(&b, c.Kind, &c.Ident, c.Grant)
	return c.NAS.Key.SealRequest(&b)
}

// order places a change among those of its session.
type order struct{ epoch, serial uint64 }

func (c *Change) order() order { return order{c.Epoch, c.Serial} }

func (o order) after(p order) bool {
	return o.epoch > p.epoch || o.epoch == p.epoch && o.serial > p.serial
}
