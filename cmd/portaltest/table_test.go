package portaltest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTableOfAttacks: the tests that the document names are there.
func TestTableOfAttacks(t *testing.T) {
	text, err := os.ReadFile("../../ops/docs/PROTOCOL.md")
	must(t, err)
	_, table, ok := strings.Cut(string(text), "| attack | reason | test |")
	if !ok {
		t.Fatal("the table is gone")
	}
	place, name := regexp.MustCompile("`([a-z]+(?:/[a-z-]+)*)`"), regexp.MustCompile(`\b((?:Test|Fuzz)\w+)`)
	seen := 0
	for line := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			continue
		}
		dir := ""
		for _, word := range strings.Fields(cells[3]) {
			if m := place.FindStringSubmatch(word); m != nil {
				dir = m[1]
				continue
			}
			if m := name.FindString(word); m != "" {
				seen++
				if !defined(t, dir, m) {
					t.Errorf("%s has no %s", dir, m)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("the table names %d tests", seen)
	}
}

// defined looks for a test in the files of a package.
func defined(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", dir, "*_test.go"))
	must(t, err)
	for _, f := range files {
		text, err := os.ReadFile(f)
		must(t, err)
		if strings.Contains(string(text), "func "+name+"(") {
			return true
		}
	}
	return false
}
