package portal

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestLoops: more than loopHitsMax redirects within loopWindow, own looks left out.
func TestLoops(t *testing.T) {
	var l loops
	now := testTime
	arrived := func(visitor string, at time.Time, redirected bool) bool {
		_, loop := l.arrived(visitor, at, redirected)
		return loop
	}
	for i := range loopHitsMax {
		if arrived("s", now, true) {
			t.Fatalf("redirect %d is a loop", i+1)
		}
		now = now.Add(5 * time.Second)
		if arrived("s", now, false) {
			t.Fatalf("a look after redirect %d is a loop", i+1)
		}
	}
	if !arrived("s", now, true) || !arrived("s", now, false) {
		t.Error("redirect 4 within 15 s is no loop")
	}
	if arrived("other", now, true) {
		t.Error("another session is in the loop")
	}
	if arrived("s", now.Add(loopWindow), true) {
		t.Error("a loop that was over is still one")
	}
	for i := range loopSessionsMax + 10 {
		arrived(fmt.Sprint(i), now, true)
	}
	if len(l.known) > loopSessionsMax {
		t.Errorf("%d sessions are remembered", len(l.known))
	}
}

// told is one call of Looping.
type told struct {
	peer                   netip.Addr
	session, cause, advice string
}

// nowhere is a resolver that knows no name.
func nowhere(context.Context, string) ([]netip.Addr, error) {
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

// TestLoopCauses: each cause is named on the page, in the counters, and told once.
func TestLoopCauses(t *testing.T) {
	pending := View{Status: "Pending"}
	for _, test := range []struct {
		name, path, host string
		view             View
		every            time.Duration
		before           func(*testing.T, *bench)
		want             cause
	}{
		{name: "a name that is not in the certificate", host: "other.example.com", view: pending, want: causeName},
		{name: "passed", view: View{Status: "Compliant", Bound: true}, want: causePassed},
		{name: "no agent", view: pending, want: causeUnheard},
		{name: "being checked", view: View{Status: "Pending", Bound: true}, want: causeNone},
		{name: "a ticket of another session", path: strings.Replace(gatewayURL, testTicket, "x", 1), view: pending, want: causeStale},
		{name: "opened by hand", path: "/portal/gateway", view: pending, want: causeNone},
		{name: "the page's own looks come back as redirects", view: View{Status: "NonCompliant", Bound: true}, every: 10400 * time.Millisecond, want: causeRedirectACL},
		{name: "a page reloaded slowly, whose own looks arrive", view: pending, every: 10400 * time.Millisecond,
			before: func(_ *testing.T, b *bench) { b.visit(gatewayURL+"&refresh=1", "en", onLinux) }, want: causeNone},
		{name: "an agent that does not trust us", view: pending, before: distrust, want: causeTrust},
		{name: "a name that does not resolve", host: "posture-1.example.com", view: pending, want: causeDNS},
	} {
		t.Run(test.name, func(t *testing.T) {
			calls := make(chan told, 16)
			b := start(t, func(c *Config, f *fakePosture) {
				f.view, c.Resolve = test.view, nowhere
				c.Looping = func(peer netip.Addr, session, cause, advice string) { calls <- told{peer, session, cause, advice} }
			})
			if test.every == 0 {
				test.every = 3 * time.Second
			}
			if test.path == "" {
				test.path = gatewayURL
			}
			var body string
			for i := range loopHitsMax + 2 {
				if test.before != nil {
					test.before(t, b)
				}
				req := b.request("GET", test.path, nil)
				if test.host != "" {
					req.Host = test.host
				}
				body = string(b.do(req).body)
				if hint := strings.Contains(body, english.LoopHeading); hint != (i >= loopHitsMax && test.want != causeNone) {
					t.Errorf("visit %d: hint %v", i+1, hint)
				}
				b.clock.Advance(test.every)
			}
			if !strings.Contains(body, english.Loops[test.want]) {
				t.Errorf("the page does not say %q", english.Loops[test.want])
			}
			if test.want == causeNone {
				if len(calls) != 0 {
					t.Errorf("told: %+v", <-calls)
				}
				return
			}
			if n := b.server.Stats().Loops[causeNames[test.want]]; len(calls) != 1 || n != 1 {
				t.Fatalf("told %d times, counted %d, want once", len(calls), n)
			}
			got := <-calls
			if got.cause != causeNames[test.want] || (got.session == "") != (test.want == causeStale) || !got.peer.IsLoopback() ||
				strings.HasPrefix(got.advice, "For the") || got.advice == "" {
				t.Errorf("told %+v", got)
			}
		})
	}
}

// distrust is a program that does not know the certificate.
func distrust(t *testing.T, b *bench) {
	t.Helper()
	before := b.server.Stats().Refused["certificate"]
	conn, err := tls.Dial("tcp", strings.TrimPrefix(b.base, "https://"), &tls.Config{RootCAs: x509.NewCertPool()})
	if err == nil {
		conn.Close()
		t.Fatal("a stranger's certificate is trusted")
	}
	for end := time.Now().Add(10 * time.Second); b.server.Stats().Refused["certificate"] == before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the alert is not counted")
		}
	}
}
