package recipe

import "sallyport/netio/radius"

// attribute names an attribute; vendor 0 is the RFCs' own.
type attribute struct {
	vendor uint32
	typ    byte
}

// form is the way a value is put into attributes.
type form uint8

const (
	absent  form = iota // this NAS has no way to say it
	pair                // Cisco-AVPair name=value
	text                // text of one attribute
	number              // the value, decimal digits, as 32 bits
	tunnel              // VLAN by Tunnel-Type, -Medium-Type and -Private-Group-ID (RFC 3580 section 3.31)
	hexPair             // Cisco-AVPair name=four hexadecimal digits
)

// spelling is how one value of a grant is written.
type spelling struct {
	form
	attribute
	name          string // of the pair
	before, after string // what stands around the value
	tag           byte   // of tunnel attributes; 0: none, and no octet for it
	least, most   uint32 // bounds of a number
}

// said is an attribute that is always the same: a Cisco-AVPair where none is named.
type said struct {
	attribute
	name, value string // of a pair
	octets      []byte // of any other
}

func (s *said) append(b *radius.Builder) {
	switch {
	case s.attribute == attribute{}:
		b.AVPair(s.name, s.value)
	case s.vendor == 0:
		b.Bytes(radius.Type(s.typ), s.octets)
	default:
		b.Vendor(s.vendor, s.typ, s.octets)
	}
}

// command is a Cisco-AVPair that is always the same.
func command(name, value string) said { return said{name: name, value: value} }

// ident is one of the attributes a session is found by.
type ident uint8

const (
	byAuditSessionID ident = iota
	byAcctSessionID
	byCallingStationID
	byUserName
	byNASPort
	byFramedIP
	idents // the number of them
)

// combination is what is sent together: all of needed must be known, or the next
// combination is tried; of also, what is known.
type combination struct{ needed, also []ident }

// action is how a kind of change is made.
type action struct {
	means Kind // what is done in its place; the kind itself where the NAS can
	code  radius.Code
	found []combination // in order of preference
	more  []ident       // also taken when all that is known is to be told
	says  []said
	grant bool // the whole new authorization follows
}

var (
	ciscoRedirectURL = spelling{form: pair, name: "url-redirect"}
	ciscoRedirectACL = spelling{form: pair, name: "url-redirect-acl"}
	ciscoDACL        = spelling{form: pair, name: "ACS:CiscoSecure-Defined-ACL"}
	ciscoSGT         = spelling{form: hexPair, name: "cts:security-group-tag", after: "-00"}
	ciscoTunnel      = spelling{form: tunnel, tag: 1}
	plainFilterID    = spelling{form: text, attribute: attribute{0, byte(radius.FilterID)}}

	// secrets are never sent in a change. What hides them in a reply is the request's
	// random authenticator; a CoA-Request has none, so they would be as good as readable.
	secrets = []attribute{
		{radius.VendorMicrosoft, radius.MSMPPESendKey},
		{radius.VendorMicrosoft, radius.MSMPPERecvKey},
	}
)
