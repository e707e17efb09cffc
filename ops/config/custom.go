package config

import (
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"sallyport/ops/secret"
)

// custom decodes the types that are not simply scalars, lists and structs.
var custom map[reflect.Type]func(d *decoder, n ast.Node, v reflect.Value, path string, t tag)

func init() { // a variable's value may not refer to itself, and these come back to the decoder
	custom = map[reflect.Type]func(*decoder, ast.Node, reflect.Value, string, tag){
		reflect.TypeFor[Text]():           decodeText,
		reflect.TypeFor[Path]():           decodePath,
		reflect.TypeFor[Address]():        decodeAddress,
		reflect.TypeFor[secret.Shared]():  decodeSecret,
		reflect.TypeFor[netip.Addr]():     decodeIP,
		reflect.TypeFor[[]netip.Prefix](): decodePrefixes,
		reflect.TypeFor[[]netip.Addr]():   decodeAddresses,
		reflect.TypeFor[DACL]():           decodeDACL,
		reflect.TypeFor[[]Attribute]():    decodeAttributes,
		reflect.TypeFor[Raw]():            decodeRaw,
	}
}

func decodeText(d *decoder, n ast.Node, v reflect.Value, path string, t tag) {
	if n.Type() == ast.BoolType {
		d.fault(d.pos(n), path, "expected a text, got true or false", "put it in quotes if it is meant as a text")
		return
	}
	s, ok := d.text(n, path, "a text")
	if !ok {
		return
	}
	if err := t.word(s); err != nil {
		d.fault(d.pos(n), path, err.Message, err.Hint)
	}
	v.Set(reflect.ValueOf(d.textAt(n, s)))
}

// textAt notes whether the value stands in the file as it is.
func (d *decoder) textAt(n ast.Node, s string) Text {
	text := Text{Pos: d.pos(n), Value: s}
	tk := n.GetToken()
	written := strings.TrimSpace(tk.Origin)
	switch {
	case n.Type() == ast.LiteralType:
	case tk.Type == token.SingleQuoteType, tk.Type == token.DoubleQuoteType:
		text.plain = len(written) == len(s)+2 && written[1:len(written)-1] == s
		text.lead = 1
	default:
		text.plain = written == s
	}
	return text
}

func decodePath(d *decoder, n ast.Node, v reflect.Value, path string, _ tag) {
	s, ok := d.text(n, path, "the name of a file")
	if !ok {
		return
	}
	if strings.TrimSpace(s) == "" {
		d.fault(d.pos(n), path, "an empty file name", "")
		return
	}
	v.Set(reflect.ValueOf(Path{Pos: d.pos(n), Value: d.relative(s)}))
}

func decodeAddress(d *decoder, n ast.Node, v reflect.Value, path string, _ tag) {
	s, ok := d.text(n, path, "host:port")
	if !ok {
		return
	}
	a, err := parseAddress(s)
	if err != nil {
		d.fault(d.pos(n), path, err.Message, err.Hint)
		return
	}
	v.Set(reflect.ValueOf(Address{Pos: d.pos(n), Value: a}))
}

// parseAddress returns "" for off.
func parseAddress(s string) (string, *Fault) {
	if s == "off" {
		return "", nil
	}
	if _, err := strconv.Atoi(s); err == nil {
		return "", &Fault{Message: s + " is a port without its colon", Hint: `write ":` + s + `" to listen on every address`}
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", &Fault{Message: strconv.Quote(s) + " is not host:port", Hint: `such as ":1812", "127.0.0.1:1812" or "[::1]:1812"; off to switch it off`}
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", &Fault{Message: strconv.Quote(port) + " is not a port", Hint: "from 0 to 65535; 0 takes any that is free"}
	} else {
		port = strconv.FormatUint(p, 10)
	}
	if strings.ContainsAny(host, " /") {
		return "", &Fault{Message: strconv.Quote(host) + " is not a host", Hint: "an address, or nothing for every address"}
	}
	return net.JoinHostPort(host, port), nil
}

func decodeIP(d *decoder, n ast.Node, v reflect.Value, path string, _ tag) {
	s, ok := d.text(n, path, "an IP address")
	if !ok {
		return
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		d.fault(d.pos(n), path, strconv.Quote(s)+" is not an IP address", "")
		return
	}
	v.Set(reflect.ValueOf(a.Unmap()))
}

