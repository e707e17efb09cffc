package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/engine/authz"
)

const provisioned = `
appliance: {name: posture.example.com, state: state}
provisioning:
  resources:
    next: {os: linux, version: "2.1.0", sha256: "` + "%s" + `"}
  configurations:
    office: {discovery-hosts: [discover.example.com], servers: ["posture.example.com:8443", 192.0.2.1], name-rules: ["*.example.com"], heartbeat: 5m, usb-mode: strict}
  rules:
    - {rule: testers, os: [linux], groups: [testers], give: next, configuration: office}
    - {rule: rest, os: [linux], give: agent-linux}
`

func loadText(t *testing.T, text string) (*Snapshot, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _, faults := Load(path)
	return s, faults.Error()
}

// TestAgentSettingsAndUpdates: who gets which configuration and which build, and that no
// agent goes back.
func TestAgentSettingsAndUpdates(t *testing.T) {
	s, faults := loadText(t, strings.Replace(provisioned, "%s", strings.Repeat("ab", 32), 1))
	if s == nil {
		t.Fatal(faults)
	}
	tester, other := authz.Input{OS: "linux", Groups: []string{"testers"}}, authz.Input{OS: "linux"}
	want := "# office, handed out by posture.example.com\ndiscovery-host = discover.example.com\nserver = posture.example.com:8443,192.0.2.1\n" +
		"name-rule = *.example.com\nheartbeat = 5m0s\nusb-mode = strict\n"
	if got := s.AgentSettings(&tester); got == nil || got.Text != want {
		t.Errorf("%+v", got)
	}
	if got := s.AgentSettings(&other); got != nil {
		t.Errorf("%+v", got)
	}
	for _, one := range []struct {
		in      authz.Input
		running string
		update  bool
		why     string
	}{
		{tester, "2.0.9", true, ""}, {tester, "2.1", false, "up to date"}, {tester, "2.2", false, "not taken back"},
		{tester, "devel", false, "cannot be compared"}, {other, "1", false, "no version"}, {authz.Input{}, "1", false, "no provisioning rule"},
	} {
		r, why := s.AgentUpdate(&one.in, one.running)
		if (r != nil) != one.update || !strings.Contains(why, one.why) {
			t.Errorf("%+v: %v %s", one, r, why)
		}
	}
}

// TestWrongAgentSettings: what an agent could not read.
func TestWrongAgentSettings(t *testing.T) {
	_, got := loadText(t, `
appliance: {name: posture.example.com, state: state}
provisioning:
  configurations: {office: {servers: ["https://posture.example.com"], name-rules: ["*"]}}
  rules: [{rule: all, give: agent-linux, configuration: ofice}]
`)
	for _, want := range []string{`"https://posture.example.com" cannot stand here`, `"*" cannot stand here`, `did you mean "office"?`} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
}
