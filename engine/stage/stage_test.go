package stage

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpen: the program serves, is ended by force, and serves again from the same state;
// the directory goes with it.
func TestOpen(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: this builds the program and runs it")
	}
	program := filepath.Join(t.TempDir(), "sallyport")
	if out, err := exec.Command("go", "build", "-o", program, "sallyport/cmd/sallyport").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a, asa, err := OpenWithASA(t.Context(), Options{Program: program, Block: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer asa.Close()
	first := a.Authentication[0]
	a.End(os.Kill)
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.Authentication[0] == first || !strings.Contains(a.Said(), "journal read") {
		t.Errorf("%+v\n%s", a.Bound, a.Said())
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a.Dir); !os.IsNotExist(err) {
		t.Errorf("left: %v", err)
	}
	if _, err := Open(t.Context(), Options{Program: program, More: "nonsense: 1"}); err == nil || !strings.Contains(err.Error(), `unknown key "nonsense"`) {
		t.Errorf("a configuration with a fault: %v", err)
	}
	if _, err := Open(t.Context(), Options{Program: program + "-not"}); err == nil || !strings.Contains(err.Error(), "build it first") {
		t.Errorf("no program: %v", err)
	}
}
