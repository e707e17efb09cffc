package coa

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // octets received or sent
}

// vector is what one recvmmsg or sendmmsg works on. An IPv4 address fits into the room
// for an IPv6 one.
type vector struct {
	msgs  [burstMax]mmsghdr
	iovs  [burstMax]unix.Iovec
	names [burstMax]unix.RawSockaddrInet6
}

func (v *vector) prepare() {
	for i := range v.msgs {
		h := &v.msgs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&v.names[i]))
		h.Iov = &v.iovs[i]
		h.SetIovlen(1)
	}
}

// receiver makes v fill b.
func (v *vector) receiver(b *burst) {
	v.prepare()
	for i := range v.iovs {
		v.iovs[i].Base = &b.buffers[i][0]
		v.iovs[i].SetLen(len(b.buffers[i]))
	}
}

// port is a socket that moves many datagrams with one system call.
type port struct {
	raw   syscall.RawConn
	inet6 bool
	out   vector

	// The reader's: what its function works on, which is made once, so that a call allocates
	// nothing.
	into  *burst
	reads func(fd uintptr) bool

	// The sender's, likewise.
	from, to int
	errno    unix.Errno
	sends    func(fd uintptr) bool
}

func (p *port) open(conn *net.UDPConn) (err error) {
	if p.raw, err = conn.SyscallConn(); err != nil {
		return err
	}
	var family int
	var fault error
	if err := p.raw.Control(func(fd uintptr) {
		family, fault = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
	}); err != nil || fault != nil {
		return errors.Join(err, fault)
	}
	p.inet6 = family == unix.AF_INET6
	p.out.prepare()
	p.reads = func(fd uintptr) bool {
		n, errno := call(unix.SYS_RECVMMSG, fd, &p.into.vector, 0, burstMax)
		p.into.n = n
		return errno != unix.EAGAIN
	}
	p.sends = func(fd uintptr) bool {
		n, errno := call(unix.SYS_SENDMMSG, fd, &p.out, p.from, p.to)
		p.from, p.errno = p.from+n, errno
		return errno != unix.EAGAIN
	}
	return nil
}

// call is a raw system call: it never waits (MSG_DONTWAIT), so the scheduler need not
// know.
func call(trap, fd uintptr, v *vector, from, to int) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(&v.msgs[from])), uintptr(to-from), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// receive waits for datagrams and fills b. The error is of a closed socket; what the
// system says of datagrams sent before is no burst and no error.
func (w *wire) receive(b *burst) error {
	p := &w.port
	p.into = b
	for i := range b.vector.msgs {
		b.vector.msgs[i].hdr.Namelen = unix.SizeofSockaddrInet6
	}
	b.n = 0
	if err := p.raw.Read(p.reads); err != nil {
		return err
	}
	for i := range b.n {
		b.octets[i] = int(b.vector.msgs[i].n)
		b.from[i] = address(&b.vector.names[i])
	}
	return nil
}

// send sends the datagrams of one socket, and tells those that the system refused. One
// that waits for room holds up the loop as long as the interface's queue is full.
func (w *wire) send(all []datagram, refused func(*datagram, error)) {
	p := &w.port
	for len(all) > 0 {
		n := min(len(all), burstMax)
		for i := range all[:n] {
			d := &all[i]
			p.out.iovs[i].Base = &d.pkt[0]
			p.out.iovs[i].SetLen(len(d.pkt))
			p.setName(i, d.to)
		}
		for p.from, p.to = 0, n; p.from < p.to; {
			if err := p.raw.Write(p.sends); err != nil {
				refused(&all[p.from], err)
				return // closed
			}
			switch p.errno {
			case 0, unix.EINTR:
			default:
				// Of this one, or of one sent before and told now; the retransmission comes.
				refused(&all[p.from], p.errno)
				p.from++
			}
		}
		all = all[n:]
	}
}

func (p *port) setName(i int, to netip.AddrPort) {
	h, n := &p.out.msgs[i].hdr, &p.out.names[i]
	port := to.Port()<<8 | to.Port()>>8
	if !p.inet6 {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(n)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: to.Addr().As4()}
		h.Namelen = unix.SizeofSockaddrInet4
		return
	}
	*n = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: to.Addr().As16()}
	h.Namelen = unix.SizeofSockaddrInet6
}

func address(n *unix.RawSockaddrInet6) netip.AddrPort {
	if n.Family == unix.AF_INET {
		n4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(n))
		return netip.AddrPortFrom(netip.AddrFrom4(n4.Addr), n4.Port<<8|n4.Port>>8)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(n.Addr).Unmap(), n.Port<<8|n.Port>>8)
}
