package udp_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/netio/udp"
)

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// handler is a function as a Handler.
type handler func(loop int, batch []udp.Datagram)

func (h handler) ServeBatch(loop int, batch []udp.Datagram) { h(loop, batch) }

// echo answers every datagram with its role and its octets.
var echo = handler(func(_ int, batch []udp.Datagram) {
	for i := range batch {
		d := &batch[i]
		d.Reply = append(append(d.Reply, byte(d.Role)), d.Data...)
	}
})

// eachBackend runs a test on the reactor and on the portable loops.
func eachBackend(t *testing.T, test func(t *testing.T, portable bool)) {
	for _, portable := range []bool{false, true} {
		name := "reactor"
		if portable {
			name = "portable"
		}
		t.Run(name, func(t *testing.T) {
			if !portable && runtime.GOOS != "linux" {
				t.Skip("the reactor is for Linux; this system uses the portable loops")
			}
			test(t, portable)
		})
	}
}

func open(t testing.TB, c udp.Config, h udp.Handler) *udp.Server {
	t.Helper()
	s, err := udp.Open(c, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeServer(t, s) })
	return s
}

func closeServer(t testing.TB, s *udp.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// dial makes a client that sends to and receives from anyone.
func dial(t testing.TB, address string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func send(t testing.TB, c *net.UDPConn, to netip.AddrPort, data []byte) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort(data, to); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, c *net.UDPConn) ([]byte, netip.AddrPort) {
	t.Helper()
	buf := make([]byte, 1<<16)
	n, from, err := c.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

// await polls until ok, or fails with the statistics.
func await(t testing.TB, s *udp.Server, what string, ok func(udp.Stats) bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(s.Stats()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not reached: %+v", what, s.Stats())
		}
	}
}

func local(ip string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), port)
}

// TestReplyComesFromWhereTheRequestWent: RFC 2865 section 3; the request's
// destination is the reply's source, also on a socket that is bound to every address.
func TestReplyComesFromWhereTheRequestWent(t *testing.T) {
	for _, c := range []struct {
		name, listen, client, to string
		wildcard                 bool
	}{
		{"v4", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1", false},
		{"v6", "[::1]:0", "[::1]:0", "::1", false},
		{"v4 other address", "127.0.0.2:0", "127.0.0.1:0", "127.0.0.2", false},
		{"v4 wildcard", "0.0.0.0:0", "127.0.0.1:0", "127.0.0.2", true},
		{"dual stack v4", ":0", "127.0.0.1:0", "127.0.0.2", true},
		{"dual stack v6", ":0", "[::1]:0", "::1", false},
		{"v6 wildcard", "[::]:0", "[::1]:0", "::1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, portable bool) {
				if portable && c.wildcard {
					t.Skip("the portable loops leave the source address of a wildcard listener to the system, by contract")
				}
				var mu sync.Mutex
				var got udp.Datagram
				s := open(t, udp.Config{Listeners: []udp.Listener{{Address: c.listen, Role: 7}}, Loops: 2, Portable: portable},
					handler(func(loop int, batch []udp.Datagram) {
						mu.Lock()
						got = batch[0]
						mu.Unlock()
						echo(loop, batch)
					}))
				client := dial(t, c.client)
				to := local(c.to, s.Addrs()[0].Port())
				send(t, client, to, []byte("abc"))
				reply, from := receive(t, client)
				if string(reply) != "\x07abc" || from != to {
					t.Errorf("reply %q from %v, want \"\\x07abc\" from %v", reply, from, to)
				}
				mu.Lock()
				defer mu.Unlock()
				if want := client.LocalAddr().(*net.UDPAddr).AddrPort(); got.From.Addr() != want.Addr().Unmap() || got.From.Port() != want.Port() {
					t.Errorf("From %v, want %v", got.From, want)
				}
				if got.From.Addr().Is4In6() || got.To.Addr().Is4In6() {
					t.Errorf("an IPv4-mapped address was handed out: from %v to %v", got.From, got.To)
				}
				if !portable && got.To != to {
					t.Errorf("To %v, want %v", got.To, to)
				}
			})
		})
	}
}

