package coa

import (
	"fmt"
	"net/netip"
	"time"

	"sallyport/coa/recipe"
	"sallyport/sessions"
)

// An acknowledgement is not access. What a NAS does next shows that it carried the
// change out: it fetches the downloadable ACL, asks for the session again, sends
// accounting. Those packets come to other rooms, which pass them on as Confirmed. Until
// then, or until the NAS's time is over, the change is acknowledged and not confirmed.

// Confirmed is something that a NAS did.
type Confirmed struct {
	Sign     recipe.Sign
	Session  sessions.ID // empty for a fetched ACL: the request for it names no session
	NAS      netip.Addr  // of a fetched ACL: the address that changes go to
	DACLName string      // of a fetched ACL: the full name
}

// ConfirmationState is how the expectation of an acknowledged change ended.
type ConfirmationState uint8

// The states.
const (
	ConfirmedByNAS     ConfirmationState = iota // the NAS did what was expected
	Unconfirmed                                 // it did not in time: acknowledged, not confirmed
	Overtaken                                   // a newer change, or the end of the session, came first
	confirmationStates                          // the number of them
)

var confirmationNames = [confirmationStates]string{"confirmed", "unconfirmed", "overtaken"}

// String is the state as a metric's label.
func (s ConfirmationState) String() string {
	if s < confirmationStates {
		return confirmationNames[s]
	}
	return "unknown"
}

// Confirmation is the end of an expectation. An acknowledged change of which the NAS must
// show something gets exactly one.
type Confirmation struct {
	Session sessions.ID
	Serial  uint64
	Epoch   uint64
	NAS     string
	Kind    recipe.Kind
	State   ConfirmationState
	Expects recipe.Sign   // any of these was waited for
	Sign    recipe.Sign   // what came, when something did
	Acked   time.Time     // when the NAS acknowledged
	At      time.Time     // when this ended
	Within  time.Duration // the time the NAS had
}

// String is the confirmation in words.
func (c *Confirmation) String() string {
	switch c.State {
	case ConfirmedByNAS:
		return fmt.Sprintf("confirmed: the NAS %s", c.Sign.Words())
	case Unconfirmed:
		return fmt.Sprintf("acknowledged, not confirmed: within %s %s has not: %s", c.Within, c.NAS, c.Expects.Words())
	}
	return "not confirmed before a newer change, or the end, of the session"
}

// expectation is what a track waits for after its change was sent.
type expectation struct {
	open   bool
	timer  timer // set once the change is acknowledged
	waits  Confirmation
	dacl   string
	peer   *peer
	listed bool // in the peer's list of those that wait for the ACL
	place  int  // there
}

// fetched is an ACL that a NAS holds or is to fetch.
type fetched struct {
	held    bool
	waiting []*track
}

// aclsMax bounds the ACLs remembered for a NAS; beyond it none is expected to be fetched.
const aclsMax = 512

// expect begins to wait for what shows that e is carried out. It begins with the request,
// since the NAS's next packet may overtake its acknowledgement.
func (m *machine) expect(now time.Time, t *track, e *errand) {
	m.unexpect(now, t, Overtaken)
	c := &e.change
	within := c.NAS.confirmWithin()
	if !m.confirms || within == 0 {
		return
	}
	x := &t.expects
	signs := c.NAS.Recipe.Signs(e.kind, c.Grant)
	if signs&recipe.SignACL != 0 && !x.await(t, c.Grant.DACLName) {
		signs &^= recipe.SignACL // it holds that ACL already and will not ask for it
	}
	if signs == 0 {
		return
	}
	m.begin(t, e, signs)
}

// begin opens an expectation.
func (m *machine) begin(t *track, e *errand, signs recipe.Sign) {
	c, x := &e.change, &t.expects
	x.open, x.peer = true, t.peer
	x.peer.awaited++
	m.stats.Awaiting++
	m.interest.add(string(t.session))
	if x.listed {
		m.interest.add(x.dacl)
	}
	x.waits = Confirmation{Session: c.Session, Serial: c.Serial, Epoch: c.Epoch, NAS: c.NAS.Name, Kind: e.kind,
		Expects: signs, Within: c.NAS.confirmWithin()}
}

