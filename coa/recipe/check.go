package recipe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
)

// forbidden are the attributes that a profile cannot give freely: the packet and the
// session have them already, or they would make a password public.
var forbidden = map[radius.Type]string{
	radius.UserPassword:         "a reply holds no password",
	radius.CHAPPassword:         "a reply holds no password",
	radius.NASIPAddress:         "it names the NAS and cannot be granted (RFC 5176 section 3)",
	radius.NASIPv6Address:       "it names the NAS and cannot be granted (RFC 5176 section 3)",
	radius.NASIdentifier:        "it names the NAS and cannot be granted (RFC 5176 section 3)",
	radius.NASPort:              "it names the session and cannot be granted (RFC 5176 section 3)",
	radius.NASPortID:            "it names the session and cannot be granted (RFC 5176 section 3)",
	radius.CallingStationID:     "it names the session and cannot be granted (RFC 5176 section 3)",
	radius.CalledStationID:      "it names the session and cannot be granted (RFC 5176 section 3)",
	radius.AcctSessionID:        "it names the session and cannot be granted (RFC 5176 section 3)",
	radius.State:                "the appliance makes it",
	radius.ProxyState:           "it is copied from the request (RFC 2865 section 5.33)",
	radius.EAPMessage:           "the method makes it",
	radius.MessageAuthenticator: "every reply has one already",
	radius.EventTimestamp:       "every change has one already",
	radius.ErrorCause:           "it belongs to a NAS's answer (RFC 5176 section 3.5)",
	radius.TunnelPassword:       "nothing here can encrypt it",
	radius.ServiceType:          "in a change it asks for something else (RFC 5176 section 3.2)",
	radius.VendorSpecific:       "give its vendor and type",
}

// refuses says why a is not sent, "" when it is.
func (r *Recipe) refuses(a *Attribute, change bool) string {
	if a.Vendor == 0 && (change || radius.Type(a.Type) != radius.ServiceType) {
		if why := forbidden[radius.Type(a.Type)]; why != "" {
			return why
		}
	}
	if change && slices.Contains(r.refusesInChange, attribute{a.Vendor, a.Type}) {
		return "a change cannot hide it well enough (RFC 5176 section 3.6)"
	}
	return ""
}

// Check says in words what this NAS cannot express of g and what is too long for it,
// each with the way out. Nothing means that Access-Accept and push say all of g.
func (r *Recipe) Check(g *Grant) []string {
	c := checker{recipe: r}
	c.redirect(g)
	c.value(&r.dacl, "downloadable ACL", g.DACLName, "grant access by Filter-Id, the name of an ACL on the NAS")
	c.daclName(g.DACLName)
	c.value(&r.vlan, "VLAN", g.VLAN, "give a vendor attribute")
	c.value(&r.filterID, "Filter-Id", g.FilterID, "give a vendor attribute")
	c.value(&r.groupPolicy, "group policy", g.GroupPolicy, "leave it out, or give the vendor's attribute")
	if g.SGT != 0 && r.sgt.form == absent {
		c.say("%s has no security group tag: leave sgt out, or give the vendor's attribute", r.name)
	}
	c.timeout(g)
	c.class(g)
	c.attributes(g)
	if len(c.found) == 0 {
		c.whole(g)
	}
	return c.found
}

// CheckMove says in words what of from would stay in force after a push of to, since the
// NAS keeps what a CoA-Request does not mention (RFC 5176 section 2.2).
func (r *Recipe) CheckMove(from, to *Grant) []string {
	c := checker{recipe: r}
	if r.replacesAll || !r.CarriesGrant(Push) {
		return nil
	}
	stays := func(what string, before, after bool) {
		if before && !after {
			c.say("%s keeps the %s that a push does not mention: give the new profile one as well, or change by disconnect",
				r.name, what)
		}
	}
	stays("VLAN", from.VLAN != "" && r.vlan.form != absent, to.VLAN != "")
	stays("Filter-Id", from.FilterID != "" && r.filterID.form != absent, to.FilterID != "")
	stays("Class", len(from.Class) > 0, len(to.Class) > 0)
	stays("Session-Timeout", from.SessionTimeout != 0, to.SessionTimeout != 0)
	for i, a := range from.Attributes {
		same := func(b Attribute) bool { return b.Vendor == a.Vendor && b.Type == a.Type }
		if !slices.ContainsFunc(from.Attributes[:i], same) {
			stays(dictionary.Name(a.Vendor, a.Type), true, slices.ContainsFunc(to.Attributes, same))
		}
	}
	return c.found
}

// Missing says in words what is needed to find the session for a change of this kind, ""
// when id is enough.
func (r *Recipe) Missing(kind Kind, id *Ident) string {
	a := &r.actions[r.Means(kind)]
	if a.combination(id) != nil {
		return ""
	}
	var ways []string
	for _, c := range a.found {
		var names []string
		for _, i := range c.needed {
			names = append(names, identNames[i])
		}
		ways = append(ways, strings.Join(names, " with "))
	}
	return fmt.Sprintf("%s finds a session by %s; none is known: have the NAS send accounting", r.name, strings.Join(ways, ", or by "))
}

var identNames = [...]string{
	byAuditSessionID: "audit-session-id", byAcctSessionID: "Acct-Session-Id",
	byCallingStationID: "Calling-Station-Id", byUserName: "User-Name", byNASPort: "NAS-Port", byFramedIP: "Framed-IP-Address",
}

