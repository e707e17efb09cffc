package engine

import (
	"fmt"
	"time"

	"sallyport/engine/record"
	"sallyport/engine/step"
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
	for id := range c.unsent {
		if s := c.table.Get(id); s == nil || s.Change == nil {
			delete(c.unsent, id)
		} else if !c.sendChange(now, s) {
			break
		}
	}
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
	id     sessions.ID
	before *sessions.Session
	after  *sessions.Session
	what   string
}

func (ev *expireEvent) step(c *core, now time.Time) {
	ev.before = c.get(ev.id)
	if ev.before == nil {
		return
	}
	rules := &c.e.snapshot().Rules
	ev.after, ev.what = step.Expire(now, ev.before, rules)
	switch {
	case ev.after == nil:
		c.forget(ev.id)
	case ev.after == ev.before:
		c.table.Schedule(ev.id, step.Deadline(ev.before, rules))
	default:
		c.put(ev.before, ev.after)
	}
}

var expireRows = map[string]struct {
	kind    record.Kind
	details string
}{
	step.ExpiredPending: {record.KindAlarm, "The endpoint was redirected and no agent has reported"},
	step.ExpiredAgent:   {record.KindAlarm, "The agent fell silent"},
	step.ExpiredLimit:   {record.KindSession, "The session is as long, or as idle, as it may be"},
	step.ExpiredPurge:   {record.KindSession, "Session closed without a Stop of the NAS"},
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
	row, ok := expireRows[ev.what]
	if !ok {
		return
	}
	d := c.e.row(ev.after, row.kind, record.Failed, row.details)
	d.Reason = ev.after.EndCause
	if row.kind == record.KindSession {
		d.Status = record.Session
	}
	c.e.livelog.Add(d)
}
