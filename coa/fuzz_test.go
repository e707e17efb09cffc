package coa

import (
	"net/netip"
	"testing"

	"sallyport/netio/radius"
)

// FuzzReceive: no datagram, from wherever, breaks the machine or settles a change that it
// is no genuine answer to.
func FuzzReceive(f *testing.F) {
	m, c := quick(f)
	c.Session = "s1"
	m.submit(began, c)
	m.tick(began)
	asked := radius.Authenticator(m.sends[0].pkt[4:20])
	for _, code := range []radius.Code{radius.CoAACK, radius.CoANAK, radius.DisconnectACK, radius.AccessAccept} {
		b := radius.Begin(nil, code, m.sends[0].pkt[1])
		b.U32(radius.ErrorCause, 503)
		pkt, err := c.NAS.Key.SealReply(&b, asked)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pkt, uint16(1700), byte(0))
		f.Add(pkt[:len(pkt)-1], uint16(1701), byte(1))
	}
	f.Add([]byte{}, uint16(0), byte(9))
	f.Fuzz(func(t *testing.T, pkt []byte, port uint16, socket byte) {
		m, c := quick(t)
		c.Session = "s1"
		m.submit(began, c)
		m.tick(began)
		asked := radius.Authenticator(m.sends[0].pkt[4:20])
		m.done()
		from := netip.AddrPortFrom(c.NAS.Addr.Addr(), port)
		m.receive(began, int(socket), from, pkt)
		dropped := uint64(0)
		for _, n := range m.stats.Dropped {
			dropped += n
		}
		if len(m.settled) != 0 {
			var v radius.View
			if v.Decode(pkt) != radius.Sound || c.NAS.Key.VerifyResponse(&v, asked) != radius.Sound || from != c.NAS.Addr || socket != 0 {
				t.Fatalf("settled by %x from %s", pkt, from)
			}
		}
		if uint64(len(m.settled))+dropped != 1 {
			t.Fatalf("%d settled and %d dropped by one datagram", len(m.settled), dropped)
		}
	})
}