// TestListenersKeepTheirRoles: four ports, many senders, several loops.
func TestListenersKeepTheirRoles(t *testing.T) {
	eachBackend(t, func(t *testing.T, portable bool) {
		var listeners []udp.Listener
		for role := range 4 {
			listeners = append(listeners, udp.Listener{Address: "127.0.0.1:0", Role: role + 1})
		}
		s := open(t, udp.Config{Listeners: listeners, Loops: 3, Portable: portable}, echo)
		const clients, rounds = 24, 20
		var all sync.WaitGroup
		for n := range clients {
			client := dial(t, "127.0.0.1:0")
			all.Go(func() {
				for i := range rounds {
					listed := (n + i) % 4
					want := fmt.Sprintf("%d.%d", n, i)
					client.WriteToUDPAddrPort([]byte(want), s.Addrs()[listed])
					buf := make([]byte, 64)
					k, from, err := client.ReadFromUDPAddrPort(buf)
					if err != nil || string(buf[1:k]) != want || int(buf[0]) != listed+1 || from.Port() != s.Addrs()[listed].Port() {
						t.Errorf("client %d round %d: %q from %v (%v), want role %d and %q", n, i, buf[:k], from, err, listed+1, want)
						return
					}
				}
			})
		}
		all.Wait()
		await(t, s, "counters", func(st udp.Stats) bool { return st.Received == clients*rounds && st.Sent == clients*rounds })
	})
}

