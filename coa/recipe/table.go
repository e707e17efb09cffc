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

// said is a Cisco-AVPair that is always the same.
type said struct{ name, value string }

// ident is one of the attributes a session is found by.
type ident uint8

const (
	byAuditSessionID ident = iota
	byAcctSessionID
	byCallingStationID
	byUserName
	byNASPort
	byFramedIP
)

// combination is what is sent together: all of needed must be known, or the next
// combination is tried; of also, what is known.
type combination struct{ needed, also []ident }

// action is how a kind of change is made.
type action struct {
	means Kind // what is done in its place; the kind itself where the NAS can
	code  radius.Code
	found []combination // in order of preference
	says  []said
	grant bool // the whole new authorization follows
}

var (
	ciscoRedirectURL = spelling{form: pair, name: "url-redirect"}
	ciscoRedirectACL = spelling{form: pair, name: "url-redirect-acl"}
	ciscoDACL        = spelling{form: pair, name: "ACS:CiscoSecure-Defined-ACL"}
	ciscoSGT         = spelling{form: hexPair, name: "cts:security-group-tag", after: "-00"}
	plainFilterID    = spelling{form: text, attribute: attribute{0, byte(radius.FilterID)}}

	// secrets are never sent in a change. What hides them in a reply is the request's
	// random authenticator; a CoA-Request has none, so they would be as good as readable.
	secrets = []attribute{
		{radius.VendorMicrosoft, radius.MSMPPESendKey},
		{radius.VendorMicrosoft, radius.MSMPPERecvKey},
	}
)

// asaFound: an ASA knows its audit-session-id; the others make a wrong match impossible.
var asaFound = []combination{
	{needed: []ident{byAuditSessionID}, also: []ident{byCallingStationID, byAcctSessionID}},
	{needed: []ident{byCallingStationID, byAcctSessionID}},
}

// iosFound is short: IOS answers 407 unless everything it is given matches, and one of
// them is enough.
var iosFound = []combination{
	{needed: []ident{byAuditSessionID}, also: []ident{byCallingStationID}},
	{needed: []ident{byAcctSessionID}},
	{needed: []ident{byCallingStationID}},
}

// plainFound follows RFC 5176 section 3: User-Name and Acct-Session-Id where they are
// known. A User-Name alone is never enough, for it would change all sessions of the user.
// Framed-IP-Address comes last, and only in a CoA-Request (section 3.6).
var plainFound = []combination{
	{needed: []ident{byAcctSessionID}, also: []ident{byUserName}},
	{needed: []ident{byCallingStationID}, also: []ident{byUserName}},
	{needed: []ident{byNASPort}, also: []ident{byUserName}},
	{needed: []ident{byFramedIP}},
}

var plainEnded = plainFound[:3]

// recipes is the table.
var recipes = []*Recipe{
	{
		name: "cisco-asa", port: 1700,
		redirectURL: ciscoRedirectURL, redirectACL: ciscoRedirectACL, dacl: ciscoDACL, sgt: ciscoSGT,
		filterID:    plainFilterID,
		vlan:        spelling{form: number, attribute: attribute{radius.VendorASA, radius.ASAVLAN}, least: 1, most: vlanMax},
		groupPolicy: spelling{form: text, attribute: attribute{0, byte(radius.Class)}, before: "OU=", after: ";"},
		replacesAll: true, authorizeOnly: true, pushes: true,
		refusesInChange: secrets,
		actions: [kinds]action{
			Push: {means: Push, code: radius.CoARequest, found: asaFound,
				says: []said{{"coa-push", "true"}}, grant: true},
			Reauthenticate: {means: Push},
			Bounce:         {means: Disconnect},
			Disconnect:     {means: Disconnect, code: radius.DisconnectRequest, found: asaFound},
		},
	},
	{
		name: "cisco-ios", port: 1700,
		redirectURL: ciscoRedirectURL, redirectACL: ciscoRedirectACL, dacl: ciscoDACL, sgt: ciscoSGT,
		filterID:        plainFilterID,
		vlan:            spelling{form: tunnel, tag: 1},
		reauthenticates: true,
		refusesInChange: secrets,
		actions: [kinds]action{
			Push: {means: Reauthenticate},
			Reauthenticate: {means: Reauthenticate, code: radius.CoARequest, found: iosFound,
				says: []said{{"subscriber:command", "reauthenticate"}, {"subscriber:reauthenticate-type", "last"}}},
			Bounce: {means: Bounce, code: radius.CoARequest, found: iosFound,
				says: []said{{"subscriber:command", "bounce-host-port"}}},
			Disconnect: {means: Disconnect, code: radius.DisconnectRequest, found: iosFound},
		},
	},
	{
		name: "rfc5176", port: 3799,
		filterID:        plainFilterID,
		vlan:            spelling{form: tunnel},
		reauthenticates: true,
		refusesInChange: secrets,
		actions: [kinds]action{
			Push:           {means: Push, code: radius.CoARequest, found: plainFound, grant: true},
			Reauthenticate: {means: Push},
			Bounce:         {means: Disconnect},
			Disconnect:     {means: Disconnect, code: radius.DisconnectRequest, found: plainEnded},
		},
	},
}
