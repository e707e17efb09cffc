package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"sallyport/netio/radius"
)

// gateway is a NAS with whole sessions: it logs in, accounts, and acknowledges changes
// of authorization.
type gateway struct {
	key        *radius.Key
	maker      *maker
	auth, acct *exchanger
	coa        *net.UDPConn

	mu      sync.Mutex
	changed map[string]chan time.Time // by audit-session-id: the redirect was taken away
}

func openGateway(s *Scenario, t *Target) (_ *gateway, err error) {
	g := &gateway{changed: map[string]chan time.Time{}}
	if g.key, err = radius.NewKey(t.Secret); err != nil {
		return nil, err
	}
	g.maker = newMaker(s, g.key)
	source := sourceOf(t.Auth.Addr(), 0)
	if g.coa, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, t.CoA))); err != nil {
		return nil, fmt.Errorf("the NAS cannot listen for changes of authorization: %w", err)
	}
	for _, x := range []struct {
		to **exchanger
		at netip.AddrPort
	}{{&g.auth, t.Auth}, {&g.acct, t.Acct}} {
		if *x.to, err = newExchanger(source, x.at, &s.Retransmit); err != nil {
			g.close()
			return nil, err
		}
	}
	go g.listen()
	return g, nil
}

func (g *gateway) close() {
	g.coa.Close()
	for _, x := range []*exchanger{g.auth, g.acct} {
		if x != nil {
			x.conn.Close()
		}
	}
}

// login returns the redirect URL of the Access-Accept, and where the change that ends it
// will show.
func (g *gateway) login(ctx context.Context, session uint64) (redirect string, change <-chan time.Time, err error) {
	seen := make(chan time.Time, 1)
	data, request, err := g.auth.do(ctx, func(identifier byte) ([]byte, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.changed[string(g.maker.auditSession(session, 0))] = seen
		return g.maker.login(nil, session, 0, identifier)
	})
	if err != nil {
		return "", nil, err
	}
	v, err := g.verified(data, request)
	if err != nil {
		return "", nil, err
	}
	url, _ := v.AVPair("url-redirect")
	if v.Code() != radius.AccessAccept || len(url) == 0 {
		return "", nil, fmt.Errorf("code %d, redirect %q", v.Code(), url)
	}
	return string(url), seen, nil
}

// account sends the Start (0), an Interim-Update (1) or the Stop (2).
func (g *gateway) account(ctx context.Context, session, point uint64, address netip.Addr) error {
	data, request, err := g.acct.do(ctx, func(identifier byte) ([]byte, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.maker.record(nil, session, 0, point, address, identifier)
	})
	if err != nil {
		return err
	}
	v, err := g.verified(data, request)
	if err == nil && v.Code() != radius.AccountingResponse {
		err = fmt.Errorf("code %d answers an Accounting-Request", v.Code())
	}
	return err
}

func (g *gateway) verified(data, request []byte) (v radius.View, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v.Decode(data) != radius.Sound || g.key.VerifyResponse(&v, radius.Authenticator(request[4:])) != radius.Sound {
		return v, errors.New("a reply that does not verify")
	}
	return v, nil
}

// listen acknowledges sound CoA-Requests until the socket closes. A request that is no
// longer a redirect is what its session waits for.
func (g *gateway) listen() {
	buf := make([]byte, radius.PacketMax)
	for {
		n, from, err := g.coa.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the system's word about an earlier answer
		}
		if answer := g.hear(buf[:n]); answer != nil {
			_, _ = g.coa.WriteToUDPAddrPort(answer, from) // a loss like any other
		}
	}
}

func (g *gateway) hear(data []byte) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	var v radius.View
	if v.Decode(data) != radius.Sound || v.Code() != radius.CoARequest || g.key.VerifyRequest(&v) != radius.Sound {
		return nil
	}
	b := radius.Begin(nil, radius.CoAACK, v.Identifier())
	answer, err := g.key.SealReply(&b, v.Authenticator())
	if err != nil {
		return nil
	}
	id, _ := v.AVPair("audit-session-id")
	if url, _ := v.AVPair("url-redirect"); len(url) == 0 {
		if seen := g.changed[strings.ToLower(string(id))]; seen != nil {
			select {
			case seen <- time.Now():
			default: // told already: a retransmission
			}
		}
	}
	return answer
}

// exchanger asks from one source port, with up to 256 requests at once.
type exchanger struct {
	conn       *net.UDPConn
	retransmit *Retransmit
	room       chan struct{} // an entry for each identifier in use

	mu      sync.Mutex
	free    queue
	waiting [identifiers]chan []byte
}

func newExchanger(source netip.Addr, to netip.AddrPort, r *Retransmit) (*exchanger, error) {
	var from *net.UDPAddr
	if source.IsValid() {
		from = net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	conn, err := net.DialUDP("udp", from, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	x := &exchanger{conn: conn, retransmit: r, room: make(chan struct{}, identifiers)}
	for i := range identifiers {
		x.free.give(byte(i))
	}
	go x.listen()
	return x, nil
}

func (x *exchanger) listen() {
	buf := make([]byte, radius.PacketMax)
	for {
		n, err := x.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n < radius.HeaderLen {
			continue
		}
		x.mu.Lock()
		if to := x.waiting[buf[1]]; to != nil {
			select {
			case to <- bytes.Clone(buf[:n]):
			default: // a second reply
			}
		}
		x.mu.Unlock()
	}
}

// do sends a request until a reply comes, by RFC 5080 section 2.2.1.
func (x *exchanger) do(ctx context.Context, build func(identifier byte) ([]byte, error)) (reply, request []byte, err error) {
	select {
	case x.room <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	answered := make(chan []byte, 1)
	x.mu.Lock()
	identifier, _ := x.free.take() // there is room
	x.waiting[identifier] = answered
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		x.waiting[identifier] = nil
		x.free.give(identifier)
		x.mu.Unlock()
		<-x.room
	}()
	if request, err = build(identifier); err != nil {
		return nil, nil, err
	}
	wait := x.retransmit.Initial
	for range max(1, x.retransmit.Count) {
		if _, err := x.conn.Write(request); err != nil && !errors.Is(err, net.ErrClosed) {
			continue // the system's word about an earlier request
		}
		timer := time.NewTimer(time.Duration(float64(wait) * (0.9 + 0.2*rand.Float64())))
		select {
		case reply = <-answered:
			timer.Stop()
			return reply, request, nil
		case <-ctx.Done():
			timer.Stop()
			return nil, nil, ctx.Err()
		case <-timer.C:
			wait = min(2*wait, x.retransmit.Longest)
		}
	}
	return nil, nil, fmt.Errorf("no reply after %d transmissions", x.retransmit.Count)
}
