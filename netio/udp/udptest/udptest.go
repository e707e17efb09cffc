// Package udptest is a udp.Server without a network: a test feeds datagrams to a
// handler and gets the replies, those at once from Feed, late ones from Late.
//
//	server := udptest.New(handler, udp.Listener{Role: auth})
//	replies := server.Feed(0, udptest.Packet{From: nas, Data: request})
//	late := server.AwaitLate(t, 1)
package udptest

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"sallyport/netio/udp"
)

// awaitMax bounds AwaitLate: longer than any healthy engine takes on a busy machine.
const awaitMax = 10 * time.Second

// DefaultTo is our address in packets that name none.
var DefaultTo = netip.MustParseAddrPort("192.0.2.1:1812")

// Packet is a datagram to feed.
type Packet struct {
	From netip.AddrPort
	To   netip.AddrPort // DefaultTo when zero
	Data []byte
}

// Reply is what the handler sent, at once or late.
type Reply struct {
	From, To netip.AddrPort // our address, and the sender of the request
	Data     []byte
}

// Server calls a handler as a loop of udp.Server does. Its methods may be called from
// any goroutine; batches are served one at a time, as loop 0.
type Server struct {
	handler   udp.Handler
	listeners []udp.Listener
	out       *udp.Outbox
	arrived   chan struct{} // something is in out

	mu   sync.Mutex
	late []Reply
}

// New makes a server of handler with the given listeners, whose addresses play no part.
func New(handler udp.Handler, listeners ...udp.Listener) *Server {
	s := &Server{handler: handler, listeners: listeners, arrived: make(chan struct{}, 1)}
	s.out = udp.NewOutbox(udp.LateQueueDefault, func() {
		select {
		case s.arrived <- struct{}{}:
		default:
		}
	})
	return s
}

// Feed serves packets that arrived at the given listener, in batches as a loop would
// make them, and returns what was answered at once, in order.
func (s *Server) Feed(listener int, packets ...Packet) (replies []Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(packets) > 0 {
		n := min(len(packets), udp.BatchMax)
		batch := make([]udp.Datagram, n)
		for i, p := range packets[:n] {
			if !p.To.IsValid() {
				p.To = DefaultTo
			}
			batch[i] = udp.NewDatagram(s.out, s.listeners[listener], listener, p.From, p.To, append([]byte(nil), p.Data...))
		}
		s.handler.ServeBatch(0, batch)
		for i := range batch {
			if d := &batch[i]; len(d.Reply) > 0 {
				replies = append(replies, Reply{From: d.To, To: d.From, Data: append([]byte(nil), d.Reply...)})
			}
			clear(batch[i].Data) // lent for the call only
		}
		packets = packets[n:]
	}
	return replies
}

// Late returns the late replies so far and forgets them.
func (s *Server) Late() []Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain()
	late := s.late
	s.late = nil
	return late
}

// AwaitLate waits until n late replies have come, returns all that came and forgets
// them. The test fails when that takes more than ten seconds.
func (s *Server) AwaitLate(t testing.TB, n int) []Reply {
	t.Helper()
	deadline := time.NewTimer(awaitMax)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		s.drain()
		if len(s.late) >= n {
			late := s.late
			s.late = nil
			s.mu.Unlock()
			return late
		}
		have := len(s.late)
		s.mu.Unlock()
		select {
		case <-s.arrived:
		case <-deadline.C:
			t.Fatalf("%d late replies after %v, want %d", have, awaitMax, n)
		}
	}
}

func (s *Server) drain() {
	s.out.Drain(func(to udp.Late, reply []byte) {
		s.late = append(s.late, Reply{From: to.To(), To: to.From(), Data: append([]byte(nil), reply...)})
	})
}

// Close makes later Sends return false.
func (s *Server) Close() { s.out.Close() }
