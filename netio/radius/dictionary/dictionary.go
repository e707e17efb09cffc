// Package dictionary knows RADIUS attributes by name. Its tables are made from
// dictionary.txt, which says for each attribute its number, its kind and, for some, its
// values' names; package radius has the same numbers as constants.
//
//	Lookup("Filter-Id")           name -> attribute
//	Find(radius.VendorCisco, 1)   vendor and number -> attribute
//	Attribute.Encode("15")        words -> octets, as configuration files need it
//	Attribute.Words(octets)       octets -> words, as logs and tests need it
//	Format(&view)                 a whole packet in words, a line for each attribute
package dictionary

import (
	"strings"

	"sallyport/netio/radius"
)

//go:generate go run ./gen

// Kind is how an attribute's value is to be read (RFC 8044 has most of them).
type Kind uint8

// The kinds.
const (
	String         Kind = iota // text
	Octets                     // octets, shown as 0x and hexadecimal
	Integer                    // 32 bits, perhaps with names for values
	IPAddr                     // IPv4 address
	IPv6Addr                   // IPv6 address
	IPv6Prefix                 // RFC 3162 section 2.3
	Date                       // seconds since 1970
	VendorSpecific             // the container, RFC 2865 section 5.26
	Hidden                     // User-Password, RFC 2865 section 5.2
	Salted                     // Tunnel-Password, RFC 2868 section 3.5
	TaggedString               // RFC 2868: a tag octet up to 0x1f, or none, then text
	TaggedInteger              // RFC 2868: a tag octet, 24 bits
	kinds                      // the number of them
)

var kindNames = [kinds]string{"text", "octets", "number", "IPv4 address", "IPv6 address",
	"IPv6 prefix", "date", "vendor attributes", "hidden text", "salted octets", "tagged text", "tagged number"}

// String is the kind in words.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "unknown"
}

// Attribute is one row of the dictionary.
type Attribute struct {
	Name   string
	Vendor uint32 // enterprise number; 0 for the RFCs' own
	Type   byte
	Kind   Kind
	Size   int // octets its value must have; 0: whatever Kind allows
}

type vendor struct {
	name   string
	number uint32
}

type value struct {
	vendor uint32
	typ    byte
	name   string
	number uint32
}

type key struct {
	vendor uint32
	typ    byte
}

var (
	byName   = make(map[string]*Attribute, len(attributes)) // by lower-case name
	byNumber = make(map[key]*Attribute, len(attributes))
)

func init() {
	for i := range attributes {
		a := &attributes[i]
		byName[strings.ToLower(a.Name)] = a
		byNumber[key{a.Vendor, a.Type}] = a
	}
}

// Lookup finds an attribute by its name, whatever the case of its letters.
func Lookup(name string) (Attribute, bool) {
	if a, ok := byName[strings.ToLower(name)]; ok {
		return *a, true
	}
	return Attribute{}, false
}

// Find finds an attribute by vendor, 0 for the RFCs' own, and number.
func Find(vendor uint32, typ byte) (Attribute, bool) {
	if a, ok := byNumber[key{vendor, typ}]; ok {
		return *a, true
	}
	return Attribute{}, false
}

// Name is the attribute's name, or "Attr-17", "Attr-9.77" when it has none here.
func Name(vendor uint32, typ byte) string {
	if a, ok := byNumber[key{vendor, typ}]; ok {
		return a.Name
	}
	return unnamed(vendor, typ)
}

// VendorName is how a vendor is spoken of; false when it is not in the dictionary.
func VendorName(number uint32) (string, bool) {
	for _, v := range vendors {
		if v.number == number {
			return v.name, true
		}
	}
	return "", false
}

// LookupVendor finds a vendor's number by name, whatever the case of its letters.
func LookupVendor(name string) (uint32, bool) {
	for _, v := range vendors {
		if strings.EqualFold(v.name, name) {
			return v.number, true
		}
	}
	return 0, false
}

// ValueName is the name of an enumerated value: 15 of NAS-Port-Type is "Ethernet".
func (a Attribute) ValueName(number uint32) (string, bool) {
	for i := range values {
		if v := &values[i]; v.vendor == a.Vendor && v.typ == a.Type && v.number == number {
			return v.name, true
		}
	}
	return "", false
}

// Value is the number of an enumerated value, whatever the case of its letters.
func (a Attribute) Value(name string) (uint32, bool) {
	for i := range values {
		if v := &values[i]; v.vendor == a.Vendor && v.typ == a.Type && strings.EqualFold(v.name, name) {
			return v.number, true
		}
	}
	return 0, false
}

// ErrorCause is an Error-Cause in words (RFC 5176 section 3.5), "" when it has no name.
func ErrorCause(cause uint32) string {
	name, _ := byNumber[key{0, byte(radius.ErrorCause)}].ValueName(cause)
	return name
}

// Nearest is the attribute name most like the given one, for messages; "" when none is
// near: more than a third of its letters would have to change.
func Nearest(name string) string {
	best, distance := "", len(name)/3+1
	for i := range attributes {
		if d := changes(strings.ToLower(name), strings.ToLower(attributes[i].Name)); d < distance {
			best, distance = attributes[i].Name, d
		}
	}
	return best
}

// changes counts the letters to insert, delete or replace to make b of a.
func changes(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = min(diagonal, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
