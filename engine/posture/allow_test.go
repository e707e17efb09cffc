package posture

import (
	"slices"
	"testing"
	"time"

	"sallyport/engine/expr"
	"sallyport/netio/report"
	"sallyport/ops/config"
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
