package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGeneratedFilesAreFresh: a change of dictionary.txt without go generate fails here.
func TestGeneratedFilesAreFresh(t *testing.T) {
	files, err := generate("../dictionary.txt")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join("..", path))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what dictionary.txt says (%v): run go generate in netio/radius/dictionary", path, err)
		}
	}
}

// TestFaults are told with file and line.
func TestFaults(t *testing.T) {
	for text, want := range map[string]string{
		"User-Name 1 strnig\n":            ":1: unknown kind strnig",
		"\nUser-Name 256 string\n":        `:2: strconv.ParseUint: parsing "256": value out of range`,
		"value Service-Type Login 1\n":    ":1: value of an unknown attribute Service-Type",
		"User-Name 1 string 4 and more\n": ":1: 6 words",
		"vendor Cisco nine\n":             `:1: strconv.ParseUint: parsing "nine": invalid syntax`,
	} {
		path := filepath.Join(t.TempDir(), "dictionary.txt")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := generate(path); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := generate(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("a dictionary that is not there")
	}
}
