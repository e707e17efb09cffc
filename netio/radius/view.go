package radius

import (
	"encoding/binary"
	"iter"
	"net/netip"
)

// Authenticator is the header's 16 octets: random or a digest (RFC 2865 section 3).
type Authenticator [16]byte

// View is one packet, borrowed. It is valid as long as the octets given to Decode are
// left alone, and until the next Decode. Values it returns are borrowed as well.
type View struct {
	pkt []byte // the packet up to its length field
	mac int    // offset of Message-Authenticator's value; 0: there is none
}

// Decode takes pkt, checks each length once, and returns Sound or the reason to drop
// it; then the View is empty. Octets after the packet's length are ignored. Values of
// length zero are tolerated, since a NAS in daily use sends EAP-Key-Name so. A
// malformed Vendor-Specific is an opaque value and not a fault (RFC 2865 section 5.26).
func (v *View) Decode(pkt []byte) Why {
	*v = View{}
	n, why := headerLength(pkt)
	if why != Sound {
		return why
	}
	pkt = pkt[:n]
	mac, count := 0, 0
	for at := HeaderLen; at < n; {
		if n-at < 2 {
			return WhyStrayOctet
		}
		size := int(pkt[at+1])
		switch {
		case pkt[at] == 0:
			return WhyAttributeType
		case size < 2:
			return WhyAttributeLength
		case size > n-at:
			return WhyAttributeOverrun
		}
		if Type(pkt[at]) == MessageAuthenticator {
			if mac != 0 || size != 18 {
				return WhyMessageAuthenticatorForm
			}
			mac = at + 2
		}
		if count++; count > AttributesMax {
			return WhyTooManyAttributes
		}
		at += size
	}
	v.pkt, v.mac = pkt, mac
	return Sound
}

// Bytes is the packet, without padding.
func (v *View) Bytes() []byte { return v.pkt }

// Code is the packet's code, 0 for an empty View.
func (v *View) Code() Code {
	if len(v.pkt) == 0 {
		return 0
	}
	return Code(v.pkt[0])
}

// Identifier matches requests and replies.
func (v *View) Identifier() byte {
	if len(v.pkt) == 0 {
		return 0
	}
	return v.pkt[1]
}

// Authenticator is a copy of the header's authenticator.
func (v *View) Authenticator() (a Authenticator) {
	if len(v.pkt) != 0 {
		copy(a[:], v.pkt[4:HeaderLen])
	}
	return a
}

// HasMessageAuthenticator says whether the attribute is there, not whether it is right.
func (v *View) HasMessageAuthenticator() bool { return v.mac != 0 }

// next returns the attribute at offset at and the offset of the one after it. Decode
// has checked the lengths.
func (v *View) next(at int) (t Type, value []byte, after int) {
	after = at + int(v.pkt[at+1])
	return Type(v.pkt[at]), v.pkt[at+2 : after : after], after
}

// Get is the first value of type t.
func (v *View) Get(t Type) (value []byte, ok bool) {
	for at := HeaderLen; at < len(v.pkt); {
		u, value, after := v.next(at)
		if u == t {
			return value, true
		}
		at = after
	}
	return nil, false
}

// Has says whether there is an attribute of type t.
func (v *View) Has(t Type) bool {
	_, ok := v.Get(t)
	return ok
}

// Text copies the first value of type t; "" when there is none.
func (v *View) Text(t Type) string {
	value, _ := v.Get(t)
	return string(value)
}

// All yields every value of type t, in order (RFC 2865 section 5: the order of
// attributes of one type is kept).
func (v *View) All(t Type) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for at := HeaderLen; at < len(v.pkt); {
			u, value, after := v.next(at)
			if u == t && !yield(value) {
				return
			}
			at = after
		}
	}
}

// Attrs yields every attribute in order.
func (v *View) Attrs() iter.Seq2[Type, []byte] {
	return func(yield func(Type, []byte) bool) {
		for at := HeaderLen; at < len(v.pkt); {
			t, value, after := v.next(at)
			if !yield(t, value) {
				return
			}
			at = after
		}
	}
}

// Octets is how many octets all attributes of type t take, their heads included.
func (v *View) Octets(t Type) int {
	sum := 0
	for at := HeaderLen; at < len(v.pkt); {
		u, _, after := v.next(at)
		if u == t {
			sum += after - at
		}
		at = after
	}
	return sum
}

// U32 is the first value of type t as a number; false when there is none or when it
// has not four octets.
func (v *View) U32(t Type) (uint32, bool) {
	value, ok := v.Get(t)
	if !ok || len(value) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(value), true
}

// Addr is the first value of type t as an address of four or sixteen octets.
func (v *View) Addr(t Type) (netip.Addr, bool) {
	value, ok := v.Get(t)
	if !ok {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(value)
}

// Prefix is the first value of type t as an IPv6 prefix: reserved octet, prefix
// length, up to sixteen octets (RFC 3162 section 2.3). Bits beyond the prefix are cut.
func (v *View) Prefix(t Type) (netip.Prefix, bool) {
	value, ok := v.Get(t)
	if !ok || len(value) < 2 || len(value) > 18 || int(value[1]) > 8*(len(value)-2) {
		return netip.Prefix{}, false
	}
	var a [16]byte
	copy(a[:], value[2:])
	return netip.PrefixFrom(netip.AddrFrom16(a), int(value[1])).Masked(), true
}

// Tag splits the value of a tagged string (RFC 2868 section 3): a first octet up to
// 0x1f is a tag, anything above it is already text.
func Tag(value []byte) (tag byte, text []byte) {
	if len(value) > 0 && value[0] <= 0x1f {
		return value[0], value[1:]
	}
	return 0, value
}

// TaggedU32 splits the value of a tagged number: one octet of tag, three of number.
func TaggedU32(value []byte) (tag byte, n uint32, ok bool) {
	if len(value) != 4 {
		return 0, 0, false
	}
	return value[0], binary.BigEndian.Uint32(value) & 0xffffff, true
}
