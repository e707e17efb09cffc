package posture

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/engine/expr"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// coursePolicy has every clock.
const coursePolicy = `
  conditions: {USB: {usb: {mass-storage: absent}}}
  requirements: {Q: {conditions: [USB]}}
  policy: [{rule: P, os: [linux], grace: %s, requirements: [{name: Q}]}]
  reassessment: [{rule: R, groups: [staff], interval: 20m, grace: 2m, action: %s}]
  agent: {heartbeat: 10m, report-valid: 30m, pending-alarm: 5m, lost: %s, lease: %s, remediation-timer: 4m, remediation-over: %s, agentless: %s}
`

// TestCourse plays what happens to a session, event by event. A step is a minute and
// what happens; "good" and "bad" are reports, with the trigger after a slash; nothing is
// time alone. What follows "=" is the status, the clock, and what happened.
func TestCourse(t *testing.T) {
	for _, one := range []struct {
		name, grace, action, lost, lease, over, agentless string
		groups                                            []string
		last                                              Last
		steps                                             []string
	}{
		{name: "no agent comes", steps: []string{"0 = Pending until 5", "5 = Pending until never; pending"}},
		{name: "no agent comes, and that is fine", agentless: "Compliant", steps: []string{"6 = Compliant until never; agentless"}},
		{name: "healthy, then lost", steps: []string{"1 good = Compliant until 31", "30 = Compliant until 31", "31 = NonCompliant until never; agent-lost"}},
		{name: "lost is kept", lost: "keep", steps: []string{"1 good = Compliant until 31", "40 = Compliant until never; agent-lost"}},
		{name: "lost ends it", lost: "disconnect", steps: []string{"1 good = Compliant until 31", "40 = NonCompliant until never; agent-lost disconnect"}},
		{name: "heartbeats go on", steps: []string{"1 good = Compliant until 31", "20 good = Compliant until 50"}},
		{name: "remediation in time", steps: []string{"1 bad = NonCompliant until 5", "3 good = Compliant until 33"}},
		{name: "remediation too late", over: "disconnect", steps: []string{"1 bad = NonCompliant until 5", "2 bad = NonCompliant until 5", "5 = NonCompliant until 32; remediation-over disconnect",
			"6 bad = NonCompliant until 36"}},
		{name: "no grace", steps: []string{"1 good = Compliant until 31", "2 bad = NonCompliant until 6"}},
		{name: "grace", grace: "10m", steps: []string{"1 good = Compliant until 31", "2 bad = Compliant until 6 grace", "6 = Compliant until 12 grace; remediation-over",
			"7 bad = Compliant until 12 grace", "12 = NonCompliant until 37; grace-over"}},
		{name: "grace is used, and over", grace: "10m", steps: []string{"1 good = Compliant until 31", "2 bad = Compliant until 6 grace", "8 good = Compliant until 38; remediation-over"}},
		{name: "who was never healthy has no grace", grace: "10m", steps: []string{"1 bad = NonCompliant until 5"}},
		{name: "lease", lease: "1h", last: Last{sessions.Compliant, at(-20)}, steps: []string{"0 = Compliant until 40", "40 = Pending until 45; lease-over recheck"}},
		{name: "lease is over", lease: "1h", last: Last{sessions.Compliant, at(-60)}, steps: []string{"0 = Pending until 5"}},
		{name: "lease is for the healthy", lease: "1h", last: Last{sessions.NonCompliant, at(-1)}, steps: []string{"0 = Pending until 5"}},
		{name: "a report takes the place of a lease", lease: "1h", last: Last{sessions.Compliant, at(-20)}, steps: []string{"1 bad = NonCompliant until 5"}},
		{name: "reassessment answered", groups: []string{"staff"}, steps: []string{"1 good = Compliant until 21", "21 = Compliant until 23; reassessment recheck", "22 good = Compliant until 42"}},
		{name: "reassessment fails, and access goes on", groups: []string{"staff"}, steps: []string{"1 good = Compliant until 21", "21 = Compliant until 23; reassessment recheck",
			"22 bad/periodic = Compliant until 42 grace", "30 bad/periodic = Compliant until 50 grace", "31 bad/event = NonCompliant until 35"}},
		{name: "reassessment fails: logoff", groups: []string{"staff"}, action: "logoff", steps: []string{"1 good = Compliant until 21", "21 = Compliant until 23; reassessment recheck",
			"22 bad/periodic = NonCompliant until 26; disconnect"}},
		{name: "reassessment fails: remediate", groups: []string{"staff"}, action: "remediate", steps: []string{"1 good = Compliant until 21", "22 = Compliant until 24; reassessment recheck",
			"22 bad/periodic = NonCompliant until 26"}},
		{name: "reassessment unanswered: continue", groups: []string{"staff"}, steps: []string{"1 good = Compliant until 21", "21 = Compliant until 23; reassessment recheck", "24 = Compliant until 31; reassessment-unanswered"}},
		{name: "reassessment unanswered: remediate", groups: []string{"staff"}, action: "remediate", steps: []string{"1 good = Compliant until 21", "21 = Compliant until 23; reassessment recheck", "24 = NonCompliant until 31; reassessment-unanswered"}},
		{name: "reassessment unanswered: logoff", groups: []string{"staff"}, action: "logoff", steps: []string{"1 good = Compliant until 21", "21 = Compliant until 23; reassessment recheck", "24 = NonCompliant until 31; reassessment-unanswered disconnect"}},
		{name: "asked late, with the whole time to answer", groups: []string{"staff"}, action: "logoff", steps: []string{"1 good = Compliant until 21", "28 = Compliant until 30; reassessment recheck",
			"30 = NonCompliant until 31; reassessment-unanswered disconnect"}},
		{name: "grace is not cut short", grace: "10m", over: "disconnect", steps: []string{"1 good = Compliant until 31", "2 bad = Compliant until 12 grace",
			"12 = NonCompliant until 32; grace-over, remediation-over disconnect"}},
		{name: "days pass at once", lease: "1h", groups: []string{"staff"}, last: Last{sessions.Compliant, at(-20)}, steps: []string{"3000 = Pending until 3005; lease-over recheck"}},
	} {
		t.Run(one.name, func(t *testing.T) {
			or := func(s, otherwise string) string { return orWord(s, otherwise) }
			p := policy(t, fmt.Sprintf(coursePolicy, or(one.grace, "0s"), or(one.action, "continue"), or(one.lost, "noncompliant"), or(one.lease, "0s"), or(one.over, "keep"), or(one.agentless, "keep")))
			in := Input{Session: expr.Input{OS: "linux", Groups: one.groups}}
			c := p.Begin(now, &in, one.last)
			for _, step := range one.steps {
				what, want, _ := strings.Cut(step, " = ")
				var got string
				if c, got = play(t, p, c, in, what); got != want {
					t.Fatalf("%s: got %s", step, got)
				}
			}
		})
	}
}

