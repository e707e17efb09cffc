package uplink_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/cmd/sallyport-agent/uplink"
	"sallyport/cmd/sallyport-agent/uplink/uplinktest"
	"sallyport/netio/report"
)

var ctx = context.Background()

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// config trusts the double's certificate by its own root and looks nowhere.
func config(t *testing.T, a *uplinktest.Appliance) uplink.Config {
	t.Helper()
	dir, err := keep.Open(t.TempDir())
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	memory, err := uplink.LoadMemory(dir)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	return uplink.Config{Key: key, Memory: memory, Trust: uplink.Trust{Roots: roots, Now: time.Now}, Agent: report.Agent{Name: "sallyport-agent", Version: "test"},
		System: report.System{OS: "linux"}, Gateways: func() []netip.Addr { return nil },
		Addresses: func() ([]string, []string, error) { return []string{"02:00:00:00:00:01"}, []string{"10.0.0.9"}, nil }}
}

func client(t *testing.T, cfg uplink.Config) *uplink.Client {
	t.Helper()
	c, err := uplink.New(cfg)
	must(t, err)
	t.Cleanup(c.Forget)
	return c
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%v: want %q in it", err, p)
		}
	}
}

// TestRedirectIsReadAndNotFollowed: the NAS's answer gives a name, a session and a ticket.
func TestRedirectIsReadAndNotFollowed(t *testing.T) {
	a := uplinktest.New(t)
	cfg := config(t, a)
	cfg.DiscoveryHosts = []string{uplinktest.NAS(t, uplinktest.Redirect(a.AddSession("0a3042ca0001", "tick-et_1")))}
	found, err := client(t, cfg).Discover(ctx)
	must(t, err)
	if found != (uplink.Found{Appliance: a.Base(), SessionID: "0a3042ca0001", Ticket: "tick-et_1"}) {
		t.Errorf("%+v", found)
	}
	if a.Served(report.PathGateway) != 0 || a.Served(report.PathDiscovery) != 1 {
		t.Error("the redirect was followed, or the appliance was not asked")
	}
}

// TestBadRedirects: hotel portals, plain http, other pages, and worse.
func TestBadRedirects(t *testing.T) {
	a := uplinktest.New(t)
	good := a.AddSession("S1", "T1")
	other := uplinktest.NAS(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "Welcome to the hotel") })
	for name, c := range map[string]struct {
		location, want string
	}{
		"plain http":       {strings.Replace(good, "https", "http", 1), "not https"},
		"hotel":            {"https://" + other + "/login?sessionId=S1&ticket=T1", "no appliance's /portal/gateway"},
		"hotel, our path":  {"https://" + other + report.PathGateway + "?sessionId=S1&ticket=T1", "redirected to https://"},
		"no ticket":        {a.Base() + report.PathGateway + "?sessionId=S1", "without a usable session and ticket"},
		"no session":       {a.Base() + report.PathGateway + "?ticket=T1", "without a usable session and ticket"},
		"hostile ticket":   {a.Base() + report.PathGateway + "?sessionId=S1&ticket=..%2F..", "without a usable session and ticket"},
		"long session":     {a.Base() + report.PathGateway + "?ticket=T1&sessionId=" + strings.Repeat("a", 65), "without a usable"},
		"user information": {strings.Replace(good, "https://", "https://a@", 1), "no appliance's"},
		"relative":         {"/portal/gateway?sessionId=S1&ticket=T1", "which is no address"},
		"nothing":          {"", "which is no address"},
		"nobody there":     {strings.Replace(good, a.Addr(), "127.0.0.1:1", 1), "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, a)
			cfg.DiscoveryHosts = []string{uplinktest.NAS(t, uplinktest.Redirect(c.location))}
			_, err := client(t, cfg).Discover(ctx)
			wantError(t, err, "no appliance found", c.want)
		})
	}
	for name, h := range map[string]http.HandlerFunc{
		"200 OK":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") },
		"no content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"hang up":    uplinktest.Hangup,
		"long header": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("a", 1<<20))
			uplinktest.Redirect(good)(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, a)
			cfg.DiscoveryHosts = []string{uplinktest.NAS(t, h)}
			if found, err := client(t, cfg).Discover(ctx); err == nil {
				t.Errorf("found %+v", found)
			}
		})
	}
}

