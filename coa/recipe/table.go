package recipe

import "sallyport/netio/radius"

// recipes is the table, in the order of Names.
var recipes = []*Recipe{&ciscoASA, &ciscoIOS, &rfc5176}

// The spelling of an authorization that Cisco devices share. The redirect ACL comes
// before the URL, as these devices are used to it.
var (
	ciscoRedirectACL = rule{field: redirectACL, form: pair, name: "url-redirect-acl"}
	ciscoRedirectURL = rule{field: redirectURL, form: pair, name: "url-redirect"}
	ciscoDACL        = rule{field: dacl, form: pair, name: "ACS:CiscoSecure-Defined-ACL"}
	ciscoSGT         = rule{field: sgt, form: pair, name: "cts:security-group-tag"}
)

// What the RFCs have for everyone.
var (
	stdFilterID = rule{field: filterID, form: text, attr: radius.FilterID}
	stdTimeout  = rule{field: sessionTimeout, form: number, attr: radius.SessionTimeout}
	stdReauth   = rule{field: reauthTimer, form: action}
	stdClass    = rule{field: class, form: octets, attr: radius.Class}
	stdVLAN     = rule{field: vlan, form: tunnel}
)

// ciscoASA announces coa-push=true: it never asks again, so a change carries the whole
// new authorization, and what is left out, such as the redirect, is gone. At its
// Session-Timeout a tunnel ends; there is no re-authentication timer.
var ciscoASA = Recipe{
	name: "cisco-asa", port: 1700, apply: Push,
	grant: []rule{
		stdClass, ciscoRedirectACL, ciscoRedirectURL, ciscoDACL, stdFilterID,
		{field: vlan, form: vendorNumber, vendor: radius.VendorASA, vtype: radius.ASAVLAN},
		{field: groupPolicy, form: vendorText, vendor: radius.VendorASA, vtype: radius.ASAGroupPolicy},
		ciscoSGT, stdTimeout,
	},
	changes: [kinds]change{
		Push:       {code: radius.CoARequest, pairs: [][2]string{{"coa-push", "true"}}, whole: true, identify: asaIdentify},
		Disconnect: {code: radius.DisconnectRequest, identify: asaIdentify},
	},
}

var asaIdentify = []combination{
	{must: []part{auditSession}, also: []part{nasAddress, callingID, acctSession}},
	{must: []part{nasAddress, acctSession}, also: []part{callingID}},
}

// ciscoIOS is a Catalyst switch or a controller of that family: told to ask again, by
// the method the endpoint used last. Every identification it is sent must match, or it
// answers 407, so it is sent few.
var ciscoIOS = Recipe{
	name: "cisco-ios", port: 1700, apply: Reauthenticate,
	grant: []rule{
		stdClass, ciscoRedirectACL, ciscoRedirectURL, ciscoDACL, stdFilterID, stdVLAN, ciscoSGT, stdTimeout, stdReauth,
	},
	changes: [kinds]change{
		Reauthenticate: {code: radius.CoARequest, identify: iosIdentify, pairs: [][2]string{
			{"subscriber:command", "reauthenticate"}, {"subscriber:reauthenticate-type", "last"}}},
		Bounce: {code: radius.CoARequest, identify: iosIdentify, pairs: [][2]string{
			{"subscriber:command", "bounce-host-port"}}},
		Disconnect: {code: radius.DisconnectRequest, identify: iosIdentify},
	},
}

var iosIdentify = []combination{
	{must: []part{auditSession}, also: []part{nasAddress, callingID}},
	{must: []part{nasAddress, acctSession}},
	{must: []part{nasAddress, callingID}},
}

// rfc5176 is any NAS that keeps to the RFC. It has no redirect, no downloadable ACL and
// no tags, because no RFC has them. Section 3 asks for User-Name, Acct-Session-Id and
// the NAS; Framed-IP-Address identifies in a CoA-Request only (section 3.6).
var rfc5176 = Recipe{
	name: "rfc5176", port: 3799, apply: Push,
	grant: []rule{stdClass, stdFilterID, stdVLAN, stdTimeout, stdReauth},
	changes: [kinds]change{
		Push: {code: radius.CoARequest, whole: true, identify: append(append([]combination(nil), rfcIdentify...),
			combination{must: []part{nas, framedIP}})},
		Disconnect: {code: radius.DisconnectRequest, identify: rfcIdentify},
	},
}

var rfcIdentify = []combination{
	{must: []part{nas, acctSession}, also: []part{userName}},
	{must: []part{nas, callingID}, also: []part{userName}},
	{must: []part{nas, nasPort}, also: []part{userName}},
}
