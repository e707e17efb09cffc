package portal

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sallyport/netio/report"
)

// lines are what the operator is told.
type lines struct {
	mu  sync.Mutex
	all []told
}

func (l *lines) add(peer netip.Addr, session, reason, advice string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, told{peer, session, reason, advice})
}

func (l *lines) of(reason string) (out []told) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.all {
		if one.cause == reason {
			out = append(out, one)
		}
	}
	return out
}

// TestRefusalsAreTold: each attack that ends at the portal is a line with the address, the
// session when there is one, and words; the same once in five minutes.
func TestRefusalsAreTold(t *testing.T) {
	var said lines
	b := bound(t, func(c *Config, _ *fakePosture) { c.Refused = said.add })
	wrong := func() *http.Request {
		req := b.request("POST", report.PathReport, b.reportBody(1))
		req.Header.Set(report.HeaderSignature, "AAAA")
		return req
	}
	for range 3 {
		b.do(wrong())
		b.do(b.signed("GET", report.PathEvents+"?session_id=ffff&after=0", nil))
		b.do(b.signed("POST", report.PathReport, []byte("{")))
		b.do(b.request("GET", "/posture/v2/report", nil))
	}
	for reason, session := range map[string]string{"signature": testSession, "unknown-session": "", "malformed": ""} {
		got := said.of(reason)
		if len(got) != 1 || got[0].session != session || !got[0].peer.IsLoopback() || got[0].advice == "" {
			t.Errorf("%s: told %+v", reason, got)
		}
	}
	if got := said.of("not-found"); len(got) != 0 {
		t.Errorf("told of a path that is not there: %+v", got)
	}
	b.clock.Advance(toldEvery)
	b.do(wrong())
	if got := said.of("signature"); len(got) != 2 {
		t.Errorf("told %d times after five minutes, want again", len(got))
	}
}

// TestWhatPostureRefusesIsCountedByCode, and not told a second time.
func TestWhatPostureRefusesIsCountedByCode(t *testing.T) {
	for code, reason := range asks {
		t.Run(code, func(t *testing.T) {
			var said lines
			b := bound(t, func(c *Config, f *fakePosture) {
				c.Refused = said.add
				f.judge = func(*report.Report, []byte) ([]byte, error) {
					return nil, &report.Problem{Status: http.StatusConflict, Code: code, Detail: "d"}
				}
			})
			b.do(b.signed("POST", report.PathReport, b.reportBody(1))).problem(t, http.StatusConflict, code)
			b.refused(whyNames[reason], 1)
			if got := said.of(whyNames[reason]); len(got) != 0 {
				t.Errorf("told %+v", got)
			}
		})
	}
}

// TestAFloodOfAddressesFillsNoLog: a line for each address, but not more than toldBurst at once.
func TestAFloodOfAddressesFillsNoLog(t *testing.T) {
	n := 0
	tell := newTeller(func(netip.Addr, string, string, string) { n++ })
	at := testTime
	for i := range 10000 {
		tell.refused(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), "", whySignature, at)
	}
	if n != toldBurst {
		t.Errorf("%d lines, want %d", n, toldBurst)
	}
	tell.refused(netip.MustParseAddr("192.0.2.1"), "", whySignature, at.Add(2*time.Second))
	if n != toldBurst+1 {
		t.Errorf("%d lines after two seconds, want %d", n, toldBurst+1)
	}
}

// TestAlertInTheClear: OpenSSL tells in the clear that it does not trust us.
func TestAlertInTheClear(t *testing.T) {
	var said lines
	b := start(t, func(c *Config, _ *fakePosture) { c.Refused = said.add })
	c := b.dial("127.0.0.1")
	if _, err := c.Write(clientHello(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, recordHeader)); err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{{20, 3, 3, 0, 1, 1, recordAlert, 3, 3}, {0, 2, 2}, {48}} {
		if _, err := c.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	b.refused("certificate", 1)
	b.eventually("it is told", func() bool { return len(said.of("certificate")) == 1 })
	if !b.server.distrust.since(netip.MustParseAddr("127.0.0.1"), testTime.Add(-time.Second)) {
		t.Error("the loop detector does not know")
	}
}

// TestPlainAlerts, cut anywhere.
func TestPlainAlerts(t *testing.T) {
	hello := []byte{22, 3, 1, 0, 3, recordAlert, 3, 3}
	for _, test := range []struct {
		name    string
		octets  []byte
		refuses bool
	}{
		{"unknown authority", []byte{recordAlert, 3, 3, 0, 2, 2, 48}, true},
		{"expired", []byte{recordAlert, 3, 3, 0, 2, 2, 45}, true},
		{"protocol version", []byte{recordAlert, 3, 3, 0, 2, 2, 70}, false},
		{"encrypted", append([]byte{23, 3, 3, 0, 19}, make([]byte, 19)...), false},
		{"longer than an alert", []byte{recordAlert, 3, 3, 0, 3, 2, 48, 48}, false},
		{"empty record, then an alert", []byte{recordAlert, 3, 3, 0, 0, recordAlert, 3, 3, 0, 2, 1, 42}, true},
	} {
		all := append(hello[:len(hello):len(hello)], test.octets...)
		for cut := range len(all) + 1 {
			var a plainAlert
			a.see(all[:cut])
			a.see(all[cut:])
			if a.ofCertificate() != test.refuses {
				t.Errorf("%s, cut at %d: %v", test.name, cut, a.ofCertificate())
			}
		}
	}
}

// clientHello is what a client of TLS 1.3 begins with.
func clientHello(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan []byte, 1)
	go func() {
		b := make([]byte, 4096)
		n, _ := theirs.Read(b)
		theirs.Close()
		done <- b[:n]
	}()
	if err := tls.Client(ours, &tls.Config{ServerName: "posture-1.example.com", MinVersion: tls.VersionTLS13}).Handshake(); err == nil {
		t.Fatal("a handshake with nobody")
	}
	ours.Close()
	return <-done
}
