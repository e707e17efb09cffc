package coa

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"sallyport/netio/radius"
	"sallyport/ops/assert"
	"sallyport/sessions"
)

// settings are the machine's numbers; Config has them with their defaults.
type settings struct {
	sockets     int
	batchWait   time.Duration
	batchMax    int
	retry       Retransmission
	staleWindow time.Duration // Event-Timestamp of replies (RFC 5176 section 6.3)
}

const (
	peerIdle     = 5 * time.Minute // a NAS without changes is forgotten then
	trackKept    = time.Minute     // a session's last epoch is remembered so long after it settled
	slotOctets   = 512             // first size of a slot's packet; a push has about 300
	spareSlotMax = 4096            // slots kept for the next storm
)

// track is one session: what is in flight and what comes next.
type track struct {
	session sessions.ID
	newest  order  // of all changes taken
	flying  *slot  // nil: nothing is in flight
	waits   bool   // next holds a change
	next    Change // has not left
	peer    *peer  // in whose queue it stands
	queued  bool
	ticket  uint64    // of its place in the queue
	idle    time.Time // since when it has neither
}

// datagram is what the rim is to send.
type datagram struct {
	socket int
	to     netip.AddrPort
	pkt    []byte
}

// machine decides; it does no I/O. After submit, receive, tick, closeWaiting or closeFlying
// the rim takes sends, settled and events, and then calls done.
type machine struct {
	settings
	random *rand.Rand
	local  func(socket int) netip.AddrPort

	peers  map[netip.AddrPort]*peer
	tracks map[sessions.ID]*track
	timers timers
	dirty  []*peer // touched by this step
	spare  []*slot

	idle     []*track // in the order in which they became idle
	idleHead int      // those before are forgotten

	sends    []datagram
	settled  []Settlement
	events   []Event
	released []*slot // their octets are borrowed by sends, settled and events
	watched  bool    // events are wanted
	stats    Stats
}

func newMachine(s settings, seed uint64, local func(int) netip.AddrPort, watched bool) *machine {
	return &machine{settings: s, random: rand.New(rand.NewPCG(seed, 0x5a11)), local: local, watched: watched,
		peers: map[netip.AddrPort]*peer{}, tracks: map[sessions.ID]*track{}}
}

// submit takes a change. It must have been validated.
func (m *machine) submit(now time.Time, c *Change) {
	m.stats.Submitted++
	m.stats.Pending++
	t := m.tracks[c.Session]
	if t == nil {
		t = &track{session: c.Session}
		m.tracks[c.Session] = t
	} else if !c.order().after(t.newest) {
		m.settleUnsent(now, c, Superseded, nil)
		return
	}
	t.newest = c.order()
	if t.waits {
		m.settleUnsent(now, &t.next, Superseded, nil)
	}
	t.next, t.waits = *c, true
	if t.queued && t.peer.addr != c.NAS.at() {
		t.peer.queue.remove(t)
	}
	switch {
	case t.queued:
		t.peer.limits = c.NAS
	case t.flying == nil:
		m.enqueue(now, t)
	}
	m.pumpDirty(now)
}

// enqueue puts t's next change into its NAS's batch.
func (m *machine) enqueue(now time.Time, t *track) {
	addr := t.next.NAS.at()
	p := m.peers[addr]
	if p == nil {
		p = &peer{addr: addr}
		p.timer.peer = p
		m.peers[addr] = p
	}
	p.limits = t.next.NAS
	t.peer = p
	p.queue.push(t)
	if p.due.IsZero() {
		p.due = now.Add(m.batchWait)
	}
	if p.queue.live >= m.batchMax {
		p.due = now
	}
	m.mark(p)
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
}

// pump sends what p's batch, windows and pace allow, and sets p's timer to when it is
// worth looking again. A full window needs no timer: a settlement marks the peer.
func (m *machine) pump(now time.Time, p *peer) {
	if p.queue.live == 0 {
		p.due = time.Time{}
	}
	for p.queue.live > 0 {
		if now.Before(p.due) {
			m.timers.set(&p.timer, p.due)
			return
		}
		w := p.room(m.sockets)
		if w == nil {
			m.timers.stop(&p.timer)
			return
		}
		at, ok := p.pace(now)
		if !ok {
			m.timers.set(&p.timer, at)
			return
		}
		m.transmit(now, p, w, p.queue.pop())
		if p.queue.live == 0 {
			p.due = time.Time{}
		}
	}
	if p.flying == 0 {
		m.timers.set(&p.timer, now.Add(peerIdle))
	} else {
		m.timers.stop(&p.timer)
	}
}

// transmit makes t's next change a request and sends it for the first time.
func (m *machine) transmit(now time.Time, p *peer, w *window, t *track) {
	assert.That(t.waits && t.flying == nil && t.peer == p, "a track leaves with one change, and alone")
	c := &t.next
	s := m.newSlot()
	w.take(s)
	pkt, err := c.request(s.pkt[:0], s.identifier, now)
	t.waits = false
	if err != nil {
		w.slots[s.identifier] = nil
		w.used--
		m.settleUnsent(now, c, Unsayable, err)
		m.released = append(m.released, s)
		m.rest(now, t)
		return
	}
	s.change, s.track, s.peer, s.pkt, s.code = *c, t, p, pkt, radius.Code(pkt[0])
	s.asked = radius.Authenticator(pkt[4:radius.HeaderLen])
	s.attempts, s.first, s.last = 1, now, now
	s.retry = m.retry.of(c.NAS)
	s.pause = s.retry.first(m.random)
	t.flying = s
	p.flying++
	m.stats.Sent++
	m.stats.InFlight++
	m.timers.set(&s.timer, m.deadline(s))
	m.send(s, EventSent)
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
		m.events = append(m.events, Event{Kind: kind, At: at, Session: s.change.Session, Serial: s.change.Serial,
			NAS: s.change.NAS.Name, Local: m.local(s.window.socket), Remote: s.peer.addr, Attempt: s.attempts, Packet: pkt})
	}
}

// tick does what is due: batches, retransmissions, ends.
func (m *machine) tick(now time.Time) {
	for {
		t := m.timers.first()
		if t == nil || t.at.After(now) {
			break
		}
		m.timers.stop(t)
		if t.slot != nil {
			m.due(now, t.slot)
			continue
		}
		if p := t.peer; p.due.IsZero() && p.flying == 0 && !p.dirty {
			delete(m.peers, p.addr)
			continue
		}
		m.mark(t.peer)
		m.pumpDirty(now)
	}
	m.pumpDirty(now)
	m.forget(now)
}

// due sends s again, or gives it up (RFC 5080 section 2.2.1: after MRC transmissions, or
// MRD after the first).
func (m *machine) due(now time.Time, s *slot) {
	if s.attempts >= s.retry.CountMax || !now.Before(s.first.Add(s.retry.DurationMax)) {
		m.settle(now, s, Silent, 0, nil)
		return
	}
	s.attempts++
	s.last = now
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

// done says that sends, settled and events have been taken care of.
func (m *machine) done() {
	clear(m.sends)
	clear(m.settled)
	clear(m.events)
	m.sends, m.settled, m.events = m.sends[:0], m.settled[:0], m.events[:0]
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
