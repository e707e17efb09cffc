package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fault is one thing wrong with a configuration, or, among Warnings, one that is
// allowed and probably not meant.
type Fault struct {
	Pos     Pos    `json:"pos"`
	Path    string `json:"path,omitempty"`   // posture.policy[0].requirements
	Message string `json:"message"`          // what is wrong, in one line
	Hint    string `json:"hint,omitempty"`   // the way out
	Source  string `json:"source,omitempty"` // the line at Pos

	unreadable bool // the file that Load was given cannot be read
}

// Error is the fault in one line.
func (f Fault) Error() string {
	s := f.Message
	if !f.Pos.IsZero() {
		s = f.Pos.String() + ": " + s
	}
	if f.Hint != "" {
		s += " (" + f.Hint + ")"
	}
	return s
}

// Text is the fault as people read it: place and message, the line, a caret below the
// place, and the hint.
func (f Fault) Text() string {
	var b strings.Builder
	if !f.Pos.IsZero() {
		b.WriteString(f.Pos.String() + ": ")
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Message + "\n")
	if f.Source != "" {
		number := strconv.Itoa(f.Pos.Line)
		fmt.Fprintf(&b, "  %s | %s\n", number, strings.ReplaceAll(f.Source, "\t", " "))
		if f.Pos.Column > 0 {
			fmt.Fprintf(&b, "  %s | %s^\n", strings.Repeat(" ", len(number)), strings.Repeat(" ", f.Pos.Column-1))
		}
	}
	if f.Hint != "" {
		b.WriteString("  " + f.Hint + "\n")
	}
	return b.String()
}

// Faults is everything wrong at once. An empty Faults means that nothing is.
type Faults []Fault

// Error is every fault as text, and a closing line that counts them.
func (f Faults) Error() string {
	var b strings.Builder
	for _, one := range f {
		b.WriteString(one.Text())
	}
	b.WriteString(count(len(f), "fault"))
	return b.String()
}

// Err is f as an error: nil when there is none.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// Unreadable says that the file itself could not be read, so that nothing is known of
// its content.
func (f Faults) Unreadable() bool {
	return slices.ContainsFunc(f, func(one Fault) bool { return one.unreadable })
}

// JSON is one object a line.
func (f Faults) JSON() string { return jsonLines("fault", f) }

// Sorted is f in the order of files and lines, each fault once.
func (f Faults) Sorted() Faults {
	return slices.Compact(slices.SortedStableFunc(slices.Values(f), func(a, b Fault) int {
		if c := strings.Compare(a.Pos.File, b.Pos.File); c != 0 {
			return c
		}
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		if a.Pos.Column != b.Pos.Column {
			return a.Pos.Column - b.Pos.Column
		}
		return strings.Compare(a.Message, b.Message)
	}))
}

// Warnings are what is allowed and probably not meant.
type Warnings []Fault

// String is every warning as text.
func (w Warnings) String() string {
	var b strings.Builder
	for _, one := range w {
		b.WriteString("warning: " + one.Text())
	}
	return b.String()
}

// JSON is one object a line.
func (w Warnings) JSON() string { return jsonLines("warning", w) }

func jsonLines(kind string, faults []Fault) string {
	var b strings.Builder
	for _, f := range faults {
		line, err := json.Marshal(struct {
			Kind string `json:"kind"`
			File string `json:"file,omitempty"`
			Line int    `json:"line,omitempty"`
			Col  int    `json:"column,omitempty"`
			Path string `json:"path,omitempty"`
			Msg  string `json:"message"`
			Hint string `json:"hint,omitempty"`
			Src  string `json:"source,omitempty"`
		}{kind, f.Pos.File, f.Pos.Line, f.Pos.Column, f.Path, f.Message, f.Hint, f.Source})
		if err != nil {
			continue // strings and numbers always encode
		}
		b.Write(append(line, '\n'))
	}
	return b.String()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
