// Package recipe knows how each kind of NAS wants to be told what a session may do: in
// an Access-Accept, and later in a Change of Authorization (RFC 5176). What differs
// between vendors is data, one row of a table for each kind of NAS:
//
//	push              cisco-asa aruba juniper mikrotik ruckus rfc5176
//	reauthenticate    cisco-ios cisco-wlc fortinet    the NAS asks again
//	disconnect        ubiquiti hostapd strongswan     the endpoint comes again
//
// That is how a new authorization reaches each of them. More rows come from the
// configuration (Define).
//
//	Lookup("cisco-asa")                          name -> row
//	Recipe.Check(grant)                          at load: what this NAS cannot express
//	Recipe.AppendAccess(builder, grant)          Access-Accept
//	Recipe.Change(kind), AppendChange(…)         CoA-Request or Disconnect-Request
//
// Nothing that a grant says is ever left out: an authorization that lost its ACL on the
// way permits more than was meant. What a NAS cannot be told is an error, and the
// builder is made to fail as well. The package does no input or output, and the Append
// methods do not allocate.
package recipe

import (
	"net/netip"
	"time"

	"sallyport/netio/radius"
)

// Grant is what a session may do, in the words of an authorization profile. Values that
// are empty or zero are not sent.
type Grant struct {
	RedirectURL    string // complete, ticket included
	RedirectACL    string // name of an ACL that exists on the NAS
	DACLName       string // full name with its version, as the NAS caches it: #ACSACL#-IP-NAME-1a2b3c4d
	VLAN           string // number or name
	FilterID       string
	GroupPolicy    string
	Class          [][]byte // each in an attribute of its own, in this order
	SGT            uint16
	SessionTimeout uint32 // seconds
	Reauthenticate bool   // at SessionTimeout the NAS asks again and does not end the session
	Attributes     []Attribute
}

// Attribute is a free attribute of an authorization profile. Vendor 0 means one of the
// RFCs' own, of which Type is the type octet.
type Attribute struct {
	Vendor uint32
	Type   byte
	Value  []byte
}

// Ident is what is known of a session that a NAS could find it by. A recipe sends the
// few that its NAS matches; empty ones are never sent.
type Ident struct {
	NASIP            netip.Addr // NAS-IP-Address or NAS-IPv6-Address as the NAS sent it
	NASIdentifier    string
	NASPort          uint32 // 0: not known
	CallingStationID string
	AcctSessionID    string
	AuditSessionID   string // as the NAS spelled it; empty when the appliance made the id
	UserName         string
	FramedIP         netip.Addr
	All              bool      // send all that is known and the NAS takes, and not the few that mostly do
	EventTime        time.Time // Event-Timestamp, the same in every retransmission (RFC 5176 section 3); zero: none
}

// Kind is a way to make a change real.
type Kind uint8

// The kinds. A push sends the new authorization; reauthenticate has the NAS ask for it;
// bounce takes the port down and up; disconnect ends the session.
const (
	Push Kind = iota
	Reauthenticate
	Bounce
	Disconnect
	kinds // the number of them
)

var kindNames = [kinds]string{"push", "reauthenticate", "bounce", "disconnect"}

// String is the kind as journal, configuration and tables have it.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "unknown"
}

// ParseKind reads a word that String made.
func ParseKind(word string) (Kind, bool) {
	for i, name := range kindNames {
		if name == word {
			return Kind(i), true
		}
	}
	return 0, false
}

// Recipe is the behaviour of one kind of NAS. It is never changed and may be used by
// many goroutines at once.
type Recipe struct {
	name string
	port uint16

	redirectURL, redirectACL, dacl, vlan, filterID, groupPolicy, sgt spelling

	reauthenticates bool // honours Termination-Action at Session-Timeout
	replacesAll     bool // after a push, what the push left out is gone
	authorizeOnly   bool // sends Authorize-Only without State

	namedByIdentifier bool // a change names the NAS by NAS-Identifier where it is known
	pushes            bool // announces coa-push=true

	refusesInChange []attribute // sent in an Access-Accept, never in a change
	actions         [kinds]action
	habits          habits
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

// Names lists the recipes in the order of the table.
func Names() []string {
	names := make([]string, len(recipes))
	for i, r := range recipes {
		names[i] = r.name
	}
	return names
}

// Name is what configuration calls the recipe.
func (r *Recipe) Name() string { return r.name }

// Port is where this kind of NAS listens for changes unless it was told otherwise.
func (r *Recipe) Port() uint16 { return r.port }

// Means is the kind that is really done when kind is asked for: a NAS without ports to
// bounce ends the session, one that is not pushed to reauthenticates.
func (r *Recipe) Means(kind Kind) Kind {
	if kind >= kinds {
		return Disconnect
	}
	return r.actions[kind].means
}

// Change is the code of the request for kind: CoA-Request or Disconnect-Request.
func (r *Recipe) Change(kind Kind) radius.Code { return r.actions[r.Means(kind)].code }

// Apply is the kind by which a new authorization reaches this NAS: what a push means.
func (r *Recipe) Apply() Kind { return r.Means(Push) }

// CarriesGrant says whether the request for kind holds the new authorization itself. If
// not, the NAS asks for it with an Access-Request, or the session is over.
func (r *Recipe) CarriesGrant(kind Kind) bool { return r.actions[r.Means(kind)].grant }

// PushReplacesAll says whether a push leaves nothing of the old authorization. If not,
// what the push does not mention stays in force (RFC 5176 section 2.2), see CheckMove.
func (r *Recipe) PushReplacesAll() bool { return r.replacesAll }

// AnnouncesPush says whether this kind of NAS sends coa-push=true when it logs a
// session in; then the lack of it is a sign of a wrong recipe.
func (r *Recipe) AnnouncesPush() bool { return r.pushes }

// AcceptsAuthorizeOnlyWithoutState says that a Service-Type of Authorize-Only may come
// without State from this kind of NAS, which RFC 5080 section 2.1.1 forbids: an ASA asks
// so after it checked a certificate itself. Such an answer proves nothing about the
// user, so Message-Authenticator has to be required of it.
func (r *Recipe) AcceptsAuthorizeOnlyWithoutState() bool { return r.authorizeOnly }
