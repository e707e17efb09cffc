package expr

import (
	"strings"
	"testing"

	"sallyport/ops/config"
	"sallyport/sessions"
)

func named(pairs ...string) (m config.Map[config.Text]) {
	for i := 0; i < len(pairs); i += 2 {
		m = append(m, config.Named[config.Text]{Name: config.Text{Value: pairs[i]}, Value: config.Text{Value: pairs[i+1]}})
	}
	return m
}

// TestNamedConditions: a name stands for its expression, in what it reads, in what it
// gives, in its trace, and through other names.
func TestNamedConditions(t *testing.T) {
	s := NewScope()
	if f := s.Define(named("Healthy", `session.posture == "Compliant"`, "Staff", `"staff" in session.groups`,
		"Good", `condition.Healthy && condition.Staff`, "Broken", `session.groups[5] == "x"`), "authorization.conditions"); len(f) > 0 {
		t.Fatal(f)
	}
	c, f := s.Compile(config.Text{Value: `condition.Good && session.nas == "vpn"`}, "when")
	if len(f) > 0 {
		t.Fatal(f)
	}
	if want := Vars(1<<Posture | 1<<Groups | 1<<NAS); c.Reads() != want {
		t.Errorf("reads %b, want %b", c.Reads(), want)
	}
	in := Input{Posture: sessions.Compliant, Groups: []string{"staff"}, NAS: "vpn"}
	if holds, err := c.Eval(&in); !holds || err != nil {
		t.Errorf("%v %v", holds, err)
	}
	in.Posture = sessions.Pending
	if holds, err := c.Eval(&in); holds || err != nil {
		t.Errorf("%v %v", holds, err)
	}
	var shown []string
	for _, p := range c.Trace(&in).Parts {
		shown = append(shown, strings.Repeat(" ", p.Depth)+p.Text+"="+p.Value)
	}
	if got := strings.Join(shown, "\n"); !strings.Contains(got, `session.posture == "Compliant"=false`) || !strings.Contains(got, "condition.Good=false") {
		t.Errorf("%s", got)
	}
	if len(c.Literals()) != 3 || c.Literals()[0].Named || !c.Literals()[1].Named {
		t.Errorf("%+v", c.Literals())
	}
	broken, _ := s.Compile(config.Text{Value: `condition.Broken`}, "when")
	if holds, err := broken.Eval(&in); holds || err == nil || !strings.Contains(err.Error(), "Broken") {
		t.Errorf("%v %v", holds, err)
	}
}

// TestNamedConditionsThatAreWrong: each fault says where it is and the way out.
func TestNamedConditionsThatAreWrong(t *testing.T) {
	s := NewScope()
	faults := s.Define(named("A", `condition.B`, "B", `session.nas`, "not good", `true`, "C", `condition.A`), "authorization.conditions")
	got := faults.Error()
	for _, want := range []string{`there is no condition "B" before this place`, "a condition must be true or false", `"not good" cannot be the name`} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
	if _, f := s.Compile(config.Text{Value: "condition.a && true"}, "when"); len(f) != 1 || !strings.Contains(f[0].Hint, `"A"`) {
		t.Errorf("%v", f)
	}
}
