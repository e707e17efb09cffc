package house

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

var rewrite = flag.Bool("rewrite", false, "write what the rules say of the fixtures as their golden output")

// TestTheTree runs every rule over the repository.
func TestTheTree(t *testing.T) {
	root := "../.."
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	module, _, _ := strings.Cut(strings.TrimPrefix(string(mod), "module "), "\n")
	found, err := Check(os.DirFS(root), module)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}

// TestTheRulesCanFail runs the rules over small trees that break them. Each fixture is
// an archive of files; the file named want holds the findings.
func TestTheRulesCanFail(t *testing.T) {
	fixtures, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(fixtures) == 0 {
		t.Fatal("no fixtures", err)
	}
	for _, name := range fixtures {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			fixture := readArchive(t, name)
			tree, want := fstest.MapFS{}, ""
			for _, f := range fixture.files {
				text := strings.ReplaceAll(f.text, "~", "") // forbidden words are written with one in them
				if f.name == "want" {
					want = text
					continue
				}
				tree[f.name] = &fstest.MapFile{Data: unfold(text), Mode: fs.ModePerm}
			}
			found, err := Check(tree, "house.example")
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, f := range found {
				got.WriteString(f.String() + "\n")
			}
			if *rewrite && got.String() != want {
				fixture.set("want", got.String())
				if err := os.WriteFile(name, []byte(fixture.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got.String() != want {
				t.Errorf("got:\n%swant:\n%s", got.String(), want)
			}
		})
	}
}

// unfold makes long files from short fixtures: a line "REPEAT n text" becomes n lines.
func unfold(text string) []byte {
	var out strings.Builder
	for _, line := range strings.SplitAfter(text, "\n") {
		rest, ok := strings.CutPrefix(line, "REPEAT ")
		if !ok {
			out.WriteString(line)
			continue
		}
		number, text, _ := strings.Cut(rest, " ")
		n := 0
		for _, digit := range number {
			n = n*10 + int(digit-'0')
		}
		out.WriteString(strings.Repeat(text, n))
	}
	return []byte(out.String())
}