type checker struct {
	recipe *Recipe
	found  []string
}

func (c *checker) say(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// value checks one value against the way it is written.
func (c *checker) value(s *spelling, what, value, instead string) {
	if value == "" {
		return
	}
	if n, err := strconv.Atoi(value); s.form == tunnel && err == nil && (n < 1 || n > vlanMax) {
		c.say("VLAN %d is not between 1 and %d", n, vlanMax)
	}
	switch s.form {
	case absent:
		c.say("%s has no %s: %s", c.recipe.name, what, instead)
	case number:
		if _, ok := s.parse(value); !ok {
			c.say("%s takes a %s by number, %d to %d, not %q", c.recipe.name, what, s.least, s.most, value)
		}
	default:
		if most := s.room(); len(value) > most {
			c.say("%s has %d octets, at most %d fit: shorten it", what, len(value), most)
		}
	}
}

const vlanMax = 4094 // IEEE 802.1Q reserves 0 and 4095

// room is how many octets of a value fit (RFC 2865 section 5.26).
func (s *spelling) room() int {
	around := len(s.before) + len(s.after)
	switch {
	case s.form == pair:
		return radius.VendorMax - len(s.name) - 1 - around
	case s.form == tunnel && s.tag == 0:
		return radius.ValueMax
	case s.form == tunnel:
		return radius.ValueMax - 1
	case s.vendor != 0:
		return radius.VendorMax - around
	}
	return radius.ValueMax - around
}

func (c *checker) redirect(g *Grant) {
	if g.RedirectURL == "" && g.RedirectACL == "" {
		return
	}
	url, acl := &c.recipe.redirectURL, &c.recipe.redirectACL
	switch {
	case url.form == absent:
		c.say("%s has no redirect: quarantine by vlan or filter-id, and have the agent find the portal by name", c.recipe.name)
		return
	case g.RedirectURL == "":
		c.say("redirect ACL %q without a redirect URL: the NAS needs both", g.RedirectACL)
	case g.RedirectACL == "" && acl.form != absent:
		c.say("redirect URL without a redirect ACL: the NAS needs both; name an ACL that exists on it")
	}
	if most := url.room(); len(g.RedirectURL) > most {
		c.say("redirect URL has %d octets, at most %d fit into one Cisco-AVPair: shorten appliance.name", len(g.RedirectURL), most)
	}
	if strings.ContainsFunc(g.RedirectURL, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		c.say("redirect URL %q holds a blank or a control character: escape it", g.RedirectURL)
	}
	c.value(acl, "redirect ACL", g.RedirectACL, "leave it out")
}

// daclName wants the form that the NAS recognises and caches by: a name without a
// version would never be downloaded again.
func (c *checker) daclName(name string) {
	if name == "" || c.recipe.dacl.form == absent {
		return
	}
	rest, ok := strings.CutPrefix(name, "#ACSACL#-IP-")
	if !ok {
		rest, ok = strings.CutPrefix(name, "#ACSACL#-IPV6-")
	}
	dash := strings.LastIndexByte(rest, '-')
	if !ok || dash < 1 || len(rest)-dash-1 != 8 || strings.Trim(rest[dash+1:], hexDigits) != "" {
		c.say("downloadable ACL %q is not #ACSACL#-IP-NAME-VERSION with 8 hexadecimal digits of version", name)
	}
}

func (c *checker) timeout(g *Grant) {
	if !g.Reauthenticate {
		return
	}
	if !c.recipe.reauthenticates {
		c.say("%s ends the session at its timeout and does not ask again: leave reauthenticate out", c.recipe.name)
	} else if g.SessionTimeout == 0 {
		c.say("reauthenticate without a session timeout never happens: set session-timeout")
	}
}

func (c *checker) class(g *Grant) {
	for _, class := range g.Class {
		if len(class) == 0 || len(class) > radius.ValueMax {
			c.say("Class has %d octets, it takes 1 to %d", len(class), radius.ValueMax)
		}
	}
}

func (c *checker) attributes(g *Grant) {
	for i := range g.Attributes {
		a := &g.Attributes[i]
		if a.Vendor == 0 && a.Type == 0 {
			c.say("there is no attribute of number 0: give its vendor, or its name")
			continue
		}
		name, most := dictionary.Name(a.Vendor, a.Type), radius.ValueMax
		if a.Vendor != 0 {
			most = radius.VendorMax
		}
		if why := c.recipe.refuses(a, c.recipe.CarriesGrant(Push)); why != "" {
			c.say("%s cannot be given: %s", name, why)
		} else if len(a.Value) == 0 || len(a.Value) > most {
			c.say("%s has %d octets, it takes 1 to %d", name, len(a.Value), most)
		}
	}
}

// whole writes the packet and sees whether it fits.
func (c *checker) whole(g *Grant) {
	b := radius.Begin(make([]byte, 0, radius.PacketMax), radius.AccessAccept, 0)
	if err := c.recipe.AppendAccess(&b, g); err != nil || b.Room() < marginOctets {
		c.say("the packet would have %d octets or more, and %d must stay free: give fewer or shorter attributes",
			b.Len(), marginOctets)
	}
}

// marginOctets is what a grant must leave of a packet: for a User-Name and the session's
// own Class, for its identification in a change, for a few Proxy-States.
const marginOctets = 1200
