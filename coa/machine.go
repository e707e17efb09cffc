package coa

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"sallyport/netio/radius"
	"sallyport/ops/assert"
	"sallyport/sessions"
)

// settings are the machine's numbers; Config has them with their defaults.
type settings struct {
	sockets     int          // of each source
	sources     []netip.Addr // the zero one is the default; those of source i begin at socket i x sockets
	batchWait   time.Duration
	batchMax    int
	retry       Retransmission
	staleWindow time.Duration // Event-Timestamp of replies (RFC 5176 section 6.3)
	linger      time.Duration // between two requests about a session
	opened      time.Time     // of the sockets; what a process before sent lingers too
	confirms    bool          // somebody wants confirmations
}

const (
	peerIdle        = 5 * time.Minute // a NAS without changes is forgotten then
	trackKept       = time.Minute     // a session's last epoch is remembered so long after it settled
	slotOctets      = 512             // first size of a slot's packet; a push has about 300
	spareSlotMax    = 4096            // slots kept
	spareTracksMax  = 1 << 15         // tracks kept
	spareErrandsMax = 1 << 17         // errands kept while a storm may go on
	spareErrands    = 4096            // and after it
)

// datagram is what the rim is to send.
type datagram struct {
	socket int
	to     netip.AddrPort
	pkt    []byte
}

// machine decides; it does no I/O. The rim calls submit, cancel, confirmed and receive as
// often as there is something, then tick, which lets go what may leave: what leaves together
// is signed together. Then, or after closeWaiting or closeFlying, it takes sends, settled,
// confirmations and events, and calls done.
type machine struct {
	settings
	random *rand.Rand
	local  func(socket int) netip.AddrPort

	peers   map[netip.AddrPort]*peer
	tracks  map[sessions.ID]*track
	timers  timers
	dirty   []*peer // touched by this step
	closing bool    // nothing follows, nothing new leaves

	batch    radius.Batch
	unsigned []*slot // requests of this step

	spare        []*slot
	spareErrands []*errand
	spareTracks  []*track

	idle     []*track // in the order in which they became idle
	idleHead int      // those before are forgotten

	sends         []datagram
	settled       []Settlement
	confirmations []Confirmation
	events        []Event
	released      []*slot // their octets are borrowed by sends, settled and events
	watched       bool    // events are wanted
	stats         Stats
	interest      *interest
}

func newMachine(s settings, seed uint64, local func(int) netip.AddrPort, watched bool) *machine {
	return &machine{settings: s, random: rand.New(rand.NewPCG(seed, 0x5a11)), local: local, watched: watched,
		peers: map[netip.AddrPort]*peer{}, tracks: map[sessions.ID]*track{}, interest: newInterest()}
}

// submit takes a change. It must have been validated.
func (m *machine) submit(now time.Time, c *Change) {
	m.stats.Submitted++
	m.stats.Pending++
	t, known := m.track(c.Session)
	if known && !c.order().after(t.newest) {
		m.settleUnsent(now, c, Superseded, nil)
		return
	}
	t.newest = c.order()
	e := m.newErrand(c)
	if t.behind != nil {
		m.settleWaiting(now, t.behind, Superseded)
		t.behind = nil
	}
	switch {
	case t.next != nil && t.next.change.firm() && !c.Operator:
		t.behind = e
		return
	case t.next != nil:
		m.settleWaiting(now, t.next, Superseded)
		if t.queued && (t.peer.addr != c.NAS.at() || t.bulk && !c.Bulk) {
			m.unqueue(t)
		}
	}
	t.next = e
	switch {
	case t.queued:
		t.peer.limits = c.NAS
	case t.flying == nil:
		m.ready(now, t)
	}
}

// cancel takes back what has not left of a session: its changes up to the given serial
// end as Cancelled. Of what is in flight only the answer is awaited, until it would be sent
// again: nothing follows it.
func (m *machine) cancel(now time.Time, id sessions.ID, serial uint64) {
	t := m.tracks[id]
	if t == nil {
		return
	}
	if e := t.behind; e != nil && e.change.Serial <= serial {
		t.behind = nil
		m.settleWaiting(now, e, Cancelled)
	}
	if e := t.next; e != nil && e.change.Serial <= serial {
		m.unqueue(t)
		t.next = nil
		m.settleWaiting(now, e, Cancelled)
		m.promote(now, t)
	}
	if s := t.flying; s != nil && s.errand.change.Serial <= serial {
		s.errand.cancelled = true
	}
	m.unexpect(now, t, Overtaken)
	m.rest(now, t)
}

