package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"time"

	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/sessions"
	"sallyport/sessions/store"
)

// Limits of the core.
const (
	// groupMax bounds the events of one commit: enough that the sync is shared, few
	// enough that the first of them does not wait for the last.
	groupMax = 512
	// queueMax bounds the events that wait. At it, new work is refused where it comes in.
	queueMax = 8192
	// tickEvery is how often time itself is an event.
	tickEvery = 250 * time.Millisecond
	// expireMax bounds the sessions that expire in one tick, so that a purge of many
	// does not hold up requests.
	expireMax = 1000
)

const _ = uint(queueMax - groupMax)

// event is one thing that happens to sessions. step changes records through the core
// and must not publish anything; done comes after the commit, with its error, and
// publishes: it sends the reply, wakes a waiter, adds a row to the live log.
type event interface {
	step(c *core, now time.Time)
	done(c *core, err error)
}

// core is the one goroutine that changes sessions. It takes what waits as a group,
// steps each event on the records as the ones before left them, commits the group,
// then publishes. Nothing else writes a session.
//
//	queue -> step, step, step -> commit (one sync) -> table, replies, changes, waiters
type core struct {
	e      *Engine
	table  *sessions.Table
	store  *store.Store
	events chan event

	// Of the group at hand:
	pending     map[sessions.ID]*sessions.Session // nil: to be forgotten
	pendingAcct map[acctKey]sessions.ID           // not yet in the table's index
	order       []sessions.ID
	reports     []postureRow

	deadlines deadlines
	unsent    map[sessions.ID]struct{} // changes that the CoA engine had no room for
	unsettled []settlement             // answers of NASes that the journal had no room for
	decisions uint64
	nextTick  time.Time
	nextTrim  time.Time
}

// postureRow is one posture report record on its way to the journal.
type postureRow struct {
	at   time.Time
	json []byte
}

func newCore(e *Engine, table *sessions.Table, journal *store.Store) *core {
	return &core{
		e: e, table: table, store: journal, events: make(chan event, queueMax),
		pending: map[sessions.ID]*sessions.Session{}, pendingAcct: map[acctKey]sessions.ID{},
		deadlines: newDeadlines(), unsent: map[sessions.ID]struct{}{},
	}
}

// submit hands an event to the core. False, and counted, when there is no room: the
// sender's own retransmission is the way back in.
func (c *core) submit(ev event) bool {
	select {
	case c.events <- ev:
		return true
	default:
		c.e.counters.core.Add(1)
		return false
	}
}

