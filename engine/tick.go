package engine

import (
	"fmt"
	"time"

	"sallyport/engine/posture"
	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// trimEvery is how often old posture reports are dropped.
const trimEvery = 10 * time.Minute

// tick makes the events that the passing of time causes.
func (c *core) tick(now time.Time) []event {
	var out []event
	if by := c.e.clockSteps.look(now); by != 0 {
		c.e.clockSet(now, by)
	}
	for len(out) < expireMax {
		id, ok := c.table.Due(now)
		if !ok {
			break
		}
		out = append(out, &expireEvent{id: id})
	}
	if !c.resending {
		c.resend(now)
	}
	c.tellOfStorm(now)
	out = c.certain(now, out)
	for _, one := range c.unsettled {
		out = append(out, &settleEvent{in: one})
	}
	c.unsettled = nil
	if !now.Before(c.nextTrim) {
		c.nextTrim = now.Add(trimEvery)
		if err := c.store.DropReports(now.Add(-c.e.snapshot().Config.Records.Keep)); err != nil {
			c.e.log.Error("old posture reports could not be dropped", "error", err)
		}
	}
	return out
}

// clockSet says that somebody or something set our clock.
func (e *Engine) clockSet(now time.Time, by time.Duration) {
	words := fmt.Sprintf("The clock was set by %s", by.Round(time.Millisecond))
	e.log.Warn("the clock was set", "by", by.Round(time.Millisecond), "now", now.Round(0))
	e.livelog.Add(&record.Decision{
		Time: now.UTC(), Kind: record.KindAlarm, Status: record.Session, Details: words,
		Reason: "clocks of sessions and the order of late accounting go by it; see to its time server",
		Server: e.snapshot().Config.Appliance.Name.Value,
	})
}

// expireEvent: time has something to do for a session.
type expireEvent struct {
	id       sessions.ID
	before   *sessions.Session
	after    *sessions.Session
	happened []posture.Happening
}

func (ev *expireEvent) step(c *core, now time.Time) {
	ev.before = c.get(ev.id)
	if ev.before == nil {
		return
	}
	rules := &c.e.snapshot().Rules
	ev.after, ev.happened = step.Expire(now, ev.before, rules)
	switch {
	case ev.after == nil:
		c.forget(ev.before)
	case ev.after == ev.before:
		c.table.Schedule(ev.id, step.Deadline(ev.before, rules))
	default:
		c.put(ev.before, ev.after)
	}
}

// expireRows say how the live log shows what happened: the others are alarms.
var expireRows = map[string]struct {
	kind   record.Kind
	status string
}{
	step.ExpiredLimit:         {record.KindSession, record.Session},
	step.ExpiredPurge:         {record.KindSession, record.Session},
	posture.HappenedAgentless: {record.KindPosture, record.Session},
	posture.HappenedLease:     {record.KindPosture, record.Session},
	posture.HappenedReassess:  {record.KindPosture, record.Session},
}

// expireDetails are the words of a row; what happened in words is its reason.
var expireDetails = map[string]string{
	step.ExpiredRetry:          "A change that the NAS did not take",
	step.ExpiredPurge:          "Session closed without a Stop of the NAS",
	step.ExpiredLimit:          "The session is as long, or as idle, as it may be",
	posture.HappenedPending:    "The endpoint was redirected and no agent has reported",
	posture.HappenedAgentless:  "The endpoint has no agent",
	posture.HappenedLease:      "The lease is over",
	posture.HappenedGrace:      "The grace period is over",
	posture.HappenedRemedy:     "The time for remediation is over",
	posture.HappenedReassess:   "The agent is asked to report again",
	posture.HappenedUnanswered: "The agent did not answer the reassessment",
	posture.HappenedLost:       "The agent fell silent",
}

func (ev *expireEvent) done(c *core, err error) {
	if ev.before == nil {
		return
	}
	if err != nil {
		// Not durable, so not true: look again soon.
		c.table.Schedule(ev.id, c.e.clock.Now().Add(time.Second))
		return
	}
	for _, h := range ev.happened {
		if h.Do == posture.DoRecheck {
			c.e.hub.send(ev.id, report.Event{Kind: report.EventRecheck, Message: h.Words})
		}
		ev.row(c.e, &h)
	}
}

// row shows one thing that time did.
func (ev *expireEvent) row(e *Engine, h *posture.Happening) {
	if ev.after == nil {
		return // forgotten: it was shown when it ended
	}
	row, ok := expireRows[h.What]
	if !ok {
		row.kind, row.status = record.KindAlarm, record.Failed
	}
	d := e.row(ev.after, row.kind, row.status, expireDetails[h.What])
	d.Reason = h.Words
	if h.What == step.ExpiredRetry {
		e.suppress.many(e.clock.Now(), d) // a NAS that is away is away for many, and for long
		return
	}
	e.livelog.Add(d)
}
