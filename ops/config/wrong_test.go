package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what is said of the wrong configurations as golden output")

// TestWrongConfigurations loads configurations that are wrong as people make them. Each
// fixture is an archive of files; the file want is everything that is said.
func TestWrongConfigurations(t *testing.T) {
	fixtures, err := filepath.Glob("testdata/wrong/*.txt")
	if err != nil || len(fixtures) < 10 {
		t.Fatal("fixtures are missing", err)
	}
	t.Setenv("SALLYPORT_TEST_SECRET", "a long random shared secret")
	for _, name := range fixtures {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			body, want, _ := strings.Cut(string(data), "-- want --\n")
			dir := t.TempDir()
			unpack(t, dir, body)
			c, warnings, faults := Load(filepath.Join(dir, "sallyport.yaml"))
			if len(faults) == 0 {
				t.Error("no fault was found")
			}
			if c == nil && !faults.Unreadable() && len(faults) > 1 {
				t.Error("a file that is not YAML has more than one fault")
			}
			got := strings.ReplaceAll(warnings.String()+faults.Error()+"\n", dir+"/", "")
			for _, line := range strings.Split(got+faults.JSON()+warnings.JSON(), "\n") {
				if strings.Contains(line, "hunter2") {
					t.Errorf("a secret is shown: %s", line)
				}
			}
			if *rewrite {
				if err := os.WriteFile(name, []byte(body+"-- want --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

// unpack writes the files of an archive: each below a line "-- name --".
func unpack(t *testing.T, dir, archive string) {
	t.Helper()
	var name string
	files := map[string]string{}
	for line := range strings.SplitAfterSeq(archive, "\n") {
		title, ok := strings.CutPrefix(line, "-- ")
		if file, end := strings.CutSuffix(title, " --\n"); ok && end {
			name = file
			files[name] = ""
		} else if name != "" {
			files[name] += line
		}
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCannotReadIsDistinct: check exits with another status when there is no file.
func TestCannotReadIsDistinct(t *testing.T) {
	c, _, faults := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if c != nil || !faults.Unreadable() || faults.Err() == nil {
		t.Errorf("%v %v", c, faults)
	}
	dir := t.TempDir()
	unpack(t, dir, "-- sallyport.yaml --\nappliance: {}\n")
	if _, _, faults = Load(filepath.Join(dir, "sallyport.yaml")); faults.Unreadable() || len(faults) == 0 {
		t.Errorf("a fault inside the file: %v", faults)
	}
	unpack(t, dir, "-- sallyport.yaml --\ninclude: [none.yaml]\nappliance: {name: a}\n")
	if _, _, faults = Load(filepath.Join(dir, "sallyport.yaml")); faults.Unreadable() || len(faults) != 1 {
		t.Errorf("an include that cannot be read: %v", faults)
	}
}

func TestFaultsAsJSON(t *testing.T) {
	f := Faults{{Pos: Pos{"a.yaml", 3, 7}, Path: "nas[0].name", Message: "wrong", Hint: "right", Source: "x"}}
	const want = `{"kind":"fault","file":"a.yaml","line":3,"column":7,"path":"nas[0].name","message":"wrong","hint":"right","source":"x"}` + "\n"
	if got := f.JSON(); got != want {
		t.Errorf("got %s", got)
	}
}
