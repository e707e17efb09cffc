package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// large writes the configuration of a large site.
func large(tb testing.TB, nases, rules, requirements int) string {
	tb.Helper()
	dir := tb.TempDir()
	var b strings.Builder
	b.WriteString("appliance: {name: posture.example.com, state: state}\nnas:\n")
	for i := range nases {
		fmt.Fprintf(&b, "  - {name: nas-%d, address: 10.%d.%d.%d, secret: {file: secret}, recipe: cisco-asa}\n", i, i>>16, i>>8&255, i&255)
	}
	b.WriteString("posture:\n  conditions: {USB: {usb: {mass-storage: absent}}}\n  requirements:\n")
	for i := range requirements {
		fmt.Fprintf(&b, "    R%d: {conditions: [USB]}\n", i)
	}
	b.WriteString("  policy:\n")
	for i := range requirements {
		fmt.Fprintf(&b, "    - {rule: p%d, when: '\"group-%d\" in session.groups', requirements: [{name: R%d}]}\n", i, i, i)
	}
	b.WriteString("authorization:\n  profiles:\n    Full: {vlan: 10}\n  rules:\n")
	for i := range rules {
		fmt.Fprintf(&b, "    - {rule: rule %d, when: 'session.posture == \"Compliant\" && session.nas == \"nas-%d\"', profile: Full}\n", i, i)
	}
	for name, text := range map[string]string{"sallyport.yaml": b.String(), "secret": "a long random shared secret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return filepath.Join(dir, "sallyport.yaml")
}

// BenchmarkLoad is a reload of 5,000 NASes, 500 rules and 200 requirements, which is to
// take less than a second.
func BenchmarkLoad(b *testing.B) {
	path := large(b, 5000, 500, 200)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, faults := Load(path); faults.Err() != nil {
			b.Fatal(faults)
		}
	}
}
