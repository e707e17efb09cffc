package posture

import (
	"fmt"
	"slices"
	"time"

	"sallyport/ops/config"
	"sallyport/sessions"
)

// Clock is one clock that runs: when it runs out, and what happens then.
type Clock struct {
	At   time.Time `json:"at"`
	Name string    `json:"clock"` // as in Clocks, such as report_by
	Then string    `json:"then"`
}

// Clocks are those of a course that run, in the order of time.
func (p *Policy) Clocks(c *Course, in *Input) []Clock {
	var out []Clock
	for _, one := range []Clock{
		{c.PendingBy, "pending_by", p.thenPending()},
		{c.LeaseUntil, "lease_until", "the lease is over: the endpoint becomes Pending, and the agent is asked to report"},
		{c.GraceUntil, "grace_until", "access is kept no longer: the endpoint becomes NonCompliant"},
		{c.RemedyBy, "remedy_by", p.thenOver()},
		{c.ReassessAt, "reassess_at", p.thenAsked(in)},
		{c.AnswerBy, "answer_by", p.thenUnanswered(in)},
		{c.ReportBy, "report_by", p.thenLost(c)},
	} {
		if !one.At.IsZero() {
			one.At = one.At.UTC()
			out = append(out, one)
		}
	}
	slices.SortStableFunc(out, func(a, b Clock) int { return a.At.Compare(b.At) })
	return out
}

func (p *Policy) thenPending() string {
	if _, ok := sessions.ParsePostureStatus(p.times.agentless); ok {
		return "no agent has reported: the endpoint becomes " + p.times.agentless
	}
	return "no agent has reported: an alarm"
}

func (p *Policy) thenOver() string {
	if p.times.over == config.OverDisconnects {
		return "the time for remediation is over: the session is disconnected"
	}
	return "the time for remediation is over: it is noted, and the status stays"
}

func (p *Policy) thenAsked(in *Input) string {
	r := p.reassessmentOf(&in.Session)
	if r == nil {
		return "nothing: no reassessment is for the endpoint any more"
	}
	return fmt.Sprintf("reassessment %q: the agent is asked to report, and has %s", r.name, r.grace)
}

func (p *Policy) thenUnanswered(in *Input) string {
	const begins = "the agent has not answered the reassessment: "
	switch r := p.reassessmentOf(&in.Session); {
	case r == nil:
		return begins + "it is noted, for no reassessment is for the endpoint any more"
	case r.action == config.ReassessContinue:
		return begins + "access goes on"
	case r.action == config.ReassessLogoff:
		return begins + "the session is disconnected"
	}
	return begins + "the endpoint becomes NonCompliant"
}

func (p *Policy) thenLost(c *Course) string {
	const begins = "the agent counts as lost: "
	switch {
	case p.times.lost == config.LostKeeps:
		return begins + "the status stays"
	case p.times.lost == config.LostDisconnects:
		return begins + "the session is disconnected"
	case c.Status == sessions.NonCompliant, c.Status == sessions.NotApplicable:
		return begins + "it is noted, and the status stays"
	}
	return begins + "the endpoint becomes NonCompliant"
}

// Deadlines are the clocks that the person at the endpoint should know of, in words.
func (p *Policy) Deadlines(c *Course, now time.Time) (out []string) {
	left := func(at time.Time) string { return max(at.Sub(now), time.Second).Round(time.Second).String() }
	if !c.GraceUntil.IsZero() {
		out = append(out, "You keep your access for another "+left(c.GraceUntil)+", and no longer unless this is put right.")
	}
	if !c.RemedyBy.IsZero() && p.times.over == config.OverDisconnects {
		out = append(out, "The connection ends in "+left(c.RemedyBy)+" unless this is put right.")
	}
	return out
}

// Lease is how long a Compliant endpoint that comes back is believed; 0: not at all.
func (p *Policy) Lease() time.Duration { return p.times.lease }

// Reassessment is when and how an endpoint is asked again; the zero value: never.
func (p *Policy) Reassessment(in *Input) config.Reassessment {
	r := p.reassessmentOf(&in.Session)
	if r == nil || in.Session.AgentKind == config.AgentTemporal {
		return config.Reassessment{}
	}
	return config.Reassessment{Rule: config.Text{Value: r.name}, Interval: r.interval, Grace: r.grace, Action: r.action}
}