// TestLoopIsSingleThreaded: ServeBatch of one loop never runs twice at once, and a
// sender stays on its loop.
func TestLoopIsSingleThreaded(t *testing.T) {
	eachBackend(t, func(t *testing.T, portable bool) {
		var mu sync.Mutex
		busy, home := map[int]bool{}, map[netip.AddrPort]int{}
		s := open(t, udp.Config{Listeners: []udp.Listener{{Address: ":0"}}, Loops: 4, Portable: portable},
			handler(func(loop int, batch []udp.Datagram) {
				mu.Lock()
				if busy[loop] {
					t.Errorf("loop %d serves two batches at once", loop)
				}
				busy[loop] = true
				for i := range batch {
					if was, known := home[batch[i].From]; known && was != loop {
						t.Errorf("%v moved from loop %d to %d", batch[i].From, was, loop)
					}
					home[batch[i].From] = loop
				}
				mu.Unlock()
				runtime.Gosched()
				mu.Lock()
				busy[loop] = false
				mu.Unlock()
				echo(loop, batch)
			}))
		var all sync.WaitGroup
		for range 16 {
			client := dial(t, "127.0.0.1:0")
			all.Go(func() {
				for range 30 {
					client.WriteToUDPAddrPort([]byte("x"), local("127.0.0.1", s.Addrs()[0].Port()))
					if _, _, err := client.ReadFromUDPAddrPort(make([]byte, 8)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		mu.Lock()
		defer mu.Unlock()
		if !portable {
			used := map[int]bool{}
			for _, loop := range home {
				used[loop] = true
			}
			if len(used) < 2 {
				t.Errorf("16 senders all on one of %d loops", s.Loops())
			}
		}
	})
}

// TestOversizeAndEmpty: 4,097 octets arrive marked, zero octets arrive.
func TestOversizeAndEmpty(t *testing.T) {
	eachBackend(t, func(t *testing.T, portable bool) {
		s := open(t, udp.Config{Listeners: []udp.Listener{{Address: "127.0.0.1:0"}}, Loops: 1, Portable: portable},
			handler(func(_ int, batch []udp.Datagram) {
				for i := range batch {
					batch[i].Reply = fmt.Appendf(batch[i].Reply, "%d %v", len(batch[i].Data), batch[i].Truncated)
				}
			}))
		client := dial(t, "127.0.0.1:0")
		for _, c := range []struct {
			size int
			want string
		}{{0, "0 false"}, {1, "1 false"}, {4096, "4096 false"}, {4097, "4096 true"}, {60000, "4096 true"}, {20, "20 false"}} {
			send(t, client, s.Addrs()[0], make([]byte, c.size))
			if got, _ := receive(t, client); string(got) != c.want {
				t.Errorf("%d octets: handler saw %q, want %q", c.size, got, c.want)
			}
		}
		await(t, s, "counters", func(st udp.Stats) bool { return st.Truncated == 2 && st.Empty == 1 && st.Received == 6 })
	})
}

// TestReplyTooLong: a reply that RADIUS forbids is not sent, and counted; the longest
// one is.
func TestReplyTooLong(t *testing.T) {
	eachBackend(t, func(t *testing.T, portable bool) {
		s := open(t, udp.Config{Listeners: []udp.Listener{{Address: "127.0.0.1:0"}}, Portable: portable},
			handler(func(_ int, batch []udp.Datagram) {
				for i := range batch {
					batch[i].Reply = append(batch[i].Reply, make([]byte, udp.ReplyMax+1-len(batch[i].Data))...)
				}
			}))
		client := dial(t, "127.0.0.1:0")
		send(t, client, s.Addrs()[0], nil)
		await(t, s, "too long", func(st udp.Stats) bool { return st.SendErrors.TooLong == 1 && st.Sent == 0 })
		send(t, client, s.Addrs()[0], []byte("x"))
		if got, _ := receive(t, client); len(got) != udp.ReplyMax {
			t.Errorf("reply of %d octets, want %d", len(got), udp.ReplyMax)
		}
	})
}

// TestPanicCostsOneDatagram: the others of the batch are served.
func TestPanicCostsOneDatagram(t *testing.T) {
	eachBackend(t, func(t *testing.T, portable bool) {
		gate, entered := make(chan struct{}), make(chan struct{}, 1)
		s := open(t, udp.Config{Listeners: []udp.Listener{{Address: "127.0.0.1:0"}}, Loops: 1, Portable: portable},
			handler(func(loop int, batch []udp.Datagram) {
				if string(batch[0].Data) == "hold" {
					entered <- struct{}{}
					<-gate
				}
				for i := range batch {
					batch[i].Reply = append(batch[i].Reply, "partial"...)
					if string(batch[i].Data) == "bad" {
						panic("a bug")
					}
					batch[i].Reply = append(batch[i].Reply[:0], batch[i].Data...)
				}
			}))
		client := dial(t, "127.0.0.1:0")
		send(t, client, s.Addrs()[0], []byte("hold"))
		<-entered // what follows comes as one batch
		for _, data := range []string{"one", "bad", "two"} {
			send(t, client, s.Addrs()[0], []byte(data))
		}
		close(gate)
		for _, want := range []string{"hold", "one", "two"} {
			if got, _ := receive(t, client); string(got) != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		await(t, s, "panics counted", func(st udp.Stats) bool { return st.Panics >= 1 && st.Sent == 3 })
	})
}

// TestNoLoopToOurselves: a datagram that claims to come from the listener's own
// address gets no reply, or two listeners would talk to themselves for ever.
func TestNoLoopToOurselves(t *testing.T) {
	d := udp.NewDatagram(nil, udp.Listener{}, 0, local("127.0.0.1", 1812), local("127.0.0.1", 1812), nil)
	if udp.Answerable(&d) {
		t.Error("own address counts as answerable")
	}
	d.From = local("127.0.0.3", 0)
	if udp.Answerable(&d) {
		t.Error("port 0 counts as answerable")
	}
	d.From = local("127.0.0.3", 1812)
	if !udp.Answerable(&d) {
		t.Error("another host on the same port is not answerable")
	}
}

// TestOpenRefuses: what cannot be opened is said with the address.
func TestOpenRefuses(t *testing.T) {
	eachBackend(t, func(t *testing.T, portable bool) {
		taken := open(t, udp.Config{Listeners: []udp.Listener{{Address: "127.0.0.1:0"}}, Portable: portable}, echo)
		for _, c := range []struct{ address, want string }{
			{taken.Addrs()[0].String(), "another program listens there already"},
			{"localhost:1812", "literal address"},
			{"127.0.0.1", "want :PORT or ADDRESS:PORT"},
			{"127.0.0.1:radius", "port number"},
			{"127.0.0.1:70000", "port number"},
			{"192.0.2.77:1812", "cannot listen"},
			{"", "want :PORT"},
		} {
			_, err := udp.Open(udp.Config{Listeners: []udp.Listener{{Address: "127.0.0.1:0"}, {Address: c.address}}, Portable: portable}, echo)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.address) {
				t.Errorf("%q: error %v, want one with %q", c.address, err, c.want)
			}
		}
		if _, err := udp.Open(udp.Config{Portable: portable}, echo); err == nil {
			t.Error("opened without a listener")
		}
	})
}

// TestPortsAreFreeAfterClose: a second server takes the same port at once.
func TestPortsAreFreeAfterClose(t *testing.T) {
	eachBackend(t, func(t *testing.T, portable bool) {
		c := udp.Config{Listeners: []udp.Listener{{Address: "127.0.0.1:0"}}, Loops: 2, Portable: portable}
		first, err := udp.Open(c, echo)
		if err != nil {
			t.Fatal(err)
		}
		closeServer(t, first)
		c.Listeners[0].Address = first.Addrs()[0].String()
		second := open(t, c, echo)
		client := dial(t, "127.0.0.1:0")
		send(t, client, second.Addrs()[0], []byte("again"))
		if got, _ := receive(t, client); !bytes.Equal(got, []byte("\x00again")) {
			t.Errorf("got %q", got)
		}
	})
}

// TestBufferIsReported: the grant is known where the system tells.
func TestBufferIsReported(t *testing.T) {
	eachBackend(t, func(t *testing.T, portable bool) {
		s := open(t, udp.Config{Listeners: []udp.Listener{{Address: "127.0.0.1:0"}}, RecvBuffer: 128 << 10, Portable: portable}, echo)
		st := s.Stats()
		if st.BufferAsked != 128<<10 || (!portable && st.BufferGranted < 100<<10) {
			t.Errorf("asked %d, granted %d", st.BufferAsked, st.BufferGranted)
		}
	})
}
