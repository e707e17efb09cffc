package keep

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWriteReplacesWholeAndKeepsModes(t *testing.T) {
	d, err := Open(filepath.Join(t.TempDir(), "a", "state"))
	must(t, err)
	for _, text := range []string{"a long first content", "short"} {
		must(t, d.Write("x", []byte(text), Private))
		b, err := os.ReadFile(d.Path("x"))
		must(t, err)
		if string(b) != text {
			t.Fatalf("%q", b)
		}
	}
	info, err := os.Stat(d.Path("x"))
	must(t, err)
	if info.Mode().Perm() != Private {
		t.Errorf("mode %o", info.Mode())
	}
	left, err := os.ReadDir(string(d))
	must(t, err)
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// TestWriteThatFailsKeepsTheOld: the target is a directory, so the rename cannot be.
func TestWriteThatFailsKeepsTheOld(t *testing.T) {
	d, err := Open(t.TempDir())
	must(t, err)
	must(t, os.MkdirAll(d.Path("x/below"), 0o755))
	if err := d.Write("x", []byte("new"), Private); err == nil || !strings.Contains(err.Error(), "cannot keep x") {
		t.Fatal(err)
	}
	left, err := os.ReadDir(string(d))
	must(t, err)
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestReadJSON(t *testing.T) {
	d, err := Open(t.TempDir())
	must(t, err)
	var v struct{ N int }
	if err := d.ReadJSON("x", &v); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	v.N = 7
	must(t, d.WriteJSON("x", v, Public))
	v.N = 0
	if err := d.ReadJSON("x", &v); err != nil || v.N != 7 {
		t.Errorf("%v %+v", err, v)
	}
	for _, bad := range []string{"", "{", `{"N":"seven"}`, strings.Repeat(" ", fileMax+1)} {
		must(t, os.WriteFile(d.Path("x"), []byte(bad), 0o600))
		if err := d.ReadJSON("x", &v); err == nil || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
}

func TestLock(t *testing.T) {
	d, err := Open(t.TempDir())
	must(t, err)
	release, err := d.Lock()
	must(t, err)
	if _, err := d.Lock(); !errors.Is(err, ErrLocked) {
		t.Errorf("locked twice: %v", err)
	}
	release()
	release, err = d.Lock()
	must(t, err)
	release()
}
