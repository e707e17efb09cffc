package posture

import (
	"fmt"
	"slices"
	"time"

	"sallyport/engine/expr"
	"sallyport/netio/report"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// Course is where a session stands: what it was judged to be, what that means for its
// access, and the clocks that run. It is a value; every event makes another one. Exactly
// one moment, ValidUntil, says when something happens next without any event from
// outside; Expire then says what.
//
//	event      Begin     a login            Pending, or what a lease or the default says
//	           Report    facts were judged  the status, grace, the clocks anew
//	           Expire    ValidUntil is here what is due, in the order of time
//
//	clock      PendingBy   no agent came      alarm, or the status for endpoints without one
//	           LeaseUntil  a status believed  Pending
//	           GraceUntil  access kept        NonCompliant
//	           RemedyBy    time to get well   over: keep or disconnect
//	           ReassessAt  ask again          the agent is asked
//	           AnswerBy    and it answers     continue, remediate or log off
//	           ReportBy    the agent speaks   lost: keep, NonCompliant or disconnect
type Course struct {
	Status     sessions.PostureStatus `json:"status"` // decides about access
	Judged     sessions.PostureStatus `json:"judged"` // what the last report came to; another than Status in grace
	Since      time.Time              `json:"since,omitzero"`
	ValidUntil time.Time              `json:"valid_until,omitzero"` // the first of the clocks; zero: none runs
	sessions.Clocks
	Continued bool `json:"continued,omitempty"` // a reassessment found it failing, and lets it be
	Logoff    bool `json:"logoff,omitempty"`    // the session was to be disconnected, and nothing has made that good
}

// Last is what is remembered of an endpoint from an earlier session: the lease is about it.
type Last struct {
	Status sessions.PostureStatus
	At     time.Time // of the report
}

// Happening is something that the passing of time did. Every one is for the live log.
type Happening struct {
	At    time.Time
	What  string
	Words string
	Do    Do
}

// Do is what a happening asks of the appliance besides noting the status.
type Do uint8

// The deeds.
const (
	DoNothing    Do = iota
	DoRecheck       // tell the agent to report now
	DoDisconnect    // end the session
)

// Kinds of happening.
const (
	HappenedPending    = "pending"
	HappenedAgentless  = "agentless"
	HappenedLease      = "lease-over"
	HappenedGrace      = "grace-over"
	HappenedRemedy     = "remediation-over"
	HappenedReassess   = "reassessment"
	HappenedUnanswered = "reassessment-unanswered"
	HappenedLost       = "agent-lost"
)

// times are the spans that a policy gives the clocks.
type times struct {
	reportValid, temporalValid, pendingAlarm, lease, remediation time.Duration
	lost, over, agentless                                        string
}

func timesOf(a *config.PostureAgent) times {
	return times{
		reportValid: a.ReportValid, temporalValid: a.TemporalValid, pendingAlarm: a.PendingAlarm, lease: a.Lease, remediation: a.RemediationTimer,
		lost: a.Lost, over: a.RemediationOver, agentless: a.Agentless,
	}
}

// reassessment is when compliant endpoints are asked again.
type reassessment struct {
	name            string
	groups          []string
	os              systems
	when            *expr.Condition
	interval, grace time.Duration
	action          string
}

// Begin is the course of a session at its login.
func (p *Policy) Begin(now time.Time, in *Input, last Last) Course {
	c := Course{Since: now}
	until := last.At.Add(p.times.lease)
	switch {
	case !p.Applies(in):
		if c.Status = p.defaultStatus; c.Status == sessions.Pending {
			c.PendingBy = p.pendingBy(now)
		}
	case last.Status == sessions.Compliant && until.After(now):
		c.Status, c.LeaseUntil = sessions.Compliant, until
	default:
		c.Status = sessions.Pending
		c.PendingBy = p.pendingBy(now)
	}
	c.Judged = c.Status
	return c.clocked()
}

func (p *Policy) pendingBy(now time.Time) time.Time {
	if p.times.pendingAlarm <= 0 {
		return time.Time{}
	}
	return now.Add(p.times.pendingAlarm)
}

// Report is the course after facts were judged. trigger is the report's own word: what
// an event on the endpoint brought to light is never let be.
func (p *Policy) Report(now time.Time, old Course, in *Input, a *Assessment, trigger string) (Course, Do) {
	temporal := in.Session.AgentKind == config.AgentTemporal
	asked := p.reassessmentOf(&in.Session)
	c := Course{Status: a.Status, Judged: a.Status, Since: now, Logoff: old.Logoff && a.Status != sessions.Compliant}
	c.ReportBy = now.Add(p.times.reportValid)
	if temporal {
		c.ReportBy, asked = now.Add(p.times.temporalValid), nil
	}
	do := DoNothing
	switch a.Status {
	case sessions.Compliant:
		if asked != nil {
			c.ReassessAt = now.Add(asked.interval)
		}
	case sessions.NonCompliant:
		c.RemedyBy = old.RemedyBy // zero when it ran out, and that was said
		if old.Judged != sessions.NonCompliant || old.Continued {
			c.RemedyBy = now.Add(p.times.remediation)
		}
		do = p.failing(now, &c, &old, a, asked, trigger, temporal)
		c.Logoff = c.Logoff || do == DoDisconnect
	}
	if c.Status == old.Status && !old.Since.IsZero() {
		c.Since = old.Since
	}
	return c.clocked(), do
}

// failing decides what becomes of a session that was compliant so far.
func (p *Policy) failing(now time.Time, c, old *Course, a *Assessment, asked *reassessment, trigger string, temporal bool) Do {
	if old.Status != sessions.Compliant || temporal {
		return DoNothing
	}
	if asked != nil && (!old.AnswerBy.IsZero() || old.Continued) && trigger != report.TriggerEvent {
		switch asked.action {
		case config.ReassessContinue:
			c.Status, c.Continued, c.RemedyBy = sessions.Compliant, true, time.Time{}
			c.ReassessAt = now.Add(asked.interval)
			return DoNothing
		case config.ReassessLogoff:
			return DoDisconnect
		}
	}
	if a.Grace <= 0 {
		return DoNothing
	}
	until := now.Add(a.Grace)
	if !old.GraceUntil.IsZero() { // a second failure makes it no longer
		until = first(old.GraceUntil, until)
	}
	if until.After(now) {
		c.Status, c.GraceUntil = sessions.Compliant, until
		if p.times.over == config.OverDisconnects && c.RemedyBy.Before(until) {
			c.RemedyBy = until // access is kept so long, and with it the time to become healthy
		}
	}
	return DoNothing
}

// InGrace says whether access is kept although the last report failed.
func (c *Course) InGrace() bool {
	return c.Status == sessions.Compliant && c.Judged == sessions.NonCompliant
}

// Expire does what is due at now, clock after clock, in the order of time. Who is asked
// something has the time for the answer from now on, however long ago the question was
// due: nobody is judged by a question that was not put.
func (p *Policy) Expire(now time.Time, old Course, in *Input) (Course, []Happening) {
	c := old
	var all []Happening
	for {
		at := c.ValidUntil
		if at.IsZero() || at.After(now) {
			return c, all
		}
		h := p.expire(now, at, &c, in)
		c.Logoff = c.Logoff || h.Do == DoDisconnect
		all = append(all, h)
		c = c.clocked()
	}
}

// expire does what the one clock that is due asks for, and stops it.
func (p *Policy) expire(now, at time.Time, c *Course, in *Input) Happening {
	switch {
	case at.Equal(c.PendingBy):
		c.PendingBy = time.Time{}
		return p.noAgent(at, c)
	case at.Equal(c.LeaseUntil):
		c.LeaseUntil = time.Time{}
		c.become(at, sessions.Pending)
		c.Judged, c.PendingBy = sessions.Pending, p.pendingBy(now)
		return Happening{at, HappenedLease, "the lease of the last assessment is over: the endpoint has to report", DoRecheck}
	case at.Equal(c.GraceUntil):
		c.GraceUntil = time.Time{}
		c.become(at, sessions.NonCompliant)
		return Happening{at, HappenedGrace, "the grace period is over, and the endpoint is not compliant", DoNothing}
	case at.Equal(c.RemedyBy):
		c.RemedyBy = time.Time{}
		h := Happening{at, HappenedRemedy, "the time for remediation is over, and the endpoint is not compliant", DoNothing}
		if p.times.over == config.OverDisconnects {
			h.Do = DoDisconnect
		}
		return h
	case at.Equal(c.ReassessAt):
		return p.askAgain(now, at, c, in)
	case at.Equal(c.AnswerBy):
		return p.unanswered(at, c, in)
	}
	c.ReportBy = time.Time{}
	return p.lost(at, c)
}

func (p *Policy) noAgent(at time.Time, c *Course) Happening {
	status, ok := sessions.ParsePostureStatus(p.times.agentless)
	if !ok {
		return Happening{at, HappenedPending, "no agent has reported", DoNothing}
	}
	c.become(at, status)
	c.Judged = status
	return Happening{at, HappenedAgentless, "no agent has reported: by configuration the endpoint counts as " + status.String(), DoNothing}
}

func (p *Policy) askAgain(now, at time.Time, c *Course, in *Input) Happening {
	c.ReassessAt = time.Time{}
	r := p.reassessmentOf(&in.Session)
	if r == nil {
		return Happening{at, HappenedReassess, "no reassessment is for the endpoint any more", DoNothing}
	}
	c.AnswerBy = now.Add(r.grace)
	return Happening{at, HappenedReassess, fmt.Sprintf("reassessment %q: the agent has %s to report", r.name, r.grace), DoRecheck}
}

func (p *Policy) unanswered(at time.Time, c *Course, in *Input) Happening {
	c.AnswerBy = time.Time{}
	h := Happening{at, HappenedUnanswered, "the agent did not answer the reassessment", DoNothing}
	r := p.reassessmentOf(&in.Session)
	switch {
	case r == nil:
	case r.action == config.ReassessContinue:
		c.ReassessAt = at.Add(r.interval)
		h.Words += "; access goes on"
	case r.action == config.ReassessLogoff:
		h.Do = DoDisconnect
		h.Words += "; the session ends"
		c.become(at, sessions.NonCompliant)
	default:
		c.become(at, sessions.NonCompliant)
	}
	return h
}

func (p *Policy) lost(at time.Time, c *Course) Happening {
	h := Happening{at, HappenedLost, "the agent fell silent", DoNothing}
	switch p.times.lost {
	case config.LostKeeps:
		h.Words += "; by configuration the status stays"
		return h
	case config.LostDisconnects:
		h.Do = DoDisconnect
		h.Words += "; the session ends"
	}
	if c.Status != sessions.NotApplicable {
		c.become(at, sessions.NonCompliant)
	}
	return h
}

// become sets the status, and stops the clocks that were about the one before.
func (c *Course) become(at time.Time, status sessions.PostureStatus) {
	if c.Status != status {
		c.Status, c.Since = status, at
	}
	c.GraceUntil, c.Continued = time.Time{}, false
	if status != sessions.Compliant {
		c.ReassessAt, c.AnswerBy = time.Time{}, time.Time{}
	}
}

// clocked is the course with ValidUntil made anew.
func (c Course) clocked() Course {
	c.ValidUntil = c.First()
	return c
}

// first is the earlier of two moments; zero is never.
func first(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// reassessmentOf is the first reassessment for a session, nil when there is none. An
// expression that cannot be evaluated is for it: asking too often does no harm.
func (p *Policy) reassessmentOf(in *expr.Input) *reassessment {
	for i := range p.reassess {
		r := &p.reassess[i]
		if !r.os.has(in.OS) || len(r.groups) > 0 && !slices.ContainsFunc(in.Groups, func(g string) bool { return slices.Contains(r.groups, g) }) {
			continue
		}
		if holds, err := r.when.Eval(in); holds || err != nil {
			return r
		}
	}
	return nil
}

func (c *compiler) reassessments() {
	for i := range c.section.Reassessment {
		w := &c.section.Reassessment[i]
		path := fmt.Sprintf("posture.reassessment[%d]", i)
		when, faults := c.compileExpr(w.When, path+".when")
		c.faults = append(c.faults, faults...)
		if w.Grace >= w.Interval {
			c.fault(w.Pos, path+".grace", fmt.Sprintf("the agent has %s to answer, and is asked every %s", w.Grace, w.Interval), "make the interval longer")
		}
		for _, before := range c.policy.reassess {
			if before.name == w.Rule.Value {
				c.fault(w.Rule.Pos, path+".rule", fmt.Sprintf("there are two reassessments named %q", before.name), "")
			}
			if before.when != nil && before.when.Normal() == "" && len(before.groups) == 0 && len(before.os) == 0 {
				c.warn(w.Pos, path, fmt.Sprintf("the reassessment is never reached: %q before it takes everybody", before.name), "move it up")
			}
		}
		c.policy.reassess = append(c.policy.reassess, reassessment{
			name: w.Rule.Value, groups: texts(w.Groups), os: texts(w.OS), when: when, interval: w.Interval, grace: w.Grace, action: w.Action,
		})
	}
}
