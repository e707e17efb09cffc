package bench

import (
	"bytes"
	"math/rand/v2"
	"time"
)

// scanEvery is how often timeouts are looked for. Retransmission waits two seconds, so a
// few milliseconds change nothing, and a scan of all slots costs some 20 us.
const scanEvery = int64(5 * time.Millisecond)

// stepMax bounds the requests issued before the sockets are looked at again.
const stepMax = 64

// load decides which request goes when and what a datagram means. It does no I/O: time
// comes in as nanoseconds of some clock, what is to be sent lies in the ports' pending.
type load struct {
	// set once
	scenario *Scenario
	verifier *verifier
	maker    *maker
	rng      *rand.Rand
	ports    []*port
	spoiled  *port // garbage leaves from here, so that it takes nobody's identifiers; or nil

	numbers []uint64 // of the next request of each NAS; they go on from phase to phase

	// of the phase at hand
	begun, end int64   // of sending
	left       int     // requests still to be issued
	rate       float64 // a second; 0: closed loop
	window     int     // at each port
	issued     uint64
	turn       int // port that is asked first
	only       int // the one NAS that sends, -1: all
	nextScan   int64
	open       int  // requests outstanding
	more       bool // step stopped early: call it again once pending is written
	tally      *tally
}

func newLoad(s *Scenario, v *verifier, seed uint64) *load {
	l := &load{
		scenario: s, verifier: v, maker: newMaker(s, v.key),
		rng:     rand.New(rand.NewPCG(seed, 0)),
		numbers: make([]uint64, s.NASes), only: -1, tally: newTally(0, 0),
	}
	for i := range s.Ports {
		l.ports = append(l.ports, newPort(i%s.NASes, byte(l.rng.Uint32())))
	}
	if s.Garbage > 0 {
		l.spoiled = newPort(0, 0)
		l.ports = append(l.ports, l.spoiled)
	}
	return l
}

// begin starts a phase: so many requests at most, for so long, at so many a second or,
// with rate 0, as fast as the window allows.
func (l *load) begin(now int64, count int, length time.Duration, rate float64, window int) {
	if count == 0 {
		count = countMax
	}
	l.begun, l.end, l.left, l.rate, l.window = now, now+int64(length), count, rate, window
	l.issued, l.nextScan = 0, now+scanEvery
	l.tally = newTally(l.begun, l.end)
	for _, p := range l.ports {
		p.most = 0
	}
}

// step issues what is due, and sends again or gives up what waited too long.
func (l *load) step(now int64) error {
	if now >= l.nextScan {
		l.nextScan = now + scanEvery
		l.scan(now)
	}
	if now >= l.end && l.rate == 0 {
		l.close()
		return nil
	}
	l.more = false
	for n := 0; l.left > 0; n++ {
		if n == stepMax || (l.spoiled != nil && len(l.spoiled.pending) > identifiers-l.scenario.Garbage) {
			l.more = true
			return nil
		}
		due := now
		if l.rate > 0 {
			if due = l.dueAt(l.issued); due >= l.end {
				break
			}
			if due > now {
				return nil
			}
		}
		at := l.room()
		if at < 0 {
			break
		}
		if err := l.issue(now, due, at); err != nil {
			return err
		}
	}
	if now >= l.end {
		l.close()
	}
	return nil
}

// dueAt is when request n of the phase is to be sent, whatever became of the others.
func (l *load) dueAt(n uint64) int64 {
	return l.begun + int64(float64(n)*float64(time.Second)/l.rate)
}

// room is a port that may have one more outstanding, -1 when none may. Ports take turns.
func (l *load) room() int {
	for range l.ports {
		at := l.turn
		if l.turn++; l.turn == len(l.ports) {
			l.turn = 0
		}
		p := l.ports[at]
		if p.outstanding < l.window && p != l.spoiled && (l.only < 0 || p.nas == l.only) {
			return at
		}
	}
	return -1
}

func (l *load) issue(now, due int64, at int) error {
	p := l.ports[at]
	identifier, s, ok := p.begin()
	if !ok {
		return nil // the window is never above the identifiers
	}
	request, err := l.make(p, s, identifier)
	if err != nil {
		return err
	}
	s.octets = len(request)
	copy(s.authenticator[:], request[4:])
	s.status, s.tries, s.again, s.due, s.first = slotFirst, 1, l.scenario.Again, due, now
	l.arm(now, s, 0)
	l.numbers[p.nas]++
	l.issued++
	l.left--
	l.open++
	l.tally.issue(due)
	l.transmit(p, identifier)
	if l.spoiled != nil {
		l.spoil(request)
	}
	return nil
}

