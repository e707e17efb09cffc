package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/engine/stage"
	"sallyport/netio/radius"
	"sallyport/netio/report"
	"sallyport/ops/secret"
)

// How many agents do something at once; handshakes are the costly part.
const atOnce = 32

// answerWait is how long anything may take; toldOf are the sessions that are ended.
const (
	answerWait = 90 * time.Second
	toldOf     = 200
)

// agent is an endpoint with a session.
type agent struct {
	id, redirect string
	key          *ecdsa.PrivateKey
	conn         *tls.Conn
	in           *bufio.Reader
	told         chan error // nil: the session is over; anything else went wrong
}

// each calls f for 0 to n-1, some at once, until one fails.
func each(n int, f func(worker, i int) error) error {
	var next atomic.Int64
	var mu sync.Mutex
	var fault error
	var all sync.WaitGroup
	for worker := range atOnce {
		all.Go(func() {
			for {
				i := int(next.Add(1) - 1)
				if i >= n {
					return
				}
				if err := f(worker, i); err != nil {
					mu.Lock()
					fault = errors.Join(fault, err)
					mu.Unlock()
					next.Store(int64(n))
					return
				}
			}
		})
	}
	all.Wait()
	return fault
}

// gateway is the NAS; each worker has a socket of its own.
type gateway struct {
	key  *radius.Key
	conn *net.UDPConn
	n    byte
}

func openGateway(to netip.AddrPort) (*gateway, error) {
	key, err := radius.NewKey(secret.New([]byte(stage.Secret)))
	if err != nil {
		return nil, err
	}
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, net.UDPAddrFromAddrPort(to))
	return &gateway{key: key, conn: conn}, err
}

// exchange sends a request until it is answered.
func (g *gateway) exchange(code radius.Code, fill func(*radius.Builder)) (v radius.View, err error) {
	g.n++
	b := radius.Begin(nil, code, g.n)
	fill(&b)
	request, err := g.key.SealRequest(&b)
	if err != nil {
		return v, err
	}
	buf := make([]byte, radius.PacketMax)
	for range 10 {
		if _, err := g.conn.Write(request); err != nil {
			return v, err
		}
		if err := g.conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return v, err
		}
		octets, err := g.conn.Read(buf)
		if err == nil && v.Decode(buf[:octets]) == radius.Sound && v.Identifier() == g.n &&
			g.key.VerifyResponse(&v, radius.Authenticator(request[4:radius.HeaderLen])) == radius.Sound {
			return v, nil
		}
	}
	return v, errors.New("the appliance does not answer RADIUS")
}

