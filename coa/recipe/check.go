package recipe

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
)

// RedirectURLMax is the longest redirect URL that a Cisco-AVPair holds beside its name,
// in octets: 247 less "url-redirect=".
const RedirectURLMax = radius.VendorMax - len("url-redirect=")

const vlanMax = 4094 // IEEE 802.1Q: 0 and 4095 are reserved

// daclForm is a downloadable ACL's whole name; the digits are its content's version,
// since a NAS keeps what it once downloaded under that name.
var daclForm = regexp.MustCompile(`^#ACSACL#-IP(V6)?-[^\s#]{1,200}-[0-9a-f]{8}$`)

// ours are the attributes that the appliance writes itself or that no reply and no CoA
// may carry; an operator cannot name them.
var ours = []radius.Type{
	radius.UserPassword, radius.CHAPPassword, radius.State, radius.ProxyState, radius.VendorSpecific,
	radius.EAPMessage, radius.MessageAuthenticator, radius.AcctSessionID, radius.NASIPAddress,
	radius.NASIPv6Address, radius.NASIdentifier, radius.NASPort, radius.CallingStationID, radius.CalledStationID,
	radius.AcctStatusType, radius.EventTimestamp, radius.ErrorCause,
}

// Check says everything about g that this NAS cannot be told, one line a fault, none
// when it is sound. The redirect URL is to be as long as it will ever be.
func (r *Recipe) Check(g *Grant) (faults []string) {
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for f := range fields {
		if g.has(f) && r.rule(f) == nil {
			add("recipe %s has no way to say a %s", r.name, fieldNames[f])
		}
	}
	if (g.RedirectURL == "") != (g.RedirectACL == "") {
		add("a redirect needs both its URL and its ACL")
	}
	if n := len(g.RedirectURL); n > RedirectURLMax {
		add("the redirect URL has %d octets, at most %d fit into the packet", n, RedirectURLMax)
	}
	if g.DACLName != "" && !daclForm.MatchString(g.DACLName) {
		add("%q is not the name of a downloadable ACL: #ACSACL#-IP-NAME-<8 hexadecimal digits>", g.DACLName)
	}
	if g.ReauthTimer && g.SessionTimeout == 0 {
		add("a re-authentication timer needs a session timeout")
	}
	r.checkVLAN(g, add)
	for i := range g.Attributes {
		r.checkAttribute(&g.Attributes[i], add)
	}
	if len(faults) > 0 {
		return faults
	}
	b := radius.Begin(make([]byte, 0, radius.PacketMax), radius.AccessAccept, 0)
	if err := r.AppendAccess(&b, g); err != nil {
		add("%s", strings.TrimPrefix(err.Error(), "radius: "))
	} else if b.Room() < marginOctets {
		add("the packet has %d octets of attributes, which leaves less than %d for the session's own", b.Len(), marginOctets)
	}
	return faults
}

// marginOctets is what an authorization must leave in a packet: a User-Name and a
// Class of ours, the session's identification, a few Proxy-States.
const marginOctets = 1200

func (r *Recipe) checkVLAN(g *Grant, add func(string, ...any)) {
	rule := r.rule(vlan)
	if g.VLAN == "" || rule == nil {
		return
	}
	n, err := strconv.ParseUint(g.VLAN, 10, 32)
	switch {
	case err == nil && (n < 1 || n > vlanMax):
		add("VLAN %d is not between 1 and %d", n, vlanMax)
	case err != nil && rule.form == vendorNumber:
		add("VLAN %q: recipe %s takes a number only", g.VLAN, r.name)
	}
}

func (r *Recipe) checkAttribute(a *Attribute, add func(string, ...any)) {
	name := dictionary.Name(a.Vendor, a.Type)
	most := radius.ValueMax
	if a.Vendor != 0 {
		most = radius.VendorMax
	}
	switch {
	case len(a.Value) == 0:
		add("%s has no value", name)
	case len(a.Value) > most:
		add("%s has %d octets, at most %d fit", name, len(a.Value), most)
	case a.Type == 0 && a.Vendor == 0:
		add("%s: there is no attribute of number 0", name)
	}
	if a.Vendor != 0 {
		return
	}
	for _, t := range ours {
		if radius.Type(a.Type) == t {
			add("%s is written by the appliance and cannot be set", name)
		}
	}
}
