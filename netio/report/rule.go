package report

import (
	"fmt"
	"slices"
	"strings"
)

// rule is one entry of an allow-list.
type rule struct {
	vid, pid   string // lower case; empty: any
	serial     *string
	name       *string // of the product
	ports      *wordSet
	interfaces *wordSet // "08:06:50", "08:*:*"
	connect    *wordSet // hotplug, hardwired, unknown
}

// wordSet is an attribute with its values and how they are to be met.
type wordSet struct {
	operator string // one-of, all-of, none-of, equals, equals-ordered, match-all
	values   []string
}

// ParseAllow says whether an entry of an allow-list can be understood; the error names
// the word that cannot. An entry is one of
//
//	0781:5581                      vendor and product, four hexadecimal digits each
//	0781:5581:SERIAL               and the serial number, which a device can make up
//	port 2-1.4                     whatever is plugged in there
//	allow id 0781:* via-port "1-2" with-interface equals { 08:06:50 }
//
// The last form is a rule of USBGuard (usbguard-rules.conf(5)) with the target allow and
// any of id, serial, name, via-port, with-interface and with-connect-type. Its hashes,
// labels and conditions are not understood: an entry with one of them allows nothing.
func ParseAllow(entry string) error {
	_, err := parseAllow(entry)
	return err
}

func parseAllow(entry string) (*rule, error) {
	if port, ok := strings.CutPrefix(entry, "port "); ok {
		if port = strings.TrimSpace(port); port == "" {
			return nil, fmt.Errorf("%q names no port", entry)
		}
		return &rule{ports: &wordSet{"one-of", []string{port}}}, nil
	}
	if rest, ok := strings.CutPrefix(entry, "allow "); ok {
		return parseRule(rest)
	}
	parts := strings.SplitN(entry, ":", 3)
	if len(parts) < 2 || !isNumber(parts[0]) || !isNumber(parts[1]) {
		return nil, fmt.Errorf("%q is not vid:pid, vid:pid:serial, port N or a rule that begins with allow", entry)
	}
	r := &rule{vid: strings.ToLower(parts[0]), pid: strings.ToLower(parts[1])}
	if len(parts) == 3 {
		r.serial = &parts[2]
	}
	return r, nil
}

// isNumber is a vendor's or product's number as devices carry it.
func isNumber(s string) bool {
	return len(s) == 4 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

func parseRule(text string) (*rule, error) {
	words, err := ruleWords(text)
	if err != nil {
		return nil, err
	}
	r := &rule{}
	for len(words) > 0 {
		var set *wordSet
		name := words[0]
		if set, words, err = takeSet(name, words[1:]); err != nil {
			return nil, err
		}
		switch name {
		case "id":
			vid, pid, ok := strings.Cut(strings.ToLower(set.values[0]), ":")
			if !ok || len(set.values) != 1 || vid != "*" && !isNumber(vid) || pid != "*" && !isNumber(pid) {
				return nil, fmt.Errorf("id %s: want one vid:pid, either may be *", strings.Join(set.values, " "))
			}
			r.vid, r.pid = strings.TrimPrefix(vid, "*"), strings.TrimPrefix(pid, "*")
		case "serial":
			r.serial = &set.values[0]
		case "name":
			r.name = &set.values[0]
		case "via-port":
			r.ports = set
		case "with-interface":
			r.interfaces = set
		case "with-connect-type":
			r.connect = set
		default:
			return nil, fmt.Errorf("%q is not understood in a rule: use id, serial, name, via-port, with-interface or with-connect-type", name)
		}
	}
	return r, nil
}

var operators = []string{"one-of", "all-of", "none-of", "equals", "equals-ordered", "match-all"}

// takeSet reads the values of an attribute: one, or { some } after an operator.
func takeSet(name string, words []string) (*wordSet, []string, error) {
	set := &wordSet{operator: "equals"}
	if len(words) > 0 && slices.Contains(operators, words[0]) {
		set.operator, words = words[0], words[1:]
	}
	if len(words) > 0 && words[0] == "{" {
		end := slices.Index(words, "}")
		if end < 2 {
			return nil, nil, fmt.Errorf("%s: { without values and }", name)
		}
		set.values, words = words[1:end], words[end+1:]
		return set, words, nil
	}
	if len(words) == 0 || words[0] == "}" {
		return nil, nil, fmt.Errorf("%s: a value is missing", name)
	}
	set.values = words[:1]
	return set, words[1:], nil
}

// ruleWords splits a rule; a text in quotes is one word, with \" and \\ in it.
func ruleWords(text string) ([]string, error) {
	var words []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		if text[0] != '"' {
			n := strings.IndexAny(text, " \t\"{}")
			switch n {
			case -1:
				n = len(text)
			case 0:
				n = 1
			}
			words, text = append(words, text[:n]), text[n:]
			continue
		}
		var word strings.Builder
		i := 1
		for ; i < len(text) && text[i] != '"'; i++ {
			if text[i] == '\\' && i+1 < len(text) {
				i++
			}
			word.WriteByte(text[i])
		}
		if i >= len(text) {
			return nil, fmt.Errorf("a quote is not closed in %q", text)
		}
		words, text = append(words, word.String()), text[i+1:]
	}
	return words, nil
}

// names says whether the rule is about the device.
func (r *rule) names(d *USBDevice) bool {
	switch {
	case r.vid != "" && r.vid != strings.ToLower(d.VID), r.pid != "" && r.pid != strings.ToLower(d.PID):
		return false
	case r.serial != nil && *r.serial != d.Serial, r.name != nil && *r.name != d.Product:
		return false
	}
	same := func(a, b string) bool { return a == b }
	return r.ports.met([]string{d.Port}, same) && r.connect.met([]string{d.Connect}, same) && r.interfaces.met(d.Ifaces, isOfClass)
}

// isOfClass compares "08/06/50" of a device with "08:*:*" of a rule.
func isOfClass(have, want string) bool {
	h, w := strings.Split(have, "/"), strings.Split(want, ":")
	if len(h) != 3 || len(w) != 3 {
		return false
	}
	for i := range h {
		if w[i] != "*" && !strings.EqualFold(h[i], w[i]) {
			return false
		}
	}
	return true
}

// met says whether what a device has meets the set; a rule without the attribute is met.
func (s *wordSet) met(have []string, same func(have, want string) bool) bool {
	if s == nil {
		return true
	}
	wanted := func(h string) bool { return slices.ContainsFunc(s.values, func(w string) bool { return same(h, w) }) }
	there := func(w string) bool { return slices.ContainsFunc(have, func(h string) bool { return same(h, w) }) }
	switch s.operator {
	case "one-of":
		return slices.ContainsFunc(have, wanted)
	case "none-of":
		return !slices.ContainsFunc(have, wanted)
	case "all-of":
		return every(s.values, there)
	case "match-all":
		return len(have) > 0 && every(have, wanted)
	}
	return len(have) > 0 && every(have, wanted) && every(s.values, there) // equals; interfaces come sorted
}

func every(list []string, ok func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !ok(s) })
}
