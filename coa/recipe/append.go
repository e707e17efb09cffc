package recipe

import (
	"errors"
	"net/netip"

	"sallyport/netio/radius"
)

// What AppendAccess and AppendChange fail with, besides the builder's *radius.FitError.
// A grant that passed Check and a session of which Missing says nothing meet none.
var (
	ErrCannotSay  = errors.New("recipe: the NAS cannot be told all of the authorization")
	ErrNoIdentity = errors.New("recipe: the session cannot be identified to the NAS")
)

// tooLong fits into no attribute.
var tooLong [radius.ValueMax + 1]byte

// fail makes the builder fail too, so that a caller who only looks at the seal sends
// nothing.
func fail(b *radius.Builder, err error) error {
	b.Bytes(radius.Class, tooLong[:])
	return err
}

// AppendAccess appends what an Access-Accept says about g. It fails with ErrCannotSay,
// and b with it, when this NAS has no way to express a part of g; Check says which. A
// value that is too long is b's error.
func (r *Recipe) AppendAccess(b *radius.Builder, g *Grant) error { return r.appendGrant(b, g, false) }

// AppendChange appends the attributes of the request for kind: which NAS and session are
// meant, the Event-Timestamp, the vendor's command, and the new authorization where the
// request carries it; elsewhere g may be nil. The builder was begun with Change(kind).
// It fails, and b with it, with ErrNoIdentity when id does not find a session, for the
// request would be about none or about all of them, and as AppendAccess does.
func (r *Recipe) AppendChange(b *radius.Builder, kind Kind, id *Ident, g *Grant) error {
	a := &r.actions[r.Means(kind)]
	c := a.combination(id)
	if c == nil {
		return fail(b, ErrNoIdentity)
	}
	r.appendNAS(b, id)
	for i, sent := byAuditSessionID, a.sent(c, id); i < idents; i++ {
		if sent.has(i) {
			i.append(b, id)
		}
	}
	if !id.EventTime.IsZero() {
		b.U32(radius.EventTimestamp, uint32(id.EventTime.Unix()))
	}
	for i := range a.says {
		a.says[i].append(b)
	}
	switch {
	case !a.grant:
		return b.Err()
	case g == nil:
		return fail(b, ErrCannotSay)
	}
	return r.appendGrant(b, g, true)
}

// appendNAS names the NAS (RFC 5176 section 3). One name is enough, and all that are
// sent must match. A link-local address names nobody (RFC 5080 section 2.7.1).
func (r *Recipe) appendNAS(b *radius.Builder, id *Ident) {
	address := id.NASIP.IsValid() && !id.NASIP.IsLinkLocalUnicast()
	if address && (!r.namedByIdentifier || id.NASIdentifier == "") {
		b.Addr(addressType(id.NASIP, radius.NASIPAddress, radius.NASIPv6Address), id.NASIP)
		return
	}
	b.Text(radius.NASIdentifier, id.NASIdentifier)
}

func addressType(a netip.Addr, v4, v6 radius.Type) radius.Type {
	if a.Unmap().Is4() {
		return v4
	}
	return v6
}

// combination is the first whose needed parts are all known, nil when there is none.
func (a *action) combination(id *Ident) *combination {
	for i := range a.found {
		known := true
		for _, n := range a.found[i].needed {
			known = known && n.known(id)
		}
		if known {
			return &a.found[i]
		}
	}
	return nil
}

// sent is what c tells of the session, or all that is known and the NAS takes.
func (a *action) sent(c *combination, id *Ident) (sent identSet) {
	for _, i := range c.needed {
		sent.add(i)
	}
	for _, i := range c.also {
		sent.addKnown(i, id)
	}
	if !id.All {
		return sent
	}
	for i := range a.found {
		for _, one := range a.found[i].needed {
			sent.addKnown(one, id)
		}
		for _, one := range a.found[i].also {
			sent.addKnown(one, id)
		}
	}
	for _, one := range a.more {
		sent.addKnown(one, id)
	}
	return sent
}

// identSet is a set of ident.
type identSet uint16

func (s identSet) has(i ident) bool { return s&(1<<i) != 0 }

func (s *identSet) add(i ident) { *s |= 1 << i }

func (s *identSet) addKnown(i ident, id *Ident) {
	if i.known(id) {
		s.add(i)
	}
}

// KnowsMore says whether more is known of the session than the request for kind tells,
// and this NAS takes it: a way out when what is told fits several sessions (RFC 5176
// section 3.5, Error-Cause 508).
func (r *Recipe) KnowsMore(kind Kind, id *Ident) bool {
	a := &r.actions[r.Means(kind)]
	c := a.combination(id)
	if c == nil || id.All {
		return false
	}
	all := *id
	all.All = true
	return a.sent(c, &all) != a.sent(c, id)
}

