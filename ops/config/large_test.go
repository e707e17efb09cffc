package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// large writes a configuration of n NASes, rules and users, as a large site has them.
func large(tb testing.TB, nases, rules, users int) string {
	tb.Helper()
	dir := tb.TempDir()
	var b strings.Builder
	b.WriteString("appliance: {name: posture.example.com, state: state}\nidentity: {stores: [{name: internal, users-file: users.yaml}]}\nnas:\n")
	for i := range nases {
		fmt.Fprintf(&b, "  - name: nas-%d\n    address: 10.%d.%d.%d\n    secret: {file: secret}\n    recipe: cisco-asa\n    coa: {port: 1700}\n", i, i>>16, i>>8&255, i&255)
	}
	b.WriteString("authorization:\n  profiles:\n    Full: {vlan: 10}\n  rules:\n")
	for i := range rules {
		fmt.Fprintf(&b, "    - {rule: rule %d, when: 'session.posture == \"Compliant\" && session.nas == \"nas-%d\"', profile: Full}\n", i, i)
	}
	var u strings.Builder
	for i := range users {
		fmt.Fprintf(&u, "user-%d: {password: \"$2b$10$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu\", groups: [staff]}\n", i)
	}
	for name, text := range map[string]string{"sallyport.yaml": b.String(), "users.yaml": u.String(), "secret": "a long random shared secret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return filepath.Join(dir, "sallyport.yaml")
}

// TestLoadGrowsLinearly: ten times the file takes about ten times as long. The bound
// is generous, since machines are shared; quadratic work would take a hundred times.
func TestLoadGrowsLinearly(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time: left out with -short")
	}
	took := func(n int) time.Duration {
		path := large(t, n, n/10, n)
		best := time.Hour
		for range 3 {
			began := time.Now()
			if _, _, faults := Load(path); faults.Err() != nil {
				t.Fatal(faults)
			}
			best = min(best, time.Since(began))
		}
		return best
	}
	small, big := took(500), took(5000)
	t.Logf("500: %v, 5000: %v", small, big)
	if big > 40*small {
		t.Errorf("500 entries take %v, 5000 take %v", small, big)
	}
}

func BenchmarkLoad(b *testing.B) {
	path := large(b, 5000, 500, 1000)
	for b.Loop() {
		if _, _, faults := Load(path); faults.Err() != nil {
			b.Fatal(faults)
		}
	}
}

// FuzzLoad: whatever is in the file, Load says something about it and comes back.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"testdata/sound/sallyport.yaml", "testdata/sound/users.yaml"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	wrong, _ := filepath.Glob("testdata/wrong/*.txt")
	for _, name := range wrong {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		_, body, _ := strings.Cut(string(text), "-- sallyport.yaml --\n")
		body, _, _ = strings.Cut(body, "\n-- ")
		f.Add([]byte(body))
	}
	path := filepath.Join(f.TempDir(), "sallyport.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		if strings.Contains(string(text), "file") || strings.Contains(string(text), "include") {
			return // it would name files of this machine
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, warnings, faults := Load(path)
		if c == nil && len(faults) == 0 {
			t.Error("neither a configuration nor a fault")
		}
		_, _ = warnings.String(), faults.Error()
	})
}
