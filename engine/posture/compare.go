package posture

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/ops/config"
)

// field is one property of an observation.
type field uint8

// The properties; fieldState is what every observation has.
const (
	fieldState field = iota
	fieldName
	fieldVendor
	fieldVersion
	fieldType
	fieldCreated
	fieldModified
	fieldAccessed
	fieldCRC32
	fieldSHA256
	fieldData
	fieldStart
	fieldRealTime
	fieldDefinitions
	fieldProfiles
	fieldMount
	fieldSystem
	fieldExternal
	fieldBy
	fieldManager
	fieldAutomatic
	fieldSecurity
	fieldPending
	fieldChecked
	fieldBuild
	fieldRestart
	fieldArch
	fieldHostname
	fieldDomain
	fieldUser
	fieldExit
	fieldOutput
	fields // the number of them
)

var fieldWords = [fields]string{
	"state", "name", "vendor", "version", "type", "creation", "modification", "last access", "CRC-32", "SHA-256", "value",
	"start", "real-time protection", "definitions", "profiles", "mount point", "system volume", "external", "encryption", "manager",
	"automatic updates", "missing security updates", "missing updates", "list of updates", "build", "restart", "architecture", "host name",
	"domain", "user", "exit status", "output",
}

// String is the property in words.
func (f field) String() string {
	if f < fields {
		return fieldWords[f]
	}
	return "unknown"
}

// op is how a property is compared.
type op uint8

const (
	opOneOf    op = iota // texts, any of them
	opContains           // a text
	opLacks
	opStarts
	opEnds
	opIsNot
	opVersion // with order
	opNumber  // with order
	opWithin  // a time, not longer ago
	opAfter
	opBefore
	opOn
	opHolds // a list, every one of the texts
)

// comparison is what one property must be.
type comparison struct {
	field field
	op    op
	wants []string // opOneOf and the like, in lower case
	order string   // of opVersion and opNumber: = != < <= > >=
	want  string   // as people read it
	span  time.Duration
	from  time.Time // opAfter, opOn
	to    time.Time // opBefore, opOn
	// latest is the newest time that the library knows of, for opWithin; zero counts
	// from now.
	latest time.Time
}

// aheadMax is how far a time of an endpoint may be ahead of ours: its clock is not ours.
const aheadMax = 24 * time.Hour

// judge holds an observation's property against the comparison. What is not known cannot
// be told.
func (c *comparison) judge(s subject, now time.Time) verdict {
	switch c.op {
	case opWithin, opAfter, opBefore, opOn:
		return c.judgeTime(s.time(c.field), now)
	}
	have := s.text(c.field)
	if have == "" {
		return cannotTell
	}
	switch c.op {
	case opVersion:
		order, ok := compareVersions(have, c.wants[0])
		return ordered(order, ok, c.order)
	case opNumber:
		order, ok := compareNumbers(have, c.wants[0])
		return ordered(order, ok, c.order)
	}
	return verdictOf(c.holdsText(have))
}

func (c *comparison) holdsText(have string) bool {
	want := c.wants[0]
	switch c.op {
	case opContains:
		return containsFold(have, want)
	case opLacks:
		return !containsFold(have, want)
	case opStarts:
		return len(have) >= len(want) && strings.EqualFold(have[:len(want)], want)
	case opEnds:
		return len(have) >= len(want) && strings.EqualFold(have[len(have)-len(want):], want)
	case opIsNot:
		return !strings.EqualFold(have, want)
	case opHolds:
		return !slices.ContainsFunc(c.wants, func(w string) bool { return !strings.Contains(have, ","+w+",") })
	}
	return slices.ContainsFunc(c.wants, func(w string) bool { return strings.EqualFold(have, w) })
}

func containsFold(have, want string) bool {
	return strings.Contains(strings.ToLower(have), want)
}

