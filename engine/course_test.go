package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"sallyport/coa"
	"sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// reassessAgain is a reassessment; what comes of a failure is the test's.
const reassessAgain = "{rule: Again, interval: 20m, grace: 2m, action: %s}"

// courseStories are what TestSessionsFollowTheirCourse plays.
var courseStories = []struct {
	name  string
	words []string
	steps []string
}{
	{"no agent comes", nil, []string{
		"0 login: Pending until 5m0s; ; ",
		"4 : Pending until 5m0s; ; ",
		"5 : Pending until never; ; The endpoint was redirected and no agent has reported",
		"7 login: Pending until 12m0s; ; ", // who asks again is waited for again
	}},
	{"an endpoint that needs no agent", []string{"AGENT", "agentless: Compliant"}, []string{
		"0 login: Pending until 5m0s; ; ",
		"5 : Compliant until never; push Full; The endpoint has no agent",
	}},
	{"lost", nil, []string{
		"0 login: Pending until 5m0s; ; ",
		"1 clean: Compliant until 31m0s; push Full; ",
		"1 ack: Compliant until 31m0s; ; ",
		"20 clean: Compliant until 50m0s; ; ", // the same again is no change
		"50 : NonCompliant until never; push Redirect; The agent fell silent",
	}},
	{"lost is kept", []string{"AGENT", "lost: keep"}, []string{
		"0 login: Pending until 5m0s; ; ",
		"1 clean: Compliant until 31m0s; push Full; ",
		"1 ack: Compliant until 31m0s; ; ",
		"40 : Compliant until never; ; The agent fell silent",
	}},
	{"lost ends it, and a deaf NAS is told again", []string{"AGENT", "lost: disconnect"}, []string{
		"0 login: Pending until 5m0s; ; ",
		"1 clean: Compliant until 31m0s; push Full; ",
		"1 ack: Compliant until 31m0s; ; ",
		"31 : NonCompliant until never; disconnect Redirect; The agent fell silent",
		"32 silent: NonCompliant until never; ; ",
		"33 : NonCompliant until never; push Redirect; A change that the NAS did not take", // at least no access
		"33 ack: NonCompliant until never; ; ",
		"38 : NonCompliant until never; disconnect Redirect; A change that the NAS did not take",
		"38 ack: ended; ; ",
	}},
	{"remediation is over", []string{"AGENT", "remediation-over: disconnect"}, []string{
		"0 login: Pending until 5m0s; ; ",
		"1 stick: NonCompliant until 5m0s; ; ",
		"3 stick: NonCompliant until 5m0s; ; ",
		"5 : NonCompliant until 33m0s; disconnect Redirect; The time for remediation is over",
		"5 ack: ended; ; ",
	}},
	{"grace is another profile, and ends", []string{"GRACE", "10m"}, []string{
		"0 login: Pending until 5m0s; ; ",
		"1 clean: Compliant until 31m0s; push Full; ",
		"1 ack: Compliant until 31m0s; ; ",
		"2 stick: Compliant in grace until 6m0s; push Watched; ",
		"2 ack: Compliant in grace until 6m0s; ; ",
		"6 : Compliant in grace until 12m0s; ; The time for remediation is over",
		"12 : NonCompliant until 32m0s; push Redirect; The grace period is over",
		"12 ack: NonCompliant until 32m0s; ; ",
		"13 clean: Compliant until 43m0s; push Full; ",
	}},
	{"reassessment is answered", []string{"REASSESS", fmt.Sprintf(reassessAgain, "logoff")}, []string{
		"0 login: Pending until 5m0s; ; ",
		"1 clean: Compliant until 21m0s; push Full; ",
		"1 ack: Compliant until 21m0s; ; ",
		"21 : Compliant until 23m0s; ; The agent is asked to report again",
		"22 clean: Compliant until 42m0s; ; ",
	}},
	{"reassessment fails and goes on", []string{"REASSESS", fmt.Sprintf(reassessAgain, "continue")}, []string{
		"0 login: Pending until 5m0s; ; ",
		"1 clean: Compliant until 21m0s; push Full; ",
		"1 ack: Compliant until 21m0s; ; ",
		"21 : Compliant until 23m0s; ; The agent is asked to report again",
		"22 stick: Compliant in grace until 42m0s; push Watched; ",
		"22 ack: Compliant in grace until 42m0s; ; ",
		"25 event: NonCompliant until 29m0s; push Redirect; ",
	}},
	{"reassessment fails: logoff", []string{"REASSESS", fmt.Sprintf(reassessAgain, "logoff")}, []string{
		"0 login: Pending until 5m0s; ; ",
		"1 clean: Compliant until 21m0s; push Full; ",
		"1 ack: Compliant until 21m0s; ; ",
		"21 : Compliant until 23m0s; ; The agent is asked to report again",
		"22 stick: NonCompliant until 26m0s; disconnect Redirect; ",
		"22 ack: ended; ; ",
	}},
	{"reassessment unanswered: logoff", []string{"REASSESS", fmt.Sprintf(reassessAgain, "logoff")}, []string{
		"0 login: Pending until 5m0s; ; ",
		"1 clean: Compliant until 21m0s; push Full; ",
		"1 ack: Compliant until 21m0s; ; ",
		"21 : Compliant until 23m0s; ; The agent is asked to report again",
		"23 : NonCompliant until 31m0s; disconnect Redirect; The agent did not answer the reassessment",
	}},
}

