package bench

import (
	"bytes"

	"sallyport/netio/radius"
)

// receive takes one datagram that arrived at a port.
func (l *load) receive(now int64, at int, data []byte) {
	l.tally.Received++
	l.tally.octets += uint64(len(data))
	if len(data) < radius.HeaderLen {
		l.tally.Malformed++
		return
	}
	p := l.ports[at]
	identifier := data[1]
	s := &p.slots[identifier]
	if l.scenario.echo {
		l.echoed(now, p, identifier, s, data)
		return
	}
	var v radius.View
	if v.Decode(data) != radius.Sound {
		l.tally.Malformed++
		return
	}
	if s.status != slotFree && l.verifier.sound(&v, data, &s.authenticator, l.tally.Received) {
		l.reply(now, p, identifier, s, &v)
		return
	}
	// Not of the request that has the identifier now: perhaps of the one before.
	switch {
	case s.hasBefore && l.verifier.key.VerifyResponse(&v, s.before) == radius.Sound:
		if s.gaveUp {
			l.tally.Late++
		} else {
			l.tally.Surplus++
		}
	case s.status == slotFree && !s.hasBefore:
		l.tally.Stray++
	default:
		l.tally.Wrong++
	}
}

// reply takes a reply that verified.
func (l *load) reply(now int64, p *port, identifier byte, s *slot, v *radius.View) {
	if !codeFits(l.scenario.Kind, v.Code()) {
		l.tally.Wrong++
		return
	}
	if s.status == slotRepeated {
		if v.Authenticator() != s.reply {
			// Verified, and not what was said before: the server processed a duplicate.
			l.tally.Differs++
		}
		l.tally.Repeated++
	} else {
		if v.Code() == radius.AccessReject {
			l.tally.Rejected++
		}
		l.tally.answer(now, s)
		s.status, s.reply = slotRepeated, v.Authenticator()
	}
	if s.again == 0 {
		l.settle(p, identifier, false)
		return
	}
	s.again--
	s.tries, s.first = 1, now
	l.arm(now, s, 0)
	l.transmit(p, identifier)
}

func (l *load) echoed(now int64, p *port, identifier byte, s *slot, data []byte) {
	n := min(len(data), s.octets) // an echo may be cut, or filled up
	if s.status == slotFree || !bytes.Equal(data[:n], s.request[:n]) {
		l.tally.Wrong++
		return
	}
	l.tally.answer(now, s)
	l.settle(p, identifier, false)
}

// codeFits says whether a code answers a kind of request.
func codeFits(kind string, code radius.Code) bool {
	if kind == KindAccounting {
		return code == radius.AccountingResponse
	}
	return code == radius.AccessAccept || code == radius.AccessReject || code == radius.AccessChallenge
}
