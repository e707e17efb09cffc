package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"sync/atomic"
	"time"

	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/radius"
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
	// queueShare is what one NAS may have of a queue that is half full.
	queueShare = queueMax / 8
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

// carrier is an event that lies in a request, which is free for another packet once the
// event is done.
type carrier interface{ request() *request }

// core is the one goroutine that changes sessions. It takes what waits as a group,
// steps each event on the records as the ones before left them, commits the group,
// then publishes. Nothing else writes a session.
//
//	ring -> step, step, step -> commit (one sync) -> table, replies, changes, waiters
//
// Two kinds of record are about while a group is at hand. Packets come by the hundred
// thousand: their records lie in frames that the next group uses again, and their
// strings in the requests and in the table's own octets (load, lend). Everything else
// is rare and may outlive its group: it gets records of its own (get, put).
type core struct {
	e      *Engine
	table  *sessions.Table
	store  *store.Store
	events *ring[event]
	asleep atomic.Bool   // the goroutine waits on wake
	wake   chan struct{} // room for one
	short  atomic.Int32  // senders that wait for room
	room   chan struct{} // room for one: there may be room again

	// Of the group at hand:
	pending     map[sessions.ID]version
	pendingAcct map[acctKey]sessions.ID // not yet in the table's index
	order       []sessions.ID
	reports     []postureRow
	frames      []*frame
	framed      int // frames in use
	earlier     sessions.Scratch
	answers     []*request
	updates     []sessions.Update
	sums        radius.Batch
	published   time.Time

	held      map[netip.Addr]int       // sessions of each NAS
	unsent    map[sessions.ID]struct{} // changes that the CoA engine had no room for
	resending bool                     // an event that goes on with them is queued
	storm     storm
	unsettled []settlement // answers of NASes that the journal had no room for
	chance    chance
	flaws     flaws
	doubts    []doubt // pushes to be repeated
	nextTick  time.Time
	nextTrim  time.Time
}

// version is what became of a session in the group at hand.
type version struct {
	before *sessions.Session // as the table has it; nil: not at all
	next   *sessions.Session // nil: to be forgotten
	lent   bool              // next lies in a frame
}

// frame is room for one packet's record: as it was and as it will be.
type frame struct {
	scratch sessions.Scratch
	next    sessions.Session
}

// postureRow is one posture report record on its way to the journal.
type postureRow struct {
	at   time.Time
	json []byte
}

func newCore(e *Engine, table *sessions.Table, journal *store.Store) *core {
	return &core{
		e: e, table: table, store: journal, events: newRing[event](queueMax),
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
		pending: map[sessions.ID]version{}, pendingAcct: map[acctKey]sessions.ID{},
		unsent: map[sessions.ID]struct{}{}, held: map[netip.Addr]int{}, flaws: e.opts.flaws,
	}
}

// submit hands an event to the core. False, and counted, when there is no room: the
// sender's own retransmission is the way back in.
func (c *core) submit(ev event) bool {
	if c.push(ev) {
		return true
	}
	c.e.counters.core.Add(1)
	return false
}

func (c *core) push(ev event) bool {
	if !c.events.put(ev) {
		return false
	}
	if c.asleep.Load() && c.asleep.Swap(false) {
		c.wake <- struct{}{}
	}
	return true
}

// submitFor is submit for a NAS, whose share of the queue it counts.
func (c *core) submitFor(n *nasCounters, ev event) bool {
	n.queued.Add(1)
	if c.submit(ev) {
		return true
	}
	n.queued.Add(-1)
	return false
}

// crowded says that the queue is filling up and the NAS has more than its share of it:
// one that storms must not take the others' room.
func (c *core) crowded(n *nasCounters) bool {
	return n.queued.Load() > queueShare && c.events.len() > queueMax/2
}

