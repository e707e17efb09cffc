package recipe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
)

// Definition is a recipe in words, as a configuration file has it. What is left out is as
// in the recipe named by Like.
type Definition struct {
	Name string
	Like string // an existing recipe; "": rfc5176
	Port uint16

	// Find is the ways to find a session, the best first. A way is names of what is known
	// of a session (see Identifications); a name that ends in "?" is told where it is
	// known and not needed.
	Find    [][]string
	NameNAS string // address or identifier

	// Apply is how a new authorization reaches the NAS: push, reauthenticate, disconnect.
	Apply string

	// Attributes that make the NAS do it, "Name=value", such as
	// "Cisco-AVPair=subscriber:command=reauthenticate".
	Push, Reauthenticate, Bounce []string

	// The attributes that carry the parts of an authorization: a name from the
	// dictionary, or "Cisco-AVPair=name" for a pair; "none": the NAS has no such thing.
	// VLAN may be tunnel or tunnel-tagged, too.
	RedirectURL, RedirectACL, DACL, FilterID, GroupPolicy, VLAN string

	Refuses []string // attributes that a change does not carry

	Fallback      Fallback
	ConfirmWithin time.Duration
	InFlightMax   int
	RateMax       int
}

// Fault is what is wrong with a Definition. Field is the key of the configuration; Names
// are those that would do.
type Fault struct {
	Name, Field, Message string
	Names                []string
}

// Error is the fault in a line.
func (f *Fault) Error() string {
	return "recipe " + f.Name + ": " + f.Field + ": " + f.Message
}

// Book is the recipes of one configuration: the built-in ones and its own. It is not
// changed once it was made.
type Book struct{ own []*Recipe }

// Define makes a Book. A Definition may be like one before it. With faults, all of them,
// there is no Book.
func Define(definitions []Definition) (*Book, []Fault) {
	b := &Book{}
	var faults []Fault
	for i := range definitions {
		d := definer{book: b, d: &definitions[i]}
		if r := d.recipe(); len(d.faults) == 0 {
			b.own = append(b.own, r)
		}
		faults = append(faults, d.faults...)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return b, nil
}

// Lookup finds a recipe by name.
func (b *Book) Lookup(name string) (*Recipe, bool) {
	for _, r := range b.own {
		if r.name == name {
			return r, true
		}
	}
	return Lookup(name)
}

// Names lists the recipes, the built-in ones first.
func (b *Book) Names() []string {
	names := Names()
	for _, r := range b.own {
		names = append(names, r.name)
	}
	return names
}

// Identifications are the names of what a session can be found by.
func Identifications() []string { return identKeys[:] }

var identKeys = [idents]string{
	byAuditSessionID: "audit-session-id", byAcctSessionID: "acct-session-id", byCallingStationID: "calling-station-id",
	byUserName: "user-name", byNASPort: "nas-port", byFramedIP: "framed-ip-address",
}

type definer struct {
	book   *Book
	d      *Definition
	faults []Fault
}

func (d *definer) fault(field, format string, args ...any) {
	d.faults = append(d.faults, Fault{Name: d.d.Name, Field: field, Message: fmt.Sprintf(format, args...)})
}

// oneOf says which names would do, besides what is wrong.
func (d *definer) oneOf(field, word string, names ...string) {
	d.faults = append(d.faults, Fault{Name: d.d.Name, Field: field, Names: names,
		Message: fmt.Sprintf("%q is none of %s", word, strings.Join(names, ", "))})
}

func (d *definer) recipe() *Recipe {
	in := d.d
	if _, taken := d.book.Lookup(in.Name); taken || in.Name == "" {
		d.fault("name", "there is a recipe %q already", in.Name)
	}
	like := in.Like
	if like == "" {
		like = "rfc5176"
	}
	base, ok := d.book.Lookup(like)
	if !ok {
		d.oneOf("like", like, d.book.Names()...)
		return nil
	}
	r := *base
	r.name, r.refusesInChange = in.Name, slices.Clone(base.refusesInChange)
	if in.Port != 0 {
		r.port = in.Port
	}
	switch in.NameNAS {
	case "":
	case "address", "identifier":
		r.namedByIdentifier = in.NameNAS == "identifier"
	default:
		d.oneOf("name-nas-by", in.NameNAS, "address", "identifier")
	}
	d.spellings(&r)
	d.actions(&r)
	for _, name := range in.Refuses {
		if a, ok := d.attribute("refuses", name); ok {
			r.refusesInChange = append(r.refusesInChange, attribute{a.Vendor, a.Type})
		}
	}
	d.habits(&r)
	return &r
}

func (d *definer) habits(r *Recipe) {
	in, h := d.d, &r.habits
	if in.Fallback != FallbackDefault {
		h.fallback = in.Fallback
	}
	if in.ConfirmWithin != 0 {
		h.confirmWithin = in.ConfirmWithin
	}
	if in.InFlightMax != 0 {
		h.inFlightMax = in.InFlightMax
	}
	if in.RateMax != 0 {
		h.rateMax = in.RateMax
	}
	if kind, ok := r.Fallback().Kind(); ok && r.Means(kind) == r.Apply() {
		d.fault("fallback", "a new authorization comes by %s already: after silence the same again is no way out", r.Apply())
	}
}

// actions changes the ways to find a session, and what is said to make the NAS act.
func (d *definer) actions(r *Recipe) {
	in := d.d
	if in.Find != nil {
		found := d.combinations()
		for kind := range r.actions {
			if a := &r.actions[kind]; a.means == Kind(kind) {
				a.found, a.more = found, nil
			}
		}
	}
	found := r.actions[Disconnect].found
	for _, own := range []struct {
		kind  Kind
		field string
		says  []string
	}{{Push, "push", in.Push}, {Reauthenticate, "reauthenticate", in.Reauthenticate}, {Bounce, "bounce", in.Bounce}} {
		if own.says == nil {
			continue
		}
		r.actions[own.kind] = action{means: own.kind, code: radius.CoARequest, found: found, grant: own.kind == Push,
			says: d.says(own.field, own.says)}
	}
	d.apply(r)
}

// apply makes the kind by which a new authorization comes what a push means.
func (d *definer) apply(r *Recipe) {
	in := d.d
	if in.Apply == "" {
		return
	}
	kind, ok := ParseKind(in.Apply)
	if !ok || kind == Bounce {
		d.oneOf("apply", in.Apply, Push.String(), Reauthenticate.String(), Disconnect.String())
		return
	}
	if kind == Push && r.actions[Push].means != Push {
		r.actions[Push] = action{means: Push, code: radius.CoARequest, found: r.actions[Disconnect].found, grant: true}
	}
	if r.actions[kind].means != kind {
		d.fault("apply", "it is not said how to make the NAS %s: give the attributes for it", kind)
		return
	}
	r.actions[Push] = pushMeans(r, kind)
	if r.actions[Reauthenticate].means != Reauthenticate {
		r.actions[Reauthenticate] = action{means: kind}
	}
}

func pushMeans(r *Recipe, kind Kind) action {
	if kind == Push {
		return r.actions[Push]
	}
	return action{means: kind}
}

func (d *definer) combinations() (all []combination) {
	if len(d.d.Find) == 0 {
		d.fault("find", "no way to find a session")
	}
	for _, way := range d.d.Find {
		var c combination
		before := len(d.faults)
		for _, name := range way {
			bare, optional := strings.CutSuffix(name, "?")
			i := slices.Index(identKeys[:], bare)
			switch {
			case i < 0:
				d.oneOf("find", bare, identKeys[:]...)
			case optional:
				c.also = append(c.also, ident(i))
			default:
				c.needed = append(c.needed, ident(i))
			}
		}
		if len(c.needed) == 0 && len(d.faults) == before {
			d.fault("find", "a way that needs nothing would change every session of the NAS")
		}
		all = append(all, c)
	}
	return all
}

// says reads "Name=value" into attributes that are always the same.
func (d *definer) says(field string, lines []string) (all []said) {
	for _, line := range lines {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			d.fault(field, "%q is not Name=value", line)
			continue
		}
		a, ok := d.attribute(field, name)
		if !ok {
			continue
		}
		octets, err := a.Encode(value)
		if err == nil && !fits(a, octets) {
			err = fmt.Errorf("%s: %d octets are too many or too few", name, len(octets))
		}
		if err != nil {
			d.fault(field, "%v", err)
			continue
		}
		all = append(all, said{attribute: attribute{a.Vendor, a.Type}, octets: octets})
	}
	return all
}

