package portal

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/netio/report"
)

// dial opens a TCP connection from a loopback address.
func (b *bench) dial(from string) net.Conn {
	b.t.Helper()
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", b.server.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// dialTLS opens a connection that is ready for requests.
func (b *bench) dialTLS() *tls.Conn {
	b.t.Helper()
	conf := b.trust()
	conf.ServerName = "127.0.0.1"
	c := tls.Client(b.dial("127.0.0.1"), conf)
	if err := c.Handshake(); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// send writes octets and reads the response that comes.
func send(t *testing.T, c net.Conn, text string) *http.Response {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestConnectionLimits: the third of an address is closed at once, others get in, and a
// place is free again when its connection is gone.
func TestConnectionLimits(t *testing.T) {
	b := start(t, func(c *Config, _ *fakePosture) { c.Limits = Limits{Connections: 4, ConnectionsPer: 2} })
	first, second := b.dial("127.0.0.1"), b.dial("127.0.0.1")
	b.eventually("two connections", func() bool { return b.server.Stats().Connections == 2 })
	if _, err := b.dial("127.0.0.1").Read(make([]byte, 1)); !gone(err) {
		t.Errorf("the third of one address: %v", err)
	}
	b.refused("connections-per-address", 1)
	b.dial("127.0.0.2")
	b.dial("127.0.0.3")
	b.eventually("four connections", func() bool { return b.server.Stats().Connections == 4 })
	if _, err := b.dial("127.0.0.4").Read(make([]byte, 1)); !gone(err) {
		t.Errorf("the fifth of all: %v", err)
	}
	b.refused("connections", 1)
	first.Close()
	second.Close()
	b.eventually("two places", func() bool { return b.server.Stats().Connections == 2 })
	if b.get("/healthz").status != 200 {
		t.Error("no place after two have gone")
	}
	b.refused("handshake", 2)
}

// gone says whether a connection was closed by the other side.
func gone(err error) bool {
	return err != nil && !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "timeout")
}

// TestHandshakes: with no place left a ClientHello waits, then gets in or is refused;
// places come back after good and bad handshakes.
func TestHandshakes(t *testing.T) {
	b := start(t, func(c *Config, _ *fakePosture) { c.Limits.Handshakes = 1 })
	b.server.listener.slots <- struct{}{}
	in := make(chan *answer, 1)
	go func() { in <- b.get("/healthz") }()
	b.eventually("a connection that waits", func() bool { return b.server.Stats().Connections == 1 })
	<-b.server.listener.slots
	if a := <-in; a.status != 200 {
		t.Errorf("after a place came free: %d", a.status)
	}
	b.server.listener.slots <- struct{}{}
	if _, err := b.newClient().Get(b.base + "/healthz"); err == nil {
		t.Error("a handshake without a place")
	}
	b.refused("handshakes-full", 1)
	<-b.server.listener.slots
	old := b.trust()
	old.MaxVersion = tls.VersionTLS12
	for range 3 {
		if _, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: old}}).Get(b.base + "/healthz"); err == nil {
			t.Fatal("TLS 1.2 was accepted")
		}
		c := b.dialTLS()
		c.Close()
	}
	b.refused("tls-version", 3)
	b.refused("no-request", 3)
	b.eventually("all places are free", func() bool { return len(b.server.listener.slots) == 0 })
}

func TestTLS13(t *testing.T) {
	b := start(t, nil)
	state := b.dialTLS().ConnectionState()
	if state.Version != tls.VersionTLS13 || state.NegotiatedProtocol != "" {
		t.Errorf("version %x, protocol %q", state.Version, state.NegotiatedProtocol)
	}
}

