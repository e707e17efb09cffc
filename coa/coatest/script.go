package coatest

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
	"sallyport/ops/secret"
)

// T is the part of testing.T that a Script needs.
type T interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// Script is a NAS on a loopback socket that answers as it is told, one step for each
// datagram: script.Silent(2).NAK(503).ACK(). After the last step it acknowledges.
type Script struct {
	t     T
	key   *radius.Key
	conn  *net.UDPConn
	other *net.UDPConn // for answers from where nothing was sent to
	addr  netip.AddrPort

	mu      sync.Mutex // guards the following
	steps   []step
	heard   []Heard
	changed chan struct{} // closed and made anew with each datagram
	held    []answer
}

// Heard is a datagram that came to a Script.
type Heard struct {
	From    netip.AddrPort
	At      time.Time
	Genuine bool // decodes, and its authenticators fit the secret
	Packet  []byte
}

// Words is the datagram, attribute by attribute; "" when it is no packet.
func (h *Heard) Words() string {
	var v radius.View
	if v.Decode(h.Packet) != radius.Sound {
		return ""
	}
	return dictionary.Format(&v)
}

type answer struct {
	to  netip.AddrPort
	pkt []byte
}

// step makes the answers to a request.
type step func(s *Script, v *radius.View, from netip.AddrPort)

// heardWait is how long Await waits before it fails the test.
const heardWait = 10 * time.Second

// NewScript opens the NAS's sockets on 127.0.0.1; they close with the test.
func NewScript(t T, shared string) *Script {
	t.Helper()
	key, err := radius.NewKey(secret.New([]byte(shared)))
	if err != nil {
		t.Fatal(err)
	}
	s := &Script{t: t, key: key, changed: make(chan struct{})}
	for _, conn := range []**net.UDPConn{&s.conn, &s.other} {
		if *conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	s.addr = s.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s.addr = netip.AddrPortFrom(s.addr.Addr().Unmap(), s.addr.Port())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.serve()
	}()
	t.Cleanup(func() {
		s.conn.Close()
		s.other.Close()
		<-ended
	})
	return s
}

// Addr is where the NAS listens.
func (s *Script) Addr() netip.AddrPort { return s.addr }

// Key is the NAS's secret.
func (s *Script) Key() *radius.Key { return s.key }

func (s *Script) then(next step) *Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, next)
	return s
}

// ACK acknowledges the next request.
func (s *Script) ACK() *Script {
	return s.then(func(s *Script, v *radius.View, from netip.AddrPort) {
		s.send(s.conn, from, s.reply(v, true, 0, s.key))
	})
}

// NAK refuses the next request, without Error-Cause when cause is 0.
func (s *Script) NAK(cause uint32) *Script {
	return s.then(func(s *Script, v *radius.View, from netip.AddrPort) {
		s.send(s.conn, from, s.reply(v, false, cause, s.key))
	})
}

// Silent leaves the next n datagrams unanswered.
func (s *Script) Silent(n int) *Script {
	for range n {
		s.then(func(*Script, *radius.View, netip.AddrPort) {})
	}
	return s
}

// Late acknowledges the next request when Release is called.
func (s *Script) Late() *Script {
	return s.then(func(s *Script, v *radius.View, from netip.AddrPort) {
		reply := s.reply(v, true, 0, s.key)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held = append(s.held, answer{from, reply})
	})
}

// Release sends what Late held back.
func (s *Script) Release() {
	s.mu.Lock()
	held := s.held
	s.held = nil
	s.mu.Unlock()
	for _, a := range held {
		s.send(s.conn, a.to, a.pkt)
	}
}

// Twice acknowledges the next request with two datagrams.
func (s *Script) Twice() *Script {
	return s.then(func(s *Script, v *radius.View, from netip.AddrPort) {
		reply := s.reply(v, true, 0, s.key)
		s.send(s.conn, from, reply)
		s.send(s.conn, from, reply)
	})
}

// WrongSecret acknowledges the next request with another secret.
func (s *Script) WrongSecret() *Script {
	other, err := radius.NewKey(secret.New([]byte("not the secret")))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.then(func(s *Script, v *radius.View, from netip.AddrPort) {
		s.send(s.conn, from, s.reply(v, true, 0, other))
	})
}

// OtherPort acknowledges the next request from a port that it was not sent to.
func (s *Script) OtherPort() *Script {
	return s.then(func(s *Script, v *radius.View, from netip.AddrPort) {
		s.send(s.other, from, s.reply(v, true, 0, s.key))
	})
}

// Garbage answers the next request with octets that are no packet.
func (s *Script) Garbage() *Script {
	return s.then(func(s *Script, _ *radius.View, from netip.AddrPort) {
		s.send(s.conn, from, []byte("no packet"))
	})
}

func (s *Script) reply(v *radius.View, ack bool, cause uint32, key *radius.Key) []byte {
	code := v.Code() + 1 // 41 after 40, 44 after 43
	if !ack {
		code++
	}
	b := radius.Begin(nil, code, v.Identifier())
	if cause != 0 {
		b.U32(radius.ErrorCause, cause)
	}
	b.Copy(v, radius.ProxyState)
	pkt, err := key.SealReply(&b, v.Authenticator())
	if err != nil {
		return nil // what was copied came in a packet, so it fits into one
	}
	return pkt
}

// send loses what the system refuses, as a network would.
func (s *Script) send(conn *net.UDPConn, to netip.AddrPort, pkt []byte) {
	_, _ = conn.WriteToUDPAddrPort(pkt, to)
}

func (s *Script) serve() {
	var buf [radius.PacketMax]byte
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			return
		}
		var v radius.View
		h := Heard{From: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), At: time.Now(), Packet: slices.Clone(buf[:n])}
		if v.Decode(h.Packet) == radius.Sound {
			h.Genuine = s.key.VerifyRequest(&v) == radius.Sound
		}
		s.mu.Lock()
		s.heard = append(s.heard, h)
		close(s.changed)
		s.changed = make(chan struct{})
		next := step(nil)
		if h.Genuine && len(s.steps) > 0 {
			next, s.steps = s.steps[0], s.steps[1:]
		}
		s.mu.Unlock()
		switch {
		case next != nil:
			next(s, &v, from)
		case h.Genuine:
			s.send(s.conn, from, s.reply(&v, true, 0, s.key))
		}
	}
}

// Heard is every datagram so far.
func (s *Script) Heard() []Heard {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard)
}

// Await waits until n datagrams have come and returns them; it fails the test when they
// do not come.
func (s *Script) Await(n int) []Heard {
	s.t.Helper()
	deadline := time.NewTimer(heardWait)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		heard, changed := slices.Clone(s.heard), s.changed
		s.mu.Unlock()
		if len(heard) >= n {
			return heard
		}
		select {
		case <-changed:
		case <-deadline.C:
			s.t.Fatal("the NAS heard too few datagrams in time")
		}
	}
}
