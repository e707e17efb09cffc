package posture

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/ops/config"
)

var rewrite = flag.Bool("rewrite", false, "write what is said of the wrong policy as golden output")

// TestWrongPolicy compiles a section that is wrong in every way the compiler knows; the
// file want is everything that is said.
func TestWrongPolicy(t *testing.T) {
	const name = "testdata/wrong.txt"
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	body, want, _ := strings.Cut(string(data), "-- want --\n")
	_, yaml, _ := strings.Cut(body, "-- sallyport.yaml --\n")
	dir := t.TempDir()
	path := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, faults := config.Load(path)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	_, warnings, faults := Compile(c)
	got := strings.ReplaceAll(warnings.String()+faults.Error()+"\n", dir+"/", "")
	if *rewrite {
		if err := os.WriteFile(name, []byte(body+"-- want --\n"+got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}