// TestPlainHTTP: a person who left out the s is told so.
func TestPlainHTTP(t *testing.T) {
	b := start(t, nil)
	resp := send(t, b.dial("127.0.0.1"), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 400 || !strings.Contains(string(body), "https://") {
		t.Errorf("%d %q %v", resp.StatusCode, body, err)
	}
	b.refused("plain-http", 1)
	c := b.dial("127.0.0.1")
	if _, err := c.Write([]byte{0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	b.refused("handshake", 1)
}

// TestSlowHeader: a header has to come in time, and has its size.
func TestSlowHeader(t *testing.T) {
	b := startWith(t, nil, func(s *Server) { s.http.ReadHeaderTimeout = 200 * time.Millisecond })
	c := b.dialTLS()
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !gone(err) {
		t.Errorf("a slow header: %v", err)
	}
	b.refused("header", 1)
	large := b.dialTLS()
	resp := send(t, large, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: "+strings.Repeat("x", 2*headerBytesMax)+"\r\n\r\n")
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a large header: %d", resp.StatusCode)
	}
	large.Close()
	b.refused("header", 2)
}

// TestSlowBody: a body that trickles is refused and its connection closed.
func TestSlowBody(t *testing.T) {
	b := startWith(t, nil, func(s *Server) { s.bodyWait = 100 * time.Millisecond })
	c := b.dialTLS()
	resp := send(t, c, "POST "+report.PathReport+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"v\":1")
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	(&answer{resp.StatusCode, resp.Header, body}).problem(t, http.StatusRequestTimeout, report.CodeSlow)
	if !resp.Close {
		t.Error("the connection stays open")
	}
	b.refused("slow-body", 1)
	half := b.dialTLS()
	if _, err := io.WriteString(half, "POST "+report.PathReport+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	half.Close()
	b.refused("broken-body", 1)
}

// TestTooLargeIsNotRead: what is left of a body that is refused by its length does not
// become the next request.
func TestTooLargeIsNotRead(t *testing.T) {
	b := start(t, nil)
	c := b.dialTLS()
	resp := send(t, c, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		report.PathReport, report.ReportBytesMax+1))
	if resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
		t.Errorf("%d, close %v", resp.StatusCode, resp.Close)
	}
}

// TestRequestRate: one address cannot ask without end; others and monitoring can.
func TestRequestRate(t *testing.T) {
	b := start(t, func(c *Config, _ *fakePosture) { c.Limits.RequestsBurst, c.Limits.RequestsPer = 3, 1 })
	for range 3 {
		if a := b.get(report.PathDiscovery); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if p := b.get(report.PathDiscovery).problem(t, 429, report.CodeBusy); p.Retry != 1 {
		t.Errorf("%+v", p)
	}
	if a := b.get(report.PathGateway); a.status != 429 || !strings.Contains(string(a.body), "Too much at once") {
		t.Errorf("%d %.100s", a.status, a.body)
	}
	if b.get("/healthz").status != 200 {
		t.Error("monitoring is refused")
	}
	b.clock.Advance(time.Second)
	if b.get(report.PathDiscovery).status != 200 {
		t.Error("refused a second later")
	}
	b.refused("requests-per-address", 2)
}

// TestCloseWithUnusedConnections: connections opened in advance do not hold up a close.
func TestCloseWithUnusedConnections(t *testing.T) {
	b := start(t, nil)
	b.dialTLS()
	b.dial("127.0.0.1")
	b.eventually("two connections", func() bool { return b.server.Stats().Connections == 2 })
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := b.server.Close(ctx); err != nil {
		t.Error(err)
	}
	b.eventually("none", func() bool { return b.server.Stats().Connections == 0 })
}

// TestNeverStarted: a portal that only opened its socket closes it.
func TestNeverStarted(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	s, err := New(Config{Address: "127.0.0.1:0", Name: "a", StateDir: t.TempDir(), Logger: quiet}, &fakePosture{})
	if err != nil {
		t.Fatal(err)
	}
	again := Config{Address: s.Addr().String(), Name: "a", StateDir: t.TempDir(), Logger: quiet}
	if _, err := New(again, &fakePosture{}); err == nil {
		t.Error("two portals on one address")
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	second, err := New(again, &fakePosture{})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
