//go:build linux && !race

package udp_test

import (
	"net/netip"
	"testing"

	"sallyport/netio/udp"
)

// TestNoAllocationPerDatagram pins the whole loop: first octet read to last octet
// sent, replies at once and late ones from another goroutine. AllocsPerRun counts
// every goroutine of the process.
func TestNoAllocationPerDatagram(t *testing.T) {
	const burst = 32
	for _, c := range []struct{ name, listen, to string }{
		{"v4", "127.0.0.1:0", "127.0.0.1"}, {"dual", ":0", "127.0.0.1"}, {"v6", "[::1]:0", "::1"},
	} {
		for _, late := range []bool{false, true} {
			name := c.name
			if late {
				name += " late"
			}
			t.Run(name, func(t *testing.T) {
				later := make(chan udp.Late, burst)
				h := echo
				if late {
					h = func(_ int, batch []udp.Datagram) {
						for i := range batch {
							later <- batch[i].Late()
						}
					}
				}
				s := open(t, udp.Config{Listeners: []udp.Listener{{Address: c.listen}}, Loops: 1}, h)
				client := dial(t, netip.AddrPortFrom(netip.MustParseAddr(c.to), 0).String())
				to := local(c.to, s.Addrs()[0].Port())
				request, reply := make([]byte, 150), make([]byte, 80)
				buf := make([]byte, 512)
				stop := make(chan struct{})
				go func() {
					for {
						select {
						case l := <-later:
							l.Send(reply)
						case <-stop:
							return
						}
					}
				}()
				defer close(stop)
				n := testing.AllocsPerRun(50, func() {
					for range burst {
						client.WriteToUDPAddrPort(request, to)
					}
					for range burst {
						if _, _, err := client.ReadFromUDPAddrPort(buf); err != nil {
							t.Fatal(err)
						}
					}
				})
				if n != 0 {
					t.Errorf("%v allocations for %d datagrams, want none", n, burst)
				}
			})
		}
	}
}
