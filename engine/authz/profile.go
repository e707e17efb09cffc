package authz

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"sallyport/coa/recipe"
	"sallyport/ops/config"
)

// Profile is what a session may do, ready to be told to a NAS. Empty fields say nothing.
type Profile struct {
	Name           string
	Pos            config.Pos // zero for one that is built in
	Reject         bool       // Access-Reject; of the rest only Attributes go with it
	Redirect       *Redirect
	DACL           *DACL
	VLAN           string // number or name
	FilterID       string
	Class          string
	SGT            uint16 // security group tag
	SessionTimeout time.Duration
	Reauthenticate bool // at the timeout the NAS asks again
	GroupPolicy    string
	Attributes     []Attribute

	// Digest stands for the content, the name left out; the same content has the same
	// digest on every machine and after every restart.
	Digest uint64
	Text   string // the profile in words, for tables

	attributes []recipe.Attribute
}

// Redirect sends web traffic of the endpoint to a portal.
type Redirect struct {
	Portal string
	ACL    string // name of a list that the NAS has
}

// DACL is a downloadable ACL. Its full name carries a version made of its content, so
// that a NAS that keeps the old one under its name fetches the new one.
type DACL struct {
	Name     string
	FullName string // #ACSACL#-IP-<Name>-<8 hexadecimal digits>
	Lines    []string
	Pos      config.Pos
}

// Attribute is a RADIUS attribute named in a profile, encoded.
type Attribute struct {
	Vendor uint32 // enterprise number; 0 for the RFCs' own
	Type   byte
	Value  []byte
	Name   string // in the dictionary
	Text   string // the value in words
}

// daclPrefix begins the full name of every downloadable ACL. IP is the kind of list.
const daclPrefix = "#ACSACL#-IP-"

const versionLen = 8 // hexadecimal digits

func newDACL(name string, lines []string, pos config.Pos) *DACL {
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return &DACL{Name: name, FullName: daclPrefix + name + "-" + hex.EncodeToString(sum[:versionLen/2]), Lines: lines, Pos: pos}
}

// splitVersion takes the version off a full name; it is empty when there is none.
func splitVersion(fullName string) (base, version string) {
	at := len(fullName) - versionLen - 1
	if !strings.HasPrefix(fullName, daclPrefix) || at < len(daclPrefix) || fullName[at] != '-' {
		return fullName, ""
	}
	return fullName[:at], fullName[at+1:]
}

// Grant is the profile for one session: with its redirect URL, and Class values that go
// before the profile's own.
func (p *Profile) Grant(redirectURL string, class [][]byte) recipe.Grant {
	g := recipe.Grant{
		VLAN: p.VLAN, FilterID: p.FilterID, GroupPolicy: p.GroupPolicy, SGT: p.SGT,
		SessionTimeout: uint32(p.SessionTimeout / time.Second), Reauthenticate: p.Reauthenticate,
		Class: class, Attributes: p.attributes,
	}
	if p.Class != "" {
		g.Class = append(g.Class[:len(g.Class):len(g.Class)], []byte(p.Class))
	}
	if p.Redirect != nil {
		g.RedirectURL, g.RedirectACL = redirectURL, p.Redirect.ACL
	}
	if p.DACL != nil {
		g.DACLName = p.DACL.FullName
	}
	return g
}

// finish fills in what follows from the rest.
func (p *Profile) finish() {
	h := sha256.New()
	part := func(kind, value string) {
		fmt.Fprintf(h, "%s %d %s\n", kind, len(value), value)
	}
	var text []string
	say := func(kind, value, words string) {
		part(kind, value)
		text = append(text, words)
	}
	if p.Reject {
		say("reject", "", "reject")
	} else {
		text = append(text, "accept")
	}
	if p.Redirect != nil {
		part("portal", p.Redirect.Portal)
		say("redirect-acl", p.Redirect.ACL, "redirect to "+p.Redirect.Portal+" by "+p.Redirect.ACL)
	}
	if p.DACL != nil {
		say("dacl", p.DACL.FullName, "dACL "+p.DACL.Name)
	}
	for _, one := range []struct{ kind, value string }{
		{"VLAN", p.VLAN}, {"Filter-Id", p.FilterID}, {"Class", p.Class}, {"group policy", p.GroupPolicy},
	} {
		if one.value != "" {
			say(one.kind, one.value, one.kind+" "+one.value)
		}
	}
	if p.SGT != 0 {
		say("sgt", fmt.Sprint(p.SGT), fmt.Sprintf("SGT %d", p.SGT))
	}
	if p.SessionTimeout != 0 {
		say("timeout", p.SessionTimeout.String(), "session timeout "+p.SessionTimeout.String())
	}
	if p.Reauthenticate {
		say("reauthenticate", "", "then reauthenticate")
	}
	for _, a := range p.Attributes {
		say(fmt.Sprintf("attribute %d.%d", a.Vendor, a.Type), string(a.Value), a.Name+" = "+a.Text)
		p.attributes = append(p.attributes, recipe.Attribute{Vendor: a.Vendor, Type: a.Type, Value: a.Value})
	}
	p.Digest = binary.BigEndian.Uint64(h.Sum(nil))
	p.Text = strings.Join(text, ", ")
}
