package engine

import (
	"time"
	"unsafe"

	"sallyport/engine/policy"
	"sallyport/engine/record"
	"sallyport/netio/dup"
	"sallyport/netio/radius"
	"sallyport/netio/udp"
)

// request is one packet from a known NAS, copied out of the receive buffer, with the
// configuration it is judged by: one snapshot from the first octet to the last. It
// carries all that its way through the appliance needs, the event for the core as well,
// and is used again for another packet afterwards, so that a packet allocates nothing.
//
// A request has one owner at a time: the loop, then perhaps a worker of the pool, then
// the core. Who ends it (answer, drop) releases it. Its strings lie in buf and text; what
// lives longer than the request copies them.
type request struct {
	snap     snapshot
	nas      *policy.NAS
	counters *nasCounters
	received time.Time
	late     udp.Late
	view     radius.View
	token    dup.Token
	again    bool // it was answered before, and what it was answered is not true any more

	buf   []byte // the packet
	text  []byte // text made for it: canonical names, rows
	url   []byte // of the redirect
	reply []byte // room for a reply that is made later
	class [2][]byte
	macs  [macsMax]string
	row   record.Decision
	kept  []byte // a row that may become true

	check, reveal int            // numbers of what is queued for the packet in the loop's sums
	dst           []byte         // where the reply goes
	builder       radius.Builder // the reply that is being made
	sealed        []byte         // and made

	login loginEvent
	acct  accountingEvent
	onOff nasEvent
}

// requestRoom is what most packets and their text take; a longer one makes it grow once.
const requestRoom = 512

// release gives a request back. Nothing of it may be used afterwards.
func (e *Engine) release(q *request) {
	q.snap, q.nas = nil, nil // keep no old configuration alive
	e.spare.put(q)           // a full ring leaves it to the garbage collector
}

// duplicate asks whether the request was seen before (RFC 5080 section 2.2.2). True
// means that nothing is left to do: a reply that is known has been put into d. Only
// packets that passed verification come here. The answer depends on the given state: one
// that was judged in another is not sent again.
func (q *request) duplicate(seen *dup.Cache, now time.Time, d *udp.Datagram, state uint64) bool {
	a := [16]byte(q.view.Authenticator())
	verdict, token, reply := seen.CheckAt(now, d.From, d.Listed, q.view.Identifier(), &a, state, d.Reply)
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
	q.token, q.again = token, verdict == dup.Outdated
	return false
}

// answer sends the sealed reply late and keeps it for retransmissions.
func (q *request) answer(now time.Time) {
	q.token.Complete(now, q.sealed)
	q.late.Send(q.sealed)
}

// drop gives no answer. A retransmission may try again.
func (q *request) drop(now time.Time, why dropReason) {
	q.counters.drop(now, why)
	q.token.Forget()
}

// alias is the text that b holds, for as long as b is left alone.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// keepRow notes a row that is added to the live log later, or not at all.
func (q *request) keepRow(d *record.Decision) { q.kept = record.AppendRow(q.kept[:0], d) }

// say joins words into one text that lives as long as the request.
func (q *request) say(words ...string) string {
	from := len(q.text)
	for _, w := range words {
		q.text = append(q.text, w...)
	}
	return alias(q.text[from:])
}

// octets are those of s, to be read only.
func octets(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
