package coa

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"sallyport/netio/radius"
)

// receive takes a datagram that came to a socket. What is no valid answer to a request
// in flight is dropped and counted; the request goes on waiting.
func (m *machine) receive(now time.Time, socket int, from netip.AddrPort, pkt []byte) {
	p := m.peers[from]
	if p == nil {
		m.drop(now, socket, from, pkt, nil, DropUnknownSource)
		return
	}
	var v radius.View
	n, why := radius.Gate(pkt, radius.CoAClient)
	if why == radius.Sound {
		why = v.Decode(pkt[:n])
	}
	switch {
	case why == radius.WhyWrongCode:
		m.drop(now, socket, from, pkt, p, DropWrongCode)
		return
	case why != radius.Sound:
		m.drop(now, socket, from, pkt, p, DropMalformed)
		return
	case socket >= len(p.windows):
		m.drop(now, socket, from, pkt, p, DropBadAuthenticator)
		return
	}
	s, outcome, why2 := m.match(now, p.windows[socket], &v)
	if why2 != taken {
		m.drop(now, socket, from, pkt, p, why2)
		return
	}
	m.event(EventAnswered, now, s, v.Bytes())
	cause, _ := v.U32(radius.ErrorCause)
	m.settle(now, s, outcome, cause, v.Bytes())
	m.pumpDirty(now)
}

// taken is the absence of a reason to drop.
const taken = drops

// match finds the request that v answers. The Response Authenticator decides: an
// identifier comes back, an authenticator does not.
func (m *machine) match(now time.Time, w *window, v *radius.View) (*slot, Outcome, Drop) {
	s := w.slots[v.Identifier()]
	why := radius.WhyBadAuthenticator
	if s != nil {
		why = s.change.NAS.Key.VerifyResponse(v, s.asked)
	}
	if why == radius.WhyBadAuthenticator {
		if drop, ok := w.old(v); ok {
			return nil, 0, drop
		}
		return nil, 0, DropBadAuthenticator
	}
	if why != radius.Sound {
		return nil, 0, DropBadMessageAuthenticator
	}
	outcome, ok := answers(s.code, v.Code())
	if !ok {
		return nil, 0, DropWrongCode
	}
	if at, ok := v.U32(radius.EventTimestamp); ok {
		if age := now.Sub(time.Unix(int64(at), 0)); age > m.staleWindow || age < -m.staleWindow {
			return nil, 0, DropStale
		}
	}
	return s, outcome, taken
}

func (m *machine) drop(now time.Time, socket int, from netip.AddrPort, pkt []byte, p *peer, why Drop) {
	m.stats.Dropped[why]++
	if !m.watched {
		return
	}
	e := Event{Kind: EventDropped, At: now, Local: m.local(socket), Remote: from, Drop: why, Packet: pkt}
	if p != nil {
		e.NAS = p.limits.Name
	}
	m.events = append(m.events, e)
}

// settle ends what is in flight and lets the session's next change into its batch.
func (m *machine) settle(now time.Time, s *slot, o Outcome, cause uint32, reply []byte) {
	t, p := s.track, s.peer
	end := s.change.settlement(now, o, nil)
	end.Cause, end.Attempts, end.FirstSent, end.LastSent = cause, s.attempts, s.first, s.last
	end.Latency = now.Sub(s.first)
	end.Local, end.Request, end.Reply = m.local(s.window.socket), s.pkt, reply
	m.settled = append(m.settled, end)
	m.stats.Settled[o]++
	m.stats.Pending--
	m.stats.InFlight--
	m.timers.stop(&s.timer)
	s.window.release(s, o == ACK || o == NAK)
	p.flying--
	t.flying = nil
	m.released = append(m.released, s)
	m.mark(p)
	if t.waits {
		m.enqueue(now, t)
		return
	}
	m.rest(now, t)
}

// settleUnsent ends a change that never left.
func (m *machine) settleUnsent(now time.Time, c *Change, o Outcome, err error) {
	m.settled = append(m.settled, c.settlement(now, o, err))
	m.stats.Settled[o]++
	m.stats.Pending--
}

func (c *Change) settlement(now time.Time, o Outcome, err error) Settlement {
	return Settlement{Session: c.Session, Serial: c.Serial, Epoch: c.Epoch, NAS: c.NAS.Name, Kind: c.Kind,
		Outcome: o, Err: err, Made: c.Made, Settled: now, Remote: c.NAS.at()}
}

// rest remembers an idle track for a while, so that older news that comes late is known
// to be old.
func (m *machine) rest(now time.Time, t *track) {
	t.next = Change{}
	t.idle = now
	m.idle = append(m.idle, t)
}

// forget drops tracks that were idle for long enough. A track that was busy in between
// stands in the list twice; its own time decides.
func (m *machine) forget(now time.Time) {
	for m.idleHead < len(m.idle) {
		t := m.idle[m.idleHead]
		if busy := t.flying != nil || t.waits; !busy {
			if now.Sub(t.idle) < trackKept {
				break
			}
			if m.tracks[t.session] == t {
				delete(m.tracks, t.session)
			}
		}
		m.idle[m.idleHead] = nil
		m.idleHead++
	}
	if m.idleHead > len(m.idle)/2 {
		n := copy(m.idle, m.idle[m.idleHead:])
		clear(m.idle[n:])
		m.idle, m.idleHead = m.idle[:n], 0
	}
}

// closeWaiting ends what has not left, in the order of sessions: it is Unsent.
func (m *machine) closeWaiting(now time.Time) {
	for _, t := range m.inOrder() {
		if !t.waits {
			continue
		}
		m.settleUnsent(now, &t.next, Unsent, nil)
		t.waits = false
		if t.queued {
			t.peer.queue.remove(t)
		}
	}
}

// closeFlying ends what is in flight, likewise: it is Abandoned.
func (m *machine) closeFlying(now time.Time) {
	for _, t := range m.inOrder() {
		if t.flying != nil {
			m.settle(now, t.flying, Abandoned, 0, nil)
		}
	}
}

func (m *machine) inOrder() []*track {
	ids := slices.Sorted(maps.Keys(m.tracks))
	tracks := make([]*track, len(ids))
	for i, id := range ids {
		tracks[i] = m.tracks[id]
	}
	return tracks
}
