package authz

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/engine/expr"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// section reads an authorization section and compiles it as the appliance does.
func section(t *testing.T, yaml string, opts Options) (*Policy, config.Warnings, config.Faults) {
	t.Helper()
	c, _ := load(t, "appliance: {name: posture-1.example.com}\nauthorization:"+yaml)
	opts.Scope = expr.NewScope()
	faults := opts.Scope.Define(c.Authorization.Conditions, "authorization.conditions")
	p, more, warnings := Compile(&c.Authorization, opts)
	return p, warnings, append(faults, more...)
}

const composedYAML = `
  conditions: {Healthy: 'session.posture == "Compliant"', Guest: '"guests" in session.groups', Unused: 'true'}
  dacls: {ALL: ["permit ip any any"]}
  parts:
    Base: {session-timeout: 8h, attributes: {Reply-Message: welcome}}
    Office: {vlan: 10, dacl: ALL}
    Lab: {vlan: 20}
    Nobody: {vlan: 30}
  profiles:
    Full: {use: [Base, Office], session-timeout: 1h}
    Lab: {use: [Base, Lab]}
    Guests: {vlan: 40}
  rules:
    - {rule: lab, nas-group: [lab], groups: [staff], when: condition.Healthy, profile: Lab}
    - {rule: staff, groups: [staff], when: condition.Healthy, profile: Full}
    - {rule: late lab, nas-group: [lab], groups: [staff], when: 'condition.Healthy && time.hour > 20', profile: Lab}
    - {rule: guests, nas: [wifi, vpn], when: condition.Guest, profile: Guests}
`

// TestComposedProfilesAndLimitedRules: parts come together, lists of a rule decide before
// its expression, conditions have names.
func TestComposedProfilesAndLimitedRules(t *testing.T) {
	p, warnings, faults := section(t, composedYAML, Options{Groups: []string{"staff", "guests"}})
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	if got, want := p.Profile("Full").Text, "accept, dACL ALL, VLAN 10, session timeout 1h0m0s, Reply-Message = \"welcome\""; got != want {
		t.Errorf("%s", got)
	}
	if got, want := p.Profile("Lab").Text, "accept, VLAN 20, session timeout 8h0m0s, Reply-Message = \"welcome\""; got != want {
		t.Errorf("%s", got)
	}
	for _, one := range []struct {
		in   Input
		want string
	}{
		{Input{Posture: sessions.Compliant, Groups: []string{"staff"}, NASGroup: "lab"}, "lab"},
		{Input{Posture: sessions.Compliant, Groups: []string{"x", "staff"}}, "staff"},
		{Input{Posture: sessions.Pending, Groups: []string{"staff"}, NASGroup: "lab"}, "Default"},
		{Input{Groups: []string{"guests"}, NAS: "wifi"}, "guests"},
		{Input{Groups: []string{"guests"}, NAS: "wired"}, "Default"},
	} {
		if d := p.Decide(&one.in); d.Rule != one.want {
			t.Errorf("%+v: %s, want %s", one.in, d.Rule, one.want)
		}
	}
	said := warnings.String()
	for _, want := range []string{`the rule "late lab" never matches: "lab"`, `no profile uses the part "Nobody"`, "no authorization rule uses condition.Unused"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in %s", want, said)
		}
	}
	if strings.Count(said, "warning:") != 3 {
		t.Error(said)
	}
	x := p.Explain(&Input{Groups: []string{"guests"}, NAS: "wired"})
	if text := x.Text(); !strings.Contains(text, `session.nas in ["wifi", "vpn"]`) || !strings.Contains(text, `with session.nas = "wifi" instead of "wired", rule "guests"`) {
		t.Error(text)
	}
}

// TestWrongParts: what parts cannot be, and names that are nearly right.
func TestWrongParts(t *testing.T) {
	_, warnings, faults := section(t, `
  parts: {A: {vlan: 10, attributes: {Reply-Message: a}}, B: {vlan: 20, attributes: {Reply-Message: b}}, C: {use: [A]}}
  profiles: {P: {use: [A, B, Base]}, Q: {use: [C]}}
  rules:
    - {rule: one, groups: [stafff], profile: PermitAccess}
    - {rule: two, profile: PermitAccess}
    - {rule: three, when: condition.Helthy, profile: PermitAccess}
`, Options{Groups: []string{"staff"}})
	said := faults.Error() + warnings.String()
	for _, want := range []string{"the parts A and B both say vlan", "the parts A and B both give Reply-Message", `there is no part "Base"`, "a part has no parts",
		"the condition is empty", `there is no condition "Helthy"`} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in %s", want, said)
		}
	}
	_, warnings, faults = section(t, "\n  rules: [{rule: one, groups: [stafff], profile: PermitAccess}]\n", Options{Groups: []string{"staff"}})
	if len(faults) > 0 || !strings.Contains(warnings.String(), `did you mean "staff"?`) {
		t.Error(faults, warnings)
	}
}

// TestRememberedIsEvaluatedWithLists: lists of rules, conditions with names and facts are
// in the key of the memory: what it gives is what the rules give.
func TestRememberedIsEvaluatedWithLists(t *testing.T) {
	text := composedYAML + `    - {rule: sick, when: '"USB" in session.failed || session.in_grace', profile: Guests}
    - {rule: open, nas: [wifi], when: 'fact.firewall == "off" && endpoint.os_version.startsWith("10.")', profile: Lab}
`
	fresh, _, faults := section(t, text, Options{})
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	memo, err := NewMemo(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer memo.Close()
	quick, _, _ := section(t, text, Options{})
	quick.Remember(memo)
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string, words ...string) string { return rapid.SampledFrom(words).Draw(t, name) }
		in := Input{
			Posture: rapid.SampledFrom([]sessions.PostureStatus{sessions.Pending, sessions.Compliant}).Draw(t, "posture"),
			NAS:     pick("nas", "wifi", "vpn", "wired"), NASGroup: pick("group", "lab", ""), InGrace: rapid.Bool().Draw(t, "grace"),
			Groups: rapid.SliceOfN(rapid.SampledFrom([]string{"staff", "guests", "x"}), 0, 3).Draw(t, "groups"),
			Failed: rapid.SliceOfN(rapid.SampledFrom([]string{"USB", "AM"}), 0, 2).Draw(t, "failed"),
			Facts:  expr.Facts{Firewall: pick("firewall", "on", "off", "")}, OSVersion: pick("version", "10.0", "11"),
			Time: time.Unix(int64(rapid.IntRange(0, 86400).Draw(t, "time")), 0),
		}
		for range 2 {
			if got, want := quick.Decide(&in), fresh.Decide(&in); got.Rule != want.Rule || got.Profile.Digest != want.Profile.Digest {
				t.Fatalf("%+v: %s, evaluated %s", in, got.Rule, want.Rule)
			}
		}
	})
}
