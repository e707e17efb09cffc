package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"sallyport/netio/report"
)

var errNoJSON = errors.New("an answer that is not JSON")

// plain makes a JSON line fit for a terminal: what moves a cursor, colours or turns the
// writing round is a question mark in every string, and what breaks lines a blank. The
// appliance keeps such text out of its records; those that others wrote, or that are older
// than that rule, come through here all the same.
func plain(line []byte) ([]byte, error) {
	if !json.Valid(line) {
		return nil, errNoJSON
	}
	if bytes.IndexByte(line, '\\') < 0 && !bytes.ContainsFunc(line, disguised) {
		return line, nil // most lines have nothing
	}
	out := make([]byte, 0, len(line))
	for at := 0; at < len(line); at++ {
		if line[at] != '"' {
			out = append(out, line[at])
			continue
		}
		end := at + 1
		for ; line[end] != '"'; end++ {
			if line[end] == '\\' {
				end++
			}
		}
		text, err := plainString(line[at : end+1])
		if err != nil {
			return nil, err
		}
		out, at = append(out, text...), end
	}
	return out, nil
}

// plainString is one string of a JSON line, with its quotes.
func plainString(quoted []byte) ([]byte, error) {
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		return nil, err
	}
	return json.Marshal(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case disguised(r):
			return '?'
		}
		return r
	}, text))
}

func disguised(r rune) bool { return report.Deceiving(r) || r == utf8.RuneError }

// escaped is the same JSON with such characters as escapes, for programs: nothing is lost,
// and a terminal shows it safely.
func escaped(line []byte) []byte {
	if !bytes.ContainsFunc(line, report.Deceiving) {
		return line
	}
	out := make([]byte, 0, len(line)+16)
	for _, r := range string(line) {
		if report.Deceiving(r) {
			out = fmt.Appendf(out, `\u%04x`, r) // none is beyond the first plane
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

// decode reads a JSON line, made plain, into what v points to.
func decode(line []byte, v any) error {
	line, err := plain(line)
	if err == nil {
		err = json.Unmarshal(line, v)
	}
	if err != nil && !errors.Is(err, errNoJSON) {
		err = fmt.Errorf("%w: %w", errNoJSON, err)
	}
	return err
}