// TestSessionsFollowTheirCourse plays stories of a session: at a minute something happens,
// or nothing but time; then where it stands, what the NAS is told, what the live log shows.
func TestSessionsFollowTheirCourse(t *testing.T) {
	for _, c := range courseStories {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, c.words...)
			for _, line := range c.steps {
				what, want, _ := strings.Cut(line, ": ")
				if got := s.play(what); got != want {
					t.Fatalf("%s: got %s", line, got)
				}
			}
		})
	}
}

// TestTheCourseSurvivesACrash: wherever the machine stops, the clocks run on as they did.
func TestTheCourseSurvivesACrash(t *testing.T) {
	s := newStage(t, "GRACE", "10m", "REASSESS", "{rule: Again, interval: 20m, grace: 2m, action: logoff}")
	crash := func(want string) {
		t.Helper()
		before := s.session(audit)
		s.crash()
		if after := s.session(audit); !reflect.DeepEqual(before, after) || s.stands(audit) != want {
			t.Fatalf("%s\nbefore %+v\nafter  %+v", s.stands(audit), before, after)
		}
	}
	s.login(audit)
	crash("Pending until 5m0s")
	s.play("1 clean")
	crash("Compliant until 21m0s")
	s.settle(coa.ACK) // it was sent again
	s.play("2 stick")
	crash("Compliant in grace until 6m0s")
	s.settle(coa.ACK)
	s.play("6")
	crash("Compliant in grace until 12m0s")
	s.play("7 clean")
	s.settle(coa.ACK)
	s.play("27") // it is asked, and nobody of the agent's hears it
	crash("Compliant until 29m0s")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	news, err := s.e.Posture().Events(ctx, audit, 0)
	if err != nil || len(news.Events) != 1 || news.Events[0].Kind != report.EventRecheck {
		t.Fatalf("an agent that comes after the restart is not asked: %+v %v", news, err)
	}
	s.play("29")
	if x := s.session(audit); x.Posture.Status != sessions.NonCompliant || !x.Posture.Logoff {
		t.Fatalf("%+v", x.Posture)
	}
	crash("NonCompliant until 37m0s")
	if x := s.session(audit); len(s.nas.changes) != 1 || x.Change.Kind != sessions.ChangeDisconnect {
		t.Fatalf("the disconnect is forgotten: %+v", s.nas.changes)
	}
}

// TestAClockThatJumpsMovesNothingTwice: forward, what became due happens once, in order, and
// whoever is asked has the time to answer; back, clocks run out later and none is lost.
func TestAClockThatJumpsMovesNothingTwice(t *testing.T) {
	s := newStage(t, "REASSESS", fmt.Sprintf(reassessAgain, "logoff"), "VALID", "3h")
	s.play("0 login")
	s.play("1 clean")
	s.settle(coa.ACK)
	s.shown()
	s.pass(time.Hour)
	if got := s.stands(audit) + "; " + s.shown(); got != "Compliant until 1h3m0s; The agent is asked to report again" {
		t.Fatal(got)
	}
	s.clock.Advance(-2 * time.Hour)
	s.run()
	if got := s.stands(audit) + "; " + s.shown(); got != "Compliant until 1h3m0s; " {
		t.Fatal(got)
	}
	s.pass(2 * time.Hour) // where it was, and nothing happens again
	if got := s.shown(); got != "" {
		t.Fatal(got)
	}
	s.pass(2 * time.Minute)
	if got := s.stands(audit) + "; " + s.shown(); got != "NonCompliant until 3h1m0s; The agent did not answer the reassessment" {
		t.Fatal(got)
	}
	if n := s.session(audit).Changes; n != 2 {
		t.Errorf("%d changes", n)
	}
}