// TestErrorsMoveNoCursor: whoever answers in the clear chooses the status line and the
// Location, and what went wrong is printed to a terminal.
func TestErrorsMoveNoCursor(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 \x1b[2J\u009b31m\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: https://a%C2%9b2J/portal/gateway?sessionId=a&ticket=b\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: https://a%E2%80%AEb/portal/gateway?sessionId=a&ticket=b\r\nContent-Length: 0\r\n\r\n",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			if _, err := conn.Read(make([]byte, 4096)); err == nil {
				fmt.Fprint(conn, answer)
			}
		}()
		cfg := config(t, uplinktest.New(t))
		cfg.DiscoveryHosts = []string{l.Addr().String()}
		_, err = client(t, cfg).Discover(ctx)
		l.Close()
		wantError(t, err, l.Addr().String())
		if strings.ContainsFunc(err.Error(), report.Deceiving) {
			t.Errorf("%q", err)
		}
	}
}

// TestFirstTrustedRedirectWins although another target hangs and a third one lies.
func TestFirstTrustedRedirectWins(t *testing.T) {
	a := uplinktest.New(t)
	hang := make(chan struct{})
	slow := uplinktest.NAS(t, func(http.ResponseWriter, *http.Request) { <-hang })
	t.Cleanup(func() { close(hang) })
	liar := uplinktest.NAS(t, uplinktest.Redirect("https://127.0.0.1:1/portal/gateway?sessionId=S1&ticket=T1"))
	cfg := config(t, a)
	cfg.DiscoveryHosts = []string{slow, liar, uplinktest.NAS(t, uplinktest.Redirect(a.AddSession("S1", "T1")))}
	found, err := client(t, cfg).Discover(ctx)
	must(t, err)
	if found.Appliance != a.Base() {
		t.Errorf("%+v", found)
	}
}

// TestCallHomeAndMemory is stage 2: configured servers in order, then appliances known.
func TestCallHomeAndMemory(t *testing.T) {
	a := uplinktest.New(t)
	a.AddSession("S1", "T1")
	cfg := config(t, a)
	cfg.Servers = []string{"127.0.0.1:1", a.Addr()}
	c := client(t, cfg)
	found, err := c.Discover(ctx)
	must(t, err)
	if found != (uplink.Found{Appliance: a.Base()}) {
		t.Errorf("%+v", found)
	}
	_, err = c.Claim(ctx, found.Appliance, "S1", "T1")
	must(t, err)
	cfg.Servers = nil
	found, err = client(t, cfg).Discover(ctx)
	must(t, err)
	if found.Appliance != a.Base() {
		t.Errorf("not remembered: %+v", found)
	}
	a.Stop()
	_, err = client(t, cfg).Discover(ctx)
	wantError(t, err, "no appliance found ("+a.Addr()+": ", "connection refused")
}

func TestNowhereToLook(t *testing.T) {
	cfg := config(t, uplinktest.New(t))
	_, err := client(t, cfg).Discover(ctx)
	wantError(t, err, "nowhere to look")
	cfg.Trust = uplink.Trust{Now: time.Now}
	if _, err := uplink.New(cfg); !errors.Is(err, uplink.ErrNobodyTrusted) {
		t.Errorf("a configuration that trusts nobody: %v", err)
	}
}

// TestTrust: who is obeyed, and why not.
func TestTrust(t *testing.T) {
	a := uplinktest.New(t)
	cert := a.Certificate()
	pin := func(b []byte) uplink.Pin { return sha256.Sum256(b) }
	own := x509.NewCertPool()
	own.AddCert(cert)
	late := func() time.Time { return cert.NotAfter.Add(time.Hour) }
	for name, c := range map[string]struct {
		trust uplink.Trust
		want  string // empty: trusted
	}{
		"anchor of ours":             {uplink.Trust{Roots: own}, ""},
		"anchor, expired":            {uplink.Trust{Roots: own, Now: late}, "expired"},
		"anchor, name rule fits":     {uplink.Trust{Roots: own, NameRules: []string{"*.example.com", "127.0.0.1"}}, ""},
		"anchor, name rule does not": {uplink.Trust{Roots: own, NameRules: []string{"*.example.com"}}, "no name rule allows 127.0.0.1"},
		"other anchor":               {uplink.Trust{Roots: x509.NewCertPool()}, "is not trusted"},
		"system's roots":             {uplink.Trust{NameRules: []string{"127.0.0.1"}}, "is not trusted"},
		"pinned certificate":         {uplink.Trust{Pins: []uplink.Pin{pin([]byte("x")), pin(cert.Raw)}}, ""},
		"pinned key":                 {uplink.Trust{Pins: []uplink.Pin{pin(cert.RawSubjectPublicKeyInfo)}}, ""},
		"pinned key, expired":        {uplink.Trust{Pins: []uplink.Pin{pin(cert.RawSubjectPublicKeyInfo)}, Now: late}, ""},
		"other pin beats anchor":     {uplink.Trust{Pins: []uplink.Pin{pin([]byte("x"))}, Roots: own}, "is not the pinned one: its key is sha256:"},
		"first use":                  {uplink.Trust{FirstUse: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, a)
			if c.trust.Now == nil {
				c.trust.Now = time.Now
			}
			cfg.Trust = c.trust
			cfg.DiscoveryHosts = []string{uplinktest.NAS(t, uplinktest.Redirect(a.AddSession("S1", "T1")))}
			_, err := client(t, cfg).Discover(ctx)
			if c.want == "" {
				must(t, err)
				return
			}
			wantError(t, err, c.want)
		})
	}
}

