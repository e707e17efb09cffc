package portaltest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/coa/coatest"
	"sallyport/netio/report"
)

// Of the flood.
const (
	attackers   = 48 // each with an address of its own
	loginsTimed = 150
	loginWithin = 250 * time.Millisecond // p99, on two processors that the attackers share
)

// attacks are what one attacker does again and again; each ends by itself or with ctx.
var attacks = []struct {
	name string
	do   func(ctx context.Context, d *net.Dialer, addr string)
}{
	{"connects and is silent", func(ctx context.Context, d *net.Dialer, addr string) {
		if c, err := d.DialContext(ctx, "tcp", addr); err == nil {
			defer c.Close()
			c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			io.Copy(io.Discard, c)
		}
	}},
	{"says half of a ClientHello", func(ctx context.Context, d *net.Dialer, addr string) {
		if c, err := d.DialContext(ctx, "tcp", addr); err == nil {
			defer c.Close()
			c.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3})
			c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			io.Copy(io.Discard, c)
		}
	}},
	{"does the handshake and goes", func(ctx context.Context, d *net.Dialer, addr string) {
		if c, err := (&tls.Dialer{NetDialer: d, Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, "tcp", addr); err == nil {
			c.Close()
		}
	}},
	{"claims with forged signatures", func(ctx context.Context, d *net.Dialer, addr string) {
		post(ctx, d, addr, report.PathSession, `{"v":1,"session_id":"7f0000010001d0006b03abb5","key":"`+strings.Repeat("A", 122)+`","agent":{"name":"x"},"system":{"os":"linux"}}`)
	}},
	{"sends more than may be sent", func(ctx context.Context, d *net.Dialer, addr string) {
		post(ctx, d, addr, report.PathReport, `{"v":1,"facts":`+strings.Repeat("[", 300<<10))
	}},
	{"nests deeply", func(ctx context.Context, d *net.Dialer, addr string) {
		post(ctx, d, addr, report.PathReport, strings.Repeat(`{"a":`, 20000))
	}},
}

func post(ctx context.Context, d *net.Dialer, addr, path, body string) {
	transport := &http.Transport{DialContext: d.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+addr+path, strings.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", report.MediaType)
	if answer, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Do(req); err == nil {
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
}

// TestLoginsGoOnInAFlood: while the portal is attacked in every way at once, a login
// over RADIUS is answered as soon as the processors that both share allow, and each attack
// has its counted reason.
func TestLoginsGoOnInAFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("a flood is measured, which a short run has no time for")
	}
	w := newWorld(t)
	quiet := w.timeLogins(0)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var done atomic.Int64
	var all sync.WaitGroup
	for i := range attackers {
		attack := attacks[i%len(attacks)]
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, 0, byte(1+i))}}
		all.Go(func() {
			for ctx.Err() == nil {
				attack.do(ctx, d, strings.TrimPrefix(w.bound.Portal, "https://"))
				done.Add(1)
			}
		})
	}
	await(t, "the flood runs", patience, func() bool { return done.Load() > attackers })
	flooded := w.timeLogins(loginsTimed)
	n := done.Load()
	stop()
	all.Wait()
	t.Logf("a login without the flood %s, with it %s; %d attacks", spread(quiet), spread(flooded), n)
	if p99 := flooded[len(flooded)*99/100]; p99 > loginWithin {
		t.Errorf("p99 of a login is %s during the flood, want %s at most", p99, loginWithin)
	}
	text := w.metrics()
	for _, reason := range []string{"handshake", "malformed", "too-large"} {
		if strings.Contains(text, fmt.Sprintf("sallyport_portal_total{event=\"refused_%s\"} 0\n", reason)) || !strings.Contains(text, "refused_"+reason) {
			t.Errorf("refused_%s is not counted", reason)
		}
	}
}

// timeLogins logs endpoints in, one after the other, and sorts how long each took.
func (w *world) timeLogins(from int) []time.Duration {
	w.t.Helper()
	var took []time.Duration
	for i := range loginsTimed {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		begun := time.Now()
		n := from + i
		_, err := w.asa.Login(ctx, "cisco", "cisco", coatest.Endpoint{PublicIP: netip.AddrFrom4([4]byte{10, 62, byte(n >> 8), byte(n)}),
			MAC: fmt.Sprintf("00:50:56:aa:%02x:%02x", n>>8, n&255), Platform: "linux-64"})
		took = append(took, time.Since(begun))
		cancel()
		must(w.t, err)
	}
	slices.Sort(took)
	return took
}

func spread(sorted []time.Duration) string {
	at := func(p int) time.Duration { return sorted[len(sorted)*p/100].Round(10 * time.Microsecond) }
	return fmt.Sprintf("p50 %s p99 %s", at(50), at(99))
}

// metrics is the appliance's page of them.
func (w *world) metrics() string {
	w.t.Helper()
	answer, err := http.Get("http://" + w.bound.Metrics + "/metrics")
	must(w.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(w.t, err)
	return string(text)
}