// TestTheAgentIsAsked: when a reassessment is due, by the connection that it waits on.
func TestTheAgentIsAsked(t *testing.T) {
	s := newStage(t, "REASSESS", "{rule: Again, interval: 20m, grace: 2m, action: continue}")
	s.play("0 login")
	s.play("1 clean")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	first, err := s.e.Posture().Events(ctx, audit, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.play("21")
	news, err := s.e.Posture().Events(ctx, audit, first.After)
	if err != nil || len(news.Events) != 1 || news.Events[0].Kind != report.EventRecheck || !strings.Contains(news.Events[0].Message, `"Again"`) {
		t.Fatalf("%+v %v", news, err)
	}
}

// TestEveryClockIsShown: when it runs out, and what happens then.
func TestEveryClockIsShown(t *testing.T) {
	s := newStage(t, "GRACE", "10m", "AGENT", "lost: disconnect, remediation-over: keep", "REASSESS", "{rule: Again, interval: 25m, grace: 2m, action: remediate}")
	s.play("0 login")
	var shown []string
	show := func() string {
		shown = nil
		v := s.e.viewWhole(s.session(audit))
		for _, c := range v.Next {
			shown = append(shown, fmt.Sprintf("%s %s: %s", c.At.Sub(simEpoch).Round(time.Minute), c.Name, c.Then))
		}
		return strings.Join(shown, "\n")
	}
	purge := "\n20h0m0s purge: the NAS has said nothing of the session: it counts as ended"
	if got := show(); got != "5m0s pending_by: no agent has reported: an alarm"+purge {
		t.Error(got)
	}
	s.play("1 clean")
	s.settle(coa.ACK)
	if got := show(); got != `26m0s reassess_at: reassessment "Again": the agent is asked to report, and has 2m0s
31m0s report_by: the agent counts as lost: the session is disconnected
20h1m0s purge: the NAS has said nothing of the session: it counts as ended` {
		t.Error(got)
	}
	s.play("2 stick")
	if got := show(); got != `6m0s remedy_by: the time for remediation is over: it is noted, and the status stays
12m0s grace_until: access is kept no longer: the endpoint becomes NonCompliant
32m0s report_by: the agent counts as lost: the session is disconnected
20h2m0s purge: the NAS has said nothing of the session: it counts as ended` {
		t.Error(got)
	}
	s.settle(coa.NAK)
	if got := show(); !strings.HasPrefix(got, "6m0s remedy_by") || !strings.Contains(got, "7m0s retry: the NAS did not take the last change") {
		t.Error(got)
	}
	octets, err := json.Marshal(s.e.viewWhole(s.session(audit)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"in_grace":true`, `"judged":"NonCompliant"`, `"grace_until":"2026-03-11T15:09:39Z"`, `"valid_until":"2026-03-11T15:03:39Z"`,
		`"remedy_by":"2026-03-11T15:03:39Z"`, `"agent_kind":"agent"`, `"facts":{"usb_storage":"in-use"}`, `"hostname":"host"`, `"next":[{"at":"2026-03-11T15:03:39Z","clock":"remedy_by"`} {
		if !strings.Contains(string(octets), want) {
			t.Errorf("%s is not in %s", want, octets)
		}
	}
}

// TestALease: an endpoint that was Compliant comes back and is believed, until the lease is
// over; another user on it, or another endpoint of that user, is not.
func TestALease(t *testing.T) {
	s := newStage(t, "AGENT", "lost: noncompliant, lease: 8h")
	end := func(id string) {
		t.Helper()
		s.do(&endEvent{id: sessions.ID(id)})
		if s.session(id).Live() {
			t.Fatalf("%s lives", id)
		}
	}
	s.play("0 login")
	s.play("1 clean")
	end(audit)
	s.pass(4 * time.Hour) // longer than ended sessions are kept
	const second, third = "0a3042ca0001d00056e2dce4", "0a3042ca0001d00056e2dce5"
	x := s.login(second)
	if x.Posture.Status != sessions.Compliant || x.Grant.Profile != "Full" || s.stands(second) != "Compliant until 8h1m0s" {
		t.Fatalf("%s %+v", s.stands(second), x.Posture)
	}
	s.pass(time.Hour)
	if s.e.session(audit) != nil {
		t.Error("the first session is kept although another one rests on the lease")
	}
	end(second)
	s.crash()
	if x = s.login(third); x.Posture.Status != sessions.Compliant {
		t.Fatalf("the lease does not go on: %+v", x.Posture)
	}
	s.pass(4 * time.Hour)
	if got := s.stands(third) + "; " + s.shown(); got != "Pending until 9h6m0s; The lease is over" {
		t.Error(got)
	}
	if v := s.reports(third, report.TriggerInitial, healthy); v.Status != "Compliant" {
		t.Error(v.Status)
	}
	end(third)
	for what, change := range map[string]func(*step.LoginInput){
		"another user":     func(in *step.LoginInput) { in.UserName = "long" },
		"another endpoint": func(in *step.LoginInput) { in.MACs = []string{"00:0c:29:00:00:01"} },
		"no MAC":           func(in *step.LoginInput) { in.MACs = nil },
	} {
		in := step.LoginInput{Attributes: step.Attributes{ID: "x", UserName: "cisco", MACs: []string{"00:0c:29:c9:d9:37"}, CallingStationID: "10.229.16.34"}}
		now, rules := s.clock.Now(), &s.e.snapshot().Rules
		if s.e.core.lease(now, &in, nil, rules); in.Last.Status != sessions.Compliant {
			t.Fatalf("the same again: %+v", in.Last)
		}
		in.Last = step.LoginInput{}.Last
		if change(&in); s.e.core.lease(now, &in, nil, rules) != nil || in.Last.Status == sessions.Compliant {
			t.Errorf("%s has the lease", what)
		}
	}
}
