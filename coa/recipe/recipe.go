// Package recipe says how each kind of NAS wants its authorization written and its
// sessions changed. A recipe is data: a row of tables, no code of its own.
//
//	port       where the NAS listens for CoA and Disconnect requests
//	grant      field of a Grant -> attribute, in the order in which they are written;
//	           a field without a rule is one that this NAS cannot be told
//	changes    kind of change -> packet code, fixed attributes, whether the whole new
//	           authorization goes along (push) or the NAS comes back and asks
//	identify   which attributes name the session, the first combination that is known;
//	           RFC 5176 section 3 lets a NAS refuse a request in which one does not match,
//	           so a recipe sends as few as its NAS needs
package recipe

import (
	"net/netip"
	"strings"

	"sallyport/netio/radius"
)

// Kind is a way to make a change real.
type Kind uint8

// The kinds.
const (
	Push           Kind = iota // CoA-Request with the whole new authorization
	Reauthenticate             // CoA-Request that makes the NAS ask again
	Bounce                     // CoA-Request that takes the port down and up
	Disconnect                 // Disconnect-Request
	kinds                      // the number of them
)

var kindNames = [kinds]string{"push", "reauthenticate", "bounce", "disconnect"}

// String is the kind's name, as sessions and configuration files have it.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "unknown"
}

// ParseKind reads a name that String made.
func ParseKind(name string) (Kind, bool) {
	for i, n := range kindNames {
		if n == name {
			return Kind(i), true
		}
	}
	return 0, false
}

// Grant is what a session may do, before a recipe writes it down. Zero fields say
// nothing. Redirect URL and redirect ACL are one thing and come together.
type Grant struct {
	RedirectURL    string
	RedirectACL    string // name of an ACL that the NAS has
	DACLName       string // whole name, version included: #ACSACL#-IP-NAME-<8 hexadecimal digits>
	VLAN           string // number or name
	FilterID       string
	GroupPolicy    string
	SGT            uint16 // security group tag; 0: none
	SessionTimeout uint32 // seconds; 0: none
	ReauthTimer    bool   // at the timeout the NAS asks again instead of ending the session
	Class          [][]byte
	Attributes     []Attribute
}

// Attribute is one that the operator names himself, value encoded.
type Attribute struct {
	Vendor uint32 // 0: an attribute of the RFCs
	Type   byte
	Value  []byte
}

// Ident is everything by which a NAS may know a session; a recipe picks from it.
type Ident struct {
	NASIP            netip.Addr // as the NAS sent it
	NASIdentifier    string
	NASPort          uint32 // 0: not known
	CallingStationID string
	AcctSessionID    string
	AuditSessionID   string // as the NAS spelled it; empty when it never sent one
	UserName         string
	FramedIP         netip.Addr
}

// field is a field of Grant.
type field uint8

const (
	redirectACL field = iota
	redirectURL
	dacl
	filterID
	vlan
	groupPolicy
	sgt
	sessionTimeout
	reauthTimer
	class
	fields
)

var fieldNames = [fields]string{"redirect ACL", "redirect URL", "downloadable ACL", "Filter-Id", "VLAN",
	"group policy", "security group tag", "session timeout", "re-authentication timer", "Class"}

// form is how a field is written.
type form uint8

const (
	unwritten    form = iota
	pair              // Cisco-AVPair name=value
	text              // attribute of text
	octets            // attribute of octets, one for each value
	number            // attribute of a number
	action            // Termination-Action = RADIUS-Request
	tunnel            // Tunnel-Type, Tunnel-Medium-Type, Tunnel-Private-Group-ID (RFC 3580 section 3.31)
	vendorText        // vendor attribute of text
	vendorNumber      // vendor attribute of a number
)

// rule is how one field of a grant is written.
type rule struct {
	field  field
	form   form
	attr   radius.Type // of text, octets and number
	name   string      // of pair
	vendor uint32      // of vendorText and vendorNumber
	vtype  byte
}

// part is one thing that identifies a session or its NAS.
type part uint8

const (
	nas          part = iota // NAS-IP-Address or NAS-IPv6-Address, else NAS-Identifier
	nasAddress               // one of the first two
	userName                 // User-Name
	callingID                // Calling-Station-Id
	acctSession              // Acct-Session-Id
	nasPort                  // NAS-Port
	framedIP                 // Framed-IP-Address
	auditSession             // Cisco-AVPair audit-session-id=
)

// combination identifies a session: all of must, and of also what is known.
type combination struct{ must, also []part }

// change is how one kind of change is written; code 0: this NAS has no such thing.
type change struct {
	code     radius.Code
	pairs    [][2]string // Cisco-AVPairs
	whole    bool        // the whole new authorization goes along
	identify []combination
}

// Recipe is how one kind of NAS is spoken to.
type Recipe struct {
	name    string
	port    uint16
	apply   Kind
	grant   []rule
	changes [kinds]change
}

// Lookup finds a recipe by name.
func Lookup(name string) (*Recipe, bool) {
	for _, r := range recipes {
		if r.name == name {
			return r, true
		}
	}
	return nil, false
}

// Names lists the recipes in order.
func Names() []string {
	names := make([]string, len(recipes))
	for i, r := range recipes {
		names[i] = r.name
	}
	return names
}

// Name is the recipe's name, as configuration files have it.
func (r *Recipe) Name() string { return r.name }

// Port is the UDP port at which such a NAS listens for CoA unless told otherwise.
func (r *Recipe) Port() uint16 { return r.port }

// Apply is the kind of change by which a new authorization reaches such a NAS.
func (r *Recipe) Apply() Kind { return r.apply }

// Supports says whether such a NAS knows this kind of change.
func (r *Recipe) Supports(k Kind) bool { return k < kinds && r.changes[k].code != 0 }

// Code is the packet code of this kind of change, 0 when it is not supported.
func (r *Recipe) Code(k Kind) radius.Code {
	if k >= kinds {
		return 0
	}
	return r.changes[k].code
}

func (r *Recipe) rule(f field) *rule {
	for i := range r.grant {
		if r.grant[i].field == f {
			return &r.grant[i]
		}
	}
	return nil
}

// supported lists the kinds by name, for messages.
func (r *Recipe) supported() string {
	var names []string
	for k := range kinds {
		if r.Supports(k) {
			names = append(names, k.String())
		}
	}
	return strings.Join(names, ", ")
}
