package bench

import "sallyport/netio/radius"

// queue holds identifiers, first in, first out. An identifier comes back into use as
// late as possible: a server may keep the old request for a while, and takes the new one
// with the same identifier for a conflict (RFC 5080 section 2.2.2).
type queue struct {
	ring [identifiers]byte
	head int
	n    int
}

func (q *queue) give(identifier byte) {
	q.ring[(q.head+q.n)%identifiers] = identifier
	q.n++
}

func (q *queue) take() (identifier byte, ok bool) {
	if q.n == 0 {
		return 0, false
	}
	identifier = q.ring[q.head]
	q.head = (q.head + 1) % identifiers
	q.n--
	return identifier, true
}

// slotStatus is what an identifier of a source port is doing.
type slotStatus uint8

const (
	slotFree     slotStatus = iota
	slotFirst               // waits for the first reply
	slotRepeated            // has it, was sent again, waits for the same reply
)

// slot is the request that has an identifier now, and what is left of the one before.
// Times are nanoseconds of the load's clock.
type slot struct {
	status  slotStatus
	tries   int
	again   int   // repetitions still to come
	due     int64 // when it was to be sent: latency counts from here
	first   int64 // when it was sent first
	timeout int64 // when it is sent again or given up
	wait    int64 // of the retransmission before timeout

	octets        int // of request
	authenticator radius.Authenticator
	reply         radius.Authenticator // of the first reply, its Response Authenticator

	before    radius.Authenticator // authenticator of the request settled last
	hasBefore bool
	gaveUp    bool // that request was given up, so a reply to it is late and not a second one

	request [requestMax]byte
}

// port is one source port of an emulated NAS.
type port struct {
	nas         int
	free        queue
	slots       [identifiers]slot
	outstanding int
	most        int    // outstanding at any time, for the result
	pending     []byte // identifiers to be written to the socket

	made [identifiers][][]byte // requests that come round, see load.make
	uses [identifiers]uint8    // which of them is next
}

func newPort(nas int, first byte) *port {
	p := &port{nas: nas, pending: make([]byte, 0, 4*identifiers)}
	for i := range identifiers {
		p.free.give(first + byte(i))
	}
	return p
}

// begin takes the identifier that has been free for longest.
func (p *port) begin() (byte, *slot, bool) {
	identifier, ok := p.free.take()
	if !ok {
		return 0, nil, false
	}
	p.outstanding++
	p.most = max(p.most, p.outstanding)
	return identifier, &p.slots[identifier], true
}

// end gives an identifier back.
func (p *port) end(identifier byte, gaveUp bool) {
	s := &p.slots[identifier]
	s.status = slotFree
	s.before, s.hasBefore, s.gaveUp = s.authenticator, true, gaveUp
	p.outstanding--
	p.free.give(identifier)
}
