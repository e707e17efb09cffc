package coa

import (
	"net/netip"
	"time"
)

// peer is a NAS as the machine sees it: its batch, its windows, its pace.
type peer struct {
	timer   timer // when the batch is due, the next may leave by rate, or an idle peer goes
	addr    netip.AddrPort
	limits  *NAS // of the newest change: name and limits
	queue   queue
	due     time.Time // the batch leaves then; zero: nothing waits
	windows []*window // by socket, made when the ones before are full
	flying  int       // requests in flight
	tokens  float64   // first transmissions that may leave now, by rate
	refill  time.Time // of tokens
	dirty   bool      // to be pumped at the end of this step
}

// room is a window with a free identifier, nil when all are full or the NAS's limit is
// reached.
func (p *peer) room(sockets int) *window {
	limit := p.limits.InFlightMax
	if limit <= 0 {
		limit = inFlightDefault
	}
	if p.flying >= limit {
		return nil
	}
	for _, w := range p.windows {
		if w.used < windowMax {
			return w
		}
	}
	if len(p.windows) == sockets {
		return nil
	}
	w := &window{socket: len(p.windows)}
	p.windows = append(p.windows, w)
	return w
}

// pace takes a token when there is one, else it says when there will be.
func (p *peer) pace(now time.Time) (at time.Time, ok bool) {
	rate := float64(p.limits.RateMax)
	if rate <= 0 {
		return now, true
	}
	if p.refill.IsZero() {
		p.tokens = 1
	} else {
		p.tokens = min(p.tokens+now.Sub(p.refill).Seconds()*rate, max(1, rate/burstPart))
	}
	p.refill = now
	if p.tokens < 1 {
		return now.Add(time.Duration((1 - p.tokens) / rate * float64(time.Second))).Add(time.Microsecond), false
	}
	p.tokens--
	return now, true
}

// inFlightDefault is what the receive buffer of an untuned Linux socket, 208 KB, holds of
// requests of this size. More at once are lost, and cost a retransmission's two seconds.
const inFlightDefault = 128

// burstPart: a pause lets at most a tenth of a second's changes leave at once.
const burstPart = 10

// queue is the changes of one NAS that wait to leave, first in first out. A track that
// was taken out or moved leaves its place behind; the ticket tells.
type queue struct {
	places []place
	head   int
	live   int // places that are not left behind
}

type place struct {
	track  *track
	ticket uint64
}

func (q *queue) push(t *track) {
	t.ticket++
	t.queued = true
	q.places = append(q.places, place{t, t.ticket})
	q.live++
}

// remove takes t out, wherever it stands.
func (q *queue) remove(t *track) {
	t.ticket++
	t.queued = false
	q.live--
}

// pop takes the first one out; nil when nothing waits.
func (q *queue) pop() *track {
	for q.head < len(q.places) {
		at := q.places[q.head]
		q.places[q.head] = place{}
		q.head++
		if q.head == len(q.places) {
			q.places, q.head = q.places[:0], 0
		}
		if at.track.queued && at.ticket == at.track.ticket {
			at.track.queued = false
			q.live--
			return at.track
		}
	}
	return nil
}