// make writes the next request of a port into a slot. Where the scenario lets requests
// be sent again, those that an identifier had before come round: making one costs the
// generator as much as sending it. Others with the same identifier have gone out in
// between, so to a server it is a new request each time.
func (l *load) make(p *port, s *slot, identifier byte) ([]byte, error) {
	turn := int(p.uses[identifier])
	if l.scenario.Made > 0 {
		if p.uses[identifier]++; int(p.uses[identifier]) == l.scenario.Made {
			p.uses[identifier] = 0
		}
		if made := p.made[identifier]; turn < len(made) {
			return append(s.request[:0], made[turn]...), nil
		}
	}
	request, err := l.maker.request(s.request[:0], p.nas, l.numbers[p.nas], identifier)
	if err == nil && l.scenario.Made > 0 {
		p.made[identifier] = append(p.made[identifier], bytes.Clone(request))
	}
	return request, err
}

// spoil puts malformed copies of a request on their way. The slots of their port are
// only buffers: nothing there is outstanding.
func (l *load) spoil(request []byte) {
	for range l.scenario.Garbage {
		i := byte(l.tally.Garbage)
		s := &l.spoiled.slots[i]
		s.octets = len(garbage(s.request[:0], request, l.tally.Garbage))
		l.spoiled.pending = append(l.spoiled.pending, i)
		l.tally.Garbage++
	}
}

// transmit puts a slot's request on its way, as often as the network doubles it.
func (l *load) transmit(p *port, identifier byte) {
	for range l.scenario.Copies {
		p.pending = append(p.pending, identifier)
		l.tally.Datagrams++
	}
}

// arm sets when a slot is looked at again. before is the wait before, 0 for the first
// (RFC 5080 section 2.2.1).
func (l *load) arm(now int64, s *slot, before int64) {
	r := &l.scenario.Retransmit
	if r.Off {
		s.timeout = now + int64(r.GiveUp)
		return
	}
	random := l.rng.Float64()*0.2 - 0.1
	wait := float64(r.Initial) * (1 + random)
	if before > 0 {
		wait = float64(before) * (2 + random)
	}
	if wait > float64(r.Longest) {
		wait = float64(r.Longest) * (1 + random)
	}
	s.wait = int64(wait)
	s.timeout = min(now+s.wait, s.first+int64(r.GiveUp))
}

func (l *load) scan(now int64) {
	for _, p := range l.ports {
		if p.outstanding == 0 {
			continue
		}
		for i := range p.slots {
			s := &p.slots[i]
			if s.status == slotFree || s.timeout > now {
				continue
			}
			l.timeout(now, p, byte(i), s)
		}
	}
}

// timeout sends again, or gives up: RFC 5080's MRC counts transmissions, its MRD time.
func (l *load) timeout(now int64, p *port, identifier byte, s *slot) {
	r := &l.scenario.Retransmit
	if r.Off || (r.Count > 0 && s.tries >= r.Count) || now-s.first >= int64(r.GiveUp) {
		if s.status == slotRepeated {
			l.tally.Unrepeated++
		} else {
			l.tally.GivenUp++
		}
		l.settle(p, identifier, true)
		return
	}
	s.tries++
	l.tally.Retransmitted++
	l.arm(now, s, s.wait)
	l.transmit(p, identifier)
}

func (l *load) settle(p *port, identifier byte, gaveUp bool) {
	p.end(identifier, gaveUp)
	l.open--
}

// close ends the issuing. What was due and found no identifier is counted: the server
// made it wait for longer than the run.
func (l *load) close() {
	if l.rate > 0 {
		for l.left > 0 && l.dueAt(l.issued) < l.end {
			l.tally.unsent(l.dueAt(l.issued))
			l.issued++
			l.left--
		}
	}
	l.left, l.more = 0, false
}

// done says that nothing is outstanding and nothing will be issued.
func (l *load) done() bool { return l.left == 0 && l.open == 0 }

// wake is when step has something to do at the latest, if nothing arrives.
func (l *load) wake(now int64) int64 {
	at := min(l.nextScan, max(l.end, now))
	switch {
	case l.more:
		return now
	case l.left == 0:
		return l.nextScan
	}
	if l.rate > 0 {
		if due := l.dueAt(l.issued); due > now && due < l.end {
			at = min(at, due)
		}
	}
	return at
}
