package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"

	"sallyport/engine/stage"
	"sallyport/netio/radius"
)

// The storm: a reload gives every session another authorization, while endpoints go on to
// log in.
const (
	probeRate  = 500 // logins a second that are measured
	probeIdle  = 5 * time.Second
	probeCount = 256 // sessions that they belong to, one identifier each
	stormMost  = 2   // times as long as when nothing else happens
	stormWait  = 2 * time.Minute
	window     = 128 // logins under way while the sessions are made
)

// stormed is one storm: how long logins took before it and while it went on.
type stormed struct {
	idle, during []time.Duration
	took         time.Duration // until the last session was told
}

// storms has a reload give n sessions another profile, again and again. In the last storm
// the appliance is killed when half of the sessions were told, and started again; of that
// one the logins count from when it listens again.
func storms(ctx context.Context, program string, n, rounds int) (all []stormed, err error) {
	g, err := openGateway()
	if err != nil {
		return nil, err
	}
	defer g.close()
	a, err := stage.Open(ctx, stage.Options{Program: program, CoAPort: g.port()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if err := errors.Join(g.populate(a.Authentication[0], stormID, n), g.populate(a.Authentication[0], probeID, probeCount)); err != nil {
		return nil, fmt.Errorf("%w; the appliance said: %s", err, a.Said())
	}
	for round := range rounds + 1 {
		one, err := storm(ctx, g, a, n, round, round == rounds)
		if err != nil {
			return nil, fmt.Errorf("%w; the appliance said: %s", err, a.Said())
		}
		all = append(all, *one)
	}
	return all, nil
}

func storm(ctx context.Context, g *gateway, a *stage.Appliance, n, round int, killed bool) (*stormed, error) {
	p, err := newProbe(g, a.Authentication[0])
	if err != nil {
		return nil, err
	}
	defer func() { p.conn.Close() }()
	s := &stormed{}
	if s.idle, err = p.run(time.After(probeIdle)); err != nil {
		return nil, err
	}
	half, all := g.await(n/2), g.await(n)
	if err := change(a, round); err != nil {
		return nil, err
	}
	begun := time.Now()
	if killed {
		if err := wait(ctx, half); err != nil {
			return nil, err
		}
		a.End(syscall.SIGKILL)
		if err := a.Start(ctx); err != nil {
			return nil, err
		}
		p.conn.Close()
		if p, err = newProbe(g, a.Authentication[0]); err != nil {
			return nil, err
		}
	}
	over := make(chan time.Time)
	var fault error
	go func() {
		defer close(over)
		fault = wait(ctx, all)
		s.took = time.Since(begun)
	}()
	if s.during, err = p.run(over); err == nil {
		err = fault
	}
	return s, err
}

// wait waits until so many sessions have been told.
func wait(ctx context.Context, told <-chan struct{}) error {
	late := time.NewTimer(stormWait)
	defer late.Stop()
	select {
	case <-told:
		return nil
	case <-late.C:
		return fmt.Errorf("not all sessions were told within %s", stormWait)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// change has the appliance read a configuration in which the redirect has another ACL.
func change(a *stage.Appliance, round int) error {
	text, err := os.ReadFile(a.Config())
	if err != nil {
		return err
	}
	next := regexp.MustCompile(`acl: ACL_\w+`).ReplaceAllString(string(text), fmt.Sprintf("acl: ACL_ROUND_%d", round))
	if err := os.WriteFile(a.Config(), []byte(next), 0o600); err != nil {
		return err
	}
	return a.Signal(syscall.SIGHUP)
}

// Who logs in meanwhile is told by the answer to that, and so belongs to nobody's count.
const stormPrefix = "7f000002"

func stormID(n int) string { return fmt.Sprintf("%s%08x56e2dce3", stormPrefix, n) }

func probeID(n int) string { return fmt.Sprintf("7f000003%08x56e2dce3", n) }

// populate logs n sessions in, many at a time.
func (g *gateway) populate(to netip.AddrPort, id func(int) string, n int) error {
	conn, err := listenUDP()
	if err != nil {
		return err
	}
	defer conn.Close()
	var buf [radius.PacketMax]byte
	for from := 0; from < n; from += window {
		waiting := map[byte][]byte{}
		for i := from; i < min(from+window, n); i++ {
			request, err := g.request(id(i), byte(i))
			if err != nil {
				return err
			}
			waiting[byte(i)] = request
		}
		for tries := 0; len(waiting) > 0; tries++ {
			if tries == 10 {
				return fmt.Errorf("%d logins after %d have no answer", len(waiting), from)
			}
			for _, request := range waiting {
				if _, err := conn.WriteToUDPAddrPort(request, to); err != nil {
					return err
				}
			}
			if err := conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
				return err
			}
			for len(waiting) > 0 {
				octets, _, err := conn.ReadFromUDPAddrPort(buf[:])
				if err != nil {
					break // those that are missing once more
				}
				if octets > radius.HeaderLen && radius.Code(buf[0]) == radius.AccessAccept {
					delete(waiting, buf[1])
				}
			}
		}
	}
	return nil
}

// await returns a channel that is closed when so many sessions have been told of a change,
// counted from now on.
func (g *gateway) await(n int) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.heard = map[string]struct{}{}
	enough := make(chan struct{})
	g.marks = append(g.marks, mark{n, enough})
	return enough
}

// mark is a number of sessions that somebody waits for.
type mark struct {
	n      int
	enough chan<- struct{}
}

// count notes that a session was told. The lock is held.
func (g *gateway) count(id []byte) {
	if g.heard == nil || !bytes.HasPrefix(id, []byte(stormPrefix)) {
		return
	}
	if _, known := g.heard[string(id)]; known {
		return
	}
	g.heard[string(id)] = struct{}{}
	g.marks = slices.DeleteFunc(g.marks, func(m mark) bool {
		reached := len(g.heard) >= m.n
		if reached {
			close(m.enough)
		}
		return reached
	})
}

// probe logs the same sessions in again and again, at a constant rate, from a socket of
// its own. A time counts from when the login was due.
type probe struct {
	conn *net.UDPConn
	to   netip.AddrPort
	g    *gateway

	mu   sync.Mutex // guards the following
	sent map[byte]asked
	took []time.Duration
	lost int
}

type asked struct {
	due           time.Time
	authenticator radius.Authenticator
}

func newProbe(g *gateway, to netip.AddrPort) (*probe, error) {
	conn, err := listenUDP()
	if err != nil {
		return nil, err
	}
	p := &probe{conn: conn, to: to, g: g, sent: map[byte]asked{}}
	go p.receive()
	return p, nil
}

// run measures until over says so.
func (p *probe) run(over <-chan time.Time) ([]time.Duration, error) {
	begun := time.Now()
	for n := 0; ; n++ {
		select {
		case <-over:
			p.mu.Lock()
			defer p.mu.Unlock()
			out := p.took
			p.took, p.sent = nil, map[byte]asked{}
			if p.lost > n/100 {
				return nil, fmt.Errorf("%d of %d logins have no answer", p.lost, n)
			}
			slices.Sort(out)
			return out, nil
		default:
		}
		due := begun.Add(time.Duration(n) * time.Second / probeRate)
		time.Sleep(time.Until(due))
		at := byte(n % probeCount)
		request, err := p.g.request(probeID(int(at)), at)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		if _, waits := p.sent[at]; waits {
			p.lost++
		}
		p.sent[at] = asked{due, radius.Authenticator(request[4:radius.HeaderLen])}
		p.mu.Unlock()
		if _, err := p.conn.WriteToUDPAddrPort(request, p.to); err != nil {
			return nil, err
		}
	}
}

func (p *probe) receive() {
	var buf [radius.PacketMax]byte
	for {
		n, _, err := p.conn.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			return
		}
		now := time.Now()
		var v radius.View
		if v.Decode(buf[:n]) != radius.Sound || v.Code() != radius.AccessAccept {
			continue
		}
		p.mu.Lock()
		q, waits := p.sent[v.Identifier()]
		if waits && p.g.key.VerifyResponse(&v, q.authenticator) == radius.Sound {
			delete(p.sent, v.Identifier())
			p.took = append(p.took, now.Sub(q.due))
		}
		p.mu.Unlock()
	}
}
