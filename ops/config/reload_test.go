package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReloadLimit: a number, a share, nothing, and what is neither.
func TestReloadLimit(t *testing.T) {
	for text, want := range map[string]struct {
		most    int
		limited bool
		fault   string
	}{
		"":                             {0, false, ""},
		"reload: {most-changed: 0}":    {0, true, ""},
		"reload: {most-changed: 25}":   {25, true, ""},
		"reload: {most-changed: 5%}":   {10, true, ""},
		"reload: {most-changed: -1}":   {0, false, `"-1" is neither a number of sessions nor a share of them`},
		"reload: {most-changed: 101%}": {0, false, "neither a number"},
		"reload: {most-changed: few}":  {0, false, "neither a number"},
	} {
		path := filepath.Join(t.TempDir(), "sallyport.yaml")
		if err := os.WriteFile(path, []byte("appliance: {name: a.example.com}\n"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, faults := Load(path)
		if c == nil {
			t.Fatal(faults)
		}
		if most, limited := c.Reload.Limit(200); most != want.most || limited != want.limited {
			t.Errorf("%s: %d, %v", text, most, limited)
		}
		if err := faults.Err(); want.fault == "" && err != nil || want.fault != "" && (err == nil || !strings.Contains(err.Error(), want.fault)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
