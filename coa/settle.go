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
	}
	w := p.window(socket)
	if w == nil {
		m.drop(now, socket, from, pkt, p, DropBadAuthenticator)
		return
	}
	s, outcome, why2 := m.match(now, w, &v)
	if why2 != taken {
		m.drop(now, socket, from, pkt, p, why2)
		return
	}
	m.event(EventAnswered, now, s, v.Bytes())
	cause, _ := v.U32(radius.ErrorCause)
	m.answered(now, s, outcome, cause, v.Bytes())
}

// taken is the absence of a reason to drop.
const taken = drops

// match finds the request that v answers. The Response Authenticator decides: an
// identifier comes back, an authenticator does not.
func (m *machine) match(now time.Time, w *window, v *radius.View) (*slot, Outcome, Drop) {
	s := w.slots[v.Identifier()]
	why := radius.WhyBadAuthenticator
	if s != nil {
		why = s.errand.change.NAS.Key.VerifyResponse(v, s.asked)
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

// answered ends a request. The change is settled by it, or sent again in another way.
func (m *machine) answered(now time.Time, s *slot, o Outcome, cause uint32, reply []byte) {
	t, p, e := s.track, s.peer, s.errand
	m.stats.InFlight--
	m.timers.stop(&s.timer)
	s.window.release(s, o == ACK || o == NAK)
	p.flying--
	t.flying = nil
	m.released = append(m.released, s)
	m.mark(p)
	if o != Abandoned {
		p.heard(now, o, cause)
	}
	e.outcome, e.cause = o, cause
	t.after = s.last.Add(m.linger)
	if m.follow(now, t, s) {
		return
	}
	m.settle(now, s, reply)
	if t.next == nil {
		t.next, t.behind = t.behind, nil
	}
	if t.next != nil && !m.closing {
		m.ready(now, t)
	}
	m.rest(now, t)
}

// settle ends the errand of s by its last answer.
func (m *machine) settle(now time.Time, s *slot, reply []byte) {
	t, e := s.track, s.errand
	o := e.outcome
	if e.fallen && o == ACK {
		o = FellBack
	}
	end := e.settlement(now, o)
	end.Cause, end.Request, end.Reply = e.cause, s.pkt, reply
	end.Latency = now.Sub(s.first)
	m.end(end)
	if e.gone(e.outcome, e.cause) {
		m.dismiss(now, t)
	}
	m.acknowledged(now, t, e)
	m.recycle(e)
}

// dismiss ends what waits for a session that the NAS does not have any more.
func (m *machine) dismiss(now time.Time, t *track) {
	for _, e := range [...]*errand{t.next, t.behind} {
		if e != nil {
			m.settleWaiting(now, e, Superseded)
		}
	}
	m.unqueue(t)
	t.next, t.behind = nil, nil
}

// settleWaiting ends an errand that is not in flight. One that was, and was to be tried
// again, ends by the answer it had.
func (m *machine) settleWaiting(now time.Time, e *errand, o Outcome) {
	end := e.settlement(now, o)
	if e.tries > 0 {
		end.Cause = e.cause
		if o == Superseded {
			end.Outcome = e.outcome
		} else if o == Unsent {
			end.Outcome = Abandoned
		}
	}
	m.end(end)
	m.recycle(e)
}

// settleUnsent ends a change that never left.
func (m *machine) settleUnsent(now time.Time, c *Change, o Outcome, err error) {
	e := errand{change: *c, kind: c.Kind}
	end := e.settlement(now, o)
	end.Err = err
	m.end(end)
}

func (m *machine) end(s Settlement) {
	m.settled = append(m.settled, s)
	m.stats.Settled[s.Outcome]++
	m.stats.Pending--
	if m.watched {
		m.events = append(m.events, Event{Kind: EventSettled, At: s.Settled, Session: s.Session, Serial: s.Serial, NAS: s.NAS,
			Local: s.Local, Remote: s.Remote, Outcome: s.Outcome, Cause: s.Cause, Did: s.Did, Err: s.Err})
	}
}

func (e *errand) settlement(now time.Time, o Outcome) Settlement {
	c := &e.change
	return Settlement{Session: c.Session, Serial: c.Serial, Epoch: c.Epoch, NAS: c.NAS.Name, Kind: c.Kind, Did: e.kind,
		Outcome: o, Tries: e.tries, Attempts: e.sent, Made: c.Made, FirstSent: e.first, LastSent: e.last, Settled: now,
		Local: e.local, Remote: c.NAS.at()}
}

// closeWaiting ends what has not left, in the order of sessions: it is Unsent. Nothing
// leaves any more.
func (m *machine) closeWaiting(now time.Time) {
	m.closing = true
	for _, t := range m.inOrder() {
		m.unqueue(t)
		for _, e := range [...]*errand{t.next, t.behind} {
			if e != nil {
				m.settleWaiting(now, e, Unsent)
			}
		}
		t.next, t.behind = nil, nil
	}
}

// closeFlying ends what is in flight, likewise: it is Abandoned.
func (m *machine) closeFlying(now time.Time) {
	m.closing = true
	for _, t := range m.inOrder() {
		if t.flying != nil {
			m.answered(now, t.flying, Abandoned, 0, nil)
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
