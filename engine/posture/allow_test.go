package posture

import (
	"slices"
	"testing"
	"time"

	"sallyport/engine/expr"
	"sallyport/netio/report"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// TestAllowedDevicesReachTheAgent: the action says which devices the condition does not
// count, or the agent would block them beside the others.
func TestAllowedDevicesReachTheAgent(t *testing.T) {
	text := func(s string) config.Text { return config.Text{Value: s} }
	c := &config.Config{Posture: config.Posture{
		Conditions:   config.Map[config.Condition]{{Name: text("C"), Value: config.Condition{USB: &config.USBCondition{MassStorage: "absent", Allow: []config.Text{text("0951:1666:A")}}}}},
		Remediations: config.Map[config.Remediation]{{Name: text("R"), Value: config.Remediation{USB: "block", Mode: "automatic"}}},
		Requirements: config.Map[config.Requirement]{{Name: text("Q"), Value: config.Requirement{Conditions: []config.Text{text("C")}, Remediation: text("R"), CannotTell: config.CannotTellFails}}},
		Policy:       []config.PostureRule{{Rule: text("P"), Requirements: []config.RuleRequirement{{Name: text("Q"), Enforcement: config.Mandatory}}}},
		Agent:        config.PostureAgent{ReportValid: time.Hour},
	}}
	p, _, faults := Compile(c)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	stick := func(serial string) report.USBDevice {
		return report.USBDevice{Port: "2-" + serial, VID: "0951", PID: "1666", Serial: serial, Ifaces: []string{"08/06/50"}, State: report.USBActive}
	}
	now := time.Now()
	a := p.Assess(now, Input{Session: expr.Input{OS: "linux"}, FactsAt: now,
		Facts: &report.Facts{USB: &report.USB{Devices: []report.USBDevice{stick("A"), stick("B")}}}})
	if len(a.Actions) != 1 || !slices.Equal(a.Actions[0].Allow, []string{"0951:1666:A"}) {
		t.Fatalf("%+v", a)
	}
}

// TestRulesOfUSBControl: what agents are told to allow counts in no condition, whether it
// is a number or a rule, and the document tells the agent.
func TestRulesOfUSBControl(t *testing.T) {
	p := policy(t, `
  usb-control: {mode: strict, allow: ['allow via-port "1-2"'], busy: detach, grace: 10s}
  conditions: {USB: {usb: {mass-storage: absent, allow: ["0951:1666"]}}}
  remediations: {Block: {usb: block}}
  requirements: {Q: {conditions: [USB], remediation: Block}}
  policy: [{rule: P, requirements: [{name: Q}]}]
`)
	device := func(port, vid string) report.USBDevice {
		return report.USBDevice{Port: port, VID: vid, PID: "1666", Ifaces: []string{"08/06/50"}, State: report.USBActive}
	}
	for _, one := range []struct {
		d    report.USBDevice
		want sessions.PostureStatus
	}{{device("1-2", "dead"), sessions.Compliant}, {device("1-3", "0951"), sessions.Compliant}, {device("1-3", "dead"), sessions.NonCompliant}} {
		a := p.Assess(now, on("linux", usb(one.d)))
		if a.Status != one.want || a.Status == sessions.NonCompliant && len(a.Actions[0].Allow) != 2 {
			t.Errorf("%+v: %+v", one.d, a)
		}
	}
	in := on("linux", nil)
	want := report.USBControl{Mode: "strict", Allow: []string{`allow via-port "1-2"`}, Busy: "detach", GraceS: 10}
	if got := p.Document(&in).USB; got == nil || got.Mode != want.Mode || got.Busy != want.Busy || got.GraceS != want.GraceS || !slices.Equal(got.Allow, want.Allow) {
		t.Errorf("%+v", got)
	}
}
