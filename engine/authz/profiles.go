package authz

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"sallyport/netio/radius"
	"sallyport/ops/config"
)

// attributesMax bounds the octets of a profile's attributes: what is left of a packet
// (RFC 2865 section 3) for the session's own and for Proxy-State is a quarter.
const attributesMax = radius.PacketMax * 3 / 4

// Lengths of values that stand behind a name of their own.
const (
	redirectACLMax = radius.VendorMax - len("url-redirect-acl=")
	groupPolicyMax = radius.ValueMax - len("OU=;")
	vlanNameMax    = radius.ValueMax - 1 // a tag goes in front (RFC 2868 section 3.6)
	vlanMax        = 4094                // IEEE 802.1Q keeps 0 and 4095 for itself
)

func (c *compiler) compileProfiles() {
	for name, written := range c.in.Profiles.All() {
		c.sources[name] = written
		at := len(c.faults)
		written = c.composed(name, written)
		p := c.profile(name, written)
		if len(c.faults) == at {
			c.add(p)
		}
	}
	for _, builtIn := range []*Profile{{Name: config.PermitAccess}, {Name: config.DenyAccess, Reject: true}} {
		if c.sources[builtIn.Name] == nil {
			c.add(builtIn)
		}
	}
}

func (c *compiler) add(p *Profile) {
	p.finish()
	c.out.profiles = append(c.out.profiles, p)
	c.out.byName[p.Name] = p
}

func (c *compiler) profile(name string, written *config.Profile) *Profile {
	path := "profiles." + name
	p := &Profile{
		Name: name, Pos: written.Pos, Reject: written.Reject, VLAN: written.VLAN.Value, FilterID: written.FilterID.Value,
		Class: written.Class.Value, SessionTimeout: written.SessionTimeout.Truncate(time.Second),
		Reauthenticate: written.Reauthenticate, GroupPolicy: written.GroupPolicy.Value,
	}
	switch {
	case name == config.DenyAccess && !written.Reject:
		c.fault(written.Pos, path, "DenyAccess without reject lets everybody in who is denied", "add reject: true, or choose another name")
	case name == config.PermitAccess && written.Reject:
		c.fault(written.Pos, path, "PermitAccess with reject keeps everybody out who is permitted", "choose another name")
	case written.Reject:
		c.rejectAlone(written, path)
	}
	if written.SGT < 0 || written.SGT > 0xffff {
		c.fault(written.Pos, path+".sgt", fmt.Sprintf("%d is not a security group tag", written.SGT), "from 1 to 65519")
	}
	p.SGT = uint16(written.SGT)
	p.Redirect = c.redirect(written.Redirect, path+".redirect")
	p.DACL = c.daclOf(written.DACL, path+".dacl")
	c.vlan(written.VLAN, path+".vlan")
	c.text(written.FilterID, radius.ValueMax, path+".filter-id")
	c.text(written.Class, radius.ValueMax, path+".class")
	c.text(written.GroupPolicy, groupPolicyMax, path+".group-policy")
	if strings.ContainsAny(p.GroupPolicy, ";=") {
		c.fault(written.GroupPolicy.Pos, path+".group-policy", "; and = cannot stand in the name of a group policy", "the appliance writes OU=NAME; around it")
	}
	c.timeout(written, path)
	p.Attributes = c.attributes(written, path+".attributes")
	return p
}

// rejectAlone: an Access-Reject explains itself to the person and grants nothing
// (RFC 2865 sections 4.3 and 5.44).
func (c *compiler) rejectAlone(written *config.Profile, path string) {
	grants := []struct {
		key  string
		have bool
	}{
		{"redirect", written.Redirect != nil}, {"dacl", written.DACL.Value != ""}, {"vlan", written.VLAN.Value != ""},
		{"filter-id", written.FilterID.Value != ""}, {"class", written.Class.Value != ""}, {"sgt", written.SGT != 0},
		{"session-timeout", written.SessionTimeout != 0}, {"reauthenticate", written.Reauthenticate},
		{"group-policy", written.GroupPolicy.Value != ""},
	}
	for _, g := range grants {
		if g.have {
			c.fault(written.Pos, path+"."+g.key, "a profile that rejects can grant nothing", "remove "+g.key+", or reject (RFC 2865 section 5.44)")
		}
	}
}

func (c *compiler) redirect(written *config.Redirect, path string) *Redirect {
	if written == nil {
		return nil
	}
	portal, known := written.Portal.Value, false
	for _, name := range c.opts.Portals {
		known = known || name == portal
	}
	if !known {
		c.fault(written.Portal.Pos, path+".portal", fmt.Sprintf("there is no portal %q", portal), config.DidYouMean(portal, c.opts.Portals))
	}
	acl := written.ACL
	if acl.Value == "" {
		c.fault(written.Pos, path+".acl", "the redirect names no ACL", "the NAS needs the name of a list that it has: what it permits is redirected")
	}
	c.text(acl, redirectACLMax, path+".acl")
	if strings.ContainsAny(acl.Value, " \t") {
		c.fault(acl.Pos, path+".acl", "the name of an ACL has no blanks", "")
	}
	return &Redirect{Portal: portal, ACL: acl.Value}
}

func (c *compiler) daclOf(name config.Text, path string) *DACL {
	if name.Value == "" {
		return nil
	}
	d, ok := c.dacls[name.Value]
	if !ok {
		c.fault(name.Pos, path, fmt.Sprintf("there is no dACL %q", name.Value), config.DidYouMean(name.Value, c.in.DACLs.Names()))
	}
	return d
}

// vlan takes a number or a name; a word of digits is a number.
func (c *compiler) vlan(written config.Text, path string) {
	n, err := strconv.Atoi(written.Value)
	switch {
	case written.Value == "":
	case err == nil && (n < 1 || n > vlanMax):
		c.fault(written.Pos, path, fmt.Sprintf("there is no VLAN %d", n), fmt.Sprintf("from 1 to %d", vlanMax))
	default:
		c.text(written, vlanNameMax, path)
	}
}

// text wants at most so many octets, and none that only a machine could have written.
func (c *compiler) text(written config.Text, octetsMax int, path string) {
	if len(written.Value) > octetsMax {
		c.fault(written.Pos, path, fmt.Sprintf("%d octets, at most %d fit", len(written.Value), octetsMax), "it has to fit into one attribute: shorten it")
	}
	if strings.ContainsFunc(written.Value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		c.fault(written.Pos, path, "a control character stands in the value", "")
	}
}

func (c *compiler) timeout(written *config.Profile, path string) {
	const secondsMax = 1<<32 - 1 // Session-Timeout (RFC 2865 section 5.27)
	if d := written.SessionTimeout; d < 0 || d/time.Second > secondsMax || d > 0 && d < time.Second {
		c.fault(written.Pos, path+".session-timeout", d.String()+" is not a session timeout", "whole seconds, from 1s on")
	}
	if written.Reauthenticate && written.SessionTimeout == 0 && !written.Reject {
		c.warn(written.Pos, path+".reauthenticate", "reauthenticate without session-timeout does nothing",
			"it says what happens when the time is over (RFC 2865 section 5.29)")
	}
}
