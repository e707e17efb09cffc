// Package uplink finds the appliance, makes sure that it is the right one, and speaks
// the posture document of netio/report with it.
//
//	stage 1, all at once    GET http://GATEWAY/auth/discovery, http://DISCOVERY-HOST/...
//	                        the NAS answers 302 https://APPLIANCE/portal/gateway?sessionId=&ticket=
//	stage 2, one by one     https://APPLIANCE of the call-home list, then those known before
//	always                  GET https://APPLIANCE/auth/discovery over a trusted certificate
//
// Anybody on the path can answer the plain request of stage 1, so all it gives is a
// name to look at. No redirect is ever followed: not the NAS's, which is read, and not
// the appliance's, which is a failure. No proxy is used: the appliance has to see the
// endpoint's own address.
package uplink

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sallyport/netio/report"
)

// Waiting times and sizes of the transport.
const (
	dialTimeout  = 5 * time.Second
	probeTimeout = 5 * time.Second
	callTimeout  = 15 * time.Second
	pollTimeout  = 75 * time.Second // the appliance answers a long poll after 50 s
	fileTimeout  = 10 * time.Minute // of an agent over a slow line
	headerMax    = 16 << 10
)

// Config is what a Client is made with.
type Config struct {
	DiscoveryHosts []string // host or host:port for stage 1, besides the gateways
	Servers        []string // host or host:port for stage 2
	Trust          Trust
	Key            crypto.Signer // on P-256
	Memory         *Memory
	Agent          report.Agent
	System         report.System
	BootID         string
	Gateways       func() []netip.Addr
	Addresses      func() (macs, ips []string, err error)
}

// Client speaks with appliances. Its methods may be called from any goroutine.
type Client struct {
	cfg    Config
	public *ecdsa.PublicKey // of cfg.Key
	plain  *http.Client
	https  *http.Client

	offered      few // authorities (SubjectPublicKeyInfo) by appliance, before the agent is enrolled
	vouchedFor   few // authorities by the key of an HTTPS certificate that they vouched for
	improved     few // sessions in which a better certificate was asked for
	enrolProblem note
}

// New makes a client. The error says that nothing tells which appliance to trust, or that the
// key is of another kind.
func New(cfg Config) (*Client, error) {
	if err := cfg.Trust.check(cfg.Servers); err != nil {
		return nil, err
	}
	public, ok := cfg.Key.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("device key: %T, want a key on P-256", cfg.Key.Public())
	}
	c := &Client{cfg: cfg, public: public}
	dialer := &net.Dialer{Timeout: dialTimeout}
	notFollowed := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.plain = &http.Client{CheckRedirect: notFollowed, Timeout: probeTimeout,
		Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: headerMax}}
	c.https = &http.Client{CheckRedirect: notFollowed, Transport: &http.Transport{DialContext: dialer.DialContext,
		DialTLSContext:      c.dialTLS(dialer),
		MaxIdleConnsPerHost: 2, IdleConnTimeout: 2 * pollTimeout, MaxResponseHeaderBytes: headerMax}}
	return c, nil
}

// dialTLS connects and verifies by Trust alone; the standard verification knows
// neither pins nor name rules.
func (c *Client) dialTLS(dialer *net.Dialer) func(context.Context, string, string) (net.Conn, error) {
	resumption := tls.NewLRUClientSessionCache(0)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		raw, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		conn := tls.Client(raw, &tls.Config{MinVersion: tls.VersionTLS13, ServerName: host, ClientSessionCache: resumption, InsecureSkipVerify: true,
			VerifyConnection: func(state tls.ConnectionState) error {
				return c.cfg.Trust.verify(host, state.PeerCertificates, c.cfg.Memory)
			}})
		if err := conn.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, err
		}
		return conn, nil
	}
}

// Forget drops idle connections, which may hang on an address that is gone.
func (c *Client) Forget() { c.https.CloseIdleConnections() }

