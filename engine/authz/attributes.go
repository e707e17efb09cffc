package authz

import (
	"fmt"
	"strings"

	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
	"sallyport/ops/config"
)

// explains are the attributes that go with an Access-Reject (RFC 2865 section 5.44,
// RFC 2869 section 5.19).
var explains = map[radius.Type]bool{radius.ReplyMessage: true, radius.PasswordRetry: true}

// attributes encodes what a profile names freely.
func (c *compiler) attributes(written *config.Profile, path string) []Attribute {
	var out []Attribute
	octets := 0
	for i := range written.Attributes {
		named := &written.Attributes[i]
		at := path + "." + named.Name.Value
		known, ok := dictionary.Lookup(named.Name.Value)
		if !ok {
			hint := "the dictionary has the RFCs' attributes and those of the vendors it names"
			if near := dictionary.Nearest(named.Name.Value); near != "" {
				hint = "did you mean " + near + "?"
			}
			c.fault(named.Name.Pos, at, fmt.Sprintf("there is no attribute %q", named.Name.Value), hint)
			continue
		}
		if why, hint := misplaced(known, written); why != "" {
			c.fault(named.Name.Pos, at, why, hint)
			continue
		}
		if len(named.Values) == 0 {
			c.fault(named.Name.Pos, at, "the attribute has no value", "")
		}
		for _, value := range named.Values {
			a, ok := c.attribute(known, value, written, at)
			if ok {
				out = append(out, a)
				octets += size(a)
			}
		}
	}
	if octets > attributesMax {
		c.fault(written.Pos, path, fmt.Sprintf("the attributes take %d octets, at most %d leave room for the rest of the packet", octets, attributesMax), "")
	}
	return out
}

// size is what an attribute takes in a packet, its headers included (RFC 2865 sections
// 5 and 5.26).
func size(a Attribute) int {
	if a.Vendor != 0 {
		return 2 + 4 + 2 + len(a.Value)
	}
	return 2 + len(a.Value)
}

func (c *compiler) attribute(known dictionary.Attribute, value config.Text, written *config.Profile, path string) (Attribute, bool) {
	octets, err := known.Encode(value.Value)
	if err != nil {
		c.fault(value.Pos, path, strings.TrimPrefix(err.Error(), known.Name+": "), "it takes "+expected(known))
		return Attribute{}, false
	}
	if known.Vendor == radius.VendorCisco && known.Type == radius.CiscoAVPair {
		if why, hint := pairTaken(value.Value, written); why != "" {
			c.fault(value.Pos, path, why, hint)
			return Attribute{}, false
		}
	}
	return Attribute{Vendor: known.Vendor, Type: known.Type, Value: octets, Name: known.Name, Text: known.Words(octets)}, true
}

// expected says what an attribute takes.
func expected(known dictionary.Attribute) string {
	most := radius.ValueMax
	if known.Vendor != 0 {
		most = radius.VendorMax
	}
	switch kind := known.Kind; {
	case known.Size != 0:
		return fmt.Sprintf("%d octets, as 0x and hexadecimal", known.Size)
	case kind == dictionary.Octets:
		return fmt.Sprintf("1 to %d octets", most)
	case kind == dictionary.String, kind == dictionary.TaggedString:
		return fmt.Sprintf("%s of 1 to %d octets", kind, most)
	case strings.IndexByte("aeiouI", kind.String()[0]) >= 0:
		return "an " + kind.String()
	default:
		return "a " + kind.String()
	}
}

// misplaced says why an attribute cannot be in this profile at all, "" when it can. What
// a particular NAS cannot be told is for its recipe to say.
func misplaced(known dictionary.Attribute, written *config.Profile) (why, hint string) {
	if written.Reject {
		if known.Vendor == 0 && explains[radius.Type(known.Type)] {
			return "", ""
		}
		return "a profile that rejects can grant nothing", "Reply-Message goes with an Access-Reject (RFC 2865 section 5.44)"
	}
	if known.Vendor != 0 {
		return "", ""
	}
	keys := []struct {
		typ  radius.Type
		key  string
		have bool
	}{
		{radius.FilterID, "filter-id", written.FilterID.Value != ""},
		{radius.SessionTimeout, "session-timeout", written.SessionTimeout != 0},
		{radius.TerminationAction, "reauthenticate", written.Reauthenticate},
		{radius.TunnelType, "vlan", written.VLAN.Value != ""},
		{radius.TunnelMediumType, "vlan", written.VLAN.Value != ""},
		{radius.TunnelPrivateGroupID, "vlan", written.VLAN.Value != ""},
	}
	for _, k := range keys {
		if k.have && radius.Type(known.Type) == k.typ {
			return "the key " + k.key + " writes this attribute already", "remove one of them"
		}
	}
	return "", ""
}

// pairTaken says why a Cisco-AVPair cannot be given freely: the appliance writes it.
func pairTaken(pair string, written *config.Profile) (why, hint string) {
	taken := []struct {
		name, key string
		have      bool
	}{
		{"audit-session-id", "", true}, {"coa-push", "", true}, {"subscriber:command", "", true},
		{"url-redirect", "redirect", written.Redirect != nil},
		{"url-redirect-acl", "redirect", written.Redirect != nil},
		{"ACS:CiscoSecure-Defined-ACL", "dacl", written.DACL.Value != ""},
		{"cts:security-group-tag", "sgt", written.SGT != 0},
	}
	name, _, _ := strings.Cut(pair, "=")
	for _, t := range taken {
		switch {
		case !t.have || !strings.EqualFold(name, t.name):
		case t.key == "":
			return t.name + " belongs to the session, not to a profile", "the appliance writes it where the NAS needs it"
		default:
			return "the key " + t.key + " writes " + t.name + " already", "remove one of them"
		}
	}
	return "", ""
}
