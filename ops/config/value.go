package config

import (
	"iter"
	"strconv"
)

// Pos is a place in a file. Lines and columns count from 1, columns in characters.
type Pos struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String is file:line:column, or as much of it as is known.
func (p Pos) String() string {
	s := p.File
	if p.Line > 0 {
		s += ":" + strconv.Itoa(p.Line)
		if p.Column > 0 {
			s += ":" + strconv.Itoa(p.Column)
		}
	}
	return s
}

// IsZero says that the place is unknown: a default, or something built in.
func (p Pos) IsZero() bool { return p == Pos{} }

// Text is a string that remembers where it was written. A missing one has an empty
// Value.
type Text struct {
	Pos   Pos
	Value string

	// plain says that the value stands in the file as it is, on one line: character i
	// of it is i + lead columns after Pos. lead is 1 for the quote, else 0.
	plain bool
	lead  int
}

// String is the value.
func (t Text) String() string { return t.Value }

// At is the place of the character at offset, counted in characters from 0. In text
// that was folded or escaped it is the place where the text begins.
func (t Text) At(offset int) Pos {
	p := t.Pos
	if t.plain && !p.IsZero() && offset >= 0 {
		p.Column += t.lead + offset
	}
	return p
}

// Path is a file or directory name, made absolute or relative to the working
// directory: the name in the file is relative to that file. Empty: not given.
type Path struct {
	Pos   Pos
	Value string
}

// String is the path.
func (p Path) String() string { return p.Value }

// Address is where to listen, as net.Listen takes it: host:port, the host may be
// empty, the port may be 0. An empty Value means off.
type Address struct {
	Pos   Pos
	Value string
}

// String is the address, or "off".
func (a Address) String() string {
	if a.Value == "" {
		return "off"
	}
	return a.Value
}

// Named is one entry of a Map.
type Named[T any] struct {
	Name  Text
	Value T
}

// Map is a YAML mapping from names of the author's choosing, in the order of the file.
type Map[T any] []Named[T]

// Get finds an entry by name.
func (m Map[T]) Get(name string) (*T, bool) {
	for i := range m {
		if m[i].Name.Value == name {
			return &m[i].Value, true
		}
	}
	return nil, false
}

// Names lists the names in order.
func (m Map[T]) Names() []string {
	names := make([]string, len(m))
	for i := range m {
		names[i] = m[i].Name.Value
	}
	return names
}

// All walks the entries in order.
func (m Map[T]) All() iter.Seq2[string, *T] {
	return func(yield func(string, *T) bool) {
		for i := range m {
			if !yield(m[i].Name.Value, &m[i].Value) {
				return
			}
		}
	}
}
