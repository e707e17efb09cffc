package coa

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"
)

// read hands what comes to a socket to the loop. The buffers go around, so a loop that
// falls behind leaves datagrams in the system's buffer, and finally to the system to drop.
func (e *Engine) read(socket int) {
	for {
		var p *packet
		select {
		case p = <-e.free:
		case <-e.stopped:
			return
		}
		n, from, err := e.conns[socket].ReadFromUDPAddrPort(p.buf[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			n = 0 // counted as malformed
		}
		p.socket, p.n = socket, n
		p.from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		select {
		case e.packets <- p:
		case <-e.stopped:
			return
		}
	}
}

// loop owns the machine.
func (e *Engine) loop() {
	defer close(e.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	stop, cut := e.stop, (<-chan struct{})(nil)
	var held []*packet
	for {
		var p *packet
		select {
		case p = <-e.packets:
		case <-e.wake:
		case <-timer.C:
		case command := <-e.commands:
			command(e.machine)
			continue
		case <-stop:
			stop, cut = nil, e.cut
			e.closeWaiting()
		case <-cut:
			cut = nil
			e.machine.closeFlying(e.clock.Now())
		}
		now := e.clock.Now()
		held = e.receive(now, p, held)
		e.take(now)
		e.machine.tick(now)
		e.flush(held)
		held = held[:0]
		if stop == nil && e.machine.stats.InFlight == 0 {
			return
		}
		if at, ok := e.machine.next(); ok {
			timer.Reset(max(0, at.Sub(e.clock.Now())))
		}
	}
}

// receive gives the machine p and what else has come, and keeps the buffers for flush.
func (e *Engine) receive(now time.Time, p *packet, held []*packet) []*packet {
	for p != nil {
		e.machine.receive(now, p.socket, p.from, p.buf[:p.n])
		held = append(held, p)
		p = nil
		if len(held) < receiveStep {
			select {
			case p = <-e.packets:
			default:
			}
		}
	}
	return held
}

// take gives the machine some of the changes that were submitted. The inbox and the
// changes taken from it change places when the latter are used up.
func (e *Engine) take(now time.Time) {
	if len(e.taken) == 0 {
		e.mu.Lock()
		e.spare, e.inbox = e.inbox, e.spare[:0]
		e.mu.Unlock()
		e.taken = e.spare
	}
	n := min(len(e.taken), inboxStep)
	for i := range e.taken[:n] {
		e.machine.submit(now, &e.taken[i])
	}
	clear(e.taken[:n])
	if e.taken = e.taken[n:]; len(e.taken) > 0 {
		e.rouse()
	}
}

// rouse makes the loop come around once more.
func (e *Engine) rouse() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// closeWaiting settles what has not left.
func (e *Engine) closeWaiting() {
	now := e.clock.Now()
	e.machine.closeWaiting(now)
	e.mu.Lock()
	left := append(e.taken, e.inbox...)
	e.taken, e.inbox = nil, nil
	e.mu.Unlock()
	for i := range left {
		e.machine.stats.Submitted++
		e.machine.stats.Pending++
		e.machine.settleUnsent(now, &left[i], Unsent, nil)
	}
}

// flush sends and tells what the machine decided. A datagram that the system refuses is
// as good as lost on the way: the retransmission comes.
func (e *Engine) flush(held []*packet) {
	m := e.machine
	for i := range m.sends {
		d := &m.sends[i]
		if _, err := e.conns[d.socket].WriteToUDPAddrPort(d.pkt, d.to); err != nil {
			m.stats.SendErrors++
			e.warn(d.to, err)
		}
	}
	for i := range m.events {
		e.eventFn(&m.events[i])
	}
	e.mu.Lock()
	e.stats = m.stats
	e.pending -= len(m.settled)
	e.mu.Unlock()
	if len(m.settled) > 0 {
		e.settledFn(m.settled)
	}
	if len(m.confirmations) > 0 {
		e.confirmFn(m.confirmations)
	}
	m.done()
	for _, p := range held {
		e.free <- p
	}
}

// warn says that a datagram was refused, once in a while: a storm must not log a line
// for each.
func (e *Engine) warn(to netip.AddrPort, err error) {
	if now := e.clock.Now(); now.Sub(e.warned) >= warnEvery {
		e.warned = now
		e.log.Warn("coa: a request could not be sent", "to", to, "error", err, "all", e.machine.stats.SendErrors)
	}
}

func (m *machine) peerStates() []PeerState {
	states := make([]PeerState, 0, len(m.peers))
	for _, p := range m.peers {
		states = append(states, PeerState{p.limits.Name, p.addr, p.queued(), p.flying, len(p.windows), p.dead(), p.awaited})
	}
	slices.SortFunc(states, func(a, b PeerState) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Addr.Compare(b.Addr))
	})
	return states
}