// decodeAddresses takes one address, or a list with one of each family.
func decodeAddresses(d *decoder, n ast.Node, v reflect.Value, path string, _ tag) {
	var all []netip.Addr
	for _, item := range itemsOf(n) {
		item = d.resolve(item)
		if item == nil {
			continue
		}
		var a netip.Addr
		decodeIP(d, item, reflect.ValueOf(&a).Elem(), path, tag{})
		switch {
		case !a.IsValid():
		case a.IsUnspecified():
			d.fault(d.pos(item), path, a.String()+" is no address to send from", "leave it out, and the system chooses")
		case slices.ContainsFunc(all, func(b netip.Addr) bool { return a.Is4() == b.Is4() }):
			d.fault(d.pos(item), path, a.String()+" is a second address of its family", "one for IPv4, one for IPv6")
		default:
			all = append(all, a)
		}
	}
	v.Set(reflect.ValueOf(all))
}

// itemsOf is the entries of a list, or the one value that stands for a list of one.
func itemsOf(n ast.Node) []ast.Node {
	if seq, ok := n.(*ast.SequenceNode); ok {
		return seq.Values
	}
	return []ast.Node{n}
}

func decodePrefixes(d *decoder, n ast.Node, v reflect.Value, path string, _ tag) {
	var all []netip.Prefix
	for _, item := range itemsOf(n) {
		item = d.resolve(item)
		if item == nil {
			continue
		}
		s, ok := d.text(item, path, "an IP address or a prefix")
		if !ok {
			continue
		}
		p, err := parsePrefix(s)
		if err != nil {
			d.fault(d.pos(item), path, err.Message, err.Hint)
			continue
		}
		all = append(all, p)
	}
	v.Set(reflect.ValueOf(all))
}

func parsePrefix(s string) (netip.Prefix, *Fault) {
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return netip.Prefix{}, &Fault{Message: s + " has a zone", Hint: "packets carry none; leave out what follows %"}
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, &Fault{Message: strconv.Quote(s) + " is not an IP address or a prefix", Hint: "such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/64"}
	}
	if p != p.Masked() {
		return netip.Prefix{}, &Fault{Message: s + " has bits beyond its length", Hint: "write " + p.Masked().String() + " for the prefix, or the address alone"}
	}
	return p, nil
}

// decodeDACL takes a list of lines or a block of text with one line each.
func decodeDACL(d *decoder, n ast.Node, v reflect.Value, path string, _ tag) {
	dacl := DACL{Pos: d.pos(n)}
	switch x := n.(type) {
	case *ast.LiteralNode:
		for i, line := range strings.Split(x.Value.Value, "\n") {
			if trimmed := strings.TrimSpace(line); trimmed != "" {
				at := dacl.Pos
				at.Line, at.Column = at.Line+1+i, 0
				dacl.Lines = append(dacl.Lines, Text{Pos: at, Value: trimmed})
			}
		}
	default:
		d.list(n, reflect.ValueOf(&dacl.Lines).Elem(), path, tag{})
	}
	v.Set(reflect.ValueOf(dacl))
}

// decodeAttributes takes a mapping of dictionary names to one value or a list.
func decodeAttributes(d *decoder, n ast.Node, v reflect.Value, path string, _ tag) {
	if !isMapping(n) {
		d.mismatch(n, path, "attribute names, each with its values")
		return
	}
	var all []Attribute
	for _, kv := range pairs(n) {
		a := Attribute{Name: Text{Pos: d.pos(kv.Key), Value: kv.Key.GetToken().Value}}
		value := d.resolve(kv.Value)
		at := joinName(path, a.Name.Value)
		if slices.ContainsFunc(all, func(other Attribute) bool { return other.Name.Value == a.Name.Value }) {
			d.fault(a.Name.Pos, at, "the attribute is here twice", "give one list with all its values")
			continue
		}
		switch {
		case value == nil || value.Type() == ast.NullType:
			d.fault(a.Name.Pos, at, "the attribute has no value", "")
		case value.Type() == ast.SequenceType:
			d.list(value, reflect.ValueOf(&a.Values).Elem(), at, tag{})
		default:
			var one Text
			d.value(value, reflect.ValueOf(&one).Elem(), at, tag{})
			a.Values = []Text{one}
		}
		all = append(all, a)
	}
	v.Set(reflect.ValueOf(all))
}
