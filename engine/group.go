package engine

import (
	"encoding/json"
	"time"

	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/sessions"
	"sallyport/sessions/store"
)

// group takes one group of events through step, commit and publish.
func (c *core) group(group []event) {
	now := c.e.clock.Now()
	if !now.Before(c.nextTick) {
		c.nextTick = now.Add(tickEvery)
		group = append(group, c.tick(now)...)
	}
	if len(group) > 0 {
		c.take(now, group)
	}
	c.store.Maintain(c.table, now)
}

func (c *core) take(now time.Time, group []event) {
	for _, ev := range group {
		ev.step(c, now)
	}
	if c.flaws.answersFirst {
		c.finish(group, nil)
	}
	batch, err := c.commit()
	if c.flaws.ignoresDisk && batch != nil {
		err = nil
	}
	c.published = c.e.clock.Now()
	if err == nil {
		c.publish(now, batch)
		if len(c.order) > 0 {
			c.e.recovered()
		}
	} else {
		c.e.counters.failed.Add(1)
		c.e.trouble(now, err)
	}
	if !c.flaws.answersFirst {
		c.finish(group, err)
	}
	for i, ev := range group {
		if r, ok := ev.(carrier); ok {
			q := r.request()
			q.counters.queued.Add(-1)
			c.e.release(q)
		}
		group[i] = nil
	}
	clear(c.pending)
	clear(c.pendingAcct)
	c.order, c.reports, c.framed = c.order[:0], c.reports[:0], 0
}

// finish tells the events of the group what became of them, and sends what they answer.
func (c *core) finish(group []event, err error) {
	for _, ev := range group {
		ev.done(c, err)
	}
	c.send()
}

// answer has the reply of a request sent with the others of the group.
func (c *core) answer(q *request) { c.answers = append(c.answers, q) }

// send seals the group's replies side by side and sends them late.
func (c *core) send() {
	c.sums.Reset()
	for i, q := range c.answers {
		var err error
		if q.sealed, err = c.sums.Seal(q.nas.Key, &q.builder, q.view.Authenticator()); err != nil {
			q.drop(c.published, dropReply)
			c.answers[i] = nil
		}
	}
	c.sums.Run()
	for i, q := range c.answers {
		if q != nil {
			q.answer(c.published)
			c.answers[i] = nil
		}
	}
	c.answers = c.answers[:0]
}

// commit makes the group durable. The batch is the store's and tells the records'
// octets in the order of c.order.
func (c *core) commit() (*store.Batch, error) {
	if len(c.order) == 0 && len(c.reports) == 0 {
		return nil, nil
	}
	b := c.store.Begin()
	for _, id := range c.order {
		var err error
		if s := c.pending[id].next; s != nil {
			err = b.Put(s)
		} else {
			err = b.Delete(id)
		}
		if err != nil {
			b.Discard()
			return nil, err
		}
	}
	for _, r := range c.reports {
		if err := b.AppendReport(r.at, r.json); err != nil {
			b.Discard()
			return nil, err
		}
	}
	return b, c.store.Commit(b)
}

// publish makes the group visible: the table first, then whoever waits for it.
func (c *core) publish(now time.Time, batch *store.Batch) {
	rules := &c.e.snapshot().Rules
	c.updates = c.updates[:0]
	for i, id := range c.order {
		c.updates = append(c.updates, sessions.Update{ID: id, Session: c.pending[id].next, Record: batch.Record(i)})
	}
	c.table.Apply(c.updates)
	clear(c.updates)
	for _, id := range c.order {
		v := c.pending[id]
		c.hold(v)
		if v.next == nil {
			c.e.hub.forget(id)
			c.e.heard.forget(id)
			continue
		}
		c.table.Schedule(id, step.Deadline(v.next, rules))
		c.withdraw(v)
		if s := v.next; s.Change != nil && (v.before == nil || v.before.Change == nil || v.before.Change.Serial != s.Change.Serial) {
			c.e.pushes.Add(1)
			c.sendChange(now, c.own(v))
		}
		c.e.hub.changed(v.before, v.next)
	}
}

// withdraw takes back the change of a session that ended, or that a login overtook: what
// has not left must not leave any more. One that a newer change replaces is the CoA
// engine's own business.
func (c *core) withdraw(v version) {
	if v.before != nil && v.before.Change != nil && v.next.Change == nil && v.next.Settled.Serial == v.before.Change.Serial &&
		v.next.Settled.Outcome == step.OutcomeCancelled {
		delete(c.unsent, v.next.ID)
		c.e.coa.Cancel(keep(v.next.ID), v.before.Change.Serial)
	}
}

func (c *core) appendReport(now time.Time, row *record.Posture) {
	if b, err := json.Marshal(row); err == nil {
		c.reports = append(c.reports, postureRow{now, b})
	}
}
