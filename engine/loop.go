package engine

import (
	"time"

	"sallyport/coa/recipe"
	"sallyport/engine/policy"
	"sallyport/engine/step"
	"sallyport/netio/dup"
	"sallyport/netio/radius"
	"sallyport/netio/udp"
)

// loop is what one loop of the reactor keeps from batch to batch. A batch goes through
// in passes, each over all of its packets, so that the hashing, which is most of the
// work, runs for many packets side by side:
//
//	admit   gate, NAS by source address, decode
//	check   Message-Authenticators and passwords, side by side
//	serve   each by itself: duplicates, authentication, what changes nothing
//	seal    the answers that were found here, side by side
//
// What changes a session, or takes long, has left for the core or the pool by then and
// is answered late.
type loop struct {
	e     *Engine
	dups  *dup.Cache
	sums  radius.Batch
	work  [udp.BatchMax]passage
	count int
	fair  fairness
	frame frame      // of the packet at hand
	spare []*request // used last comes first: it is in the processor's cache
}

// passage is one datagram on its way through the passes.
type passage struct {
	d    *udp.Datagram
	q    *request
	fate fate

	version uint64 // of the session's record, when again
}

// spareMax is how many requests a loop keeps for itself; the others go back to all.
const spareMax = 2 * udp.BatchMax

// fate is what a pass leaves of a request.
type fate uint8

const (
	ended     fate = iota // answered or dropped: nothing is left to do
	handed                // the core or the pool has it
	answering             // its answer waits in q.builder for the seal
	again                 // the same: a login that changes nothing
)

// RoleAuthentication and RoleAccounting are the roles of listening sockets.
const (
	RoleAuthentication = iota
	RoleAccounting
)

// ServeBatch answers a batch of datagrams (udp.Handler).
func (e *Engine) ServeBatch(number int, batch []udp.Datagram) {
	l := e.loops[number%len(e.loops)]
	now := e.clock.Now()
	l.admit(now, batch)
	l.sums.Run()
	pushes := e.pushes.Load()
	for i := range l.work[:l.count] {
		w := &l.work[i]
		if why := l.sums.Why(w.q.check); why != radius.Sound {
			w.q.counters.drop(now, dropReason(why))
			w.fate = ended
		} else if w.d.Role == RoleAccounting {
			w.fate = e.accounting(now, l, w)
		} else {
			w.fate = e.access(now, l, w)
		}
	}
	l.answer(now, pushes)
}

// admit lets in what comes from a NAS we know and looks like a request. Anything else
// is dropped and counted.
func (l *loop) admit(now time.Time, batch []udp.Datagram) {
	e, snap := l.e, l.e.snapshot()
	l.sums.Reset()
	l.fair.begin(now, len(batch))
	l.count = 0
	for i := range batch {
		d := &batch[i]
		nas := snap.NAS(d.From.Addr())
		if nas == nil {
			e.counters.none.drop(now, dropUnknownNAS)
			e.strangers.saw(now, d.From.Addr())
			continue
		}
		counters := snap.counters[nas]
		if why := l.gate(d, counters); why != 0 {
			counters.drop(now, why)
			continue
		}
		q := l.newRequest(snap, nas, counters, now, d)
		if why := q.view.Decode(q.buf); why != radius.Sound {
			counters.drop(now, dropReason(why))
			l.release(q)
			continue
		}
		q.queueChecks(&l.sums)
		w := &l.work[l.count]
		w.d, w.q = d, q
		l.count++
	}
}

// gate looks at what the first octets tell, before any memory or hash is spent.
func (l *loop) gate(d *udp.Datagram, n *nasCounters) dropReason {
	if !l.fair.admit(n.index) {
		return dropNASShare
	}
	if d.Truncated {
		return dropOversize
	}
	role := radius.AuthServer
	if d.Role == RoleAccounting {
		role = radius.AcctServer
	}
	if _, why := radius.Gate(d.Data, role); why != radius.Sound {
		return dropReason(why)
	}
	if l.e.core.crowded(n) {
		return dropNASShare
	}
	return 0
}

// queueChecks has the packet's authenticity checked, and its password revealed.
func (q *request) queueChecks(sums *radius.Batch) {
	q.check, q.reveal = sums.Verify(q.nas.Key, &q.view), -1
	if hidden, ok := q.view.Get(radius.UserPassword); ok && q.view.Code() == radius.AccessRequest {
		q.reveal = sums.Reveal(q.nas.Key, hidden, q.view.Authenticator())
	}
}

