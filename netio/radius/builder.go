package radius

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
)

// FitError says that a value, or the packet with it, is longer than the protocol
// allows. Nothing is ever cut short.
type FitError struct {
	What string // attribute's name, or "packet with" and the name
	Have int    // octets
	Most int
}

// Error names what did not fit and by how much.
func (e *FitError) Error() string {
	return fmt.Sprintf("radius: %s has %d octets, at most %d fit", e.What, e.Have, e.Most)
}

// Builder makes one packet at the end of the caller's buffer. Its first error sticks:
// later methods do nothing, and Err and the Seal functions return it, so that a caller
// checks once. Empty text and empty octets are left out (RFC 2865 section 5: an
// attribute of length zero must not be sent).
type Builder struct {
	buf   []byte
	start int // where the packet begins in buf
	mac   int // offset of Message-Authenticator's value in the packet; 0: none
	err   error
}

// Begin starts a packet behind dst's octets. Message-Authenticator is put first, to be
// filled by the seal, for every code but the two of accounting. An Access-Request and a
// Status-Server get a random Request Authenticator.
func Begin(dst []byte, code Code, identifier byte) Builder {
	return BeginWith(dst, code, identifier, code != AccountingRequest && code != AccountingResponse)
}

// BeginWith is Begin with the choice of having a Message-Authenticator: the reply to a
// Status-Server on the accounting port needs one (RFC 5997 section 3), old NASes send none.
func BeginWith(dst []byte, code Code, identifier byte, messageAuthenticator bool) Builder {
	b := Builder{buf: dst, start: len(dst)}
	b.buf = append(b.buf, byte(code), identifier, 0, 0)
	b.buf = append(b.buf, zeros[:]...)
	if code == AccessRequest || code == StatusServer {
		rand.Read(b.buf[b.start+4:]) // never fails: the runtime stops the program instead
	}
	if messageAuthenticator {
		b.buf = append(b.buf, byte(MessageAuthenticator), 18)
		b.mac = len(b.buf) - b.start
		b.buf = append(b.buf, zeros[:]...)
	}
	return b
}

// SetAuthenticator sets the Request Authenticator of an Access-Request or a
// Status-Server. It must come before Password.
func (b *Builder) SetAuthenticator(a Authenticator) { copy(b.buf[b.start+4:], a[:]) }

// Authenticator is what stands in the header now.
func (b *Builder) Authenticator() Authenticator {
	return Authenticator(b.buf[b.start+4 : b.start+HeaderLen])
}

// Err is the first error, a *FitError, or nil.
func (b *Builder) Err() error { return b.err }

// Len is the packet's length so far.
func (b *Builder) Len() int { return len(b.buf) - b.start }

// Room is how many octets of attributes, heads included, still fit into the packet.
func (b *Builder) Room() int { return PacketMax - b.Len() }

// head appends an attribute's head for a value of n octets; false when it does not fit.
func (b *Builder) head(t Type, n int) bool {
	switch {
	case b.err != nil:
		return false
	case n > ValueMax:
		b.err = &FitError{t.String(), n, ValueMax}
	case n+2 > b.Room():
		b.err = &FitError{"packet with " + t.String(), b.Len() + n + 2, PacketMax}
	default:
		b.buf = append(b.buf, byte(t), byte(n+2))
		return true
	}
	return false
}

// vendorHead appends both heads of a vendor attribute with a value of n octets.
func (b *Builder) vendorHead(vendor uint32, vtype byte, n int) bool {
	if b.err == nil && n > VendorMax {
		b.err = &FitError{fmt.Sprintf("vendor %d attribute %d", vendor, vtype), n, VendorMax}
	}
	if !b.head(VendorSpecific, n+6) {
		return false
	}
	b.buf = binary.BigEndian.AppendUint32(b.buf, vendor)
	b.buf = append(b.buf, vtype, byte(n+2))
	return true
}

