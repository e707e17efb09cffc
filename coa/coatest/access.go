package coatest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport/netio/radius"
)

// Access is an authorization as the ASA understood it.
type Access struct {
	RedirectURL    string
	RedirectACL    string
	DACLName       string   // full name
	DACL           []string // its entries, or those that came inline, in order
	FilterID       string
	GroupPolicy    string // of a Class OU=name;
	VLAN           uint32
	SGT            string // tag and generation as they came
	SessionTimeout uint32 // seconds
	Class          [][]byte
	Blocked        string // not empty: why nothing passes, such as a dACL that did not come
}

// String is the access in words: "redirect ACL to URL", "dACL NAME (2 entries)",
// "filter NAME", joined when there are several; "full" when nothing restricts it.
func (a Access) String() string {
	var parts []string
	if a.Blocked != "" {
		return "nothing: " + a.Blocked
	}
	if a.RedirectURL != "" {
		parts = append(parts, "redirect "+a.RedirectACL+" to "+a.RedirectURL)
	}
	switch {
	case a.DACLName != "":
		parts = append(parts, fmt.Sprintf("dACL %s (%d entries)", a.DACLName, len(a.DACL)))
	case len(a.DACL) > 0:
		parts = append(parts, fmt.Sprintf("inline ACL (%d entries)", len(a.DACL)))
	}
	if a.FilterID != "" {
		parts = append(parts, "filter "+a.FilterID)
	}
	if len(parts) == 0 {
		return "full"
	}
	return strings.Join(parts, ", ")
}

// Redirected says whether web traffic is caught.
func (a Access) Redirected() bool { return a.RedirectURL != "" && a.Blocked == "" }

// Full says whether nothing catches or blocks the endpoint's traffic; a dACL may still
// be in force, for "permit ip any any" is one.
func (a Access) Full() bool { return a.RedirectURL == "" && a.Blocked == "" }

func (a Access) clone() Access {
	a.DACL, a.Class = slices.Clone(a.DACL), slices.Clone(a.Class)
	return a
}

// understand reads the authorization out of an Access-Accept or a CoA-Request. The
// cause is an Error-Cause of RFC 5176 section 3.5, 0 when all is well.
func understand(v *radius.View) (a Access, cause uint32) {
	a.FilterID = v.Text(radius.FilterID)
	if _, has := v.Get(radius.SessionTimeout); has {
		var ok bool
		if a.SessionTimeout, ok = v.U32(radius.SessionTimeout); !ok {
			return a, radius.ErrorCauseInvalidAttributeValue
		}
	}
	for class := range v.All(radius.Class) {
		a.Class = append(a.Class, bytes.Clone(class))
		if policy, ok := strings.CutPrefix(string(class), "OU="); ok {
			a.GroupPolicy = strings.TrimSuffix(policy, ";")
		}
	}
	for vt, value := range v.VendorAttrs() {
		if vt.Vendor != radius.VendorASA {
			continue
		}
		switch {
		case vt.Type == radius.ASAVLAN && len(value) != 4:
			return a, radius.ErrorCauseInvalidAttributeValue
		case vt.Type == radius.ASAVLAN:
			a.VLAN = binary.BigEndian.Uint32(value)
		case vt.Type == radius.ASAGroupPolicy:
			a.GroupPolicy = string(value)
		}
	}
	for name, value := range v.AVPairs() {
		switch string(name) {
		case "url-redirect":
			a.RedirectURL = string(value)
		case "url-redirect-acl":
			a.RedirectACL = string(value)
		case "ACS:CiscoSecure-Defined-ACL":
			a.DACLName = string(value)
		case "cts:security-group-tag":
			a.SGT = string(value)
		}
	}
	if a.DACL, cause = entries(v, nil), 0; a.DACLName != "" {
		a.DACL = nil // the named one is what counts
	}
	return a, cause
}

// entries collects ip:inacl#n= pairs into those that came before, in the order of their
// numbers.
func entries(v *radius.View, numbered map[int]string) []string {
	if numbered == nil {
		numbered = map[int]string{}
	}
	for name, value := range v.AVPairs() {
		digits, ok := strings.CutPrefix(string(name), "ip:inacl#")
		if !ok {
			digits, ok = strings.CutPrefix(string(name), "ipv6:inacl#")
		}
		if n, err := strconv.Atoi(digits); ok && err == nil {
			numbered[n] = string(value)
		}
	}
	order := make([]int, 0, len(numbered))
	for n := range numbered {
		order = append(order, n)
	}
	slices.Sort(order)
	out := make([]string, 0, len(order))
	for _, n := range order {
		out = append(out, numbered[n])
	}
	return out
}

// merge is a change without coa-push=true: what is not mentioned stays (RFC 5176 section
// 2.2).
func merge(old, change Access) Access {
	if change.RedirectURL != "" {
		old.RedirectURL, old.RedirectACL = change.RedirectURL, change.RedirectACL
	}
	if change.DACLName != "" || len(change.DACL) > 0 {
		old.DACLName, old.DACL = change.DACLName, change.DACL
	}
	text := func(to *string, value string) {
		if value != "" {
			*to = value
		}
	}
	text(&old.FilterID, change.FilterID)
	text(&old.GroupPolicy, change.GroupPolicy)
	text(&old.SGT, change.SGT)
	if change.VLAN != 0 {
		old.VLAN = change.VLAN
	}
	if change.SessionTimeout != 0 {
		old.SessionTimeout = change.SessionTimeout
	}
	if len(change.Class) > 0 {
		old.Class = change.Class
	}
	old.Blocked = ""
	return old
}