// submitWait waits for room, for senders that have time.
func (c *core) submitWait(ctx context.Context, ev event) error {
	c.short.Add(1)
	defer c.short.Add(-1)
	for !c.push(ev) {
		select {
		case <-c.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if c.events.len() < queueMax {
		c.tellRoom() // others may wait for the same
	}
	return nil
}

// tellRoom lets a sender that waits try again.
func (c *core) tellRoom() {
	if c.short.Load() > 0 {
		select {
		case c.room <- struct{}{}:
		default:
		}
	}
}

// run is the core's goroutine. It ends when stop is closed and the queue is empty.
func (c *core) run(stop <-chan struct{}) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	group := make([]event, 0, groupMax)
	for {
		if group = c.fill(group[:0]); len(group) == 0 {
			c.asleep.Store(true)
			if group = c.fill(group); len(group) > 0 { // it came between the two
				c.awake()
			}
		}
		if len(group) == 0 {
			select {
			case <-c.wake:
				continue
			case <-tick.C:
				c.awake()
			case <-stop:
				c.awake()
				for group = c.fill(group[:0]); len(group) > 0; group = c.fill(group[:0]) {
					c.group(group)
				}
				return
			}
		}
		c.group(group)
	}
}

// awake takes back that the goroutine sleeps; a sender may have been quicker.
func (c *core) awake() {
	if !c.asleep.Swap(false) {
		<-c.wake
	}
}

func (c *core) fill(group []event) []event {
	for len(group) < groupMax {
		ev, ok := c.events.take()
		if !ok {
			break
		}
		group = append(group, ev)
	}
	if len(group) > 0 {
		c.tellRoom()
	}
	return group
}

// own is the new version as a record that may outlive the group.
func (c *core) own(v version) *sessions.Session {
	if v.lent {
		return keepSession(v.next)
	}
	return v.next
}

// frame is room for one more packet of the group.
func (c *core) frame() *frame {
	if c.framed == len(c.frames) {
		c.frames = append(c.frames, &frame{})
	}
	c.framed++
	return c.frames[c.framed-1]
}

// get is the newest record of a session, durable or on its way in this group, for
// events that may keep it.
func (c *core) get(id sessions.ID) *sessions.Session {
	v, ok := c.pending[id]
	switch {
	case !ok:
		return c.table.Get(id)
	case v.next == nil:
		return nil
	}
	return c.own(v)
}

// load is get into a frame: what it returns is gone with the group.
func (c *core) load(id sessions.ID, f *frame) *sessions.Session {
	if v, ok := c.pending[id]; ok {
		return v.next
	}
	return c.table.Load(id, &f.scratch)
}

// put notes the next version of a session; the same pointer again is no change.
func (c *core) put(old, next *sessions.Session) { c.note(old, next, false) }

// lend is put of a record that lies in a frame.
func (c *core) lend(old, next *sessions.Session) { c.note(old, next, true) }

func (c *core) note(old, next *sessions.Session, lent bool) {
	if next == old {
		return
	}
	v, again := c.pending[next.ID]
	if !again {
		v.before = old
		c.order = append(c.order, next.ID)
	}
	v.next, v.lent = next, lent
	c.pending[next.ID] = v
	if c.flaws.reusesEpoch && old != nil {
		next.Epoch = old.Epoch
	}
	if next.AcctSessionID != "" && !c.flaws.skipsIndex {
		c.pendingAcct[acctKey{next.NASAddress, next.AcctSessionID}] = next.ID
	}
}

func (c *core) forget(old *sessions.Session) {
	v, again := c.pending[old.ID]
	if !again {
		v.before = old
		c.order = append(c.order, old.ID)
	}
	v.next = nil
	c.pending[old.ID] = v
}

// acctKey is a session as its NAS counts it.
type acctKey struct {
	nas  netip.Addr
	acct string
}

// byAcctSessionID finds a session by the NAS's own number.
func (c *core) byAcctSessionID(nas netip.Addr, acct string, f *frame) *sessions.Session {
	if acct == "" {
		return nil
	}
	if id, ok := c.pendingAcct[acctKey{nas, acct}]; ok {
		return c.load(id, f)
	}
	s := c.table.FindAcct(nas, acct, &f.scratch)
	if s == nil {
		return nil
	}
	if v, ok := c.pending[s.ID]; ok {
		return v.next
	}
	return s
}

// errOtherNAS: the id belongs to a session of another NAS.
const errOtherNAS = "the audit-session-id belongs to a session of another NAS"

// resolve finds the session that a packet is about and completes a.ID: by
// audit-session-id or our Class, then by the NAS's own number, else a new id is made.
// conflict is true when the NAS names a session that is another NAS's: nobody may
// touch that.
func (c *core) resolve(q *request, a *step.Attributes, f *frame) (old *sessions.Session, conflict bool) {
	if a.ID != "" {
		old = c.load(a.ID, f)
		if old != nil && old.NAS != a.NAS && old.Live() {
			return nil, true
		}
		return old, false
	}
	if old = c.byAcctSessionID(a.NASAddress, a.AcctSessionID, f); old != nil {
		a.ID = old.ID
		return old, false
	}
	a.ID, a.Minted = c.mint(q), true
	return nil, false
}

// renumbered makes an id for a session whose NAS gave it the number of one that has ended:
// the record of that one stays as it is.
func (c *core) renumbered(q *request, a *step.Attributes) *sessions.Session {
	a.ID, a.Minted = c.mint(q), true
	return nil
}

// mint makes an id in the form the field knows, 24 hexadecimal digits. It is made of the
// request, so that the same request again, of which nobody knows after a restart or when
// the duplicate cache had to let go of it, means the same session and not another one.
func (c *core) mint(q *request) sessions.ID {
	var room [64]byte
	from, authenticator := q.late.From(), q.view.Authenticator()
	address := from.Addr().As16()
	whole := append(room[:0], address[:]...)
	whole = binary.BigEndian.AppendUint16(whole, from.Port())
	whole = append(append(whole, q.view.Identifier()), authenticator[:]...)
	sum := sha256.Sum256(whole)
	at := len(q.text)
	q.text = hex.AppendEncode(q.text, sum[:12])
	return sessions.ID(alias(q.text[at:]))
}

// begunBy finds the session that this very login began a moment ago: its answer was lost,
// and the NAS has no name for the session that would tell.
func (c *core) begunBy(q *request, in *step.LoginInput, f *frame) *sessions.Session {
	s := c.load(in.ID, f)
	if s == nil || q.again || step.Unanswered(s, in) {
		return s
	}
	at := len(q.text) // a NAS whose authenticators are not random
	q.text = hex.AppendEncode(q.text, c.chance.take(12))
	in.ID = sessions.ID(alias(q.text[at:]))
	return nil
}

// nonce is what a report must carry: 128 random bits.
func (c *core) nonce() string { return hex.EncodeToString(c.chance.take(16)) }

// chance is random octets, drawn many at a time.
type chance struct {
	octets [1024]byte
	left   int
}

// take returns the next n octets, which are valid until the next call.
func (r *chance) take(n int) []byte {
	if r.left < n {
		rand.Read(r.octets[:])
		r.left = len(r.octets)
	}
	from := len(r.octets) - r.left
	r.left -= n
	return r.octets[from : from+n : from+n]
}

func (c *core) decisionID(now time.Time) string {
	return record.NewID(now, c.e.run, c.e.decision())
}

// full says why a NAS may not begin another session, when the table is at its configured
// limit or holds the NAS's share already; "" when it may.
func (c *core) full(nas netip.Addr) string {
	limits := &c.e.snapshot().Config.Sessions
	switch {
	case c.table.Len()+len(c.pending) >= limits.Max:
		return "the session table is full (sessions.max)"
	case c.held[nas.Unmap()] >= limits.MaxPerNAS:
		return "the NAS has its share of the session table (sessions.max-per-nas)"
	}
	return ""
}

// hold counts the sessions of each NAS, ended ones that are still kept included.
func (c *core) hold(v version) {
	var from, to netip.Addr
	if v.before != nil {
		from = v.before.NASAddress.Unmap()
	}
	if v.next != nil {
		to = v.next.NASAddress.Unmap()
	}
	if from == to {
		return
	}
	if from.IsValid() {
		if c.held[from]--; c.held[from] <= 0 {
			delete(c.held, from)
		}
	}
	if to.IsValid() {
		c.held[to]++
	}
}
