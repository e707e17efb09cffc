package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

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

// storm measures logins before and while n sessions are told of another profile.
func storm(ctx context.Context, program string, n int) (idle, during []time.Duration, took time.Duration, err error) {
	g, err := openGateway()
	if err != nil {
		return nil, nil, 0, err
	}
	defer g.close()
	a, err := serve(ctx, program, g.port())
	if err != nil {
		return nil, nil, 0, err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	if err := errors.Join(g.populate(a.Authentication[0], stormed, n), g.populate(a.Authentication[0], probed, probeCount)); err != nil {
		return nil, nil, 0, fmt.Errorf("%w; the appliance said: %.2000s", err, a.said.String())
	}
	p, err := newProbe(g, a.Authentication[0])
	if err != nil {
		return nil, nil, 0, err
	}
	defer p.conn.Close()
	if idle, err = p.run(time.After(probeIdle)); err != nil {
		return nil, nil, 0, err
	}
	done := g.await(n)
	if err := a.change(); err != nil {
		return nil, nil, 0, err
	}
	begun := time.Now()
	over := make(chan time.Time)
	go func() {
		defer close(over)
		select {
		case <-done:
		case <-time.After(stormWait):
		case <-ctx.Done():
		}
		took = time.Since(begun)
	}()
	if during, err = p.run(over); err != nil {
		return nil, nil, 0, err
	}
	if told := g.told(); told < n {
		return nil, nil, 0, fmt.Errorf("%d of %d sessions were told within %s; the appliance said: %.2000s", told, n, took, a.said.String())
	}
	return idle, during, took, nil
}

// change has the appliance read a configuration in which the redirect has another ACL.
func (a *appliance) change() error {
	text, err := os.ReadFile(a.config)
	if err != nil {
		return err
	}
	next := strings.Replace(string(text), "acl: ACL_WEBAUTH_REDIRECT", "acl: ACL_ANOTHER_REDIRECT", 1)
	if err := os.WriteFile(a.config, []byte(next), 0o600); err != nil {
		return err
	}
	return a.reload()
}

// Who logs in meanwhile is told by the answer to that, and so belongs to nobody's count.
const (
	stormed = "7f000002"
	probed  = "7f000003"
)

func stormID(prefix string, n int) string { return fmt.Sprintf("%s%08x56e2dce3", prefix, n) }

// populate logs n sessions in, many at a time.
func (g *gateway) populate(to netip.AddrPort, prefix string, n int) error {
	conn, err := listenUDP()
	if err != nil {
		return err
	}
	defer conn.Close()
	var buf [radius.PacketMax]byte
	for from := 0; from < n; from += window {
		waiting := map[byte][]byte{}
		for i := from; i < min(from+window, n); i++ {
			request, err := g.request(stormID(prefix, i), byte(i))
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

// await returns a channel that is closed when so many sessions have been told of a change.
func (g *gateway) await(n int) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.every, g.enough, g.heard = n, make(chan struct{}), map[string]struct{}{}
	return g.enough
}

func (g *gateway) told() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.heard)
}

// count notes that a session was told. The lock is held.
func (g *gateway) count(id []byte) {
	if g.heard == nil || !bytes.HasPrefix(id, []byte(stormed)) {
		return
	}
	if _, known := g.heard[string(id)]; !known {
		if g.heard[string(id)] = struct{}{}; len(g.heard) == g.every {
			close(g.enough)
		}
	}
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
		request, err := p.g.request(stormID(probed, int(at)), at)
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
