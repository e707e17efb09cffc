package posture

import (
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/engine/expr"
	"sallyport/netio/report"
)

const explained = `
  conditions:
    USB: {usb: {mass-storage: absent}}
    AM: {anti-malware: {definitions: within 3d}}
    FW: {firewall: {}}
    SSH: {service: {name: ssh}}
    Guard: {compound: "AM & (FW | SSH)"}
  remediations: {Tell: {message: "Switch the guard on."}}
  requirements:
    Guard: {conditions: [Guard], remediation: Tell}
    USB: {os: [linux], conditions: [USB], cannot-tell: skip}
    Secret: {conditions: [FW]}
  policy:
    - {rule: staff, groups: [staff], requirements: [{name: Guard}, {name: USB}]}
    - {rule: guests, groups: [guests], requirements: [{name: USB}]}
    - {rule: windows, os: [windows], requirements: [{name: USB}]}
    - {rule: vpn, when: 'session.nas == "vpn"', requirements: [{name: Secret, enforcement: audit}]}
`

// TestExplainSaysEverything: the rules that apply and those that do not, each fact with
// what was wanted, its age, the fewest changes, and the person's share of it.
func TestExplainSaysEverything(t *testing.T) {
	p := policy(t, strings.Replace(explained, "windows, os: [windows], requirements: [{name: USB}]", "windows, os: [windows], requirements: [{name: Guard}]", 1))
	in := Input{
		Session: expr.Input{OS: "linux", Groups: []string{"staff"}, NAS: "vpn"}, FactsAt: now.Add(-90 * time.Second),
		Facts: &report.Facts{
			AntiMalware: &report.AntiMalware{Products: []report.Product{{Name: "ClamAV", State: report.StateOn, DefinitionsAt: old}}},
			Firewall:    &report.Firewall{Products: []report.Product{{Name: "nftables", State: report.StateOff}}},
			Services:    &report.Services{Items: []report.Service{{Name: "ssh", State: report.StateRunning}}},
		},
	}
	x := p.Explain(now, in)
	got := x.Text() + "changes:\n  " + strings.Join(x.Changes, "\n  ") + "\nperson:\n  " + strings.Join(x.Person(), "\n  ") + "\n"
	const name = "testdata/explain.txt"
	if *rewrite {
		if err := os.WriteFile(name, []byte(clip(got)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if clip(got) != string(want) {
		t.Errorf("got:\n%swant:\n%s", clip(got), want)
	}
	if x.AgeS != 90 || x.Rules[0].Requirements[0].Conditions[0].AgeS != 90 {
		t.Errorf("%v seconds old", x.AgeS)
	}
	for _, line := range x.Person() {
		if strings.Contains(line, "staff") || strings.Contains(line, "yaml") || strings.Contains(line, "Secret") {
			t.Errorf("the person is told %q", line)
		}
	}
}

// clip takes the directory of a test out of places.
func clip(s string) string {
	for {
		at := strings.Index(s, "(/")
		if at < 0 {
			return s
		}
		end := strings.Index(s[at:], "sallyport.yaml")
		s = s[:at+1] + s[at+end:]
	}
}

// TestFewestOfAlternatives: of conditions of which one is enough, one is named; without a
// report the report is what is missing.
func TestFewestOfAlternatives(t *testing.T) {
	p := policy(t, explained)
	in := Input{Session: expr.Input{OS: "macos", Groups: []string{"staff"}}, FactsAt: now, Facts: &report.Facts{
		AntiMalware: &report.AntiMalware{Products: []report.Product{{Name: "A", State: report.StateOn, DefinitionsAt: now}}},
		Firewall:    &report.Firewall{}, Services: &report.Services{Items: []report.Service{{Name: "ssh", State: report.StateStopped}}},
	}}
	x := p.Explain(now, in)
	if len(x.Changes) != 1 || !strings.HasPrefix(x.Changes[0], "FW passes") {
		t.Errorf("%q", x.Changes)
	}
	x = p.Explain(now, Input{Session: in.Session})
	if len(x.Changes) != 1 || !strings.Contains(x.Changes[0], "an agent reports") || x.Rules[0].Requirements[0].Conditions[0].Parts != nil {
		t.Errorf("%+v", x)
	}
}

// TestDigest: a word for each group, and none for what nobody looked at.
func TestDigest(t *testing.T) {
	if got := Digest(&report.Facts{}); got != (expr.Facts{}) {
		t.Errorf("%+v", got)
	}
	got := Digest(&report.Facts{
		USB: usb(in(report.USBBlocked, stick())).USB, Firewall: &report.Firewall{Products: []report.Product{{State: "off"}, {State: "on"}}},
		AntiMalware: &report.AntiMalware{Error: "x"}, Patch: &report.Patch{Manager: "apt", Security: 1},
		Encryption: &report.Encryption{Volumes: []report.Volume{{State: report.VolumeEncrypted}, {State: report.VolumePlain}, {State: report.VolumePlain, External: true}}},
	})
	want := expr.Facts{Storage: "blocked", Firewall: "on", AntiMalware: "unknown", Updates: "missing", Encryption: "partly"}
	if got != want {
		t.Errorf("%+v", got)
	}
}