// loginAll makes the sessions.
func loginAll(ctx context.Context, a *appliance, n int) ([]*agent, error) {
	var gates [atOnce]*gateway
	for i := range gates {
		g, err := openGateway(a.Authentication[0])
		if err != nil {
			return nil, err
		}
		defer g.conn.Close()
		gates[i] = g
	}
	all := make([]*agent, n)
	err := each(n, func(worker, i int) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		id := fmt.Sprintf("7f000001%08x56e2dce3", i)
		v, err := gates[worker].exchange(radius.AccessRequest, func(b *radius.Builder) {
			b.Text(radius.UserName, stage.User)
			b.Password(gates[worker].key, []byte(stage.Password))
			b.Addr(radius.NASIPAddress, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
			b.Text(radius.CallingStationID, "10.62.145.44")
			b.AVPair("audit-session-id", id)
			b.AVPair("coa-push", "true")
		})
		if err != nil {
			return err
		}
		redirect, ok := v.AVPair("url-redirect")
		if !ok {
			return fmt.Errorf("login %s: %s without a redirect", id, v.Code())
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		all[i] = &agent{id: id, redirect: string(redirect), key: key, told: make(chan error, 1)}
		return err
	})
	return all, err
}

// pollAll has every agent connect, claim and poll, and waits until the appliance says that
// they all wait.
func pollAll(ctx context.Context, a *appliance, all []*agent) error {
	err := each(len(all), func(_, i int) error {
		if err := all[i].begin(ctx, netip.AddrFrom4([4]byte{127, byte(16 + i>>16), byte(i >> 8), byte(i)})); err != nil {
			return fmt.Errorf("agent %d: %w", i, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(answerWait); ; <-look.C {
		m, err := a.read(ctx)
		if err != nil {
			return err
		}
		if int(m.polls) == len(all) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d agents wait", int(m.polls), len(all))
		}
	}
}

// begin connects from an address, claims the session, and waits from then on.
func (g *agent) begin(ctx context.Context, from netip.Addr) error {
	u, err := url.Parse(g.redirect)
	if err != nil {
		return err
	}
	dialer := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))},
		// The appliance was started here with a certificate of its own making.
		Config: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}}
	raw, err := dialer.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	conn, ok := raw.(*tls.Conn)
	if !ok {
		return errors.New("not a TLS connection")
	}
	g.conn, g.in = conn, bufio.NewReaderSize(conn, 1024)
	body, err := json.Marshal(&report.Claim{V: report.Version, SessionID: g.id, Ticket: u.Query().Get(report.QueryTicket), Key: report.MarshalKey(&g.key.PublicKey),
		Agent: report.Agent{Name: "sallyport-bench", Version: "1", Kind: "agent"}, System: report.System{OS: "linux", OSName: "bench", Hostname: "bench"}})
	if err != nil {
		return err
	}
	if err := g.send(http.MethodPost, u.Host, report.PathSession, body); err != nil {
		return err
	}
	if _, err := g.receive(); err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	if err := g.poll(u.Host); err != nil {
		return err
	}
	go func() { g.told <- g.wait(u.Host) }()
	return nil
}

func (g *agent) poll(host string) error {
	query := url.Values{report.QueryEventSessionID: {g.id}, report.QueryEventAfter: {"0"}}
	return g.send(http.MethodGet, host, report.PathEvents+"?"+query.Encode(), nil)
}

// wait polls again and again until the session is over.
func (g *agent) wait(host string) error {
	for {
		text, err := g.receive()
		if err != nil {
			return err
		}
		events, err := report.DecodeEvents(text)
		if err != nil {
			return err
		}
		for _, e := range events.Events {
			if e.Kind == report.EventEnd {
				return nil
			}
		}
		if err := g.poll(host); err != nil {
			return err
		}
	}
}

func (g *agent) send(method, host, path string, body []byte) error {
	signature, err := report.Sign(g.key, path, body)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n%s: %s\r\n", method, path, host, report.HeaderSignature, signature)
	if body != nil {
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", report.MediaType, len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	_, err = g.conn.Write(b.Bytes())
	return err
}

func (g *agent) receive() ([]byte, error) {
	if err := g.conn.SetReadDeadline(time.Now().Add(answerWait)); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(g.in, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, report.VerdictBytesMax))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return text, err
}

// tellSome ends sessions by an Accounting-Stop each and measures until their agents know.
func tellSome(ctx context.Context, a *appliance, all []*agent) (took []time.Duration, err error) {
	g, err := openGateway(a.Accounting[0])
	if err != nil {
		return nil, err
	}
	defer g.conn.Close()
	for n := range min(toldOf, len(all)) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		one := all[n*len(all)/min(toldOf, len(all))]
		begun := time.Now()
		if _, err := g.exchange(radius.AccountingRequest, func(b *radius.Builder) {
			b.U32(radius.AcctStatusType, 2) // Stop (RFC 2866 section 5.1)
			b.Text(radius.AcctSessionID, one.id[:16])
			b.Text(radius.UserName, stage.User)
			b.Addr(radius.NASIPAddress, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
			b.Text(radius.CallingStationID, "10.62.145.44")
			b.AVPair("audit-session-id", one.id)
		}); err != nil {
			return nil, err
		}
		select {
		case err := <-one.told:
			if err != nil {
				return nil, fmt.Errorf("the end of a session: %w", err)
			}
		case <-time.After(answerWait):
			return nil, errors.New("an agent is not told of the end of its session")
		}
		took = append(took, time.Since(begun))
	}
	return took, nil
}
