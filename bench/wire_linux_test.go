package bench

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/netio/radius"
	"sallyport/ops/secret"
)

// respond answers requests on a socket of loopback until the test ends; what treats each
// request and returns the datagrams to send back.
func respond(t *testing.T, address string, what func(n int, request []byte) [][]byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
	if err != nil {
		if strings.HasPrefix(address, "[") {
			t.Skip("no IPv6 on loopback: ", err)
		}
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 4096)
		for n := 0; ; n++ {
			got, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for _, out := range what(n, buf[:got]) {
				_, _ = conn.WriteToUDPAddrPort(out, from) // a loss like any other
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-ended })
	at := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

func run(t *testing.T, s *Scenario, at netip.AddrPort) *Result {
	t.Helper()
	s.Name = "test"
	set(&s.Kind, KindAuth)
	s.fill()
	r := &Runner{ServerCPU: -1, GeneratorCPU: -1}
	result, err := r.Run(context.Background(), s, &Target{Name: "responder", Auth: at, Acct: at, Secret: secret.New([]byte(Secret))})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// TestRunOverSockets: both kinds over both families, every request once, every reply
// verified.
func TestRunOverSockets(t *testing.T) {
	key := keyOf(t)
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, kind := range []string{KindAuth, KindAccounting} {
			t.Run(address+" "+kind, func(t *testing.T) {
				at := respond(t, address, func(_ int, q []byte) [][]byte { return [][]byte{reply(t, key, q)} })
				r := run(t, &Scenario{Kind: kind, Users: 10, Sessions: 100, Ports: 4, Window: 8, Warm: 50, Count: 3000,
					Time: time.Minute, Objectives: Objectives{Answered: 1}}, at)
				if r.Counts.Answered != 3000 || r.Counts.Requests != 3000 || len(r.Missed) > 0 || r.Rate <= 0 || r.Latency.P50 <= 0 {
					t.Fatalf("%+v", r)
				}
			})
		}
	}
}

// TestLossOverSockets: a responder that ignores every third datagram, doubles every
// fifth reply and spoils every seventh; every request is answered in the end.
func TestLossOverSockets(t *testing.T) {
	key := keyOf(t)
	at := respond(t, "127.0.0.1:0", func(n int, q []byte) [][]byte {
		right := reply(t, key, q)
		switch {
		case n%3 == 0:
			return nil
		case n%5 == 0:
			return [][]byte{right, right}
		case n%7 == 0:
			wrong := bytes.Clone(right)
			wrong[10] ^= 0xff
			return [][]byte{wrong}
		}
		return [][]byte{right}
	})
	r := run(t, &Scenario{Ports: 2, Window: 16, Count: 500, Time: time.Minute, Objectives: Objectives{Answered: 1, Wrong: 1000},
		Retransmit: Retransmit{Initial: 20 * time.Millisecond, Longest: 40 * time.Millisecond, Count: 20, GiveUp: 20 * time.Second}}, at)
	c := r.Counts
	if c.Answered != 500 || len(r.Missed) > 0 || c.Retransmitted == 0 || c.Wrong == 0 || c.Surplus == 0 || c.Datagrams != 500+c.Retransmitted {
		t.Fatalf("%+v %v", c, r.Missed)
	}
}

// TestSilenceIsSaid: nobody answers, and the error says so.
func TestSilenceIsSaid(t *testing.T) {
	at := respond(t, "127.0.0.1:0", func(int, []byte) [][]byte { return nil })
	s := &Scenario{Name: "test", Kind: KindAuth, Warm: 1, Retransmit: Retransmit{Off: true, Initial: time.Millisecond, GiveUp: 30 * time.Millisecond}}
	s.fill()
	_, err := (&Runner{ServerCPU: -1, GeneratorCPU: -1}).Run(context.Background(), s, &Target{Name: "nobody", Auth: at, Secret: secret.New([]byte(Secret))})
	if err == nil || !strings.Contains(err.Error(), "nobody at "+at.String()+" answers nothing") {
		t.Fatal(err)
	}
}

// TestWrongSecretMisses: replies under another secret settle nothing and miss the
// objectives.
func TestWrongSecretMisses(t *testing.T) {
	other, err := radius.NewKey(secret.New([]byte("not the secret")))
	if err != nil {
		t.Fatal(err)
	}
	at := respond(t, "127.0.0.1:0", func(_ int, q []byte) [][]byte { return [][]byte{reply(t, other, q)} })
	r := run(t, &Scenario{Count: 5, Time: time.Minute, Retransmit: Retransmit{Off: true, Initial: time.Millisecond, GiveUp: 30 * time.Millisecond},
		Objectives: Objectives{Answered: 1}}, at)
	if r.Counts.Answered != 0 || r.Counts.Wrong != 5 || r.Counts.GivenUp != 5 || len(r.Missed) != 2 {
		t.Fatalf("%+v %v", r.Counts, r.Missed)
	}
}

// TestRunIsCancelled: a signal ends a run before its time.
func TestRunIsCancelled(t *testing.T) {
	at := respond(t, "127.0.0.1:0", func(int, []byte) [][]byte { return nil })
	s := &Scenario{Name: "test", Kind: KindAuth, Time: time.Minute}
	s.fill()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := (&Runner{ServerCPU: -1, GeneratorCPU: -1}).Run(ctx, s, &Target{Auth: at, Secret: secret.New([]byte(Secret))})
	if err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Fatal(err)
	}
}

// TestEcho: the echoing reactor gives every datagram back, and the generator sees it.
func TestEcho(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	out := make(lines, 1)
	ended := make(chan error, 1)
	go func() { ended <- ServeEcho(ctx, out, 300) }()
	at := netip.MustParseAddrPort(strings.TrimSpace(<-out))
	r := run(t, &Scenario{Ports: 2, Window: 8, Count: 2000, Time: time.Minute, Objectives: Objectives{Answered: 1}, echo: true}, at)
	if r.Counts.Answered != 2000 || len(r.Missed) > 0 {
		t.Fatalf("%+v %v", r.Counts, r.Missed)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

type lines chan string

func (l lines) Write(b []byte) (int, error) { l <- string(b); return len(b), nil }

// TestLayeh: the peer lets its users in and nobody else, and ends when it is told to.
func TestLayeh(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	out := make(lines, 1)
	ended := make(chan error, 1)
	go func() { ended <- ServeLayeh(ctx, out, 5) }()
	at := netip.MustParseAddrPort(strings.TrimSpace(<-out))
	r := run(t, &Scenario{Users: 5, Ports: 2, Window: 8, Count: 1000, Time: time.Minute, Objectives: Objectives{Answered: 1}}, at)
	if len(r.Missed) > 0 {
		t.Fatalf("%+v %v", r.Counts, r.Missed)
	}
	r = run(t, &Scenario{Users: 10, Ports: 2, Window: 8, Count: 100, Time: time.Minute, Objectives: Objectives{Answered: 1, Rejected: 50}}, at)
	if r.Counts.Rejected != 50 || len(r.Missed) > 0 {
		t.Fatalf("%+v %v", r.Counts, r.Missed)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
