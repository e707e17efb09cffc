package recipe

import (
	"time"

	"sallyport/netio/radius"
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

var iosMore = []ident{byFramedIP}

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

// byStation is for those who know a session by the endpoint's address.
var byStation = []combination{{needed: []ident{byCallingStationID}}}

// stationOrAcct is for those who take either, or both.
var stationOrAcct = []combination{
	{needed: []ident{byCallingStationID}, also: []ident{byAcctSessionID}},
	{needed: []ident{byAcctSessionID}},
}

// ended is the Disconnect-Request, with what finds the session. A change that a NAS has
// no way for means the same there.
func ended(found []combination, more ...ident) action {
	return action{means: Disconnect, code: radius.DisconnectRequest, found: found, more: more}
}

// acctWithin is what a NAS that sends accounting may take for it, or for asking again.
const acctWithin = 30 * time.Second

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
			Push: {means: Push, code: radius.CoARequest, found: asaFound, more: []ident{byNASPort},
				says: []said{command("coa-push", "true")}, grant: true},
			Reauthenticate: {means: Push},
			Bounce:         {means: Disconnect},
			Disconnect:     ended(asaFound, byNASPort),
		},
		habits: habits{confirmWithin: 10 * time.Second, signs: [kinds]Sign{Push: SignACL, Disconnect: SignStop}},
	},
	{
		name: "cisco-ios", port: 1700,
		redirectURL: ciscoRedirectURL, redirectACL: ciscoRedirectACL, dacl: ciscoDACL, sgt: ciscoSGT,
		filterID:        plainFilterID,
		vlan:            ciscoTunnel,
		reauthenticates: true,
		refusesInChange: secrets,
		actions: [kinds]action{
			Push: {means: Reauthenticate},
			Reauthenticate: {means: Reauthenticate, code: radius.CoARequest, found: iosFound, more: iosMore,
				says: []said{command("subscriber:command", "reauthenticate"), command("subscriber:reauthenticate-type", "last")}},
			Bounce: {means: Bounce, code: radius.CoARequest, found: iosFound, more: iosMore,
				says: []said{command("subscriber:command", "bounce-host-port")}},
			Disconnect: ended(iosFound, iosMore...),
		},
		habits: habits{confirmWithin: acctWithin, signs: [kinds]Sign{Reauthenticate: SignAccess,
			Bounce: SignAccess | SignStop, Disconnect: SignAccess | SignStop}},
	},
	{
		name: "cisco-wlc", port: 1700,
		redirectURL: ciscoRedirectURL, redirectACL: ciscoRedirectACL, dacl: ciscoDACL, sgt: ciscoSGT,
		filterID:        spelling{form: text, attribute: attribute{radius.VendorAirespace, radius.AirespaceACLName}},
		vlan:            ciscoTunnel,
		reauthenticates: true,
		refusesInChange: secrets,
		actions: [kinds]action{
			Push: {means: Reauthenticate},
			Reauthenticate: {means: Reauthenticate, code: radius.CoARequest, found: iosFound,
				says: []said{command("subscriber:command", "reauthenticate"), command("subscriber:reauthenticate-type", "last")}},
			Bounce:     {means: Disconnect},
			Disconnect: ended(iosFound),
		},
		habits: habits{confirmWithin: acctWithin, signs: [kinds]Sign{Reauthenticate: SignAccess, Disconnect: SignAccess | SignStop}},
	},
	{
		name: "aruba", port: 3799,
		filterID:        plainFilterID,
		groupPolicy:     spelling{form: text, attribute: attribute{radius.VendorAruba, radius.ArubaUserRole}},
		vlan:            spelling{form: tunnel},
		reauthenticates: true,
		refusesInChange: secrets,
		actions: [kinds]action{
			Push:           {means: Push, code: radius.CoARequest, found: byStation, grant: true},
			Reauthenticate: {means: Push},
			Bounce: {means: Bounce, code: radius.CoARequest, found: byStation,
				says: []said{{attribute: attribute{radius.VendorAruba, radius.ArubaPortBounceHost}, octets: []byte{0, 0, 0, bounceSeconds}}}},
			Disconnect: ended(byStation),
		},
		habits: habits{confirmWithin: acctWithin, signs: [kinds]Sign{Bounce: SignAccess | SignStop, Disconnect: SignAccess | SignStop}},
	},
	{
		name: "juniper", port: 3799,
		redirectURL:     spelling{form: text, attribute: attribute{radius.VendorJuniper, radius.JuniperCWARedirect}},
		filterID:        plainFilterID,
		vlan:            spelling{form: tunnel},
		reauthenticates: true,
		refusesInChange: secrets,
		actions: [kinds]action{
			Push:           {means: Push, code: radius.CoARequest, found: stationOrAcct, grant: true},
			Reauthenticate: {means: Push},
			Bounce: {means: Bounce, code: radius.CoARequest, found: stationOrAcct,
				says: []said{{attribute: attribute{radius.VendorJuniper, radius.JuniperAVPair}, octets: []byte("Port-Bounce")}}},
			Disconnect: ended(stationOrAcct),
		},
		habits: habits{confirmWithin: acctWithin, signs: [kinds]Sign{Bounce: SignAccess | SignStop, Disconnect: SignAccess | SignStop}},
	},
	{
		name: "fortinet", port: 3799,
		filterID:        plainFilterID,
		groupPolicy:     spelling{form: text, attribute: attribute{radius.VendorFortinet, radius.FortinetGroupName}},
		vlan:            spelling{form: tunnel},
		reauthenticates: true,
		refusesInChange: secrets,
		actions: [kinds]action{
			Push: {means: Reauthenticate},
			Reauthenticate: {means: Reauthenticate, code: radius.CoARequest, found: fortinetPort,
				says: []said{{attribute: fortinetAction, octets: []byte("action=reauth-port")}}},
			Bounce: {means: Bounce, code: radius.CoARequest, found: fortinetPort,
				says: []said{{attribute: fortinetAction, octets: []byte("action=bounce-port")}}},
			Disconnect: ended([]combination{
				{needed: []ident{byAcctSessionID}, also: []ident{byUserName, byFramedIP}},
				{needed: []ident{byUserName, byFramedIP}},
				{needed: []ident{byUserName, byCallingStationID}}}),
		},
		habits: habits{confirmWithin: acctWithin, signs: [kinds]Sign{Reauthenticate: SignAccess,
			Bounce: SignAccess | SignStop, Disconnect: SignAccess | SignStop}},
	},
	{
		name: "mikrotik", port: 3799,
		filterID:        plainFilterID,
		groupPolicy:     spelling{form: text, attribute: attribute{radius.VendorMikroTik, radius.MikrotikAddressList}},
		refusesInChange: secrets,
		actions: [kinds]action{
			Push:           {means: Push, code: radius.CoARequest, found: mikrotikFound, grant: true},
			Reauthenticate: {means: Push},
			Bounce:         {means: Disconnect},
			Disconnect:     ended(mikrotikFound),
		},
		habits: habits{confirmWithin: acctWithin, signs: [kinds]Sign{Disconnect: SignStop}},
	},
	{
		name: "ubiquiti", port: 3799,
		vlan:              spelling{form: tunnel},
		reauthenticates:   true,
		namedByIdentifier: true,
		refusesInChange:   secrets,
		actions:           endsOnly(byStation),
		habits:            habits{confirmWithin: acctWithin, signs: [kinds]Sign{Disconnect: SignAccess | SignStop}},
	},
	{
		name: "ruckus", port: 3799,
		filterID:        plainFilterID,
		groupPolicy:     spelling{form: text, attribute: attribute{radius.VendorRuckus, radius.RuckusUserGroups}},
		vlan:            spelling{form: tunnel},
		reauthenticates: true,
		refusesInChange: secrets,
		actions: [kinds]action{
			Push:           {means: Push, code: radius.CoARequest, found: byStation, grant: true},
			Reauthenticate: {means: Push},
			Bounce:         {means: Disconnect},
			Disconnect:     ended(byStation),
		},
		habits: habits{confirmWithin: acctWithin, signs: [kinds]Sign{Disconnect: SignAccess | SignStop}},
	},
	{
		// hostapd refuses every attribute but the plain ones, Vendor-Specific above all (401).
		name: "hostapd", port: 3799,
		vlan:            spelling{form: tunnel},
		reauthenticates: true,
		refusesInChange: secrets,
		actions:         endsOnly(stationOrAcct, byUserName),
		habits:          habits{confirmWithin: acctWithin, signs: [kinds]Sign{Disconnect: SignStop}},
	},
	{
		// strongSwan looks at User-Name alone: it ends all tunnels of the user.
		name: "strongswan", port: 3799,
		filterID:        plainFilterID,
		groupPolicy:     spelling{form: text, attribute: attribute{0, byte(radius.Class)}},
		refusesInChange: secrets,
		actions:         endsOnly([]combination{{needed: []ident{byUserName}}}),
		habits:          habits{confirmWithin: acctWithin, signs: [kinds]Sign{Disconnect: SignStop}},
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
			Disconnect:     ended(plainEnded),
		},
	},
}

// bounceSeconds is how long a port stays down: long enough that the endpoint asks for an
// address again.
const bounceSeconds = 12

var fortinetAction = attribute{radius.VendorFortinet, radius.FortinetHostPortAVPair}

var fortinetPort = []combination{
	{needed: []ident{byUserName, byCallingStationID}},
	{needed: []ident{byUserName, byFramedIP}},
	{needed: []ident{byCallingStationID}},
}

var mikrotikFound = []combination{
	{needed: []ident{byAcctSessionID}, also: []ident{byUserName, byFramedIP}},
	{needed: []ident{byUserName, byFramedIP}},
}

// endsOnly is a NAS that takes a Disconnect-Request and nothing else: the endpoint comes
// again and gets the new authorization then.
func endsOnly(found []combination, more ...ident) [kinds]action {
	return [kinds]action{Push: {means: Disconnect}, Reauthenticate: {means: Disconnect}, Bounce: {means: Disconnect},
		Disconnect: ended(found, more...)}
}