// LastSession is the session that a report was sent in last, also by an agent before this.
func (c *Client) LastSession() string { return c.cfg.Memory.LastSession() }

// Claim binds the device key to a session. sessionID and ticket may be empty. The Seq
// of the answer counts what this device sent before, also if the appliance forgot it.
func (c *Client) Claim(ctx context.Context, appliance, sessionID, ticket string) (*report.Claimed, error) {
	macs, ips, err := c.cfg.Addresses()
	if err != nil {
		return nil, fmt.Errorf("cannot tell this endpoint's addresses: %w", err)
	}
	claim := report.Claim{V: report.Version, SessionID: sessionID, Ticket: ticket, MACs: macs, IPs: ips,
		Key: report.MarshalKey(c.public), BootID: c.cfg.BootID, Agent: c.cfg.Agent, System: c.cfg.System,
		Certificate: c.certificate()}
	claim.Tidy()
	body, err := marshal(claim)
	if err != nil {
		return nil, err
	}
	answer, err := c.post(ctx, appliance, report.PathSession, body, report.ClaimedBytesMax)
	if err != nil {
		return nil, c.certificateRefused(err)
	}
	claimed, err := report.DecodeClaimed(answer)
	if err != nil {
		return nil, misunderstood(err)
	}
	claimed.Seq = max(claimed.Seq, c.cfg.Memory.Seq(claimed.SessionID))
	c.enrol(ctx, appliance, claimed)
	return claimed, c.cfg.Memory.Remember(appliance)
}

// certificateRefused drops a device certificate that the appliance does not take; the next
// claim goes without, and asks for another.
func (c *Client) certificateRefused(err error) error {
	var p *report.Problem
	if errors.As(err, &p) && p.Code == report.CodeCertificate {
		return errors.Join(err, c.cfg.Memory.DropCertificate())
	}
	return err
}

// Policy gets the policy of an ETag.
func (c *Client) Policy(ctx context.Context, appliance, etag string) (*report.Policy, error) {
	path := report.PathPolicy + url.PathEscape(etag)
	answer, header, err := c.callFor(ctx, http.MethodGet, appliance, path, nil, false, report.PolicyBytesMax, callTimeout)
	if err != nil {
		return nil, err
	}
	if err := c.signedPolicy(path, answer, header); err != nil {
		return nil, err
	}
	policy, err := report.DecodePolicy(answer)
	if err != nil {
		return nil, misunderstood(err)
	}
	if policy.ETag != etag {
		return nil, fmt.Errorf("the appliance sent policy %q instead of %q", policy.ETag, etag)
	}
	return policy, nil
}

// Build asks what an agent that runs a version should be; an appliance that does not know of
// builds has none.
func (c *Client) Build(ctx context.Context, appliance, sessionID, version string) (*report.Build, error) {
	query := url.Values{report.QueryEventSessionID: {sessionID}, report.QueryUpdateVersion: {version}}
	answer, err := c.call(ctx, http.MethodGet, appliance, report.PathUpdate+"?"+query.Encode(), nil, true, report.BuildBytesMax, callTimeout)
	var p *report.Problem
	if errors.As(err, &p) && p.Code == report.CodeNotFound {
		return &report.Build{V: report.Version, Reason: "the appliance hands out no builds"}, nil
	}
	if err != nil {
		return nil, err
	}
	build, err := report.DecodeBuild(answer)
	if err != nil {
		return nil, misunderstood(err)
	}
	return build, nil
}

// File gets a file that the appliance hands out, of at most so many octets.
func (c *Client) File(ctx context.Context, appliance, name string, most int) ([]byte, error) {
	return c.call(ctx, http.MethodGet, appliance, report.PathFile+url.PathEscape(name), nil, false, most, fileTimeout)
}

