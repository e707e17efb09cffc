package recipe

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"sallyport/netio/radius"
)

// Errors of AppendAccess and AppendChange. A grant that passed Check and a session with
// an audit-session-id meet none of them.
var (
	ErrCannotSay   = errors.New("the NAS cannot be told")
	ErrUnsupported = errors.New("the NAS has no such change")
	ErrNoIdentity  = errors.New("the session cannot be identified to the NAS")
)

// AppendAccess appends the authorization attributes of an Access-Accept. Nothing that
// the grant says is left out: a field without a rule is ErrCannotSay, since an
// authorization that lost its ACL on the way permits more than was meant. Values that
// do not fit are the Builder's error.
func (r *Recipe) AppendAccess(b *radius.Builder, g *Grant) error {
	if err := r.unsaid(g); err != nil {
		return err
	}
	for i := range r.grant {
		if err := r.grant[i].write(b, g); err != nil {
			return fmt.Errorf("recipe %s: %w", r.name, err)
		}
	}
	for i := range g.Attributes {
		if a := &g.Attributes[i]; a.Vendor != 0 {
			b.Vendor(a.Vendor, a.Type, a.Value)
		} else {
			b.Bytes(radius.Type(a.Type), a.Value)
		}
	}
	return b.Err()
}

// AppendChange appends the attributes of a CoA-Request or Disconnect-Request begun with
// Code(kind): what identifies the session, Event-Timestamp, the vendor's command, and
// with a push the whole new authorization. g may be nil for the other kinds.
func (r *Recipe) AppendChange(b *radius.Builder, kind Kind, id *Ident, g *Grant, at time.Time) error {
	if !r.Supports(kind) {
		return fmt.Errorf("recipe %s: %w: %s; it knows %s", r.name, ErrUnsupported, kind, r.supported())
	}
	c := &r.changes[kind]
	found := combinationFor(c.identify, id)
	if found == nil {
		return fmt.Errorf("recipe %s: %w", r.name, ErrNoIdentity)
	}
	// The parts are numbered in the order in which they are written: the RFCs' first,
	// then the time, then the pairs.
	for p := nas; p < auditSession; p++ {
		if found.uses(p) {
			id.write(b, p)
		}
	}
	b.U32(radius.EventTimestamp, uint32(at.Unix()))
	if found.uses(auditSession) {
		id.write(b, auditSession)
	}
	for i := range c.pairs {
		b.AVPair(c.pairs[i][0], c.pairs[i][1])
	}
	if !c.whole {
		return b.Err()
	}
	if g == nil {
		return fmt.Errorf("recipe %s: %w: no authorization to push", r.name, ErrCannotSay)
	}
	return r.AppendAccess(b, g)
}

// unsaid finds the first field of g that has no rule.
func (r *Recipe) unsaid(g *Grant) error {
	for f := range fields {
		if g.has(f) && r.rule(f) == nil {
			return fmt.Errorf("recipe %s: %w: %s", r.name, ErrCannotSay, fieldNames[f])
		}
	}
	return nil
}

func (g *Grant) has(f field) bool {
	switch f {
	case sgt:
		return g.SGT != 0
	case sessionTimeout:
		return g.SessionTimeout != 0
	case reauthTimer:
		return g.ReauthTimer
	case class:
		return len(g.Class) > 0
	}
	return g.text(f) != ""
}

// text is the value of a field that is text.
func (g *Grant) text(f field) string {
	switch f {
	case redirectACL:
		return g.RedirectACL
	case redirectURL:
		return g.RedirectURL
	case dacl:
		return g.DACLName
	case filterID:
		return g.FilterID
	case vlan:
		return g.VLAN
	case groupPolicy:
		return g.GroupPolicy
	}
	return ""
}