// Bytes appends an attribute of octets.
func (b *Builder) Bytes(t Type, value []byte) {
	if len(value) > 0 && b.head(t, len(value)) {
		b.buf = append(b.buf, value...)
	}
}

// Text appends an attribute of text.
func (b *Builder) Text(t Type, value string) {
	if len(value) > 0 && b.head(t, len(value)) {
		b.buf = append(b.buf, value...)
	}
}

// U32 appends a number or a time in seconds.
func (b *Builder) U32(t Type, n uint32) {
	if b.head(t, 4) {
		b.buf = binary.BigEndian.AppendUint32(b.buf, n)
	}
}

// Addr appends an address: four octets, or sixteen when it is of IPv6. The zero Addr
// is left out.
func (b *Builder) Addr(t Type, a netip.Addr) {
	switch a = a.Unmap(); {
	case a.Is4() && b.head(t, 4):
		octets := a.As4()
		b.buf = append(b.buf, octets[:]...)
	case a.Is6() && b.head(t, 16):
		octets := a.As16()
		b.buf = append(b.buf, octets[:]...)
	}
}

// TaggedU32 appends a tagged number (RFC 2868 section 3.1); of n the low 24 bits.
func (b *Builder) TaggedU32(t Type, tag byte, n uint32) {
	b.U32(t, uint32(tag)<<24|n&0xffffff)
}

// TaggedText appends tagged text (RFC 2868 section 3.3), tag octet included.
func (b *Builder) TaggedText(t Type, tag byte, value string) {
	if len(value) > 0 && b.head(t, 1+len(value)) {
		b.buf = append(append(b.buf, tag), value...)
	}
}

// Vendor appends a vendor attribute, alone in its Vendor-Specific.
func (b *Builder) Vendor(vendor uint32, vtype byte, value []byte) {
	if len(value) > 0 && b.vendorHead(vendor, vtype, len(value)) {
		b.buf = append(b.buf, value...)
	}
}

// VendorText is Vendor for text.
func (b *Builder) VendorText(vendor uint32, vtype byte, value string) {
	if len(value) > 0 && b.vendorHead(vendor, vtype, len(value)) {
		b.buf = append(b.buf, value...)
	}
}

// VendorU32 is Vendor for a number.
func (b *Builder) VendorU32(vendor uint32, vtype byte, n uint32) {
	if b.vendorHead(vendor, vtype, 4) {
		b.buf = binary.BigEndian.AppendUint32(b.buf, n)
	}
}

// AVPair appends a Cisco-AVPair "name=value"; the value is its parts joined, which
// spares the caller a string. The pair has room for VendorMax octets in all.
func (b *Builder) AVPair(name string, parts ...string) {
	n := len(name) + 1
	for _, part := range parts {
		n += len(part)
	}
	if b.err == nil && n > VendorMax {
		b.err = &FitError{"Cisco-AVPair " + name, n, VendorMax}
	}
	if !b.vendorHead(VendorCisco, CiscoAVPair, n) {
		return
	}
	b.buf = append(append(b.buf, name...), '=')
	for _, part := range parts {
		b.buf = append(b.buf, part...)
	}
}

// Password appends User-Password, hidden by k and the authenticator in the header.
func (b *Builder) Password(k *Key, plain []byte) {
	if b.err == nil && len(plain) > PasswordMax {
		b.err = &FitError{UserPassword.String(), len(plain), PasswordMax}
	}
	n := max(16, (len(plain)+15)&^15)
	if b.head(UserPassword, n) {
		b.buf, _ = k.HidePassword(b.buf, plain, b.Authenticator())
	}
}

// Copy appends every attribute of type t that v has, in order: Proxy-State into each
// reply, as the last thing before the seal (RFC 2865 section 5.33), State and Class on
// the NAS's side.
func (b *Builder) Copy(v *View, t Type) {
	for at := HeaderLen; at < len(v.pkt); {
		u, value, after := v.next(at)
		if u == t && b.head(t, len(value)) {
			b.buf = append(b.buf, value...)
		}
		at = after
	}
}
