package engine

import (
	"time"

	"sallyport/engine/policy"
	"sallyport/engine/step"
	"sallyport/netio/dup"
	"sallyport/netio/radius"
	"sallyport/netio/udp"
)

// request is one packet from a known NAS, copied out of the receive buffer, with the
// configuration it is judged by: one snapshot from the first octet to the last.
type request struct {
	snap     snapshot
	nas      *policy.NAS
	counters *nasCounters
	received time.Time
	late     udp.Late
	buf      []byte
	view     radius.View
	token    dup.Token
}

func newRequest(snap snapshot, nas *policy.NAS, n *nasCounters, now time.Time, d *udp.Datagram) *request {
	return &request{
		snap: snap, nas: nas, counters: n, received: now, late: d.Late(),
		buf: append([]byte(nil), d.Data...),
	}
}

// duplicate asks whether the request was seen before (RFC 5080 section 2.2.2). True
// means that nothing is left to do: a reply that is known has been put into d. Only
// packets that passed verification come here.
func (q *request) duplicate(e *Engine, now time.Time, loop int, d *udp.Datagram) bool {
	a := [16]byte(q.view.Authenticator())
	verdict, token, reply := e.dups[loop%len(e.dups)].Check(now, d.From, d.Listed, q.view.Identifier(), &a, d.Reply)
	switch verdict {
	case dup.Replay:
		q.counters.duplicates.Add(1)
		d.Reply = reply
		return true
	case dup.InProgress:
		q.counters.duplicates.Add(1)
		q.counters.drop(now, dropInProgress)
		return true
	}
	q.token = token
	return false
}

// answer sends the reply and keeps it for retransmissions.
func (q *request) answer(now time.Time, reply []byte) {
	q.token.Complete(now, reply)
	q.late.Send(reply)
}

// drop gives no answer. A retransmission may try again.
func (q *request) drop(now time.Time, why dropReason) {
	q.counters.drop(now, why)
	q.token.Forget()
}

// attributes is what the packet tells of its session, and how it came to us.
func (q *request) attributes() step.Attributes {
	a := attributes(&q.view)
	a.NAS = q.nas.Name
	a.NASAddress = q.late.From().Addr()
	a.Server = q.late.To().Addr()
	return a
}
