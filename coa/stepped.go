package coa

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"sallyport/ops/assert"
	"sallyport/sessions"
)

// Stepped is an Engine without goroutines, sockets or a clock: whoever drives it tells the
// time and carries the datagrams. Simulations run changes through it, so that batches,
// windows, retransmissions, fallbacks and outcomes are the very ones of production. With
// the same Config.Seed and the same calls it does the same again.
type Stepped struct {
	machine    *machine
	config     Config
	inbox      []Change
	notes      []note
	pending    int
	pendingMax int
	closed     bool
}

// Datagram is a request on its way to a NAS. Packet is borrowed.
type Datagram struct {
	From   netip.AddrPort // the socket it leaves from; see Stepped.Receive
	To     netip.AddrPort
	Packet []byte
}

// steppedPort is the port of the first socket that a Stepped pretends to have.
const steppedPort = 40000

// NewStepped makes one. Of c the sockets, the source address and the clock count only for
// what datagrams are said to leave from.
func NewStepped(c Config) (*Stepped, error) {
	if c.Settled == nil {
		return nil, errors.New("coa: no function for settlements")
	}
	c = c.withDefaults()
	if _, err := c.sockets(); err != nil {
		return nil, err
	}
	s := &Stepped{config: c, pendingMax: c.PendingMax}
	s.machine = newMachine(settings{sockets: c.Sockets, sources: c.allSources(), batchWait: max(0, c.BatchWait), batchMax: c.BatchMax, retry: c.Retry,
		staleWindow: staleDefault, linger: lingerDefault, confirms: c.Confirmation != nil}, c.Seed, s.local, c.Event != nil)
	return s, nil
}

func (s *Stepped) local(socket int) netip.AddrPort {
	source := s.config.Source
	if i := socket / s.config.Sockets; i > 0 {
		source = s.config.Sources[i-1]
	}
	return netip.AddrPortFrom(source, steppedPort+uint16(socket))
}

// Submit is Engine.Submit. The change waits for the next Step.
func (s *Stepped) Submit(c Change) error {
	if err := c.validate(); err != nil {
		return err
	}
	switch {
	case s.closed:
		return ErrClosed
	case s.pending >= s.pendingMax:
		return fmt.Errorf("%w: %d", ErrFull, s.pending)
	}
	s.pending++
	s.inbox = append(s.inbox, c)
	return nil
}

// Cancel is Engine.Cancel.
func (s *Stepped) Cancel(id sessions.ID, serial uint64) {
	s.notes = append(s.notes, note{session: id, serial: serial, cancel: true})
}

// Confirmed is Engine.Confirmed.
func (s *Stepped) Confirmed(c Confirmed) { s.notes = append(s.notes, note{confirmed: c}) }

// Stats is the counters.
func (s *Stepped) Stats() Stats {
	stats := s.machine.stats
	stats.Pending = uint64(s.pending)
	return stats
}

// Close takes no more changes. What is under way is given up without a settlement, as by
// the end of the process.
func (s *Stepped) Close(context.Context) error {
	s.closed = true
	return nil
}

// Receive takes a datagram that came from a NAS to an address that a Datagram had left
// from. Settlements come with the next Step.
func (s *Stepped) Receive(now time.Time, from, to netip.AddrPort, pkt []byte) {
	assert.That(!s.closed, "a closed engine has no sockets")
	if socket := int(to.Port()) - steppedPort; socket >= 0 && socket < s.config.Sockets {
		s.machine.receive(now, socket, from, pkt)
	}
}

// Step does what is due: takes changes, sends, retransmits, settles. The changes that were
// submitted since the last Step count as if they had come in the order of their sessions.
// It says when it is to be called again at the latest; false: nothing is set.
func (s *Stepped) Step(now time.Time, send func(Datagram)) (next time.Time, ok bool) {
	m := s.machine
	slices.SortStableFunc(s.inbox, func(a, b Change) int { return cmp.Compare(a.Session, b.Session) })
	for i := range s.inbox {
		m.submit(now, &s.inbox[i])
	}
	s.inbox = s.inbox[:0]
	for i := range s.notes {
		if one := &s.notes[i]; one.cancel {
			m.cancel(now, one.session, one.serial)
		} else {
			m.confirmed(now, &one.confirmed)
		}
	}
	s.notes = s.notes[:0]
	m.tick(now)
	for i := range m.sends {
		send(Datagram{From: s.local(m.sends[i].socket), To: m.sends[i].to, Packet: m.sends[i].pkt})
	}
	for i := range m.events {
		s.config.Event(&m.events[i])
	}
	s.pending -= len(m.settled)
	if len(m.settled) > 0 {
		s.config.Settled(m.settled)
	}
	if len(m.confirmations) > 0 {
		s.config.Confirmation(m.confirmations)
	}
	m.done()
	return m.next()
}