// write appends one field, nothing when the grant does not have it.
func (w *rule) write(b *radius.Builder, g *Grant) error {
	if !g.has(w.field) {
		return nil
	}
	switch w.form {
	case pair:
		w.writePair(b, g)
	case text:
		b.Text(w.attr, g.text(w.field))
	case octets:
		for _, value := range g.Class {
			b.Bytes(w.attr, value)
		}
	case number:
		b.U32(w.attr, g.SessionTimeout)
	case action:
		b.U32(radius.TerminationAction, radius.TerminationActionRADIUSRequest)
	case tunnel:
		b.TaggedU32(radius.TunnelType, 1, radius.TunnelTypeVLAN)
		b.TaggedU32(radius.TunnelMediumType, 1, radius.TunnelMediumTypeIEEE802)
		b.TaggedText(radius.TunnelPrivateGroupID, 1, g.VLAN)
	case vendorText:
		b.VendorText(w.vendor, w.vtype, g.text(w.field))
	case vendorNumber:
		n, err := strconv.ParseUint(g.text(w.field), 10, 32)
		if err != nil {
			return fmt.Errorf("%w: %s %q, only a number", ErrCannotSay, fieldNames[w.field], g.text(w.field))
		}
		b.VendorU32(w.vendor, w.vtype, uint32(n))
	}
	return nil
}

// writePair writes a Cisco-AVPair. A tag is four hexadecimal digits, and two of a
// generation that is always the first.
func (w *rule) writePair(b *radius.Builder, g *Grant) {
	if w.field != sgt {
		b.AVPair(w.name, g.text(w.field))
		return
	}
	var room [64]byte
	value := append(append(room[:0], w.name...), '=')
	value = hex.AppendEncode(value, []byte{byte(g.SGT >> 8), byte(g.SGT)})
	b.Vendor(radius.VendorCisco, radius.CiscoAVPair, append(value, "-00"...))
}

func combinationFor(combinations []combination, id *Ident) *combination {
	for i := range combinations {
		known := true
		for _, p := range combinations[i].must {
			known = known && id.has(p)
		}
		if known {
			return &combinations[i]
		}
	}
	return nil
}

func (c *combination) uses(p part) bool {
	for _, q := range c.must {
		if p == q {
			return true
		}
	}
	for _, q := range c.also {
		if p == q {
			return true
		}
	}
	return false
}

func (id *Ident) has(p part) bool {
	switch p {
	case nas:
		return id.has(nasAddress) || id.NASIdentifier != ""
	case nasAddress: // a link-local address identifies nobody (RFC 5080 section 2.7.1)
		return id.NASIP.IsValid() && !id.NASIP.IsLinkLocalUnicast()
	case userName:
		return id.UserName != ""
	case callingID:
		return id.CallingStationID != ""
	case acctSession:
		return id.AcctSessionID != ""
	case nasPort:
		return id.NASPort != 0
	case framedIP:
		return id.FramedIP.IsValid()
	case auditSession:
		return id.AuditSessionID != ""
	}
	return false
}

// write appends the part when it is known.
func (id *Ident) write(b *radius.Builder, p part) {
	if !id.has(p) {
		return
	}
	switch p {
	case nas, nasAddress:
		switch {
		case !id.has(nasAddress):
			b.Text(radius.NASIdentifier, id.NASIdentifier)
		case id.NASIP.Unmap().Is4():
			b.Addr(radius.NASIPAddress, id.NASIP)
		default:
			b.Addr(radius.NASIPv6Address, id.NASIP)
		}
	case userName:
		b.Text(radius.UserName, id.UserName)
	case callingID:
		b.Text(radius.CallingStationID, id.CallingStationID)
	case acctSession:
		b.Text(radius.AcctSessionID, id.AcctSessionID)
	case nasPort:
		b.U32(radius.NASPort, id.NASPort)
	case framedIP:
		if id.FramedIP.Unmap().Is4() {
			b.Addr(radius.FramedIPAddress, id.FramedIP)
		} else {
			b.Addr(radius.FramedIPv6Address, id.FramedIP)
		}
	case auditSession:
		b.AVPair("audit-session-id", id.AuditSessionID)
	}
}
