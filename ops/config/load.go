package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Limits on what is read. A configuration of 5,000 NASes and 500 rules has about 1 MB.
const (
	fileBytesMax   = 32 << 20
	secretBytesMax = 4 << 10
	includesMax    = 256
)

// Load reads the file and what it includes, and returns everything wrong with it at
// once. The Config is sound only when there are no faults; with faults it may still be
// there, incomplete, so that later stages can find theirs in the same run. It is nil
// when the file cannot be read (Faults.Unreadable) or is not YAML.
func Load(path string) (*Config, Warnings, Faults) {
	l := &loader{lines: map[string][]string{}, included: map[string]Pos{}, config: &Config{File: path}}
	d := l.decoder()
	if !l.file(d, path, Pos{}, nil) {
		return nil, nil, l.reported()
	}
	d.finish(reflect.ValueOf(l.config).Elem(), "", Pos{File: path, Line: 1, Column: 1})
	l.given = d.given
	l.stores()
	l.endpoints()
	l.library()
	l.check()
	l.config.Sources = l.sources
	l.config.lines = l.lines
	l.config.meant = d.meant
	warnings := Warnings(l.withSource(l.warnings))
	return l.config, warnings, l.reported()
}

// Revision is a short name for the content of every file that was read, secrets left
// out: two configurations with the same revision say the same.
func (c *Config) Revision() string {
	h := sha256.New()
	for _, s := range c.Sources {
		h.Write(s.Sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// Fault makes a fault of a later stage, with the line that it is about.
func (c *Config) Fault(pos Pos, path, message, hint string) Fault {
	return Fault{Pos: pos, Path: path, Message: message, Hint: hint, Source: sourceLine(c.lines, pos)}
}

// Misspelt says that a key of path, or path itself, was written wrong in a way that told
// what was meant: that is missing is then no news.
func (c *Config) Misspelt(path string) bool { return c.meant[path] }

// WithSource fills in the lines that faults of a later stage are about, and sorts them.
func (c *Config) WithSource(faults Faults) Faults {
	for i := range faults {
		if faults[i].Source == "" {
			faults[i].Source = sourceLine(c.lines, faults[i].Pos)
		}
	}
	return faults.Sorted()
}

// loader is one run of Load: what was read, and what was found.
type loader struct {
	config   *Config
	lines    map[string][]string // of every YAML file, secrets masked
	sources  []Source
	included map[string]Pos // by cleaned path: who named it
	given    map[string]Pos // of the configuration's values, by path
	faults   Faults
	warnings Warnings
}

func (l *loader) decoder() *decoder {
	return &decoder{
		loader: l, meant: map[string]bool{}, given: map[string]Pos{}, opened: map[string]Pos{}, named: map[string]Pos{}, empty: map[string]Pos{},
	}
}

func (l *loader) fault(pos Pos, path, message, hint string) {
	l.faults = append(l.faults, Fault{Pos: pos, Path: path, Message: message, Hint: hint})
}

func (l *loader) warn(pos Pos, path, message, hint string) {
	l.warnings = append(l.warnings, Fault{Pos: pos, Path: path, Message: message, Hint: hint})
}

func (l *loader) reported() Faults { return l.withSource(l.faults) }

func (l *loader) withSource(faults []Fault) Faults {
	return (&Config{lines: l.lines}).WithSource(faults)
}

func sourceLine(lines map[string][]string, pos Pos) string {
	text := lines[pos.File]
	if pos.Line < 1 || pos.Line > len(text) {
		return ""
	}
	return text[pos.Line-1]
}

// file reads one configuration file into d: first what it includes, in the order
// named, then its own content. stack is the chain of files that led here. It returns
// false when nothing of the file could be taken.
func (l *loader) file(d *decoder, path string, from Pos, stack []string) bool {
	key := filepath.Clean(path)
	if slices.Contains(stack, key) {
		l.fault(from, "include", "the includes run in a circle: "+strings.Join(append(stack, key), " -> "), "remove one of them")
		return false
	}
	if first, ok := l.included[key]; ok {
		l.fault(from, "include", path+" is included a second time", "first at "+first.String())
		return false
	}
	if len(l.included) == includesMax {
		l.fault(from, "include", "too many files are included", "")
		return false
	}
	l.included[key] = from
	root, ok := l.parse(path, from, false)
	if !ok {
		return false
	}
	d.enter(path, root)
	for _, name := range l.includes(path, root) {
		if name.Value != "" {
			l.file(d, name.Value, name.Pos, append(stack, key))
		}
	}
	d.enter(path, root)
	d.root(root, reflect.ValueOf(l.config).Elem())
	return true
}

// read returns the content of a file that the configuration names.
func (l *loader) read(path string, from Pos, bytesMax int64) ([]byte, os.FileMode, bool) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
	case info.IsDir():
		err = errors.New("is a directory")
	case info.Size() > bytesMax:
		err = errors.New("is too large to be what it should be")
	default:
		var text []byte
		if text, err = os.ReadFile(path); err == nil {
			return text, info.Mode(), true
		}
	}
	l.faults = append(l.faults, Fault{
		Pos: from, Message: "cannot read " + path + ": " + reason(err),
		Hint: wayOut(err), unreadable: from.IsZero(),
	})
	return nil, 0, false
}

// reason is an error without the path that the message names already.
func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return err.Error()
}

func wayOut(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "paths are relative to the file that names them"
	case errors.Is(err, fs.ErrPermission):
		return "it must be readable by the user that runs the appliance"
	}
	return ""
}

// source remembers a file as part of the revision.
func (l *loader) source(path string, text []byte) {
	l.sources = append(l.sources, Source{Path: path, Sum: sha256.Sum256(text)})
}

// StateDirectory reads only where the appliance keeps its state, for tools that talk to
// a running one: they work beside a configuration that is being edited, and without
// the right to read its secrets. It fails when the file cannot be read at all.
func StateDirectory(path string) (string, error) {
	c, _, faults := Load(path)
	if c == nil {
		return "", faults.Err()
	}
	if c.Appliance.State.Value == "" {
		return "", fmt.Errorf("%s does not say appliance.state", path)
	}
	return c.Appliance.State.Value, nil
}