func fits(a dictionary.Attribute, octets []byte) bool {
	most := radius.ValueMax
	if a.Vendor != 0 {
		most = radius.VendorMax
	}
	return len(octets) > 0 && len(octets) <= most
}

// attribute finds a name of the dictionary that a change may carry.
func (d *definer) attribute(field, name string) (dictionary.Attribute, bool) {
	a, ok := dictionary.Lookup(name)
	if !ok {
		f := Fault{Name: d.d.Name, Field: field, Message: fmt.Sprintf("there is no attribute %q", name)}
		if nearest := dictionary.Nearest(name); nearest != "" {
			f.Names = []string{nearest}
		}
		d.faults = append(d.faults, f)
		return a, false
	}
	if why := forbidden[radius.Type(a.Type)]; a.Vendor == 0 && why != "" {
		d.fault(field, "%s: %s", name, why)
		return a, false
	}
	return a, true
}

func (d *definer) spellings(r *Recipe) {
	in := d.d
	for _, one := range []struct {
		field, word string
		s           *spelling
	}{{"redirect-url", in.RedirectURL, &r.redirectURL}, {"redirect-acl", in.RedirectACL, &r.redirectACL}, {"dacl", in.DACL, &r.dacl},
		{"filter-id", in.FilterID, &r.filterID}, {"group-policy", in.GroupPolicy, &r.groupPolicy}, {"vlan", in.VLAN, &r.vlan}} {
		if one.word != "" {
			*one.s = d.spelling(one.field, one.word)
		}
	}
}

func (d *definer) spelling(field, word string) spelling {
	switch word {
	case "none":
		return spelling{}
	case "tunnel", "tunnel-tagged":
		if field != "vlan" {
			d.fault(field, "%s is a way to say a VLAN", word)
		}
		return spelling{form: tunnel, tag: byte(len(word) / len("tunnel-tagged"))}
	}
	name, pairName, isPair := strings.Cut(word, "=")
	a, ok := d.attribute(field, name)
	switch {
	case !ok:
		return spelling{}
	case isPair && (a.Vendor != radius.VendorCisco || a.Type != radius.CiscoAVPair || pairName == ""):
		d.fault(field, "%q is no pair: Cisco-AVPair=name", word)
		return spelling{}
	case isPair:
		return spelling{form: pair, name: pairName}
	case a.Kind == dictionary.String:
		return spelling{form: text, attribute: attribute{a.Vendor, a.Type}}
	case a.Kind == dictionary.Integer && field == "vlan":
		return spelling{form: number, attribute: attribute{a.Vendor, a.Type}, least: 1, most: vlanMax}
	}
	d.fault(field, "%s holds no %s: it is a %s", name, strconv.Quote(field), a.Kind)
	return spelling{}
}