// await puts t among those that wait for the ACL; false when the NAS has it.
func (x *expectation) await(t *track, name string) bool {
	p := t.peer
	acl := p.acls[name]
	if acl == nil {
		if len(p.acls) >= aclsMax {
			return false
		}
		if p.acls == nil {
			p.acls = map[string]*fetched{}
		}
		acl = &fetched{}
		p.acls[name] = acl
	}
	if acl.held {
		return false
	}
	x.dacl, x.listed, x.place = name, true, len(acl.waiting)
	acl.waiting = append(acl.waiting, t)
	return true
}

// unexpect ends an expectation, if there is one. One whose change was not acknowledged
// ends without a word.
func (m *machine) unexpect(now time.Time, t *track, state ConfirmationState) {
	x := &t.expects
	if !x.open {
		return
	}
	x.open = false
	x.peer.awaited--
	m.stats.Awaiting--
	m.interest.drop(string(t.session))
	if x.dacl != "" {
		m.interest.drop(x.dacl)
	}
	m.timers.stop(&x.timer)
	if c := &x.waits; !c.Acked.IsZero() {
		c.State, c.At = state, now
		m.stats.Confirmations[state]++
		m.confirmations = append(m.confirmations, *c)
		if m.watched {
			m.events = append(m.events, Event{Kind: EventConfirmation, At: now, Session: c.Session, Serial: c.Serial,
				NAS: c.NAS, Remote: x.peer.addr, Confirmation: *c})
		}
	}
	if x.listed {
		x.peer.unlist(t)
	}
	m.mark(x.peer)
	*x = expectation{timer: x.timer}
	m.rest(now, t)
}

// unlist takes t out of those that wait for its ACL; the last of them takes its place.
func (p *peer) unlist(t *track) {
	acl := p.acls[t.expects.dacl]
	last := len(acl.waiting) - 1
	at := t.expects.place
	acl.waiting[at] = acl.waiting[last]
	acl.waiting[at].expects.place = at
	acl.waiting[last] = nil
	acl.waiting = acl.waiting[:last]
}

// acknowledged is the answer to the request whose effect is expected.
func (m *machine) acknowledged(now time.Time, t *track, e *errand) {
	x := &t.expects
	asks := e.outcome == NAK && ActionFor(NAK, e.cause) == Expect
	switch {
	case asks && m.confirms && e.change.NAS.confirmWithin() > 0:
		m.unexpect(now, t, Overtaken)
		m.begin(t, e, recipe.SignAccess)
	case !x.open:
		return
	case e.outcome != ACK || m.closing:
		m.unexpect(now, t, Overtaken)
		return
	}
	x.waits.Acked = now
	if x.waits.Sign != 0 {
		m.unexpect(now, t, ConfirmedByNAS)
		return
	}
	m.timers.set(&x.timer, now.Add(x.waits.Within))
}

// confirmed takes something that a NAS did.
func (m *machine) confirmed(now time.Time, c *Confirmed) {
	if c.Sign == recipe.SignACL && c.Session == "" {
		for addr, p := range m.peers {
			if addr.Addr() == c.NAS.Unmap() {
				m.fetched(now, p, c.DACLName)
			}
		}
	} else if t := m.tracks[c.Session]; t != nil {
		m.shown(now, t, c.Sign)
	}
}

// fetched confirms all that wait for the ACL at that NAS: it asks once and keeps it.
func (m *machine) fetched(now time.Time, p *peer, name string) {
	acl := p.acls[name]
	if acl == nil {
		return
	}
	acl.held = true
	waiting := acl.waiting
	acl.waiting = nil
	for _, t := range waiting {
		t.expects.listed = false
		m.shown(now, t, recipe.SignACL)
	}
	clear(waiting)
	acl.waiting = waiting[:0]
}

// shown confirms what t expects, if it expects that.
func (m *machine) shown(now time.Time, t *track, sign recipe.Sign) {
	x := &t.expects
	if !x.open || x.waits.Expects&sign == 0 {
		return
	}
	x.waits.Sign = sign
	if !x.waits.Acked.IsZero() {
		m.unexpect(now, t, ConfirmedByNAS)
	}
}