// submitWait waits for room, for senders that have time.
func (c *core) submitWait(ctx context.Context, ev event) error {
	select {
	case c.events <- ev:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the core's goroutine. It ends when stop is closed and the queue is empty.
func (c *core) run(stop <-chan struct{}) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	group := make([]event, 0, groupMax)
	for {
		group = group[:0]
		select {
		case ev := <-c.events:
			group = append(group, ev)
		case <-tick.C:
		case <-stop:
			for len(c.events) > 0 {
				c.group(c.fill(group[:0]))
			}
			return
		}
		c.group(c.fill(group))
	}
}

func (c *core) fill(group []event) []event {
	for len(group) < groupMax {
		select {
		case ev := <-c.events:
			group = append(group, ev)
		default:
			return group
		}
	}
	return group
}

// group takes one group of events through step, commit and publish.
func (c *core) group(group []event) {
	now := c.e.clock.Now()
	if !now.Before(c.nextTick) {
		c.nextTick = now.Add(tickEvery)
		group = append(group, c.tick(now)...)
	}
	if len(group) == 0 {
		return
	}
	for _, ev := range group {
		ev.step(c, now)
	}
	err := c.commit()
	if err == nil {
		c.publish(now)
		if len(c.order) > 0 {
			c.e.recovered()
		}
	} else {
		c.e.counters.failed.Add(1)
		c.e.trouble(now, err)
	}
	for _, ev := range group {
		ev.done(c, err)
	}
	clear(c.pending)
	clear(c.pendingAcct)
	c.order, c.reports = c.order[:0], c.reports[:0]
}

func (c *core) commit() error {
	if len(c.order) == 0 && len(c.reports) == 0 {
		return nil
	}
	b := c.store.Begin()
	for _, id := range c.order {
		var err error
		if s := c.pending[id]; s != nil {
			err = b.Put(s)
		} else {
			err = b.Delete(id)
		}
		if err != nil {
			b.Discard()
			return err
		}
	}
	for _, r := range c.reports {
		if err := b.AppendReport(r.at, r.json); err != nil {
			b.Discard()
			return err
		}
	}
	return c.store.Commit(b)
}

// publish makes the group visible: the table first, then whoever waits for it.
func (c *core) publish(now time.Time) {
	rules := &c.e.snapshot().Rules
	for _, id := range c.order {
		before, s := c.table.Get(id), c.pending[id]
		if s == nil {
			c.table.Delete(id)
			c.e.hub.forget(id)
			continue
		}
		c.table.Put(s)
		c.deadlines.schedule(id, step.Deadline(s, rules))
		if s.Change != nil && (before == nil || before.Change == nil || before.Change.Serial != s.Change.Serial) {
			c.sendChange(now, s)
		}
		c.e.hub.changed(before, s)
	}
}

// get is the newest record of a session, durable or on its way in this group.
func (c *core) get(id sessions.ID) *sessions.Session {
	if s, ok := c.pending[id]; ok {
		return s
	}
	return c.table.Get(id)
}

// put notes the next version of a session; the same pointer again is no change.
func (c *core) put(old, next *sessions.Session) {
	if next == old {
		return
	}
	if _, ok := c.pending[next.ID]; !ok {
		c.order = append(c.order, next.ID)
	}
	c.pending[next.ID] = next
	if next.AcctSessionID != "" {
		c.pendingAcct[acctKey{next.NASAddress, next.AcctSessionID}] = next.ID
	}
}

func (c *core) forget(id sessions.ID) {
	if _, ok := c.pending[id]; !ok {
		c.order = append(c.order, id)
	}
	c.pending[id] = nil
}

// acctKey is a session as its NAS counts it.
type acctKey struct {
	nas  netip.Addr
	acct string
}

// byAcctSessionID finds a session by the NAS's own number.
func (c *core) byAcctSessionID(nas netip.Addr, acct string) *sessions.Session {
	if acct == "" {
		return nil
	}
	if id, ok := c.pendingAcct[acctKey{nas, acct}]; ok {
		return c.get(id)
	}
	if s := c.table.ByAcctSessionID(nas, acct); s != nil {
		return c.get(s.ID)
	}
	return nil
}

// errOtherNAS: the id belongs to a session of another NAS.
const errOtherNAS = "the audit-session-id belongs to a session of another NAS"

// resolve finds the session that a packet is about and completes a.ID: by
// audit-session-id or our Class, then by the NAS's own number, else a new id is made.
// conflict is true when the NAS names a session that is another NAS's: nobody may
// touch that.
func (c *core) resolve(a *step.Attributes) (old *sessions.Session, conflict bool) {
	if a.ID != "" {
		old = c.get(a.ID)
		if old != nil && old.NAS != a.NAS && old.Live() {
			return nil, true
		}
		return old, false
	}
	if old = c.byAcctSessionID(a.NASAddress, a.AcctSessionID); old != nil {
		a.ID = old.ID
		return old, false
	}
	a.ID, a.Minted = mintID(), true
	return nil, false
}

// mintID makes an id in the form the field knows, 24 hexadecimal digits, all random.
func mintID() sessions.ID {
	var b [12]byte
	rand.Read(b[:])
	return sessions.ID(hex.EncodeToString(b[:]))
}

// nonce is what a report must carry: 128 random bits.
func nonce() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func (c *core) decisionID(now time.Time) string {
	c.decisions++
	return record.NewID(now, c.e.run, c.decisions)
}

// full says that the table is at its configured limit.
func (c *core) full() bool {
	return c.table.Len()+len(c.pending) >= c.e.snapshot().Config.Sessions.Max
}

func (c *core) appendReport(now time.Time, row *record.Posture) {
	if b, err := json.Marshal(row); err == nil {
		c.reports = append(c.reports, postureRow{now, b})
	}
}