// TestFirstUseIsOneAppliance: the key met first stays, whatever else redirects come.
func TestFirstUseIsOneAppliance(t *testing.T) {
	a := uplinktest.New(t)
	cfg := config(t, a)
	cfg.Trust = uplink.Trust{FirstUse: true, Now: time.Now}
	cfg.DiscoveryHosts = []string{uplinktest.NAS(t, uplinktest.Redirect(a.AddSession("S1", "T1")))}
	_, err := client(t, cfg).Discover(ctx)
	must(t, err)
	if known, ok := cfg.Memory.Trusted(); !ok || known != uplink.Pin(sha256.Sum256(a.Certificate().RawSubjectPublicKeyInfo)) {
		t.Fatalf("%x %v", known, ok)
	}
	_, err = client(t, cfg).Discover(ctx)
	must(t, err)
	if cfg.Memory.TrustFirst(uplink.Pin{1}) == nil {
		t.Error("a second first")
	}

	again := config(t, a) // another agent, whose first appliance had another key
	again.Trust = cfg.Trust
	again.DiscoveryHosts = cfg.DiscoveryHosts
	must(t, again.Memory.TrustFirst(uplink.Pin{1}))
	_, err = client(t, again).Discover(ctx)
	wantError(t, err, "is not the appliance trusted on first use")
}

