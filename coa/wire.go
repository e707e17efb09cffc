package coa

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"sallyport/netio/radius"
)

// burstMax is how many datagrams one system call moves.
const burstMax = 64

// burst is datagrams that came to one socket together. Bursts go around between the
// sockets and the loop.
type burst struct {
	socket  int
	n       int
	from    [burstMax]netip.AddrPort
	octets  [burstMax]int
	buffers [burstMax][]byte // each of radius.PacketMax
	vector  vector           // what the system works on
}

// burstsEach is how many bursts a socket has: one is filled while one is looked at. More
// datagrams wait in the system's buffer.
const burstsEach = 2

func newBurst() *burst {
	b := &burst{}
	octets := make([]byte, burstMax*radius.PacketMax)
	for i := range b.buffers {
		b.buffers[i] = octets[i*radius.PacketMax : (i+1)*radius.PacketMax : (i+1)*radius.PacketMax]
	}
	b.vector.receiver(b)
	return b
}

// wire is one socket that requests leave from and answers come to.
type wire struct {
	conn  *net.UDPConn
	local netip.AddrPort
	port  port
	free  chan *burst
}

// openWire binds a socket that the system chooses the port of.
func openWire(source netip.Addr) (*wire, error) {
	network := "udp"
	if source.IsValid() && !source.IsUnspecified() {
		network = "udp6"
		if source.Unmap().Is4() {
			network = "udp4"
		}
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)))
	if err != nil {
		return nil, fmt.Errorf("coa: socket to send from %s: %w", source, err)
	}
	w := &wire{conn: conn, free: make(chan *burst, burstsEach)}
	if err := conn.SetReadBuffer(socketBuffer); err != nil {
		return nil, fmt.Errorf("coa: receive buffer: %w", errors.Join(err, conn.Close()))
	}
	if err := conn.SetWriteBuffer(socketBuffer); err != nil {
		return nil, fmt.Errorf("coa: send buffer: %w", errors.Join(err, conn.Close()))
	}
	at := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	w.local = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if err := w.port.open(conn); err != nil {
		return nil, fmt.Errorf("coa: socket to send from %s: %w", source, errors.Join(err, conn.Close()))
	}
	for range burstsEach {
		w.free <- newBurst()
	}
	return w, nil
}
