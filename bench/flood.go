package bench

import (
	"fmt"
	"math"
	"time"

	"sallyport/netio/radius"
)

// Limits of a flood.
const (
	floodPorts     = 1024
	floodBurst     = 64 // datagrams of one call; the kernel takes UDP_MAX_SEGMENTS, 64, at least
	floodOctetsMax = 1 << 30
)

// flood is requests that were made beforehand and go out at a constant rate, whatever
// becomes of them: none is waited for and none is sent again, unless the flood goes round.
// Making a request costs more than sending it, so only this way one core offers many
// times what another can answer. It does no I/O.
type flood struct {
	verifier *verifier
	size     int // octets of each request
	ports    []floodPort
	round    bool // begin again when all were sent: a storm of retransmissions

	begun, end int64
	rate       float64
	sent       uint64
	turn       int
	reached    int64 // the last moment a burst went out

	answered, again, wrong, refused uint64 // requests, further replies to them, replies to none, calls
	replies                         series
}

// floodPort has the requests of one source port, in the order of identifiers 0 to 255,
// over and over.
type floodPort struct {
	nas      int
	requests []byte
	answered []bool // by request
	sent     int
}

// newFlood makes so many requests, rounded up to whole rounds of identifiers, for ports
// that the scenario's NASes share. A stranger is a NAS more, with sessions of its own; its
// flood goes round.
func newFlood(s *Scenario, v *verifier, ports, count int, stranger bool) (*flood, error) {
	f := &flood{verifier: v, round: stranger}
	m := newMaker(s, v.key)
	if stranger {
		m.base, m.nases, m.sessions = uint64(s.Sessions), 1, uint64(count)
	}
	first, err := m.request(nil, 0, 0, 0)
	if err != nil {
		return nil, err
	}
	f.size = len(first)
	each := (count/ports + identifiers - 1) / identifiers * identifiers
	if octets := f.size * each * ports; octets > floodOctetsMax {
		return nil, fmt.Errorf("a flood of %d requests takes %d MB, and may take %d", each*ports, octets>>20, floodOctetsMax>>20)
	}
	numbers := make([]uint64, s.NASes)
	for i := range ports {
		p := floodPort{nas: i % s.NASes, requests: make([]byte, f.size*each), answered: make([]bool, each)}
		number, begins := &numbers[p.nas], p.nas
		if stranger {
			p.nas, begins, number = s.NASes, 0, &numbers[0]
		}
		for n := range each {
			at := n * f.size
			request, err := m.request(p.requests[at:at:at+f.size], begins, *number, byte(n))
			if err != nil {
				return nil, err
			}
			if len(request) != f.size {
				return nil, fmt.Errorf("the requests of a flood have one length, and not %d and %d octets", f.size, len(request))
			}
			*number++
		}
		f.ports = append(f.ports, p)
	}
	return f, nil
}

// start sets the flood going for a time.
func (f *flood) start(begun, end int64, rate float64) {
	f.begun, f.end, f.rate = begun, end, rate
	f.replies = newSeries(begun, end)
}

// next is the burst that is to be sent now, and from which port; nil when none is due.
func (f *flood) next(now int64) (at int, octets []byte) {
	if now < f.begun || now >= f.end || now < f.wake() {
		return 0, nil
	}
	at = f.turn
	f.turn = (f.turn + 1) % len(f.ports)
	p := &f.ports[at]
	all := len(p.answered)
	if p.sent >= all && !f.round {
		f.rate = 0 // every request was sent
		return 0, nil
	}
	from := p.sent % all
	p.sent += floodBurst
	f.sent += floodBurst
	f.reached = now
	return at, p.requests[from*f.size : (from+floodBurst)*f.size]
}

// wake is when the next burst is due.
func (f *flood) wake() int64 {
	if f.rate <= 0 {
		return math.MaxInt64
	}
	due := f.begun + int64(float64(f.sent)*float64(time.Second)/f.rate)
	if due >= f.end {
		return math.MaxInt64
	}
	return due
}

// receive takes a datagram that came to a port. It is the answer to the request that was
// sent with its identifier last, or to the one before, or to none.
func (f *flood) receive(now int64, at int, data []byte) {
	p := &f.ports[at]
	var v radius.View
	if v.Decode(data) != radius.Sound || p.sent == 0 {
		f.wrong++
		return
	}
	last := p.sent - 1
	n := last - (last-int(v.Identifier()))&(identifiers-1)
	for range 2 {
		if n < 0 {
			break
		}
		i := n % len(p.answered)
		if f.verifier.sound(&v, data, (*radius.Authenticator)(p.requests[i*f.size+4:]), f.answered) {
			f.count(now, &p.answered[i])
			return
		}
		n -= identifiers
	}
	f.wrong++
}

func (f *flood) count(now int64, answered *bool) {
	if *answered {
		f.again++
		return
	}
	*answered = true
	f.answered++
	f.replies.at(now).Replies++
}

// Flooded is what became of a flood.
type Flooded struct {
	Offered  float64 `json:"offered"` // requests a second that the generator reached
	Sent     uint64  `json:"sent"`
	Answered uint64  `json:"answered"` // each request once
	Again    uint64  `json:"again"`    // further replies
	Wrong    uint64  `json:"wrong"`    // replies to none of the last two requests of an identifier
	Refused  uint64  `json:"refused"`  // bursts that the system did not take
	Series   Series  `json:"series"`   // replies only
}

func (f *Flooded) sent() uint64 {
	if f == nil {
		return 0
	}
	return f.Sent
}

func (f *Flooded) answered() uint64 {
	if f == nil {
		return 0
	}
	return f.Answered
}

func (f *flood) flooded() *Flooded {
	return &Flooded{Offered: math.Round(f.offered()), Sent: f.sent, Answered: f.answered, Again: f.again, Wrong: f.wrong, Refused: f.refused, Series: f.replies.whole()}
}

// offered is what the flood reached, in requests a second.
func (f *flood) offered() float64 {
	if f.reached <= f.begun {
		return 0
	}
	return float64(f.sent) / time.Duration(f.reached-f.begun).Seconds()
}
