package engine

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpdate: an agent is told the build and the settings that provisioning has for its
// session, and why there is none.
func TestUpdate(t *testing.T) {
	r := newRig(t, 1)
	const build = "a build of the agent"
	if err := os.Mkdir(filepath.Join(r.dir, "agents"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.write("agents/next", build)
	sum := fmt.Sprintf("%X", sha256.Sum256([]byte(build)))
	r.configured("authorization:\n", `provisioning:
  agents-directory: agents
  resources: {next: {os: linux, arch: amd64, file: next, version: "2.0", sha256: `+sum+`, signature: `+strings.Repeat("A", 86)+`==}}
  configurations: {office: {heartbeat: 5m}}
  rules: [{rule: all, when: 'session.user == "cisco"', give: next, configuration: office}]
authorization:
`)
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	b, err := r.e.Posture().Update(audit, "1.9")
	if err != nil || b.Version != "2.0" || b.File != "next" || b.OS != "linux" || b.Arch != "amd64" || b.SHA256 != strings.ToLower(sum) ||
		b.Signature == "" || b.SettingsName != "office" || !strings.Contains(b.Settings, "heartbeat = 5m") {
		t.Errorf("%+v %v", b, err)
	}
	for running, want := range map[string]string{"2.0": "up to date", "3.0": "not taken back", "unknown": "cannot be compared"} {
		if b, err := r.e.Posture().Update(audit, running); err != nil || b.Version != "" || !strings.Contains(b.Reason, want) || b.SettingsName != "office" {
			t.Errorf("%s: %+v %v", running, b, err)
		}
	}
	if _, err := r.e.Posture().Update(audit[:23]+"0", "1"); code(err) != "unknown-session" {
		t.Error(err)
	}
}
