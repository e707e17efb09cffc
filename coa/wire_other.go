//go:build !linux

package coa

import (
	"errors"
	"net"
	"net/netip"
)

// Where many datagrams cannot be moved at once, one is.
type (
	vector struct{}
	port   struct{}
)

func (*vector) receiver(*burst) {}

func (*port) open(*net.UDPConn) error { return nil }

// receive waits for a datagram. The error is of a closed socket; what the system says of
// datagrams sent before is no burst and no error.
func (w *wire) receive(b *burst) error {
	n, from, err := w.conn.ReadFromUDPAddrPort(b.buffers[0])
	b.n = 0
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	if err == nil {
		b.n, b.octets[0] = 1, n
		b.from[0] = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	}
	return nil
}

// send sends the datagrams of one socket, and tells those that the system refused.
func (w *wire) send(all []datagram, refused func(*datagram, error)) {
	for i := range all {
		if _, err := w.conn.WriteToUDPAddrPort(all[i].pkt, all[i].to); err != nil {
			refused(&all[i], err)
		}
	}
}
