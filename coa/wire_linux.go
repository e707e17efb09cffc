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

// cutAt is the control message UDP_SEGMENT: where the kernel cuts a message into
// datagrams (Linux 4.18). What goes to one NAS mostly has one length, and then costs one
// way through the network code.
type cutAt struct {
	head unix.Cmsghdr
	size uint16
	_    [6]byte // the alignment of a control message
}

// segmentMax bounds the datagrams that the kernel may cut: they fit into one frame of
// every link as they are.
const segmentMax = 1280 - 48

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
	whole    bool            // the kernel, or the interface, does not cut: each goes alone
	first    [burstMax]int   // of message i, the datagram it begins with
	cuts     [burstMax]cutAt // of message i
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
		taken := all[:min(len(all), burstMax)]
		messages := p.arrange(taken)
		for p.from, p.to = 0, messages; p.from < p.to; {
			if err := p.raw.Write(p.sends); err != nil {
				refused(&taken[p.first[p.from]], err)
				return // closed
			}
			switch {
			case p.errno == 0 || p.errno == unix.EINTR:
			case p.from < p.to && p.datagrams(p.from, len(taken)) > 1 && segmentFault(p.errno):
				p.whole = true
				taken = taken[p.first[p.from]:]
				p.from, p.to = 0, p.arrange(taken)
			default:
				// Of this one, or of one sent before and told now; the retransmission comes.
				refused(&taken[p.first[p.from]], p.errno)
				p.from++
			}
		}
		all = all[min(len(all), burstMax):]
	}
}

// arrange makes messages of all, which are at most burstMax: neighbours for one NAS of
// one length are one. It returns how many there are.
func (p *port) arrange(all []datagram) (messages int) {
	for i := range all {
		d := &all[i]
		p.out.iovs[i].Base = &d.pkt[0]
		p.out.iovs[i].SetLen(len(d.pkt))
		if i > 0 && !p.whole && d.to == all[i-1].to && len(d.pkt) == len(all[i-1].pkt) && len(d.pkt) <= segmentMax {
			continue
		}
		p.first[messages] = i
		messages++
	}
	p.to = messages
	for m := range messages {
		h, n := &p.out.msgs[m].hdr, p.datagrams(m, len(all))
		d := &all[p.first[m]]
		h.Iov = &p.out.iovs[p.first[m]]
		h.SetIovlen(n)
		p.setName(m, d.to)
		h.Control = nil
		h.SetControllen(0)
		if n > 1 {
			c := &p.cuts[m]
			c.head.Level, c.head.Type, c.size = unix.IPPROTO_UDP, unix.UDP_SEGMENT, uint16(len(d.pkt))
			c.head.SetLen(unix.CmsgLen(2))
			h.Control = (*byte)(unsafe.Pointer(c))
			h.SetControllen(unix.CmsgSpace(2))
		}
	}
	return messages
}

// datagrams is how many message m has, of so many in all.
func (p *port) datagrams(m, all int) int {
	if m+1 < p.to {
		return p.first[m+1] - p.first[m]
	}
	return all - p.first[m]
}

// segmentFault says that an error may mean that nobody can cut.
func segmentFault(errno unix.Errno) bool {
	return errno == unix.EIO || errno == unix.EINVAL || errno == unix.EOPNOTSUPP || errno == unix.ENOPROTOOPT || errno == unix.EMSGSIZE
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
