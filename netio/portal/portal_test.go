package portal

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/netio/report"
	"sallyport/ops/clock"
)

var rewrite = flag.Bool("rewrite", false, "write what the portal answers as the golden output")

// testTime is when the tests take place.
var testTime = time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)

// fakePosture answers from fields that a test sets before it starts the portal.
type fakePosture struct {
	view   View
	key    []byte
	claim  func(*report.Claim) (*report.Claimed, error)
	judge  func(*report.Report, []byte) ([]byte, error)
	events func(context.Context, uint64) (*report.Events, error)

	mu     sync.Mutex
	peers  []netip.AddrPort
	device *report.Device // of the last claim
	proof  report.Proof   // that an enrolment gets; empty: none
}

const (
	testSession = "0a3042ca0001d00056e2dce3"
	testTicket  = "AAAAAQ0123456789abcdefghijk"
	testETag    = "e1f0"
)

func (f *fakePosture) Gateway(sessionID, ticket string) (View, bool) {
	if sessionID != testSession || ticket != testTicket {
		return View{}, false
	}
	return f.view, true
}

func (f *fakePosture) Claim(_ context.Context, peer netip.AddrPort, c *report.Claim, spki []byte, d *report.Device) (*report.Claimed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.peers = append(f.peers, peer)
	f.device = d
	if f.claim != nil {
		return f.claim(c)
	}
	f.key = spki
	return &report.Claimed{V: report.Version, SessionID: c.SessionID, Assurance: "ticket", Status: "Pending", Epoch: 1, Nonce: "n1", PolicyETag: testETag, HeartbeatS: 900}, nil
}

func (f *fakePosture) Key(sessionID string) ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.key, strings.EqualFold(sessionID, testSession) && f.key != nil
}

func (f *fakePosture) Proof(string, netip.AddrPort) (report.Proof, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.proof, f.proof.Session != ""
}

func (f *fakePosture) Policy(etag string) ([]byte, bool) {
	return []byte(`{"v":1,"etag":"` + testETag + `","collect":["usb"],"heartbeat_s":900,"requirements":[]}`), etag == testETag
}

func (f *fakePosture) Report(_ context.Context, _ netip.AddrPort, r *report.Report, _, raw []byte) ([]byte, error) {
	if f.judge != nil {
		return f.judge(r, raw)
	}
	return []byte(`{"v":1,"session_id":"` + r.SessionID + `","status":"Compliant","epoch":2,"decision_id":"d1","nonce":"n2","next_s":900,"policy_etag":"` + testETag + `"}`), nil
}

func (f *fakePosture) Update(sessionID, version string) (*report.Build, error) {
	return &report.Build{V: report.Version, Reason: "the agent is up to date: " + version}, nil
}

func (f *fakePosture) Events(ctx context.Context, _ string, after uint64) (*report.Events, error) {
	if f.events != nil {
		return f.events(ctx, after)
	}
	<-ctx.Done()
	return &report.Events{V: report.Version, After: after, Events: []report.Event{}}, nil
}

// bench is a running portal and an agent that talks to it.
type bench struct {
	t       testing.TB
	server  *Server
	posture *fakePosture
	clock   *clock.Manual
	key     *ecdsa.PrivateKey
	client  *http.Client
	base    string
	cut     bool // the test closes the portal with requests under way
}

// start runs a portal on loopback; change may alter what it is made of.
func start(t testing.TB, change func(*Config, *fakePosture)) *bench {
	t.Helper()
	return startWith(t, change, func(*Server) {})
}

// startWith runs a portal; prepare may alter it before it answers.
func startWith(t testing.TB, change func(*Config, *fakePosture), prepare func(*Server)) *bench {
	t.Helper()
	b := &bench{t: t, posture: &fakePosture{}, clock: clock.NewManual(testTime), key: newKey(t)}
	cfg := Config{Address: "127.0.0.1:0", Name: "posture-1.example.com", StateDir: t.TempDir(),
		Clock: b.clock, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg, b.posture)
	}
	var err error
	if b.server, err = New(cfg, b.posture); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.server.Close(ctx); err != nil && !b.cut {
			t.Errorf("close: %v", err)
		}
	})
	prepare(b.server)
	b.server.Start()
	b.base = "https://" + b.server.Addr().String()
	b.client = b.newClient()
	return b
}