func (c *comparison) judgeTime(have, now time.Time) verdict {
	switch {
	case have.IsZero() || have.After(now.Add(aheadMax)):
		return cannotTell
	case c.op == opWithin && !c.latest.IsZero():
		return verdictOf(c.latest.Sub(have) <= c.span)
	case c.op == opWithin:
		return verdictOf(now.Sub(have) <= c.span)
	case c.op == opAfter:
		return verdictOf(!have.Before(c.from))
	case c.op == opBefore:
		return verdictOf(have.Before(c.to))
	}
	return verdictOf(!have.Before(c.from) && have.Before(c.to))
}

func verdictOf(holds bool) verdict {
	if holds {
		return pass
	}
	return fail
}

// ordered says whether a comparison with a result holds.
func ordered(order int, ok bool, operator string) verdict {
	if !ok {
		return cannotTell
	}
	switch operator {
	case "=":
		return verdictOf(order == 0)
	case "!=":
		return verdictOf(order != 0)
	case "<":
		return verdictOf(order < 0)
	case "<=":
		return verdictOf(order <= 0)
	case ">":
		return verdictOf(order > 0)
	}
	return verdictOf(order >= 0)
}

// compareNumbers orders whole or decimal numbers of any length.
func compareNumbers(a, b string) (order int, ok bool) {
	if x, err := strconv.ParseInt(a, 10, 64); err == nil {
		if y, err := strconv.ParseInt(b, 10, 64); err == nil {
			return sign(int(x>>1) - int(y>>1) + int(x&1) - int(y&1)), true
		}
	}
	if !isNumber(a) || !isNumber(b) {
		return 0, false
	}
	x, ok1 := new(big.Rat).SetString(a)
	y, ok2 := new(big.Rat).SetString(b)
	if !ok1 || !ok2 {
		return 0, false
	}
	return x.Cmp(y), true
}

// numberMax bounds what is taken for a number: no registry value is longer.
const numberMax = 64

func isNumber(s string) bool {
	body := strings.TrimPrefix(s, "-")
	return body != "" && len(s) <= numberMax && strings.Trim(body, "0123456789.") == "" && startsWithDigit(body)
}

// actual is what the property is, as people read it.
func (c *comparison) actual(s subject, now time.Time) string {
	switch c.op {
	case opWithin, opAfter, opBefore, opOn:
		at := s.time(c.field)
		switch {
		case at.IsZero():
			return "not known"
		case at.After(now.Add(aheadMax)):
			return at.UTC().Format(time.RFC3339) + ", which is in the future"
		}
		return at.UTC().Format(time.RFC3339) + ", " + age(now.Sub(at)) + " ago"
	}
	have := s.text(c.field)
	if have == "" {
		return "not known"
	}
	return clean(strings.Trim(have, ","))
}

// age is a span as people say it: the largest unit that leaves a whole number of some
// size.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + "d"
}

// parser makes comparisons of texts as they are written, and collects what is wrong.
type parser struct {
	c    *compiler
	path string
	out  []comparison
}

func (p *parser) add(c comparison) { p.out = append(p.out, c) }

func (p *parser) fault(t config.Text, key, message, hint string) {
	p.c.fault(t.Pos, p.path+"."+key, message, hint)
}

// text reads = != contains lacks starts ends, and takes a text without a word as equal.
func (p *parser) text(f field, t config.Text, key string) {
	if t.Value == "" {
		return
	}
	c := comparison{field: f, want: t.Value, op: opOneOf}
	word, rest, _ := strings.Cut(t.Value, " ")
	kind, known := map[string]op{"=": opOneOf, "!=": opIsNot, "contains": opContains, "lacks": opLacks, "starts": opStarts, "ends": opEnds}[word]
	if rest = strings.TrimSpace(rest); known && rest != "" {
		c.op = kind
	} else {
		c.want, rest = "= "+t.Value, t.Value
	}
	if known && rest == "" || slices.Contains([]string{"<", ">", "<=", ">="}, word) {
		p.fault(t, key, strconv.Quote(t.Value)+" compares no text", `such as "contains Pro", "starts 10.", "= amd64" or "!= guest"`)
		return
	}
	c.wants = []string{strings.ToLower(rest)}
	p.add(c)
}