func at(minute int) time.Time { return now.Add(time.Duration(minute) * time.Minute) }

// play does one step, and says where the session stands.
func play(t *testing.T, p *Policy, c Course, in Input, what string) (Course, string) {
	t.Helper()
	var minute int
	var event string
	if _, err := fmt.Sscan(what, &minute); err != nil {
		t.Fatal(err)
	}
	_, event, _ = strings.Cut(what, " ")
	c, happened := p.Expire(at(minute), c, &in)
	var notes []string
	for _, h := range happened {
		notes = append(notes, strings.TrimSuffix(h.What+" "+[]string{"", "recheck", "disconnect"}[h.Do], " "))
	}
	if event != "" {
		kind, trigger, _ := strings.Cut(event, "/")
		in.Facts, in.FactsAt = usb(), at(minute)
		if kind == "bad" {
			in.Facts = usb(stick())
		}
		a := p.Assess(at(minute), in)
		var do Do
		if c, do = p.Report(at(minute), c, &in, &a, orWord(trigger, report.TriggerEvent)); do == DoDisconnect {
			notes = append(notes, "disconnect")
		}
	}
	until := "never"
	if !c.ValidUntil.IsZero() {
		until = fmt.Sprint(int(c.ValidUntil.Sub(now) / time.Minute))
	}
	said := c.Status.String() + " until " + until
	if c.InGrace() {
		said += " grace"
	}
	if len(notes) > 0 {
		said += "; " + strings.Join(notes, ", ")
	}
	return c, said
}

// TestLogoffLasts: who was to be disconnected stays so until a report is good.
func TestLogoffLasts(t *testing.T) {
	p := policy(t, fmt.Sprintf(coursePolicy, "0s", "logoff", "noncompliant", "0s", "disconnect", "keep"))
	in := Input{Session: expr.Input{OS: "linux"}}
	c := p.Begin(now, &in, Last{})
	for _, step := range []struct {
		what   string
		logoff bool
	}{{"1 bad", false}, {"5", true}, {"6 bad", true}, {"20", true}, {"21 good", false}, {"22 bad", false}} {
		if c, _ = play(t, p, c, in, step.what); c.Logoff != step.logoff {
			t.Errorf("%s: logoff %v", step.what, c.Logoff)
		}
	}
}

// TestTemporalAgentHasNoGraceAndNoReassessment: it runs once, and its report is believed
// for longer.
func TestTemporalAgentHasNoGraceAndNoReassessment(t *testing.T) {
	p := policy(t, fmt.Sprintf(coursePolicy, "10m", "logoff", "noncompliant", "0s", "keep", "keep"))
	in := Input{Session: expr.Input{OS: "linux", Groups: []string{"staff"}, AgentKind: "temporal"}}
	c := p.Begin(now, &in, Last{})
	c, said := play(t, p, c, in, "1 good")
	if said != "Compliant until 1441" {
		t.Error(said)
	}
	if _, said = play(t, p, c, in, "2 bad"); said != "NonCompliant until 6" {
		t.Error(said)
	}
}