// newClient trusts the portal's certificate and follows no redirect.
func (b *bench) newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: b.trust()}, Timeout: 20 * time.Second}
}

func (b *bench) trust() *tls.Config {
	b.t.Helper()
	text, err := os.ReadFile(b.server.CertificatePath())
	if err != nil {
		b.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		b.t.Fatal("no certificate in " + b.server.CertificatePath())
	}
	return &tls.Config{RootCAs: roots, Time: b.clock.Now}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func spkiOf(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	spki, err := report.ParseKey(report.MarshalKey(&key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// problem wants an answer to be a Problem.
func (a *answer) problem(t *testing.T, status int, code string) *report.Problem {
	t.Helper()
	p, err := report.DecodeProblem(a.body)
	if err != nil {
		t.Fatalf("status %d, not a Problem: %v: %.200s", a.status, err, a.body)
	}
	if a.status != status || p.Status != status || p.Code != code || a.header.Get("Content-Type") != report.MediaType {
		t.Fatalf("status %d: %+v, want %d %s", a.status, p, status, code)
	}
	return p
}

func (b *bench) do(req *http.Request) *answer {
	b.t.Helper()
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return &answer{resp.StatusCode, resp.Header, body}
}

func (b *bench) request(method, path string, body []byte) *http.Request {
	b.t.Helper()
	req, err := http.NewRequest(method, b.base+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", report.MediaType)
	}
	return req
}

func (b *bench) get(path string) *answer {
	b.t.Helper()
	return b.do(b.request(http.MethodGet, path, nil))
}

// signed makes a request that the agent's key has signed.
func (b *bench) signed(method, path string, body []byte) *http.Request {
	b.t.Helper()
	sig, err := report.Sign(b.key, path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	req := b.request(method, path, body)
	req.Header.Set(report.HeaderSignature, sig)
	return req
}

func (b *bench) claimBody() []byte {
	return encode(b.t, &report.Claim{V: report.Version, SessionID: testSession, Ticket: testTicket,
		Key: report.MarshalKey(&b.key.PublicKey), Agent: report.Agent{Name: "test"}, System: report.System{OS: "linux"}})
}

func (b *bench) reportBody(seq uint64) []byte {
	return encode(b.t, &report.Report{V: report.Version, SessionID: testSession, Seq: seq, Nonce: "n1",
		Trigger: report.TriggerInitial, Agent: report.Agent{Name: "test"}, Facts: report.Facts{USB: &report.USB{Devices: []report.USBDevice{}}}})
}

func encode(t testing.TB, doc any) []byte {
	t.Helper()
	body, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// bound starts a portal whose session already knows the agent's key.
func bound(t testing.TB, change func(*Config, *fakePosture)) *bench {
	t.Helper()
	b := start(t, change)
	b.posture.mu.Lock()
	b.posture.key = spkiOf(t, b.key)
	b.posture.mu.Unlock()
	return b
}

// refused wants a counter of refusals to reach n.
func (b *bench) refused(reason string, n uint64) {
	b.t.Helper()
	b.eventually("refusals counted as "+reason, func() bool { return b.server.Stats().Refused[reason] == n })
}

// eventually waits for a condition, with a deadline.
func (b *bench) eventually(what string, holds func() bool) {
	b.t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(end) {
			b.t.Fatalf("%s: not within ten seconds: %+v", what, b.server.Stats())
		}
		tick := time.NewTimer(2 * time.Millisecond)
		<-tick.C
	}
}

// golden compares with a file, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w, g := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			t.Fatalf("%s:%d:\n got %s\nwant %s", file, i+1, g[i], w[i])
		}
	}
	if len(w) != len(g) {
		t.Fatalf("%s: %d lines, want %d", file, len(g), len(w))
	}
}