// oneOf takes any of the texts.
func (p *parser) oneOf(f field, list ...string) {
	if len(list) == 0 || len(list) == 1 && list[0] == "" {
		return
	}
	c := comparison{field: f, op: opOneOf, want: strings.Join(list, " or ")}
	for _, one := range list {
		c.wants = append(c.wants, strings.ToLower(one))
	}
	p.add(c)
}

// digests takes any of some hexadecimal texts of a length.
func (p *parser) digests(f field, list []config.Text, digits int, key string) {
	for i, t := range list {
		if !isHex(t.Value, digits) {
			p.fault(t, key+"["+strconv.Itoa(i)+"]", strconv.Quote(t.Value)+" is not "+strconv.Itoa(digits)+" hexadecimal digits", "in quotes")
		}
	}
	p.oneOf(f, texts(list)...)
}

func isHex(s string, digits int) bool {
	return len(s) == digits && strings.Trim(strings.ToLower(s), "0123456789abcdef") == ""
}

// version reads an order and a version.
func (p *parser) version(f field, t config.Text, key string) { p.order(f, opVersion, t, key) }

// number reads an order and a number.
func (p *parser) number(f field, t config.Text, key string) { p.order(f, opNumber, t, key) }

func (p *parser) order(f field, kind op, t config.Text, key string) {
	if t.Value == "" {
		return
	}
	n := len(t.Value) - len(strings.TrimLeft(t.Value, "<>=!"))
	operator, rest := t.Value[:n], strings.TrimSpace(t.Value[n:])
	what, valid := "version", startsWithDigit(trimVersion(rest))
	if kind == opNumber {
		what, valid = "number", isNumber(rest)
	}
	switch {
	case !slices.Contains([]string{"=", "!=", "<", "<=", ">", ">="}, operator):
		p.fault(t, key, strconv.Quote(t.Value)+" does not say how to compare", `such as ">= `+orSample(rest, kind)+`", in quotes; the operators are = != < <= > >=`)
		return
	case !valid:
		p.fault(t, key, strconv.Quote(rest)+" is not a "+what, "")
		return
	}
	p.add(comparison{field: f, op: kind, order: operator, wants: []string{rest}, want: operator + " " + rest})
}

func orSample(s string, kind op) string {
	switch {
	case startsWithDigit(trimVersion(s)):
		return s
	case kind == opNumber:
		return "5"
	}
	return "4.18"
}

// when reads within SPAN, after, before and on DATE.
func (p *parser) when(f field, t config.Text, key string) {
	if t.Value == "" {
		return
	}
	word, rest, _ := strings.Cut(t.Value, " ")
	rest = strings.TrimSpace(rest)
	c := comparison{field: f, want: t.Value}
	at, whole, dated := parseDate(rest)
	switch word {
	case "within":
		span, ok := config.ParseDuration(rest)
		if !ok || span <= 0 {
			p.fault(t, key, strconv.Quote(rest)+" is not a span", "such as within 3d or within 12h")
			return
		}
		c.op, c.span, dated = opWithin, span, true
	case "after":
		c.op, c.from = opAfter, at
	case "before":
		c.op, c.to = opBefore, at
	case "on":
		c.op, c.from, c.to, dated = opOn, at, at.AddDate(0, 0, 1), dated && whole
	default:
		p.fault(t, key, strconv.Quote(t.Value)+" compares no time", "within 3d, after 2026-01-31, before 2026-01-31 or on 2026-01-31")
		return
	}
	if !dated {
		p.fault(t, key, strconv.Quote(rest)+" is not a date", "such as 2026-01-31, or 2026-01-31T08:00:00Z with a time; days are UTC")
		return
	}
	p.add(c)
}

// parseDate reads a day, in UTC, or a moment. whole says that it was a day.
func parseDate(s string) (at time.Time, whole, ok bool) {
	if at, err := time.Parse(time.DateOnly, s); err == nil {
		return at, true, true
	}
	at, err := time.Parse(time.RFC3339, s)
	return at, false, err == nil
}