// promote lets what waited behind an operator's disconnect come next.
func (m *machine) promote(now time.Time, t *track) {
	if t.next == nil && t.behind != nil {
		t.next, t.behind = t.behind, nil
		if t.flying == nil {
			m.ready(now, t)
		}
	}
}

// ready puts t's next change into its NAS's batch, or sets the time for that.
func (m *machine) ready(now time.Time, t *track) {
	if t.after = later(t.after, m.opened.Add(m.linger)); now.Before(t.after) {
		m.timers.set(&t.timer, t.after)
		return
	}
	m.timers.stop(&t.timer)
	nas := t.next.change.NAS
	addr := nas.at()
	p := m.peers[addr]
	if p == nil {
		p = &peer{addr: addr, grip: float64(nas.inFlightMax())}
		p.timer.peer = p
		m.peers[addr] = p
	}
	p.limits = nas
	t.peer = p
	p.push(now, t, t.next.change.Bulk)
	if p.due.IsZero() {
		p.due = now.Add(m.batchWait)
	}
	if p.queued() >= m.batchMax {
		p.due = now
	}
	m.mark(p)
}

// unqueue takes t's next change out of its batch, if it is in one.
func (m *machine) unqueue(t *track) {
	m.timers.stop(&t.timer)
	if t.queued {
		t.peer.remove(t)
		m.mark(t.peer)
	}
}

func (m *machine) mark(p *peer) {
	if !p.dirty {
		p.dirty = true
		m.dirty = append(m.dirty, p)
	}
}

// pumpDirty lets go what may leave from each NAS that this step touched.
func (m *machine) pumpDirty(now time.Time) {
	for i := 0; i < len(m.dirty); i++ {
		p := m.dirty[i]
		p.dirty = false
		m.pump(now, p)
	}
	m.dirty = m.dirty[:0]
	if len(m.unsigned) > 0 {
		m.sign()
	}
}

// sign finishes the requests of this step side by side.
func (m *machine) sign() {
	m.batch.Run()
	for i, s := range m.unsigned {
		s.asked = radius.Authenticator(s.pkt[4:radius.HeaderLen])
		m.unsigned[i] = nil
	}
	m.unsigned = m.unsigned[:0]
	m.batch.Reset()
}

// pump sends what p's batch, windows and pace allow, and sets p's timer to when it is
// worth looking again. A full window needs no timer: a settlement marks the peer.
func (m *machine) pump(now time.Time, p *peer) {
	if p.dead() {
		m.expire(now, p)
	}
	for p.queued() > 0 {
		if now.Before(p.due) {
			m.timers.set(&p.timer, p.due)
			return
		}
		w := p.room(m.firstSocket(p.limits.Source), m.sockets)
		if w == nil {
			m.watch(p)
			return
		}
		at, ok := p.pace(now)
		if !ok {
			m.timers.set(&p.timer, at)
			return
		}
		m.transmit(now, p, w, p.pop())
	}
	p.due = time.Time{}
	if p.flying == 0 {
		m.timers.set(&p.timer, now.Add(peerIdle))
	} else {
		m.timers.stop(&p.timer)
	}
}

// transmit makes t's next change a request and sends it for the first time.
func (m *machine) transmit(now time.Time, p *peer, w *window, t *track) {
	assert.That(t.next != nil && t.flying == nil && t.peer == p, "a track leaves with one change, and alone")
	e := t.next
	s := m.newSlot()
	w.take(s)
	pkt, err := e.request(&m.batch, s.pkt[:0], s.identifier, now)
	t.next = nil
	if err != nil {
		w.giveBack(s)
		m.released = append(m.released, s)
		m.settleUnsent(now, &e.change, Unsayable, err)
		m.recycle(e)
		m.promote(now, t)
		m.rest(now, t)
		return
	}
	s.errand, s.track, s.peer, s.pkt, s.code = e, t, p, pkt, radius.Code(pkt[0])
	m.unsigned = append(m.unsigned, s)
	s.attempts, s.first, s.last = 1, now, now
	s.retry = m.retry.of(e.change.NAS)
	s.pause = s.retry.first(m.random)
	if e.tries == 0 {
		e.first = now
	}
	e.tries++
	e.sent++
	e.last, e.local = now, m.local(w.socket)
	t.flying = s
	p.flying++
	m.stats.Sent++
	m.stats.InFlight++
	m.expect(now, t, e)
	m.timers.set(&s.timer, m.deadline(s))
	m.send(s, EventSent)
}

