package replay

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"sallyport/netio/report"
	"sallyport/sessions"
)

// TestImpact: what a reload would send, and nothing for sessions that keep theirs.
func TestImpact(t *testing.T) {
	w := NewWorld(rules(t, 10, ""))
	nobody := func(*sessions.Session) *report.Report { return nil }
	for _, e := range day(20) {
		if e.At.Before(begin.Add(90 * time.Second)) {
			w.Step(e)
		}
	}
	all := func(yield func(*sessions.Session) bool) {
		for _, s := range w.sessions {
			if !yield(s) {
				return
			}
		}
	}
	if r := Impact(begin, all, nobody, rules(t, 10, "")); r.Sessions != 0 || r.Events != 20 {
		t.Errorf("%s", r.Text())
	}
	if r := Impact(begin, all, nobody, rules(t, 11, "")); r.Sessions != 20 { // another VLAN in the same profile
		t.Errorf("%s", r.Text())
	}
	if r := Impact(begin, all, nobody, rules(t, 10, ` && "staff" in session.groups`)); r.Sessions != 10 {
		t.Errorf("%s", r.Text())
	}
}

// TestImpactOfRequirements: what agents reported last is judged by the next posture policy
// too. What they were never asked for is told apart, and so is what is not at hand.
func TestImpactOfRequirements(t *testing.T) {
	w, heard := NewWorld(rules(t, 10, "")), map[sessions.ID]*report.Report{}
	at := begin.Add(110 * time.Second) // 50 healthy endpoints of 60, with 10 that were not heard of
	for _, e := range day(60) {
		if e.At.After(at) {
			break
		}
		if w.Step(e); e.Kind == KindReport {
			heard[e.Session] = &report.Report{Trigger: e.Report.Trigger, Agent: e.Report.Agent, System: report.System{OS: "linux", OSVersion: "22.04"}, Facts: e.Report.Facts}
		}
	}
	last := func(s *sessions.Session) *report.Report { return heard[s.ID] }
	text := fmt.Sprintf(site, 10, "")
	with := func(condition, more string) string {
		text := strings.Replace(text, "conditions: {USB: {usb: {mass-storage: absent}}}", "conditions: {USB: {usb: {mass-storage: absent}}, New: "+condition+"}", 1)
		text = strings.Replace(text, "requirements: {USB: {conditions: [USB]}}", "requirements: {USB: {conditions: [USB]}, New: {conditions: [New]}}", 1)
		return strings.Replace(text, "requirements: [{name: USB}]", "requirements: [{name: USB}, {name: New"+more+"}]", 1)
	}
	for _, test := range []struct {
		what, text               string
		changed, unasked, events int
	}{
		{"the same", text, 0, 0, 60},
		{"a requirement that every endpoint meets", with(`{system: {version: ">= 20"}}`, ""), 0, 0, 60},
		{"one that none meets", with(`{system: {version: ">= 99"}}`, ""), 51, 0, 60},
		{"that one with time to meet it", strings.Replace(with(`{system: {version: ">= 99"}}`, ""), "{rule: usb,", "{rule: usb, grace: 1h,", 1), 0, 0, 60},
		{"that one for the record only", with(`{system: {version: ">= 99"}}`, ", enforcement: audit"), 0, 0, 60},
		{"one that nobody was asked for", with("{firewall: {product: any}}", ""), 0, 51, 60},
	} {
		r := Impact(at, maps.Values(w.sessions), last, compiled(t, test.text))
		if r.Events != test.events || r.Sessions != test.changed || r.Unasked != test.unasked || r.Unheard != 0 {
			t.Errorf("%s: %d changed, %d unasked, %d unheard of %d, want %d and %d of %d\n%s", test.what, r.Sessions, r.Unasked, r.Unheard, r.Events,
				test.changed, test.unasked, test.events, r.Groupwise())
		}
	}
	for id := range heard {
		if w.sessions[id].Posture.Status != sessions.Compliant {
			t.Fatalf("%s was changed by being looked at: %v", id, w.sessions[id].Posture.Status)
		}
	}
	delete(heard, "s000")
	if r := Impact(at, maps.Values(w.sessions), last, compiled(t, text)); r.Unheard != 1 || !strings.Contains(r.Groupwise(), "1 sessions were taken as they stand") {
		t.Errorf("%s", r.Groupwise())
	}
}
