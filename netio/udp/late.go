package udp

import (
	"net/netip"
	"runtime"
	"sync/atomic"
)

// Late is the way back to the sender of one datagram. It is a small value: copy it,
// keep it, send from any goroutine. The zero Late leads nowhere.
type Late struct {
	out    *Outbox
	socket int32          // which of the loop's sockets the request came to
	scope  uint32         // interface of an IPv6 link-local sender, else 0
	from   netip.AddrPort // with a zone in the portable loops
	to     netip.AddrPort
}

func withoutZone(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port())
}

// From is the sender of the request, where the reply goes.
func (l Late) From() netip.AddrPort { return withoutZone(l.from) }

// To is our address that the request came to, where the reply comes from.
func (l Late) To() netip.AddrPort { return l.to }

// Send hands a copy of reply to the loop that received the request, which sends it in
// a batch with others; many Sends cost one wake-up. It never blocks. False means that
// it will not be sent, and was counted: the queue is full, the server is closed, or
// reply is empty or longer than ReplyMax.
func (l Late) Send(reply []byte) bool {
	if l.out == nil {
		return false
	}
	return l.out.post(&l, reply)
}

// Outbox is where late replies of one loop wait: a bounded ring, many writers, one
// reader, no lock. Each slot has a sequence number that says whose turn it is:
//
//	seq == position             free, a writer may claim it
//	seq == position + 1         full, the reader may send it
//	seq == position + slots     free again, one round later
//
// A writer publishes its slot, then sets awake; the reader clears awake, then reads.
// So either the reader sees the slot or the writer sees awake cleared and calls wake.
type Outbox struct {
	slots []slot
	mask  uint64
	wake  func()

	_    cacheLine
	tail atomic.Uint64 // writers claim here
	_    cacheLine
	head uint64 // the reader alone

	_       cacheLine
	awake   atomic.Bool
	closed  atomic.Bool
	writers atomic.Int64 // between the look at closed and the end of wake

	full, late, long atomic.Uint64 // refused: queue full, server closed, size
}

type cacheLine [64]byte

type slot struct {
	seq  atomic.Uint64
	late Late
	n    int
	buf  []byte // slotRoom octets side by side with the other slots'
	long []byte // for a longer reply, made when the first one comes
}

// slotRoom holds most replies, a redirect included: the slots that are in use stay in
// the processor's cache.
const slotRoom = 512

func (s *slot) set(l *Late, reply []byte) {
	s.late, s.n = *l, len(reply)
	if s.n <= slotRoom {
		copy(s.buf, reply)
		return
	}
	if s.long == nil {
		s.long = make([]byte, ReplyMax)
	}
	copy(s.long, reply)
}

func (s *slot) reply() []byte {
	if s.n <= slotRoom {
		return s.buf[:s.n]
	}
	return s.long[:s.n]
}

// NewOutbox makes an outbox of so many slots, rounded up to a power of two, that calls
// wake when replies wait for a reader that does not know.
func NewOutbox(slots int, wake func()) *Outbox {
	size := 1
	for size < slots {
		size *= 2
	}
	o := &Outbox{slots: make([]slot, size), mask: uint64(size - 1), wake: wake}
	arena := make([]byte, size*slotRoom)
	for i := range o.slots {
		o.slots[i].seq.Store(uint64(i))
		o.slots[i].buf = arena[i*slotRoom : (i+1)*slotRoom : (i+1)*slotRoom]
	}
	return o
}

// post copies reply into the ring and wakes the reader where that is needed.
func (o *Outbox) post(l *Late, reply []byte) bool {
	if len(reply) == 0 || len(reply) > ReplyMax {
		o.long.Add(1)
		return false
	}
	o.writers.Add(1)
	ok := o.put(l, reply)
	if ok && !o.awake.Load() && !o.awake.Swap(true) {
		o.wake()
	}
	o.writers.Add(-1)
	return ok
}

func (o *Outbox) put(l *Late, reply []byte) bool {
	if o.closed.Load() {
		o.late.Add(1)
		return false
	}
	at := o.tail.Load()
	for {
		s := &o.slots[at&o.mask]
		switch turn := int64(s.seq.Load() - at); {
		case turn < 0:
			o.full.Add(1)
			return false
		case turn == 0 && o.tail.CompareAndSwap(at, at+1):
			s.set(l, reply)
			s.seq.Store(at + 1)
			return true
		default:
			at = o.tail.Load()
		}
	}
}

// rest is called by the reader before it reads: from here on a writer wakes it again.
func (o *Outbox) rest() { o.awake.Store(false) }

// waiting is the i-th reply that waits, nil when there are fewer. The reader calls it.
func (o *Outbox) waiting(i int) *slot {
	at := o.head + uint64(i)
	s := &o.slots[at&o.mask]
	if i >= len(o.slots) || s.seq.Load() != at+1 {
		return nil
	}
	return s
}

// release gives the first n waiting slots back to the writers.
func (o *Outbox) release(n int) {
	for range n {
		o.slots[o.head&o.mask].seq.Store(o.head + o.mask + 1)
		o.head++
	}
}

// Drain hands every waiting reply to send, in order. One goroutine at a time may
// drain; reply is valid during the call of send.
func (o *Outbox) Drain(send func(to Late, reply []byte)) {
	o.rest()
	for {
		s := o.waiting(0)
		if s == nil {
			return
		}
		send(s.late, s.reply())
		o.release(1)
	}
}

// Close makes every later Send return false and waits for those that are under way.
// What they left is drained afterwards.
func (o *Outbox) Close() {
	o.closed.Store(true)
	for o.writers.Load() != 0 {
		runtime.Gosched() // a writer only copies one reply
	}
}
