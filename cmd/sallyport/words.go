package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// printWords prints a JSON object for people: a line a key, in the object's order, what is
// inside of it indented. Programs use --json.
func printWords(line []byte) error {
	line, err := plain(line)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	v, err := ordered(d)
	if err != nil {
		return err
	}
	var out strings.Builder
	if object, ok := v.(fields); ok {
		object.print(&out, "")
	} else {
		fmt.Fprintln(&out, words("", v))
	}
	_, err = fmt.Print(out.String())
	return err
}

// fields are a JSON object with its order.
type fields []field

type field struct {
	key   string
	value any // string, json.Number, bool, nil, []any or fields
}

// ordered reads the next value.
func ordered(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('['):
		all := []any{}
		for d.More() {
			v, err := ordered(d)
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
		_, err = d.Token()
		return all, err
	case json.Delim('{'):
		object := fields{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := ordered(d)
			if err != nil {
				return nil, err
			}
			object = append(object, field{key.(string), v})
		}
		_, err = d.Token()
		return object, err
	}
	return t, nil
}

const (
	wordStep = "  "
	keyMost  = 32
)

func (f fields) print(out *strings.Builder, indent string) {
	width := 0
	for _, one := range f {
		if n := len(one.key); simple(one.value) && n <= keyMost {
			width = max(width, n)
		}
	}
	for _, one := range f {
		key := strings.ReplaceAll(one.key, "_", " ")
		switch v := one.value.(type) {
		case fields:
			fmt.Fprintf(out, "%s%s\n", indent, key)
			v.print(out, indent+wordStep)
		case []any:
			if simple(v) {
				fmt.Fprintf(out, "%s%-*s  %s\n", indent, width, key, words(one.key, v))
				continue
			}
			fmt.Fprintf(out, "%s%s\n", indent, key)
			for _, item := range v {
				if object, ok := item.(fields); ok && !object.brief() {
					object.print(out, indent+wordStep)
					fmt.Fprintln(out)
					continue
				}
				fmt.Fprintf(out, "%s%s\n", indent+wordStep, words("", item))
			}
		default:
			fmt.Fprintf(out, "%s%-*s  %s\n", indent, width, key, words(one.key, v))
		}
	}
}

// simple says whether a value goes into the line of its key.
func simple(v any) bool {
	switch v := v.(type) {
	case fields:
		return false
	case []any:
		for _, item := range v {
			if _, ok := item.(string); !ok || len(v) > 1 && len(item.(string)) > keyMost {
				return false
			}
		}
	}
	return true
}

// briefMost is how many values of an object in a list go into one line.
const briefMost = 6

func (f fields) brief() bool {
	for _, one := range f {
		if !simple(one.value) {
			return false
		}
	}
	return len(f) <= briefMost
}

// spans are keys whose numbers are seconds.
var spans = map[string]bool{"elapsed": true, "uptime": true, "session_time": true}

// words is one value in a line.
func words(key string, v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case json.Number:
		if seconds, err := v.Float64(); err == nil && spans[key] {
			return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).String()
		}
		return v.String()
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil {
			return t.Local().Format("2006-01-02 15:04:05.000")
		}
		return v
	case []any:
		var all []string
		for _, item := range v {
			all = append(all, words("", item))
		}
		if len(all) == 0 {
			return "none"
		}
		return strings.Join(all, ", ")
	case fields:
		var all []string
		for _, one := range v {
			all = append(all, strings.ReplaceAll(one.key, "_", " ")+" "+words(one.key, one.value))
		}
		return strings.Join(all, ", ")
	}
	return fmt.Sprint(v)
}
