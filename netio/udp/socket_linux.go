package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// openSocket makes a bound, non-blocking socket. The first socket of an address is
// bound alone, so that a port somebody else has is refused, and takes SO_REUSEPORT
// afterwards; the further ones join it.
func openSocket(address string, bind netip.AddrPort, f family, recvBuffer int, join bool) (fd int, err error) {
	domain := unix.AF_INET6
	if f == only4 {
		domain = unix.AF_INET
	}
	fd, err = unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return -1, bindError(address, false, err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := setOptions(fd, f, recvBuffer); err != nil {
		return -1, fmt.Errorf("udp: %s: %w", address, err)
	}
	if join {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return -1, fmt.Errorf("udp: %s: SO_REUSEPORT: %w", address, err)
		}
	}
	sa, err := sockaddr(bind, f)
	if err != nil {
		return -1, fmt.Errorf("udp: %s: %w", address, err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		return -1, bindError(address, errors.Is(err, unix.EADDRINUSE), err)
	}
	if !join {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return -1, fmt.Errorf("udp: %s: SO_REUSEPORT: %w", address, err)
		}
	}
	return fd, nil
}

// setOptions sets what must hold before bind.
func setOptions(fd int, f family, recvBuffer int) error {
	type option struct {
		name              string
		level, opt, value int
	}
	options := []option{{"SO_RXQ_OVFL", unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1}}
	// A reply longer than the path takes is fragmented on the way; discovering the
	// path's MTU would lose it where ICMP is filtered.
	if f == only4 {
		options = append(options,
			option{"IP_PKTINFO", unix.IPPROTO_IP, unix.IP_PKTINFO, 1},
			option{"IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT})
	} else {
		only := 0
		if f == only6 {
			only = 1
		}
		options = append(options,
			option{"IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only},
			option{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1},
			option{"IPV6_MTU_DISCOVER", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT})
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
	}
	// The forced form passes the system's limit and needs CAP_NET_ADMIN; a smaller
	// grant is no failure, it is reported.
	for _, buffer := range [2][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, buffer[0], recvBuffer) != nil {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, buffer[1], recvBuffer); err != nil {
				return fmt.Errorf("socket buffers: %w", err)
			}
		}
	}
	return nil
}

// grantedBuffer is what the kernel made of the wish, in the unit of the wish: it
// doubles the number for its own bookkeeping (socket(7)).
func grantedBuffer(fd int) int {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0
	}
	return n / 2
}

// sockaddr makes the address to bind to.
func sockaddr(a netip.AddrPort, f family) (unix.Sockaddr, error) {
	if f == only4 {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, nil
	}
	sa := &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	if zone := a.Addr().Zone(); zone != "" {
		if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
			sa.ZoneId = uint32(n)
			return sa, nil
		}
		ifi, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, fmt.Errorf("interface %q: %w", zone, err)
		}
		sa.ZoneId = uint32(ifi.Index)
	}
	return sa, nil
}

// boundTo asks which address and port a socket got.
func boundTo(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("udp: a socket of an unknown family")
}
