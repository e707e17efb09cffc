package authz

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/ops/config"
	"sallyport/sessions"
)

// TestExplain holds every explanation in testdata/explain.txt, as people and as programs
// read it.
func TestExplain(t *testing.T) {
	const name = "testdata/explain.txt"
	var out bytes.Buffer
	for i, c := range []struct {
		title  string
		policy string
		in     Input
	}{
		{"pending: posture alone stands between it and access", reference, Input{Authenticated: true, Posture: sessions.Pending}},
		{"compliant", reference, Input{Authenticated: true, Posture: sessions.Compliant}},
		{"nothing matches: not authenticated", reference, Input{Posture: sessions.Compliant}},
		{"an exception, and rules that were not reached", everything, Input{User: "Root", NAS: "asa", Authenticated: true, Posture: sessions.Compliant, TunnelGroup: "7"}},
		{"groups and hours", everything, Input{Groups: []string{"staff", "admins"}, TunnelGroup: "7", Method: "mab", Time: time.Date(2026, 11, 23, 18, 5, 0, 0, time.UTC)}},
		{"a condition that cannot be evaluated", everything, Input{TunnelGroup: "RA", Groups: []string{"a", "b"}, Method: "pap"}},
	} {
		p := compile(t, c.policy)
		e := p.Explain(&c.in)
		if d := p.Decide(&c.in); d.Rule != e.Rule || d.Profile.Name != e.Profile || d.Pos != e.Pos {
			t.Errorf("%s: explained %s, decided %+v", c.title, e.Rule, d)
		}
		for _, a := range e.Nearest {
			if a.Profile == e.Profile {
				t.Errorf("%s: %s changes nothing", c.title, a)
			}
		}
		text := e.Text()
		if i == 0 {
			text += "\n" + e.JSON() + "\n"
		}
		dir := strings.TrimSuffix(p.rules[0].pos.File, "policy.yaml")
		out.WriteString("==== " + c.title + "\n" + strings.ReplaceAll(text, dir, "") + "\n")
		if again := (Explanation{}); json.Unmarshal([]byte(e.JSON()), &again) != nil || again.Rule != e.Rule || strings.Contains(e.JSON(), "\n") {
			t.Errorf("%s: not one line of JSON: %s", c.title, e.JSON())
		}
	}
	got := strings.TrimRight(out.String(), "\n") + "\n"
	if *rewrite {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestNearestIsTrue: doing what an alternative says gives the profile it says.
func TestNearestIsTrue(t *testing.T) {
	p := compile(t, everything)
	in := Input{Groups: []string{"staff"}, TunnelGroup: "7", Method: "mab"}
	e := p.Explain(&in)
	if len(e.Nearest) < 3 {
		t.Errorf("only %v", e.Nearest)
	}
	for _, a := range e.Nearest {
		for v := range p.Reads().All() {
			if v.String() != a.Variable {
				continue
			}
			found := false
			for _, value := range p.candidates(v, &in) {
				with, ok := v.With(in, value)
				found = found || ok && v.Quoted(&with) == a.To && p.Decide(&with).Profile.Name == a.Profile
			}
			if !found {
				t.Errorf("%s is not so", a)
			}
		}
	}
}

// TestManyDecideAtOnce is for the race detector: one policy, one memory, many goroutines.
func TestManyDecideAtOnce(t *testing.T) {
	p := remembering(t, compile(t, reference))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 500 {
				in := Input{Authenticated: (i+j)%2 == 0, Posture: sessions.PostureStatus(j % 5)}
				d := p.Decide(&in)
				if want := in.Authenticated && in.Posture == sessions.Compliant; (d.Profile.Name == config.PermitAccess) != want {
					t.Errorf("%+v: %s", in, d.Rule)
				}
			}
		})
	}
	all.Wait()
}
