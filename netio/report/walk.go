package report

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// walker goes through the fields of a document in their order. It checks, and the first
// broken bound stays in problem; or, with tidy set, it brings free text and lists of
// names within their bounds.
type walker struct {
	tidy    bool
	problem *Problem
	prefix  string // path of the object at hand, "facts.usb.devices[3]."
}

func (w *walker) fail(p *Problem) {
	if w.problem == nil && !w.tidy {
		w.problem = p
	}
}

// in walks an object that belongs to the one at hand.
func (w *walker) in(name string, fields func(*walker)) {
	outer := w.prefix
	w.prefix += name + "."
	fields(w)
	w.prefix = outer
}

// count bounds how many things a list has, and says whether it may be walked.
func (w *walker) count(name string, n, most int) bool {
	if n > most {
		w.fail(tooLarge("%s%s: %d items, at most %d", w.prefix, name, n, most))
	}
	return n <= most
}

// text is free text: what shows as nothing, or as something else, is not in it.
func (w *walker) text(name string, s *string, octetsMax int) {
	w.chars(name, s, octetsMax, Deceiving)
}

// message is text for a person; it may have lines.
func (w *walker) message(name string, s *string) {
	w.chars(name, s, messageMax, func(r rune) bool { return r != '\n' && Deceiving(r) })
}

func (w *walker) chars(name string, s *string, octetsMax int, bad func(rune) bool) {
	if w.tidy {
		*s = clean(*s, octetsMax, bad)
		return
	}
	if len(*s) > octetsMax {
		w.fail(tooLarge("%s%s: %d octets, at most %d", w.prefix, name, len(*s), octetsMax))
	} else if i := strings.IndexFunc(*s, bad); i >= 0 {
		r, _ := utf8.DecodeRuneInString((*s)[i:])
		w.fail(malformed("%s%s: character %U is not allowed", w.prefix, name, r))
	}
}

// texts is a list of free texts; empty ones say nothing and are refused.
func (w *walker) texts(name string, list *[]string, most, octetsMax int) {
	if w.tidy {
		*list = slices.Clone((*list)[:min(len(*list), most)])
		for i := range *list {
			(*list)[i] = clean((*list)[i], octetsMax, Deceiving)
		}
		*list = slices.DeleteFunc(*list, func(s string) bool { return s == "" })
		return
	}
	if !w.count(name, len(*list), most) {
		return
	}
	for i := range *list {
		item := fmt.Sprintf("%s[%d]", name, i)
		w.need(item, (*list)[i])
		w.text(item, &(*list)[i], octetsMax)
	}
}

// need refuses an empty value.
func (w *walker) need(name, s string) {
	if s == "" {
		w.fail(malformed("%s%s: missing or empty", w.prefix, name))
	}
}

// token is an opaque value that stands in URLs, headers and logs: graphic ASCII.
func (w *walker) token(name, s string, octetsMax int) {
	if len(s) > octetsMax {
		w.fail(tooLarge("%s%s: %d octets, at most %d", w.prefix, name, len(s), octetsMax))
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f {
			w.fail(malformed("%s%s: character %U is not allowed", w.prefix, name, c))
			return
		}
	}
}

// plain is a token that is safe in the path of a URL and as the name of a file.
func (w *walker) plain(name, s string, octetsMax int) {
	w.token(name, s, octetsMax)
	if i := strings.IndexFunc(s, func(r rune) bool { return !plainRune(r) }); i >= 0 {
		w.fail(malformed("%s%s: character %q is not allowed", w.prefix, name, s[i]))
	}
}

func plainRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// one wants a word of a closed set.
func (w *walker) one(name, s string, set ...string) {
	if !slices.Contains(set, s) {
		w.fail(malformed("%s%s: %.40q is not one of %s", w.prefix, name, s, strings.Join(set, ", ")))
	}
}

// seconds is a time to wait.
func (w *walker) seconds(name string, n int) {
	if n < 0 || n > secondsMax {
		w.fail(malformed("%s%s: %d is not from 0 to %d", w.prefix, name, n, secondsMax))
	}
}

// Deceiving says which characters make a line of a log or a page show something else:
// controls, line and paragraph separators, and changes of writing direction.
func Deceiving(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0:
		return true
	case r == 0x2028, r == 0x2029, r == 0x200e, r == 0x200f, r == 0x061c:
		return true
	}
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// clean replaces what may not stand in text by U+FFFD and cuts at a character.
func clean(s string, octetsMax int, bad func(rune) bool) string {
	s = strings.Map(func(r rune) rune {
		if bad(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
	if len(s) <= octetsMax {
		return s
	}
	for s = s[:octetsMax]; !utf8.ValidString(s); s = s[:len(s)-1] {
	}
	return s
}