// Report posts a report that is encoded already. Its number is on the disk before it
// leaves, so that no other report ever carries it.
func (c *Client) Report(ctx context.Context, appliance, sessionID string, seq uint64, body []byte) (*report.Verdict, error) {
	if err := c.cfg.Memory.SaveSeq(sessionID, seq); err != nil {
		return nil, err
	}
	answer, err := c.post(ctx, appliance, report.PathReport, body, report.VerdictBytesMax)
	if err != nil {
		return nil, err
	}
	verdict, err := report.DecodeVerdict(answer)
	if err != nil {
		return nil, misunderstood(err)
	}
	return verdict, nil
}

// Events waits for events after a number, as long as the appliance lets it wait.
func (c *Client) Events(ctx context.Context, appliance, sessionID string, after uint64) (*report.Events, error) {
	query := url.Values{report.QueryEventSessionID: {sessionID}, report.QueryEventAfter: {strconv.FormatUint(after, 10)}}
	answer, err := c.call(ctx, http.MethodGet, appliance, report.PathEvents+"?"+query.Encode(), nil, true, report.EventsBytesMax, pollTimeout)
	if err != nil {
		return nil, err
	}
	events, err := report.DecodeEvents(answer)
	if err != nil {
		return nil, misunderstood(err)
	}
	return events, nil
}

func (c *Client) post(ctx context.Context, appliance, path string, body []byte, answerMax int) ([]byte, error) {
	return c.call(ctx, http.MethodPost, appliance, path, body, true, answerMax, callTimeout)
}

// call makes one request. The error is a *report.Problem when the appliance gave one.
func (c *Client) call(ctx context.Context, method, appliance, path string, body []byte, sign bool, answerMax int, within time.Duration) ([]byte, error) {
	answer, _, err := c.callFor(ctx, method, appliance, path, body, sign, answerMax, within)
	return answer, err
}

// callFor is call for who wants the header too.
func (c *Client) callFor(ctx context.Context, method, appliance, path string, body []byte, sign bool, answerMax int, within time.Duration) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, appliance+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("User-Agent", c.cfg.Agent.Name+"/"+c.cfg.Agent.Version)
	if body != nil {
		req.Header.Set("Content-Type", report.MediaType)
	}
	if sign {
		signature, err := report.Sign(c.cfg.Key, req.URL.RequestURI(), body)
		if err != nil {
			return nil, nil, err
		}
		req.Header.Set(report.HeaderSignature, signature)
	}
	resp, err := c.https.Do(req)
	if err != nil {
		return nil, nil, plainError(err)
	}
	defer resp.Body.Close()
	if err := c.fromOurs(resp); err != nil {
		return nil, nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, nil, notOK(resp)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, int64(answerMax)+1))
	if err != nil {
		return nil, nil, plainError(err)
	}
	if len(answer) > answerMax {
		return nil, nil, fmt.Errorf("the appliance's answer to %s has more than %d octets", path, answerMax)
	}
	return answer, resp.Header, nil
}

// notOK makes an error of an answer that is not 2xx: the appliance's Problem, or what
// something else on the way said.
func notOK(resp *http.Response) error {
	if resp.StatusCode/100 == 3 {
		return fmt.Errorf("the appliance redirects to %.200q; no redirect is followed", resp.Header.Get("Location"))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, report.ProblemBytesMax+1))
	if err == nil && strings.HasPrefix(resp.Header.Get("Content-Type"), report.MediaType) {
		if p, err := report.DecodeProblem(body); err == nil {
			return p
		}
	}
	return fmt.Errorf("the appliance answers %s without saying why", statusOf(resp))
}

// statusOf is the status in our words: those of the other side may move a cursor.
func statusOf(resp *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
}

// misunderstood keeps a decoder's Problem from being taken for the appliance's.
func misunderstood(err error) error {
	return fmt.Errorf("the appliance's answer cannot be read: %s", err.Error())
}

// plainError leaves the method and the URL out: the URL may hold a session.
func plainError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
