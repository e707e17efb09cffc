package house

import (
	"os"
	"strings"
	"testing"
)

// archive is a fixture: a comment, then files, each below a line "-- name --".
type archive struct {
	comment string
	files   []archived
}

type archived struct{ name, text string }

func readArchive(t *testing.T, name string) *archive {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	a := &archive{}
	for _, line := range strings.SplitAfter(string(data), "\n") {
		title, ok := strings.CutPrefix(line, "-- ")
		if file, end := strings.CutSuffix(title, " --\n"); ok && end {
			a.files = append(a.files, archived{name: file})
		} else if n := len(a.files); n > 0 {
			a.files[n-1].text += line
		} else {
			a.comment += line
		}
	}
	return a
}

func (a *archive) String() string {
	var b strings.Builder
	b.WriteString(a.comment)
	for _, f := range a.files {
		b.WriteString("-- " + f.name + " --\n" + f.text)
	}
	return b.String()
}

// set replaces a file or adds it at the end.
func (a *archive) set(name, text string) {
	for i := range a.files {
		if a.files[i].name == name {
			a.files[i].text = text
			return
		}
	}
	a.files = append(a.files, archived{name, text})
}
