package radius

import (
	"bytes"
	"encoding/binary"
	"iter"
)

// VendorType names a vendor attribute: the vendor's enterprise number and its type.
type VendorType struct {
	Vendor uint32
	Type   byte
}

// vendorHead splits the value of a Vendor-Specific. It fails unless the vendor's part
// is filled exactly by attributes of one octet type and one octet length, which every
// vendor in the dictionary uses; such a value stays opaque.
func vendorHead(value []byte) (vendor uint32, rest []byte, ok bool) {
	if len(value) < 6 {
		return 0, nil, false
	}
	vendor, rest = binary.BigEndian.Uint32(value), value[4:]
	for at := 0; at < len(rest); {
		if len(rest)-at < 2 || rest[at+1] < 2 || int(rest[at+1]) > len(rest)-at {
			return 0, nil, false
		}
		at += int(rest[at+1])
	}
	return vendor, rest, true
}

// Vendor is the first value of the vendor's type vtype.
func (v *View) Vendor(vendor uint32, vtype byte) (value []byte, ok bool) {
	for vt, value := range v.VendorAttrs() {
		if vt.Vendor == vendor && vt.Type == vtype {
			return value, true
		}
	}
	return nil, false
}

// VendorU32 is Vendor as a number; false when there is none or it has not four octets.
func (v *View) VendorU32(vendor uint32, vtype byte) (uint32, bool) {
	value, ok := v.Vendor(vendor, vtype)
	if !ok || len(value) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(value), true
}

// VendorAttrs yields the vendor attributes in order, those that share one
// Vendor-Specific one by one. Opaque Vendor-Specific values are left out.
func (v *View) VendorAttrs() iter.Seq2[VendorType, []byte] {
	return func(yield func(VendorType, []byte) bool) {
		for at := HeaderLen; at < len(v.pkt); {
			t, value, after := v.next(at)
			at = after
			if t != VendorSpecific {
				continue
			}
			vendor, rest, ok := vendorHead(value)
			for ok && len(rest) > 0 {
				n := int(rest[1])
				if !yield(VendorType{vendor, rest[0]}, rest[2:n:n]) {
					return
				}
				rest = rest[n:]
			}
		}
	}
}

// VendorAttributes yields the attributes inside the value of one Vendor-Specific, and
// nothing when it is opaque.
func VendorAttributes(value []byte) iter.Seq2[VendorType, []byte] {
	return func(yield func(VendorType, []byte) bool) {
		vendor, rest, ok := vendorHead(value)
		for ok && len(rest) > 0 {
			n := int(rest[1])
			if !yield(VendorType{vendor, rest[0]}, rest[2:n:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

// AVPair is the value of the first Cisco-AVPair "name=value". The name is compared
// octet by octet; the value may hold anything, "=" too.
func (v *View) AVPair(name string) (value []byte, ok bool) {
	for vt, pair := range v.VendorAttrs() {
		if vt.Vendor == VendorCisco && vt.Type == CiscoAVPair &&
			len(pair) > len(name) && pair[len(name)] == '=' && string(pair[:len(name)]) == name {
			return pair[len(name)+1:], true
		}
	}
	return nil, false
}

// AVPairs yields every Cisco-AVPair split at its first "=", in order; a pair without
// one has a nil value.
func (v *View) AVPairs() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) { v.avPairs(yield) }
}

// avPairs is apart so that AVPairs is inlined and its closure stays on the stack.
func (v *View) avPairs(yield func(name, value []byte) bool) {
	for vt, pair := range v.VendorAttrs() {
		if vt.Vendor != VendorCisco || vt.Type != CiscoAVPair {
			continue
		}
		name, value, found := bytes.Cut(pair, []byte{'='})
		if !found {
			value = nil
		}
		if !yield(name, value) {
			return
		}
	}
}
