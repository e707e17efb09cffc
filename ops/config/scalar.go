package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// text is the written form of a scalar. False, with a fault, when n is none.
func (d *decoder) text(n ast.Node, path, want string) (string, bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.LiteralNode:
		return x.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return x.GetToken().Value, true
	}
	d.mismatch(n, path, want)
	return "", false
}

// scalar decodes words, numbers and flags.
func (d *decoder) scalar(n ast.Node, v reflect.Value, path string, t tag) {
	if n.Type() == ast.BoolType && v.Kind() == reflect.String {
		d.fault(d.pos(n), path, "expected a text, got true or false", "put it in quotes if it is meant as a text")
		return
	}
	s, ok := d.text(n, path, wantOf(v.Type()))
	if !ok {
		return
	}
	if err := setScalar(v, s, t); err != nil {
		d.fault(d.pos(n), path, err.Message, err.Hint)
	}
}

func wantOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a whole number"
	}
	return "a text"
}

// setScalar converts the written form, for the decoder and for defaults.
func setScalar(v reflect.Value, s string, t tag) *Fault {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		dur, err := parseDuration(s)
		if err != nil {
			return err
		}
		v.SetInt(int64(dur))
		return inRange(dur, t, s, func(s string) (time.Duration, *Fault) { return parseDuration(s) })
	case v.Kind() == reflect.Bool:
		switch s {
		case "true", "false":
			v.SetBool(s == "true")
			return nil
		}
		hint := ""
		if near, ok := map[string]string{"yes": "true", "on": "true", "no": "false", "off": "false"}[strings.ToLower(s)]; ok {
			hint = "write " + near
		}
		return &Fault{Message: fmt.Sprintf("expected true or false, got %q", s), Hint: hint}
	case v.Kind() == reflect.Int:
		i, err := parseInt(s)
		if err != nil {
			return err
		}
		v.SetInt(int64(i))
		return inRange(i, t, s, parseInt)
	default:
		if err := t.word(s); err != nil {
			return err
		}
		v.SetString(s)
		return nil
	}
}

// word refuses what is not among the tag's words.
func (t tag) word(s string) *Fault {
	if len(t.words) == 0 || slices.Contains(t.words, s) {
		return nil
	}
	return &Fault{Message: fmt.Sprintf("%q is not one of %s", s, strings.Join(t.words, ", ")), Hint: nearHint(s, t.words)}
}

func nearHint(s string, among []string) string {
	if near := Nearest(s, among); near != "" {
		return `did you mean "` + near + `"?`
	}
	return ""
}

func parseInt(s string) (int, *Fault) {
	i, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
	if err != nil {
		return 0, &Fault{Message: fmt.Sprintf("expected a whole number, got %q", s)}
	}
	return int(i), nil
}

// inRange holds got against the tag's bounds.
func inRange[T cmp.Ordered](got T, t tag, s string, parse func(string) (T, *Fault)) *Fault {
	if t.from == "" {
		return nil
	}
	from, err := parse(t.from)
	to, err2 := parse(t.to)
	if err != nil || err2 != nil || got < from || got > to {
		return &Fault{Message: fmt.Sprintf("%s is out of range", s), Hint: "from " + t.from + " to " + t.to}
	}
	return nil
}

// parseDuration reads Go's form and, in front of it, weeks and days: 5d, 1d12h, 90s.
func parseDuration(s string) (time.Duration, *Fault) {
	bad := &Fault{Message: fmt.Sprintf("expected a duration, got %q", s), Hint: "such as 30s, 15m, 12h or 5d"}
	rest, total := s, time.Duration(0)
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, after, ok := strings.Cut(rest, unit.letter)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n > 100_000 {
			return 0, bad
		}
		total, rest = total+time.Duration(n)*unit.length, after
	}
	if rest == "" && total > 0 || s == "0" || s == "0d" {
		return total, nil
	}
	if _, err := strconv.Atoi(s); err == nil {
		return 0, &Fault{Message: s + " has no unit", Hint: "write " + s + "s, " + s + "m or " + s + "h"}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || strings.HasPrefix(rest, "+") {
		return 0, bad
	}
	return total + d, nil
}

// ParseDuration reads a duration as configuration writes it: 30s, 15m, 12h, 5d, 1w.
func ParseDuration(s string) (time.Duration, bool) {
	d, fault := parseDuration(s)
	return d, fault == nil
}
