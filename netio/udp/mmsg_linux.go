package udp

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // octets received or sent
}

// name holds an address of either family: struct sockaddr_in fits into sockaddr_in6.
type name = unix.RawSockaddrInet6

// controlMax holds IPV6_PKTINFO and SO_RXQ_OVFL with room to spare; in words, since a
// control message must be aligned.
const controlMax = 128

type control [controlMax / 8]uint64

// vector is what one recvmmsg or sendmmsg works on, allocated once.
type vector struct {
	msgs     []mmsghdr
	iovs     []unix.Iovec
	names    []name
	controls []control
}

func newVector(n int) *vector {
	v := &vector{msgs: make([]mmsghdr, n), iovs: make([]unix.Iovec, n), names: make([]name, n), controls: make([]control, n)}
	for i := range v.msgs {
		h := &v.msgs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&v.names[i]))
		h.Iov = &v.iovs[i]
		h.SetIovlen(1)
		h.Control = (*byte)(unsafe.Pointer(&v.controls[i]))
	}
	return v
}

// receive fills v from fd and returns how many datagrams came.
//
// The raw system call spares the scheduler's bookkeeping, which costs more than it
// saves with a call that never waits (MSG_DONTWAIT).
func (v *vector) receive(fd int) (int, unix.Errno) {
	for i := range v.msgs {
		h := &v.msgs[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlMax)
		h.Flags = 0
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&v.msgs[0])),
		uintptr(len(v.msgs)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// send sends messages from..to of v and returns how many went.
func (v *vector) send(fd, from, to int) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&v.msgs[from])),
		uintptr(to-from), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// from reads the sender of message i, IPv4-mapped addresses unmapped, and its scope.
func (v *vector) from(i int) (netip.AddrPort, uint32) {
	n := &v.names[i]
	if n.Family == unix.AF_INET {
		n4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(n))
		return netip.AddrPortFrom(netip.AddrFrom4(n4.Addr), ntohs(n4.Port)), 0
	}
	return netip.AddrPortFrom(netip.AddrFrom16(n.Addr).Unmap(), ntohs(n.Port)), n.Scope_id
}

// arrival is what the control messages of one datagram say.
type arrival struct {
	to       netip.Addr // our address, invalid when not told
	overflow uint32     // datagrams the socket lost so far
	counted  bool       // overflow is there
}

// arrival reads the control messages of message i. Their lengths are the kernel's;
// they are checked all the same.
func (v *vector) arrival(i int) (a arrival) {
	area := unsafe.Slice((*byte)(unsafe.Pointer(&v.controls[i])), controlMax)
	for rest := area[:min(int(v.msgs[i].hdr.Controllen), controlMax)]; len(rest) >= unix.SizeofCmsghdr; {
		c := (*unix.Cmsghdr)(unsafe.Pointer(&rest[0]))
		if int(c.Len) < unix.CmsgLen(0) || int(c.Len) > len(rest) {
			return a
		}
		data := rest[unix.CmsgLen(0):c.Len]
		switch {
		case c.Level == unix.IPPROTO_IP && c.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			a.to = netip.AddrFrom4((*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0])).Spec_dst)
		case c.Level == unix.IPPROTO_IPV6 && c.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			a.to = netip.AddrFrom16((*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0])).Addr).Unmap()
		case c.Level == unix.SOL_SOCKET && c.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			a.overflow, a.counted = binary.NativeEndian.Uint32(data), true
		}
		rest = rest[min(unix.CmsgSpace(len(data)), len(rest)):]
	}
	return a
}

// ntohs swaps a port between network order in memory and a number, both ways.
func ntohs(p uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], p)
	return binary.BigEndian.Uint16(b[:])
}
