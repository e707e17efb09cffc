package udp

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// sendWait is how long a loop waits once for room in a full send buffer, in
// milliseconds. Longer and the receive buffer overflows meanwhile; the NAS asks again.
const sendWait = 2

// serveSocket reads one batch, serves it and sends the replies. The poller is level
// triggered: what remains is announced again, after the other sockets had their turn.
func (r *reactor) serveSocket(s *socket) {
	n, errno := r.in.receive(s.fd)
	if errno != 0 {
		if errno != unix.EAGAIN && errno != unix.EINTR {
			r.count.receiveErrors.Add(1)
		}
		return
	}
	batch := r.batch[:r.collect(s, n)]
	if len(batch) > 0 {
		r.serve(batch)
		r.reply(s, batch)
	}
	for i := range n {
		poison(r.buffers[i*DatagramMax:][:r.in.msgs[i].n])
	}
}

// collect makes the batch of the n datagrams received, counts, and leaves out what
// could not be answered.
func (r *reactor) collect(s *socket, n int) (kept int) {
	truncated, empty := 0, 0
	for i := range n {
		from, scope := r.in.from(i)
		arrived := r.in.arrival(i)
		if arrived.counted {
			r.count.kernelDrops.Add(uint64(arrived.overflow - s.overflow))
			s.overflow = arrived.overflow
		}
		if !arrived.to.IsValid() {
			arrived.to = s.bound.Addr()
		}
		size := min(int(r.in.msgs[i].n), DatagramMax)
		start := i * DatagramMax
		d := &r.batch[kept]
		d.Data = r.buffers[start : start+size : start+size]
		d.From, d.To = from, netip.AddrPortFrom(arrived.to, s.bound.Port())
		d.Role, d.Listed = s.listener.Role, s.listed
		d.Truncated = r.in.msgs[i].hdr.Flags&unix.MSG_TRUNC != 0
		d.Reply = r.replies[kept*ReplyMax : kept*ReplyMax : (kept+1)*ReplyMax]
		d.slot = i
		if !from.Addr().IsLinkLocalUnicast() || from.Addr().Is4() {
			scope = 0
		}
		d.late = Late{out: r.out, socket: int32(s.listed), scope: scope, from: from, to: d.To}
		if d.Truncated {
			truncated++
		} else if size == 0 {
			empty++
		}
		if answerable(d) {
			kept++
		}
	}
	r.count.received.Add(uint64(n))
	r.count.batches.Add(1)
	addSome(&r.count.noReturn, n-kept)
	addSome(&r.count.truncated, truncated)
	addSome(&r.count.empty, empty)
	return kept
}

// reply sends the replies of a batch. They go back to the very socket addresses that
// the requests came with.
func (r *reactor) reply(s *socket, batch []Datagram) {
	r.outward.begin()
	for i := range batch {
		d := &batch[i]
		if len(d.Reply) == 0 {
			continue
		}
		if len(d.Reply) > ReplyMax {
			r.count.sendErrors[sendTooLong].Add(1)
			continue
		}
		r.outward.add(d.Reply, &r.in.names[d.slot], r.in.msgs[d.slot].hdr.Namelen, d.To.Addr(), d.late.scope)
	}
	r.count.sent.Add(r.flush(s))
}

// sendLate sends all late replies that wait, up to a batch per round and socket.
func (r *reactor) sendLate() {
	for {
		n := 0
		for n < r.outward.room() && r.out.waiting(n) != nil {
			n++
		}
		if n == 0 {
			return
		}
		for i := range r.sockets {
			r.sendLateOf(&r.sockets[i], n)
		}
		r.out.release(n)
	}
}

// sendLateOf sends those of the first n waiting replies that belong to socket s.
func (r *reactor) sendLateOf(s *socket, n int) {
	r.outward.begin()
	for i := range n {
		if w := r.out.waiting(i); int(w.late.socket) == s.listed {
			to, length := nameOf(w.late.from, w.late.scope, s.inet6)
			r.outward.add(w.reply(), &to, length, w.late.to.Addr(), w.late.scope)
		}
	}
	sent := r.flush(s)
	r.count.sent.Add(sent)
	r.count.lateSent.Add(sent)
}

// flush sends what was added to the outward vector and returns how many datagrams went.
// sendmmsg stops at the first message that fails and tells why only when it is the first
// of a call (sendmmsg(2), BUGS), so each round starts behind the last one sent.
func (r *reactor) flush(s *socket) (sent uint64) {
	waited := false
	n := r.outward.arrange(s.inet6, !r.unsegmented)
	for next := 0; next < n; {
		went, errno := r.outward.send(s.fd, next, n)
		sent += r.outward.datagrams(next, next+went)
		next += went
		switch {
		case errno == 0 || errno == unix.EINTR:
		case errno == unix.EAGAIN && !waited:
			waited = true
			r.awaitRoom(s.fd)
		case errno == unix.EAGAIN:
			r.count.sendErrors[sendFull].Add(r.outward.datagrams(next, n))
			return sent
		case r.outward.datagrams(next, next+1) > 1 && segmentFault(errno):
			// This kernel, or this interface, does not cut: we do, from now on.
			r.unsegmented = true
			n = r.outward.separate(s.inet6, next)
			next = 0
		default:
			r.count.sendErrors[kindOf(errno)].Add(r.outward.datagrams(next, next+1))
			next++ // this one is lost, the rest is tried
		}
	}
	return sent
}

// awaitRoom waits a moment for the send buffer.
func (r *reactor) awaitRoom(fd int) {
	wait := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	unix.Poll(wait[:], sendWait) // whatever it says, the next send tells
}

// kindOf sorts a send error.
func kindOf(errno unix.Errno) int {
	switch errno {
	case unix.ENOBUFS, unix.ENOMEM:
		return sendNoBuffers
	case unix.ECONNREFUSED:
		return sendRefused
	case unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENETDOWN, unix.EADDRNOTAVAIL:
		return sendUnreachable
	case unix.EPERM, unix.EACCES:
		return sendDenied
	case unix.EMSGSIZE:
		return sendTooLong
	}
	return sendOther
}