// firstSocket is where the sockets of a source begin.
func (s *settings) firstSocket(source netip.Addr) int {
	return max(0, slices.Index(s.sources, source)) * s.sockets
}

func (m *machine) newSlot() *slot {
	if n := len(m.spare); n > 0 {
		s := m.spare[n-1]
		m.spare = m.spare[:n-1]
		return s
	}
	s := &slot{pkt: make([]byte, 0, slotOctets)}
	s.timer.slot = s
	return s
}

// deadline is when the next transmission or the end of s comes.
func (m *machine) deadline(s *slot) time.Time {
	at, end := s.last.Add(s.pause), s.first.Add(s.retry.DurationMax)
	if at.After(end) {
		return end
	}
	return at
}

func (m *machine) send(s *slot, kind EventKind) {
	m.sends = append(m.sends, datagram{s.window.socket, s.peer.addr, s.pkt})
	m.event(kind, s.last, s, s.pkt)
}

func (m *machine) event(kind EventKind, at time.Time, s *slot, pkt []byte) {
	if m.watched {
		m.events = append(m.events, Event{Kind: kind, At: at, Session: s.track.session, Serial: s.errand.change.Serial,
			NAS: s.errand.change.NAS.Name, Local: s.errand.local, Remote: s.peer.addr, Attempt: s.attempts, Packet: pkt})
	}
}

// tick does what is due: batches, retransmissions, ends, pauses.
func (m *machine) tick(now time.Time) {
	for len(m.settled) < tickMax {
		t := m.timers.first()
		if t == nil || t.at.After(now) {
			break
		}
		m.timers.stop(t)
		switch {
		case t.slot != nil:
			m.due(now, t.slot)
		case t.late:
			m.unexpect(now, t.track, Unconfirmed)
		case t.track != nil:
			if t.track.next != nil && t.track.flying == nil {
				m.ready(now, t.track)
			}
		case t.peer.queued() == 0 && t.peer.flying == 0 && t.peer.awaited == 0 && !t.peer.dirty:
			delete(m.peers, t.peer.addr)
		default:
			m.mark(t.peer)
			m.pumpDirty(now)
		}
	}
	m.pumpDirty(now)
	m.forget(now)
}

// tickMax bounds the changes that one tick ends, so that a NAS of which a hundred
// thousand end together delays nobody; the next tick comes at once.
const tickMax = 1024

// due sends s again, or gives it up (RFC 5080 section 2.2.1: after MRC transmissions, or
// MRD after the first). What was cancelled is not sent again: the NAS may have given the
// session's number to another one by now.
func (m *machine) due(now time.Time, s *slot) {
	if s.errand.cancelled {
		m.answered(now, s, Cancelled, 0, nil)
		return
	}
	if s.attempts >= s.retry.CountMax || !now.Before(s.first.Add(s.retry.DurationMax)) {
		m.answered(now, s, Silent, 0, nil)
		return
	}
	s.attempts++
	s.errand.sent++
	s.last, s.errand.last = now, now
	s.pause = s.retry.next(s.pause, m.random)
	m.timers.set(&s.timer, m.deadline(s))
	m.stats.Retransmitted++
	m.send(s, EventRetransmitted)
}

// next is when tick is to be called; false: nothing is set.
func (m *machine) next() (time.Time, bool) {
	if t := m.timers.first(); t != nil {
		return t.at, true
	}
	return time.Time{}, false
}

// done says that sends, settled, confirmations and events have been taken care of.
func (m *machine) done() {
	clear(m.sends)
	clear(m.settled)
	clear(m.confirmations)
	clear(m.events)
	m.sends, m.settled, m.events = m.sends[:0], m.settled[:0], m.events[:0]
	m.confirmations = m.confirmations[:0]
	for i, s := range m.released {
		m.released[i] = nil
		if len(m.spare) < spareSlotMax {
			*s = slot{pkt: s.pkt[:0]}
			s.timer.slot = s
			m.spare = append(m.spare, s)
		}
	}
	m.released = m.released[:0]
}
