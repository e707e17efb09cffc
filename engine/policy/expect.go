package policy

import (
	"fmt"
	"slices"
	"strings"

	"sallyport/engine/posture"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// expect holds what a step expects against what is, one fault for each that fails.
func (t *testRun) expect(one *config.Step, path string) {
	at := " at " + one.At.String()
	if e := one.Expect.Profile; e.Value != "" && t.knownProfile(e, path+".profile") {
		if got := t.profile(one); got != e.Value {
			t.fault(e.Pos, path+".profile", fmt.Sprintf("%s: expected profile %s, got %s", at, e.Value, orNone(got)), t.why())
		}
	}
	if e := one.Expect.Rule; e.Value != "" && t.knownRule(e, path+".rule") {
		if got := t.rule(); got != e.Value {
			t.fault(e.Pos, path+".rule", fmt.Sprintf("%s: expected rule %q, got %q", at, e.Value, got), t.why())
		}
	}
	if e := one.Expect.Posture; e.Value != "" {
		if got := t.status(); got != e.Value {
			t.fault(e.Pos, path+".posture", fmt.Sprintf("%s: expected posture %s, got %s", at, e.Value, got), t.whyPosture())
		}
	}
	if e := one.Expect.CoA; e.Value != "" && (e.Value == config.NoCoA || e.Value == config.DisconnectCoA || t.knownProfile(e, path+".coa")) {
		t.expectCoA(e, path+".coa", at)
	}
}

// expectCoA looks at the last CoA of the step: those before it were overtaken. One that
// disconnects is known by that, and by the profile that it goes with.
func (t *testRun) expectCoA(e config.Text, path, at string) {
	found, reason := "none", "the profile did not change; "+t.why()
	if n := len(t.sent); n > 0 {
		last := &t.sent[n-1]
		if e.Value == last.profile || e.Value == config.DisconnectCoA && last.kind == sessions.ChangeDisconnect {
			return
		}
		found, reason = "one to "+last.profile, "because of "+last.reason+"; "+t.why()
		if last.kind == sessions.ChangeDisconnect {
			found = "a disconnect"
		}
	} else if e.Value == config.NoCoA {
		return
	}
	want := "a CoA to " + e.Value
	switch e.Value {
	case config.NoCoA:
		want = "no CoA"
	case config.DisconnectCoA:
		want = "a disconnect"
	}
	t.fault(e.Pos, path, fmt.Sprintf("%s: expected %s, got %s", at, want, found), reason)
}

func (t *testRun) knownProfile(e config.Text, path string) bool {
	if t.snapshot.Authz.Profile(e.Value) != nil {
		return true
	}
	var names []string
	for _, p := range t.snapshot.Authz.Profiles() {
		names = append(names, p.Name)
	}
	t.fault(e.Pos, path, fmt.Sprintf(": there is no profile %q", e.Value), config.DidYouMean(e.Value, names))
	return false
}

func (t *testRun) knownRule(e config.Text, path string) bool {
	names := []string{defaultRule}
	a := &t.snapshot.Config.Authorization
	for _, r := range append(slices.Clone(a.Exceptions), a.Rules...) {
		names = append(names, r.Rule.Value)
	}
	if slices.Contains(names, e.Value) {
		return true
	}
	t.fault(e.Pos, path, fmt.Sprintf(": there is no rule %q", e.Value), config.DidYouMean(e.Value, names))
	return false
}

// defaultRule is how a decision names the default.
const defaultRule = "Default"

// profile is what the answer to the login of this step said, or else what the NAS holds.
func (t *testRun) profile(one *config.Step) string {
	switch {
	case one.Authenticate.Value == "fail":
		return config.DenyAccess
	case one.Authenticate.Value == "ok" && one.Report == nil && t.decision != nil:
		return t.decision.Profile.Name
	case t.session == nil:
		return ""
	case !t.session.Live() && len(t.sent) > 0:
		return t.sent[len(t.sent)-1].profile
	case !t.session.Live():
		return ""
	}
	return t.session.Grant.Profile
}

func (t *testRun) rule() string {
	if t.decision != nil {
		return t.decision.Rule
	}
	if t.session != nil {
		return t.session.Grant.Rule
	}
	return ""
}

func (t *testRun) status() string {
	if t.session == nil {
		return sessions.Unknown.String()
	}
	return t.session.Posture.Status.String()
}

// whyPosture names the requirements that decided.
func (t *testRun) whyPosture() string {
	parts := t.lately()
	if t.assessment == nil {
		return strings.Join(append(parts, "no report was judged; "+t.why()), "; ")
	}
	for _, r := range t.assessment.Rules {
		switch {
		case r.Status != posture.Passed:
			parts = append(parts, fmt.Sprintf("%s of rule %q (%s, %s) %s: %s", r.Requirement, r.Rule, r.Pos, r.Enforcement, r.Status, r.Reason))
		default:
			parts = append(parts, fmt.Sprintf("%s of rule %q passed", r.Requirement, r.Rule))
		}
	}
	if len(t.assessment.Rules) == 0 {
		parts = append(parts, "no posture rule is for the endpoint")
	}
	return strings.Join(parts, "; ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
