package coa

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// read hands what comes to a socket to the loop. The bursts go around, so a loop that
// falls behind leaves datagrams in the system's buffer, and finally to the system to drop.
func (e *Engine) read(socket int) {
	w := e.wires[socket]
	for {
		var b *burst
		select {
		case b = <-w.free:
		case <-e.stopped:
			return
		}
		b.socket = socket
		if err := w.receive(b); err != nil {
			return // it is closed
		}
		select {
		case e.bursts <- b:
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
	var held []*burst
	for {
		var b *burst
		select {
		case b = <-e.bursts:
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
		held = e.receive(now, b, held)
		e.take(now)
		e.machine.tick(now)
		e.flush(held)
		held = held[:0]
		if stop == nil && e.machine.stats.InFlight == 0 {
			return
		}
		e.trim(now)
		if at, ok := e.machine.next(); ok {
			timer.Reset(max(0, at.Sub(e.clock.Now())))
		}
	}
}

// receive gives the machine b and what else has come, and keeps the buffers for flush.
func (e *Engine) receive(now time.Time, b *burst, held []*burst) []*burst {
	for b != nil {
		for i := range b.n {
			e.machine.receive(now, b.socket, b.from[i], b.buffers[i][:b.octets[i]])
		}
		held = append(held, b)
		b = nil
		if len(held) < receiveStep {
			select {
			case b = <-e.bursts:
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
		e.heard, e.notes = e.notes, e.heard[:0]
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
		return
	}
	for i := range e.heard {
		if one := &e.heard[i]; one.cancel {
			e.machine.cancel(now, one.session, one.serial)
		} else {
			e.machine.confirmed(now, &one.confirmed)
		}
	}
	clear(e.heard)
	e.heard = e.heard[:0]
}

// trim gives back the memory of a storm when nothing was pending for a while.
func (e *Engine) trim(now time.Time) {
	if e.machine.stats.Pending > 0 {
		e.calm = time.Time{}
		return
	}
	switch {
	case e.calm.IsZero():
		e.calm = now
	case now.Sub(e.calm) >= trimAfter:
		e.calm = now
		e.machine.trim()
		e.taken, e.spare = nil, nil
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
func (e *Engine) flush(held []*burst) {
	m := e.machine
	e.send()
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
	for _, b := range held {
		e.wires[b.socket].free <- b
	}
}

// send sends what the machine decided, socket by socket.
func (e *Engine) send() {
	sends := e.machine.sends
	if len(sends) == 0 {
		return
	}
	for i := range sends {
		at := &e.bySocket[sends[i].socket]
		*at = append(*at, sends[i])
	}
	for socket, all := range e.bySocket {
		if len(all) > 0 {
			e.wires[socket].send(all, e.refusedFn)
			clear(all)
			e.bySocket[socket] = all[:0]
		}
	}
}

// refused takes a datagram that the system refused to send.
func (e *Engine) refused(d *datagram, err error) {
	e.machine.stats.SendErrors++
	e.warn(d.to, err)
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
