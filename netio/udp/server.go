package udp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
)

// Server receives on its listeners until it is closed.
type Server struct {
	config Config
	addrs  []netip.AddrPort
	loops  []backend
	failed chan error

	stop, close sync.Once
	done        chan struct{} // closed when every loop has returned
	granted     int
}

// backend is one loop: the reactor's or the portable one.
type backend interface {
	run(started func()) error // until end
	stopReading()             // returns when no ServeBatch runs nor will
	end()                     // send what waits, then return from run
	addTo(*Stats)
}

// Open binds every listener and starts the loops. Either all addresses are bound or
// none stays open. A port that another program listens on is an error, although
// the loops share theirs.
func Open(c Config, h Handler) (*Server, error) {
	c = c.withDefaults()
	if len(c.Listeners) == 0 || len(c.Listeners) > ListenersMax {
		return nil, fmt.Errorf("udp: %d listeners, want 1 to %d", len(c.Listeners), ListenersMax)
	}
	s := &Server{config: c, failed: make(chan error, 1), done: make(chan struct{})}
	open := openReactor
	if c.Portable {
		open = openPortable
	}
	if err := open(s, h); err != nil {
		return nil, err
	}
	if s.granted != 0 && s.granted < c.RecvBuffer {
		c.Logger.Warn("udp: the kernel grants a smaller receive buffer than asked for; raise net.core.rmem_max or give CAP_NET_ADMIN",
			"asked", c.RecvBuffer, "granted", s.granted)
	}
	var running, started sync.WaitGroup
	for i, l := range s.loops {
		running.Add(1)
		started.Add(1)
		go func() {
			defer running.Done()
			if err := l.run(started.Done); err != nil {
				c.Logger.Error("udp: a loop ended", "loop", i, "error", err)
				select {
				case s.failed <- fmt.Errorf("udp: loop %d: %w", i, err):
				default: // the first failure is told
				}
			}
		}()
	}
	go func() { running.Wait(); close(s.failed); close(s.done) }()
	started.Wait()
	return s, nil
}

// Addrs returns the bound addresses in the order of Config.Listeners. A listener on
// every address of both families shows as [::].
func (s *Server) Addrs() []netip.AddrPort { return append([]netip.AddrPort(nil), s.addrs...) }

// Loops is the number of loops; ServeBatch is called with 0 to Loops()-1.
func (s *Server) Loops() int { return len(s.loops) }

// Failed yields an error when a loop ended by itself: a part of the NASes gets no
// answer from then on, and the process should end. It is closed once all have ended.
func (s *Server) Failed() <-chan error { return s.failed }

// Stats returns the sums so far.
func (s *Server) Stats() Stats {
	sum := Stats{BufferAsked: s.config.RecvBuffer, BufferGranted: s.granted}
	for _, l := range s.loops {
		l.addTo(&sum)
	}
	return sum
}

// StopReading ends the reading for good: when it returns, no ServeBatch is running or
// will be. Late replies still go out.
func (s *Server) StopReading() {
	s.stop.Do(func() {
		var each sync.WaitGroup
		for _, l := range s.loops {
			each.Add(1)
			go func() { defer each.Done(); l.stopReading() }()
		}
		each.Wait()
	})
}

// Close stops reading, sends the late replies that wait, and closes the sockets. Sends
// that come later return false. It returns early, with ctx's error, when ctx ends; the
// loops then finish on their own.
func (s *Server) Close(ctx context.Context) error {
	s.StopReading()
	s.close.Do(func() {
		for _, l := range s.loops {
			l.end()
		}
	})
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// family of a listener's sockets.
type family int

const (
	dual  family = iota // IPv6 socket that takes IPv4 as well
	only4               // IPv4 alone
	only6               // IPv6 alone
)

// parseAddress reads a Listener.Address.
func parseAddress(address string) (netip.AddrPort, family, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, dual, fmt.Errorf("udp: listen address %q: want :PORT or ADDRESS:PORT", address)
	}
	if host == "" {
		host = "::"
	}
	bracketed := host
	if strings.Contains(host, ":") {
		bracketed = "[" + host + "]"
	}
	ap, err := netip.ParseAddrPort(bracketed + ":" + port)
	switch {
	case err != nil:
		return netip.AddrPort{}, dual, fmt.Errorf("udp: listen address %q: want a literal address and a port number: %w", address, err)
	case strings.HasPrefix(address, ":"):
		return ap, dual, nil
	case ap.Addr().Unmap().Is4():
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), only4, nil
	}
	return ap, only6, nil
}

// bindError says what to do about a bind that failed.
func bindError(address string, inUse bool, err error) error {
	if inUse {
		return fmt.Errorf("udp: %s: another program listens there already: %w", address, err)
	}
	return fmt.Errorf("udp: %s: cannot listen: %w", address, err)
}