func (i ident) known(id *Ident) bool {
	switch i {
	case byAuditSessionID:
		return id.AuditSessionID != ""
	case byAcctSessionID:
		return id.AcctSessionID != ""
	case byCallingStationID:
		return id.CallingStationID != ""
	case byUserName:
		return id.UserName != ""
	case byNASPort:
		return id.NASPort != 0
	default:
		return id.FramedIP.IsValid()
	}
}

func (i ident) append(b *radius.Builder, id *Ident) {
	switch i {
	case byAuditSessionID:
		b.AVPair("audit-session-id", id.AuditSessionID)
	case byAcctSessionID:
		b.Text(radius.AcctSessionID, id.AcctSessionID)
	case byCallingStationID:
		b.Text(radius.CallingStationID, id.CallingStationID)
	case byUserName:
		b.Text(radius.UserName, id.UserName)
	case byNASPort:
		b.U32(radius.NASPort, id.NASPort)
	default:
		b.Addr(addressType(id.FramedIP, radius.FramedIPAddress, radius.FramedIPv6Address), id.FramedIP)
	}
}

func (r *Recipe) appendGrant(b *radius.Builder, g *Grant, change bool) error {
	for _, class := range g.Class {
		b.Bytes(radius.Class, class)
	}
	said := r.groupPolicy.append(b, g.GroupPolicy) &&
		r.dacl.append(b, g.DACLName) &&
		r.redirectACL.append(b, g.RedirectACL) &&
		r.redirectURL.append(b, g.RedirectURL) &&
		r.filterID.append(b, g.FilterID) &&
		r.vlan.append(b, g.VLAN) &&
		r.sgt.appendHex(b, g.SGT) &&
		(r.reauthenticates || !g.Reauthenticate)
	if !said {
		return fail(b, ErrCannotSay)
	}
	if g.SessionTimeout != 0 {
		b.U32(radius.SessionTimeout, g.SessionTimeout)
		if g.Reauthenticate {
			b.U32(radius.TerminationAction, radius.TerminationActionRADIUSRequest)
		}
	}
	for i := range g.Attributes {
		a := &g.Attributes[i]
		switch {
		case r.refuses(a, change) != "":
			return fail(b, ErrCannotSay)
		case a.Vendor == 0:
			b.Bytes(radius.Type(a.Type), a.Value)
		default:
			b.Vendor(a.Vendor, a.Type, a.Value)
		}
	}
	return b.Err()
}

// append writes value as the spelling says, and nothing when there is none. False when
// there is no way to say it.
func (s *spelling) append(b *radius.Builder, value string) bool {
	if value == "" {
		return true
	}
	switch s.form {
	case absent:
		return false
	case pair:
		b.AVPair(s.name, s.before, value, s.after)
	case text:
		s.appendText(b, value)
	case number:
		n, ok := s.parse(value)
		switch {
		case !ok:
			return false
		case s.vendor == 0:
			b.U32(radius.Type(s.typ), n)
		default:
			b.VendorU32(s.vendor, s.typ, n)
		}
	case tunnel:
		b.TaggedU32(radius.TunnelType, s.tag, radius.TunnelTypeVLAN)
		b.TaggedU32(radius.TunnelMediumType, s.tag, radius.TunnelMediumTypeIEEE802)
		if s.tag == 0 {
			b.Text(radius.TunnelPrivateGroupID, value)
		} else {
			b.TaggedText(radius.TunnelPrivateGroupID, s.tag, value)
		}
	}
	return true
}

// appendText joins the text and what stands around it on the stack. A value that cannot
// fit stays too long, so that the builder refuses it.
func (s *spelling) appendText(b *radius.Builder, value string) {
	var joined [radius.ValueMax + 1]byte
	n := copy(joined[:], s.before)
	n += copy(joined[n:], value)
	n += copy(joined[n:], s.after)
	if s.vendor == 0 {
		b.Bytes(radius.Type(s.typ), joined[:n])
	} else {
		b.Vendor(s.vendor, s.typ, joined[:n])
	}
}

const hexDigits = "0123456789abcdef"

// appendHex writes a number as four hexadecimal digits; 0 is no number. False when there
// is no way to say it.
func (s *spelling) appendHex(b *radius.Builder, n uint16) bool {
	if n == 0 || s.form != hexPair {
		return n == 0
	}
	digit := func(shift uint) string { d := n >> shift & 15; return hexDigits[d : d+1] }
	b.AVPair(s.name, s.before, digit(12), digit(8), digit(4), digit(0), s.after)
	return true
}

// parse reads the decimal digits of a number within the spelling's bounds.
func (s *spelling) parse(value string) (uint32, bool) {
	n := uint64(0)
	for i := 0; i < len(value); i++ {
		d := value[i] - '0'
		if d > 9 || n > uint64(s.most) {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	return uint32(n), value != "" && n >= uint64(s.least) && n <= uint64(s.most)
}
