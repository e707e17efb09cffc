package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"sallyport/bench"
	"sallyport/engine/stage"
	"sallyport/netio/report"
)

// Reports a second, of so many endpoints in turn, for so long. Each changes what the
// session may do. The appliance takes one a second of a session.
const (
	reportRate = 1000
	endpoints  = 2000
	reportTime = 5 * time.Second
	changeWait = 5 * time.Second // the longest a change may take
)

// endpoint is an agent with a session, a key, an address and a connection of its own. A
// USB disk is in it every other time.
type endpoint struct {
	client  *http.Client
	base    string
	key     *ecdsa.PrivateKey
	state   *report.Claimed
	disk    bool
	changes chan time.Time
}

// reports measures from the moment that a report is due to its CoA-ACK.
func reports(ctx context.Context, program string) (latencies []time.Duration, err error) {
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
	all, err := login(ctx, g, a)
	if err != nil {
		return nil, fmt.Errorf("%w; the appliance said: %s", err, a.Said())
	}
	for _, e := range all { // the first makes each Compliant, and is no part of the measurement
		if _, err := e.report(ctx, time.Now()); err != nil {
			return nil, err
		}
	}
	return measure(ctx, all)
}

func measure(ctx context.Context, all []*endpoint) (latencies []time.Duration, err error) {
	var mu sync.Mutex
	var running sync.WaitGroup
	begun := time.Now()
	busy := make([]sync.Mutex, len(all))
	for n := range int(reportTime.Seconds() * reportRate) {
		due := begun.Add(time.Duration(n) * time.Second / reportRate)
		time.Sleep(time.Until(due))
		running.Go(func() {
			at := n % len(all)
			busy[at].Lock() // its last report may not be through; the time counts from when this one was due
			took, fault := all[at].report(ctx, due)
			busy[at].Unlock()
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, took)
			if err == nil {
				err = fault
			}
		})
	}
	running.Wait()
	slices.Sort(latencies)
	return latencies, err
}

// login makes the sessions and binds each to its endpoint.
func login(ctx context.Context, g *gateway, a *stage.Appliance) (all []*endpoint, err error) {
	for n := range endpoints {
		id := fmt.Sprintf("7f000001%08x56e2dce3", n)
		redirect, err := g.login(a.Authentication[0], id, n)
		if err != nil {
			return nil, err
		}
		e, err := newEndpoint(redirect, netip.AddrFrom4([4]byte{127, 1, byte(n >> 8), byte(n&0xff | 1)}))
		if err != nil {
			return nil, err
		}
		if err := e.claim(ctx, redirect); err != nil {
			return nil, err
		}
		g.expect(id, e.changes)
		all = append(all, e)
	}
	return all, nil
}

func newEndpoint(redirect string, address netip.Addr) (*endpoint, error) {
	u, err := url.Parse(redirect)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(address, 0))}
	transport := &http.Transport{DialContext: dialer.DialContext, MaxIdleConns: 1,
		// The appliance was started here with a certificate of its own making.
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}}
	return &endpoint{client: &http.Client{Transport: transport, Timeout: changeWait}, base: "https://" + u.Host, key: key,
		changes: make(chan time.Time, 1)}, nil
}

var (
	agentProgram = report.Agent{Name: "sallyport-bench", Version: "1", Kind: "agent"}
	agentSystem  = report.System{OS: "linux", OSName: "bench", Hostname: "bench"}
)

func (e *endpoint) claim(ctx context.Context, redirect string) error {
	u, err := url.Parse(redirect)
	if err != nil {
		return err
	}
	body, err := json.Marshal(&report.Claim{V: report.Version, SessionID: u.Query().Get(report.QuerySessionID), Ticket: u.Query().Get(report.QueryTicket),
		Key: report.MarshalKey(&e.key.PublicKey), Agent: agentProgram, System: agentSystem})
	if err != nil {
		return err
	}
	answer, err := e.post(ctx, report.PathSession, body)
	if err == nil {
		e.state, err = report.DecodeClaimed(answer)
	}
	return err
}

// report tells of a disk, or of none, and waits for the acknowledgement of what follows.
func (e *endpoint) report(ctx context.Context, due time.Time) (time.Duration, error) {
	usb := &report.USB{Devices: []report.USBDevice{}}
	want := "Compliant"
	if e.disk {
		want = "NonCompliant"
		usb.Devices = append(usb.Devices, report.USBDevice{Port: "2-1", Ifaces: []string{"08/06/50"}, State: "active"})
	}
	r := &report.Report{V: report.Version, SessionID: e.state.SessionID, Seq: e.state.Seq + 1, Nonce: e.state.Nonce, PolicyETag: e.state.PolicyETag,
		Wall: time.Now().UTC(), Trigger: report.TriggerInitial, Agent: agentProgram, System: agentSystem, Facts: report.Facts{USB: usb}}
	body, err := r.Encode()
	if err != nil {
		return 0, err
	}
	answer, err := e.post(ctx, report.PathReport, body)
	if err != nil {
		return 0, err
	}
	verdict, err := report.DecodeVerdict(answer)
	if err != nil {
		return 0, err
	}
	if verdict.Status != want {
		return 0, fmt.Errorf("found %s, not %s", verdict.Status, want)
	}
	e.state.Seq, e.state.Nonce, e.disk = r.Seq, verdict.Nonce, !e.disk
	late := time.NewTimer(changeWait)
	defer late.Stop()
	select {
	case at := <-e.changes:
		return at.Sub(due), nil
	case <-late.C:
		return 0, fmt.Errorf("session %s: no change within %s", e.state.SessionID, changeWait)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// post sends a signed document and returns the answer.
func (e *endpoint) post(ctx context.Context, path string, body []byte) ([]byte, error) {
	return bench.Post(ctx, e.client, e.key, e.base, path, body)
}
