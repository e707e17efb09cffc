package coatest

import (
	"slices"
	"strings"

	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
)

// What a CoA-Request may hold, and of that what a Disconnect-Request may not: an ASA
// takes its VLAN as its own attribute and no tunnel set.
var (
	identifies = []radius.Type{radius.UserName, radius.NASIPAddress, radius.NASIPv6Address, radius.NASIdentifier,
		radius.NASPort, radius.CallingStationID, radius.CalledStationID, radius.AcctSessionID,
		radius.FramedIPAddress, radius.EventTimestamp, radius.MessageAuthenticator, radius.State, radius.ProxyState,
		radius.AcctTerminateCause, radius.VendorSpecific}
	authorizes = []radius.Type{radius.ServiceType, radius.FilterID, radius.Class, radius.SessionTimeout,
		radius.IdleTimeout, radius.ReplyMessage}
	pairs = []string{"coa-push", "url-redirect", "url-redirect-acl", "ACS:CiscoSecure-Defined-ACL",
		"cts:security-group-tag", "profile-name"}
)

// judgeChange finds the session, or the Error-Cause of RFC 5176 section 3.5. All or
// nothing: one attribute that is not understood refuses the request.
func (a *ASA) judgeChange(v *radius.View) (*ASASession, uint32) {
	if cause := a.unsupported(v); cause != 0 {
		return nil, cause
	}
	if ip, ok := v.Addr(radius.NASIPAddress); ok && ip != a.config.NASIP || v.Has(radius.NASIPv6Address) {
		return nil, radius.ErrorCauseNASIdentificationMismatch
	}
	_, byAudit := v.AVPair("audit-session-id")
	if !byAudit && !v.Has(radius.AcctSessionID) && !v.Has(radius.CallingStationID) && !v.Has(radius.UserName) &&
		!v.Has(radius.FramedIPAddress) && !v.Has(radius.NASPort) {
		return nil, radius.ErrorCauseMissingAttribute
	}
	var found *ASASession
	for _, s := range a.live() {
		if !s.matches(v) {
			continue
		}
		if found != nil {
			return nil, radius.ErrorCauseMultipleSessionSelectionUnsupported
		}
		found = s
	}
	if found == nil {
		return nil, radius.ErrorCauseSessionContextNotFound
	}
	if v.Code() == radius.CoARequest {
		access, cause := understand(v)
		if cause == 0 && (access.RedirectURL == "") != (access.RedirectACL == "") {
			cause = radius.ErrorCauseMissingAttribute
		}
		return found, cause
	}
	return found, 0
}

// unsupported is the Error-Cause of what an ASA does not know, 0 when it knows all of it.
func (a *ASA) unsupported(v *radius.View) uint32 {
	disconnect := v.Code() == radius.DisconnectRequest
	if disconnect && v.Has(radius.ServiceType) {
		return radius.ErrorCauseInvalidRequest // RFC 5176 section 3.2
	}
	if service, _ := v.U32(radius.ServiceType); service == radius.ServiceTypeAuthorizeOnly {
		return radius.ErrorCauseUnsupportedService
	}
	for t, value := range v.Attrs() {
		known := slices.Contains(identifies, t) || !disconnect && slices.Contains(authorizes, t)
		if !known || t == radius.VendorSpecific && !knownVendor(value, disconnect) {
			return radius.ErrorCauseUnsupportedAttribute
		}
	}
	return 0
}

// knownVendor says whether each attribute in one Vendor-Specific is known. A disconnect
// may only name its session.
func knownVendor(value []byte, disconnect bool) bool {
	count := 0
	for vt, value := range radius.VendorAttributes(value) {
		count++
		_, listed := dictionary.Find(vt.Vendor, vt.Type)
		switch {
		case vt.Vendor == radius.VendorCisco && vt.Type == radius.CiscoAVPair:
			if name, _, _ := strings.Cut(string(value), "="); !knownPair(name, disconnect) {
				return false
			}
		case vt.Vendor != radius.VendorASA || !listed || disconnect:
			return false
		}
	}
	return count > 0
}

func knownPair(name string, disconnect bool) bool {
	acl := strings.HasPrefix(name, "ip:inacl#") || strings.HasPrefix(name, "ipv6:inacl#")
	return name == "audit-session-id" || !disconnect && (acl || slices.Contains(pairs, name))
}
