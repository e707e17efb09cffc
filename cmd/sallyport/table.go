package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// column shows one key of a JSON row.
type column struct {
	title string
	key   string // "posture.status" reaches into objects
	width int    // 0: as wide as it comes
}

// table prints JSON rows as columns of fixed width, so that rows can be printed as
// they come.
type table struct {
	out     io.Writer
	columns []column
	begun   bool
}

func (t *table) row(line []byte) error {
	var values map[string]any
	if err := decode(line, &values); err != nil {
		return err
	}
	if !t.begun {
		t.begun = true
		var titles []string
		for _, c := range t.columns {
			titles = append(titles, pad(c.title, c.width))
		}
		if _, err := fmt.Fprintln(t.out, strings.TrimRight(strings.Join(titles, "  "), " ")); err != nil {
			return err
		}
	}
	var cells []string
	for _, c := range t.columns {
		cells = append(cells, pad(cell(values, c.key), c.width))
	}
	_, err := fmt.Fprintln(t.out, strings.TrimRight(strings.Join(cells, "  "), " "))
	return err
}

func cell(values map[string]any, key string) string {
	first, rest, nested := strings.Cut(key, ".")
	v := values[first]
	if nested {
		inner, _ := v.(map[string]any)
		return cell(inner, rest)
	}
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil {
			return t.Local().Format("2006-01-02 15:04:05.000")
		}
		return v
	case float64:
		return fmt.Sprint(v)
	case []any:
		var parts []string
		for _, one := range v {
			parts = append(parts, fmt.Sprint(one))
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v)
}

func pad(s string, width int) string {
	if width == 0 {
		return s
	}
	n := utf8.RuneCountInString(s)
	if n > width {
		return string([]rune(s)[:width-1]) + "…"
	}
	return s + strings.Repeat(" ", width-n)
}