// TestFirstUseNeedsAnAppliance: a portal that only shows a certificate is not remembered.
func TestFirstUseNeedsAnAppliance(t *testing.T) {
	a := uplinktest.New(t)
	cfg := config(t, a)
	cfg.Trust = uplink.Trust{FirstUse: true, Now: time.Now}
	cfg.DiscoveryHosts = []string{uplinktest.NAS(t, uplinktest.Redirect(a.AddSession("S1", "T1")))}
	a.Inject(report.PathDiscovery, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"welcome":"to the hotel"}`) })
	_, err := client(t, cfg).Discover(ctx)
	wantError(t, err, "no appliance")
	if _, ok := cfg.Memory.Trusted(); ok {
		t.Error("the hotel is trusted now")
	}
}

// exchange claims S1 and sends one report with a number.
func exchange(t *testing.T, c *uplink.Client, a *uplinktest.Appliance) (*report.Claimed, func(seq uint64, nonce string) (*report.Verdict, error)) {
	t.Helper()
	a.AddSession("S1", "T1")
	claimed, err := c.Claim(ctx, a.Base(), "S1", "T1")
	must(t, err)
	return claimed, func(seq uint64, nonce string) (*report.Verdict, error) {
		body, err := json.Marshal(report.Report{V: 1, SessionID: "S1", Seq: seq, Nonce: nonce, Trigger: report.TriggerInitial,
			Agent: report.Agent{Name: "a"}, Facts: report.Facts{USB: &report.USB{Devices: []report.USBDevice{}}}})
		must(t, err)
		return c.Report(ctx, a.Base(), "S1", seq, body)
	}
}

// TestExchange walks claim, policy, report and events with signatures checked.
func TestExchange(t *testing.T) {
	a := uplinktest.New(t)
	cfg := config(t, a)
	c := client(t, cfg)
	claimed, send := exchange(t, c, a)
	policy, err := c.Policy(ctx, a.Base(), claimed.PolicyETag)
	must(t, err)
	if policy.ETag != "e1" || claimed.Status != "Pending" {
		t.Errorf("%+v %+v", policy, claimed)
	}
	verdict, err := send(1, claimed.Nonce)
	must(t, err)
	again, err := send(1, claimed.Nonce) // the same octets, the same answer
	must(t, err)
	if verdict.Status != "Compliant" || again.DecisionID != verdict.DecisionID {
		t.Errorf("%+v %+v", verdict, again)
	}
	_, err = send(2, "stale")
	var p *report.Problem
	if !errors.As(err, &p) || p.Code != report.CodeStaleNonce || p.Nonce != verdict.Nonce {
		t.Errorf("%v", err)
	}
	a.Push("S1", report.Event{Kind: report.EventRecheck})
	events, err := c.Events(ctx, a.Base(), "S1", 0)
	must(t, err)
	if len(events.Events) != 1 || events.After != 1 {
		t.Errorf("%+v", events)
	}
	if _, err := c.Events(ctx, a.Base(), "S2", 0); !errors.As(err, &p) || p.Code != report.CodeUnknownSession {
		t.Errorf("%v", err)
	}
}

// TestNumberIsKeptBeforeItLeaves: a crash after sending, or an appliance that forgot,
// never leads to the same number with other octets.
func TestNumberIsKeptBeforeItLeaves(t *testing.T) {
	a := uplinktest.New(t)
	cfg := config(t, a)
	c := client(t, cfg)
	claimed, send := exchange(t, c, a)
	a.Inject(report.PathReport, uplinktest.Hangup)
	if _, err := send(7, claimed.Nonce); err == nil {
		t.Fatal("no error from a connection that was closed")
	}
	if cfg.Memory.Seq("S1") < 7 {
		t.Fatalf("kept %d", cfg.Memory.Seq("S1"))
	}
	claimed, err := c.Claim(ctx, a.Base(), "S1", "")
	must(t, err)
	if claimed.Seq != cfg.Memory.Seq("S1") {
		t.Errorf("the claim counts from %d", claimed.Seq)
	}
}

// TestAnswersThatAreNone: what is not an appliance's answer is an error and no Problem.
func TestAnswersThatAreNone(t *testing.T) {
	a := uplinktest.New(t)
	c := client(t, config(t, a))
	claimed, send := exchange(t, c, a)
	for name, x := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"redirect elsewhere": {uplinktest.Redirect("https://evil.example/report"), "no redirect is followed"},
		"redirect to http":   {uplinktest.Redirect("http://" + a.Addr() + "/x"), "no redirect is followed"},
		"html":               {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "cannot be read"},
		"too long":           {func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, report.VerdictBytesMax+1)) }, "has more than"},
		"bad gateway":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, "502 Bad Gateway without saying why"},
		"problem in html": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(409)
			fmt.Fprint(w, `{"code":"session-end"}`)
		}, "without saying why"},
		"other version": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"v":2}`) }, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			a.Inject(report.PathReport, x.h)
			_, err := send(1, claimed.Nonce)
			wantError(t, err, x.want)
			var p *report.Problem
			if errors.As(err, &p) {
				t.Errorf("taken for the appliance's word: %v", p)
			}
		})
	}
	a.Inject(report.PathPolicy, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"v":1,"etag":"other","collect":[],"heartbeat_s":1,"requirements":[]}`)
	})
	_, err := c.Policy(ctx, a.Base(), "e1")
	wantError(t, err, `policy "other" instead of "e1"`)
}

// TestPollGivesUpAtOnce when it is told to.
func TestPollGivesUpAtOnce(t *testing.T) {
	a := uplinktest.New(t)
	c := client(t, config(t, a))
	exchange(t, c, a)
	cancelled, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := c.Events(cancelled, a.Base(), "S1", 0)
		ended <- err
	}()
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(4 * time.Second):
		t.Fatal("the poll goes on")
	}
}

// TestOldTLSIsRefused: version 1.3 or nothing.
func TestOldTLSIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		hello := make([]byte, 4096)
		if n, err := conn.Read(hello); err == nil && n > 0 {
			conn.Write([]byte{21, 3, 3, 0, 2, 2, 70}) // alert: protocol version
		}
	}()
	cfg := config(t, uplinktest.New(t))
	cfg.Servers = []string{l.Addr().String()}
	_, err = client(t, cfg).Discover(ctx)
	wantError(t, err, "protocol version")
}