// repeat answers a login that changes nothing, which most are where NASes ask again
// from time to time: the record is read and judged as the core would, and when nothing
// comes of it the core need not hear of it. Any doubt is the core's.
func (l *loop) repeat(now time.Time, w *passage) bool {
	ev := &w.q.login
	if ev.in.ID == "" || ev.in.Method == methodAuthorizeOnly {
		return false
	}
	old := l.e.table.Load(ev.in.ID, &l.frame.scratch)
	if old == nil || !old.Live() || old.Change != nil || old.NAS != ev.in.NAS {
		return false
	}
	next, decision := step.LoginInto(&l.frame.next, now, old, &ev.in, &w.q.snap.Rules)
	if next != old {
		return false
	}
	if l.e.acceptReply(w.q, next, decision.Profile) != nil {
		return false
	}
	ev.next, ev.decision, ev.number = next, decision, l.e.decision()
	w.version = next.Version
	w.q.keepRow(ev.row(l.e, now, nil))
	l.e.beside.Load().login(now, ev)
	l.e.showed(next, recipe.SignAccess)
	return true
}

// answer seals the answers of a batch and hands them to the reactor.
//
// A push may have been decided since the records were read, and the answer to a login
// that was judged before must not reach the NAS after it: then the core judges again.
func (l *loop) answer(now time.Time, pushes uint64) {
	e := l.e
	overtaken := e.pushes.Load() != pushes
	l.sums.Reset()
	for i := range l.work[:l.count] {
		w := &l.work[i]
		if w.fate == again && overtaken && !l.unchanged(w) {
			w.fate = e.toCore(now, w.q, &w.q.login)
		}
		if w.fate >= answering {
			w.seal(now, &l.sums)
		}
	}
	l.sums.Run()
	finished := e.clock.Now()
	for i := range l.work[:l.count] {
		w := &l.work[i]
		if w.fate >= answering {
			l.answered(finished, w)
		}
		if w.fate != handed {
			l.release(w.q)
		}
		w.q, w.d = nil, nil
	}
}

// unchanged says whether the session of a login is still what it was judged by.
func (l *loop) unchanged(w *passage) bool {
	s := l.e.table.Load(w.q.login.in.ID, &l.frame.scratch)
	return s != nil && s.Version == w.version && s.Change == nil
}

func (w *passage) seal(now time.Time, sums *radius.Batch) {
	var err error
	if w.q.sealed, err = sums.Seal(w.q.nas.Key, &w.q.builder, w.q.view.Authenticator()); err != nil {
		w.q.drop(now, dropReply)
		w.fate = ended
	}
}

func (l *loop) answered(now time.Time, w *passage) {
	q := w.q
	w.d.Reply = q.sealed
	if w.fate == again {
		q.counters.accepts.Add(1)
		l.e.answers.note(now, q.login.in.ID)
		l.e.livelog.AddRow(q.kept)
		l.e.latency.access.observe(now.Sub(q.received))
	}
	q.token.Complete(now, q.sealed)
}

// newRequest is a request for d, one that was used before when there is one.
func (l *loop) newRequest(snap snapshot, nas *policy.NAS, n *nasCounters, now time.Time, d *udp.Datagram) *request {
	var q *request
	if last := len(l.spare) - 1; last >= 0 {
		q, l.spare = l.spare[last], l.spare[:last]
	} else if q, _ = l.e.spare.take(); q == nil {
		q = &request{
			buf: make([]byte, 0, requestRoom), text: make([]byte, 0, requestRoom),
			reply: make([]byte, 0, requestRoom), kept: make([]byte, 0, requestRoom), url: make([]byte, 0, requestRoom/2),
		}
	}
	q.snap, q.nas, q.counters, q.received, q.late = snap, nas, n, now, d.Late()
	q.buf, q.text, q.token = append(q.buf[:0], d.Data...), q.text[:0], dup.Token{}
	return q
}

// release gives a request back. Nothing of it may be used afterwards.
func (l *loop) release(q *request) {
	if len(l.spare) == spareMax {
		l.e.release(q)
		return
	}
	q.snap, q.nas = nil, nil
	l.spare = append(l.spare, q)
}
