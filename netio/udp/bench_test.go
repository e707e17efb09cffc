//go:build linux

package udp_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/panjf2000/gnet/v2"

	"sallyport/netio/udp"
)

// BenchmarkEcho compares the reactor, the portable loops and a stock gnet server. The
// generator runs in the same process, so the ratio says more than the number.
func BenchmarkEcho(b *testing.B) {
	for _, portable := range []bool{false, true} {
		b.Run(map[bool]string{false: "reactor", true: "portable"}[portable], func(b *testing.B) {
			s := open(b, udp.Config{Listeners: []udp.Listener{{Address: "127.0.0.1:0"}}, Loops: 1, Portable: portable}, echo)
			pingPong(b, s.Addrs()[0])
		})
	}
	b.Run("gnet", func(b *testing.B) {
		g := &gnetEcho{ready: make(chan gnet.Engine, 1)}
		address := dial(b, "127.0.0.1:0").LocalAddr().String() // a port that is free beside this one
		to := netip.MustParseAddrPort(address)
		to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), to.Port())
		ended := make(chan error, 1)
		go func() { ended <- gnet.Run(g, fmt.Sprintf("udp://%v", to), gnet.WithNumEventLoop(1)) }()
		select {
		case err := <-ended:
			b.Skipf("gnet does not start: %v", err)
		case engine := <-g.ready:
			pingPong(b, to)
			engine.Stop(context.Background())
			<-ended
		}
	})
}

type gnetEcho struct {
	gnet.BuiltinEventEngine
	ready chan gnet.Engine
}

func (g *gnetEcho) OnBoot(e gnet.Engine) gnet.Action { g.ready <- e; return gnet.None }

func (g *gnetEcho) OnTraffic(c gnet.Conn) gnet.Action {
	buf, _ := c.Next(-1)
	c.Write(buf)
	return gnet.None
}

// pingPong keeps 64 datagrams of 150 octets under way.
func pingPong(b *testing.B, to netip.AddrPort) {
	const window = 64
	client := dial(b, "127.0.0.1:0")
	request, buf := make([]byte, 150), make([]byte, 512)
	b.ReportAllocs()
	for b.Loop() {
		for range window {
			client.WriteToUDPAddrPort(request, to)
		}
		for range window {
			if _, _, err := client.ReadFromUDPAddrPort(buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/window, "ns/datagram")
}
