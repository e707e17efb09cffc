package udp

import "sync/atomic"

// Stats counts since Open, over all loops. Every datagram received is handed out, or
// counted as NoReturn.
type Stats struct {
	Received  uint64 // datagrams read
	Batches   uint64 // system calls that read them
	Truncated uint64 // longer than DatagramMax
	Empty     uint64 // without an octet
	NoReturn  uint64 // from port 0 or from our own address and port: dropped here

	KernelDrops   uint64 // the socket's buffer was full (SO_RXQ_OVFL)
	ReceiveErrors uint64
	Panics        uint64 // of the handler, caught

	Sent        uint64 // replies, late ones included
	LateSent    uint64
	LateFull    uint64 // refused: the loop's queue was full
	LateClosed  uint64 // refused: the server was closed
	LateSize    uint64 // refused: empty, or longer than ReplyMax
	SendErrors  SendErrors
	BufferAsked int // octets asked for with SO_RCVBUF, per socket
	// BufferGranted is the least that any socket was granted; 0 where the system does
	// not tell.
	BufferGranted int
}

// SendErrors counts replies that could not be sent, by what the system said.
type SendErrors struct {
	Full        uint64 // the socket's send buffer stayed full
	NoBuffers   uint64 // ENOBUFS: the interface's queue was full
	Refused     uint64 // ECONNREFUSED: an ICMP error of an earlier datagram
	Unreachable uint64 // no route to host or network
	Denied      uint64 // EPERM, EACCES: a packet filter
	TooLong     uint64 // longer than ReplyMax, or than the path takes
	Other       uint64
}

// Total is the sum of all kinds.
func (e SendErrors) Total() uint64 {
	return e.Full + e.NoBuffers + e.Refused + e.Unreachable + e.Denied + e.TooLong + e.Other
}

// Kinds of send error, in the order of SendErrors.
const (
	sendFull = iota
	sendNoBuffers
	sendRefused
	sendUnreachable
	sendDenied
	sendTooLong
	sendOther
	sendKinds
)

// counters are one loop's: that loop writes, anyone reads. The pads keep the loops'
// counters on lines of their own.
type counters struct {
	_                                    cacheLine
	received, batches, truncated, empty  atomic.Uint64
	noReturn, kernelDrops, receiveErrors atomic.Uint64
	panics, sent, lateSent               atomic.Uint64
	sendErrors                           [sendKinds]atomic.Uint64
	_                                    cacheLine
}

// addTo adds the counters of a loop and of its outbox to a sum.
func (c *counters) addTo(s *Stats, o *Outbox) {
	s.Received += c.received.Load()
	s.Batches += c.batches.Load()
	s.Truncated += c.truncated.Load()
	s.Empty += c.empty.Load()
	s.NoReturn += c.noReturn.Load()
	s.KernelDrops += c.kernelDrops.Load()
	s.ReceiveErrors += c.receiveErrors.Load()
	s.Panics += c.panics.Load()
	s.Sent += c.sent.Load()
	s.LateSent += c.lateSent.Load()
	s.LateFull += o.full.Load()
	s.LateClosed += o.late.Load()
	s.LateSize += o.long.Load()
	e := &s.SendErrors
	for i, sum := range [sendKinds]*uint64{&e.Full, &e.NoBuffers, &e.Refused, &e.Unreachable, &e.Denied, &e.TooLong, &e.Other} {
		*sum += c.sendErrors[i].Load()
	}
}

// addSome spares the atomic in the usual case of nothing.
func addSome(c *atomic.Uint64, n int) {
	if n != 0 {
		c.Add(uint64(n))
	}
}
