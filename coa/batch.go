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
	urgent  queue
	bulk    queue     // leaves when nothing urgent waits
	due     time.Time // the batch leaves then; zero: nothing waits
	windows []*window // of a source in the order of its sockets, made when the ones before are full
	flying  int       // requests in flight
	tokens  float64   // first transmissions that may leave now, by rate
	refill  time.Time // of tokens
	grip    float64   // requests in flight that the NAS can bear, as far as it has shown
	eased   time.Time // when grip was last reduced
	silent  int       // requests without an answer since the last answer
	dirty   bool      // to be pumped at the end of this step
	acls    map[string]*fetched
	awaited int // tracks that expect something of it
}

func (p *peer) queued() int { return p.urgent.live + p.bulk.live }

func (p *peer) push(now time.Time, t *track, bulk bool) {
	t.queued, t.bulk = true, bulk
	p.queueOf(t).push(now, t)
}

// remove takes t out, wherever it stands.
func (p *peer) remove(t *track) { p.queueOf(t).remove(t) }

// pop takes the next one out; nil when nothing waits.
func (p *peer) pop() *track {
	if p.urgent.live > 0 {
		return p.urgent.pop()
	}
	return p.bulk.pop()
}

func (p *peer) queueOf(t *track) *queue {
	if t.bulk {
		return &p.bulk
	}
	return &p.urgent
}

// room is a window with a free identifier on one of the sockets from first, nil when all
// are full or the NAS has as many requests as it can bear.
func (p *peer) room(first, sockets int) *window {
	if p.flying >= p.bears() {
		return nil
	}
	next := first
	for _, w := range p.windows {
		switch {
		case w.socket < first || w.socket >= first+sockets:
			continue // of the source that was configured before
		case w.used < windowMax:
			return w
		}
		next++
	}
	if next == first+sockets {
		return nil
	}
	w := &window{socket: next}
	p.windows = append(p.windows, w)
	return w
}

// window is that of a socket; nil when nothing was sent from there.
func (p *peer) window(socket int) *window {
	for _, w := range p.windows {
		if w.socket == socket {
			return w
		}
	}
	return nil
}

// bears is how many requests may be in flight: the configured limit, less after the NAS
// said that it is out of resources, one when it says nothing at all.
func (p *peer) bears() int {
	if p.dead() {
		return 1
	}
	return min(p.limits.inFlightMax(), int(p.grip))
}

// Limits of what a NAS is trusted with.
const (
	deadAfter  = 3                // requests in a row that ended in silence
	gripAgain  = 8                // in flight for a NAS that is back, more with each answer
	gripLeast  = 1                // in flight for one that is always out of resources
	easeEvery  = time.Second      // one shortage of resources is told by many answers
	unheardMax = 30 * time.Second // how long changes wait for a dead NAS
	expireStep = 256              // changes given up in one step
)

// dead says that the NAS answers nothing. One request at a time finds out whether it is
// back.
func (p *peer) dead() bool { return p.silent >= deadAfter }

// heard learns from the end of a request what the NAS bears.
func (p *peer) heard(now time.Time, o Outcome, cause uint32) {
	switch o {
	case Silent:
		p.silent++
		return
	case Cancelled: // it was not given all its time
		return
	}
	back := p.dead()
	p.silent = 0
	switch limit := float64(p.limits.inFlightMax()); {
	case back:
		p.grip = min(gripAgain, limit)
	case o == NAK && cause == causeResources:
		if now.Sub(p.eased) >= easeEvery {
			p.eased, p.grip = now, max(gripLeast, p.grip/2)
		}
	default:
		p.grip = min(limit, p.grip+1)
	}
}

// expire gives up some of the changes that waited too long for a dead NAS. They come
// back from the journal, not from here.
func (m *machine) expire(now time.Time, p *peer) {
	for _, q := range [...]*queue{&p.urgent, &p.bulk} {
		for range expireStep {
			at, ok := q.oldest()
			if !ok || now.Sub(at) < unheardMax {
				break
			}
			t := q.pop()
			e := t.next
			t.next = nil
			m.settleWaiting(now, e, Silent)
			m.promote(now, t)
			m.rest(now, t)
		}
	}
}

// watch sets p's timer to when the first change that waits for a dead NAS is given up.
// A live one needs none.
func (m *machine) watch(p *peer) {
	m.timers.stop(&p.timer)
	if !p.dead() {
		return
	}
	at, ok := p.urgent.oldest()
	if bulk, too := p.bulk.oldest(); too && (!ok || bulk.Before(at)) {
		at, ok = bulk, true
	}
	if ok {
		m.timers.set(&p.timer, at.Add(unheardMax))
	}
}

// pace takes a token when there is one, else it says when there will be.
func (p *peer) pace(now time.Time) (at time.Time, ok bool) {
	rate := float64(p.limits.rateMax())
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
	at     time.Time
}

func (q *queue) push(now time.Time, t *track) {
	t.ticket++
	if len(q.places) == cap(q.places) && len(q.places) > 2*q.live {
		q.tidy()
	}
	q.places = append(q.places, place{t, t.ticket, now})
	q.live++
}

// tidy drops the places left behind.
func (q *queue) tidy() {
	kept := q.places[:0]
	for _, at := range q.places[q.head:] {
		if at.track.queued && at.ticket == at.track.ticket {
			kept = append(kept, at)
		}
	}
	clear(q.places[len(kept):])
	q.places, q.head = kept, 0
}

func (q *queue) remove(t *track) {
	t.ticket++
	t.queued = false
	q.live--
}

// oldest is since when the first one waits; false when nothing does.
func (q *queue) oldest() (time.Time, bool) {
	for ; q.head < len(q.places); q.head++ {
		if at := &q.places[q.head]; at.track.queued && at.ticket == at.track.ticket {
			return at.at, true
		}
		q.places[q.head] = place{}
	}
	q.places, q.head = q.places[:0], 0
	return time.Time{}, false
}

func (q *queue) pop() *track {
	if _, ok := q.oldest(); !ok {
		return nil
	}
	t := q.places[q.head].track
	q.places[q.head] = place{}
	q.head++
	t.queued = false
	q.live--
	return t
}
