package udp

import (
	"math"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// outward is what one sendmmsg sends. Replies of one length to one address go as one
// message that the kernel cuts into datagrams (UDP_SEGMENT, Linux 4.18): a gateway that
// asked a burst of questions costs one way through the kernel's network code, not one
// for each answer.
//
//	add      replies, in any order
//	arrange  one message for each address and length
//	send     those messages
type outward struct {
	vector
	replies []outgoing
	count   int              // of replies
	firsts  []int32          // of each message, its first reply
	sizes   []int32          // and how many it has
	places  [placesMax]uint8 // message for an address and length, plus 1
}

// outgoing is one reply.
type outgoing struct {
	payload []byte
	name    name
	namelen uint32
	source  netip.Addr
	scope   uint32
	next    int32 // of the same message; -1: none
	last    int32 // of the message, kept at its first reply
	members int32 // likewise
}

const (
	// segmentLen bounds the datagrams that the kernel may cut: they fit into one frame
	// on every link (RFC 8200 section 5, less the headers), since what would have to be
	// fragmented cannot be cut.
	segmentLen = 1280 - 48
	// segmentsMax is the kernel's limit for one message (UDP_MAX_SEGMENTS).
	segmentsMax = 64
	// placesMax is how many places there are to find a message again by address and
	// length: four for each that a batch can have.
	placesMax = 256
	// placesTried bounds the search, since the addresses are others' choice: a reply
	// that finds neither its message nor a free place goes as a message of its own.
	placesTried = 8
)

const _, _ = uint(segmentsMax - BatchMax), uint(math.MaxUint8 - BatchMax)

func newOutward(n int) *outward {
	return &outward{vector: *newVector(n), replies: make([]outgoing, n), firsts: make([]int32, 0, n), sizes: make([]int32, 0, n)}
}

func (o *outward) room() int { return len(o.replies) }

func (o *outward) begin() { o.count = 0 }

// add notes a reply. The payload is left alone until it was sent.
func (o *outward) add(payload []byte, to *name, namelen uint32, source netip.Addr, scope uint32) {
	o.replies[o.count] = outgoing{payload: payload, name: *to, namelen: namelen, source: source, scope: scope, next: -1}
	o.count++
}

// arrange makes the messages and returns how many there are.
func (o *outward) arrange(inet6, segments bool) int {
	o.firsts, o.sizes = o.firsts[:0], o.sizes[:0]
	clear(o.places[:])
	for i := range o.count {
		r := &o.replies[i]
		if segments && len(r.payload) <= segmentLen && o.gather(int32(i)) {
			continue
		}
		r.last, r.members = int32(i), 1
		o.firsts = append(o.firsts, int32(i))
	}
	return o.write(inet6)
}

// gather adds a reply to its message when there is one; else the reply's place is kept
// for the message that it will be.
func (o *outward) gather(i int32) bool {
	at := o.replies[i].place()
	for range placesTried {
		place := &o.places[at%placesMax]
		if *place == 0 {
			*place = uint8(len(o.firsts) + 1)
			return false
		}
		if o.joins(i, o.firsts[*place-1]) {
			return true
		}
		at++
	}
	return false
}

// place is where the search for the reply's message begins.
func (r *outgoing) place() uint {
	octets := (*[unix.SizeofSockaddrInet6]byte)(unsafe.Pointer(&r.name))
	port := uint(octets[2])<<8 | uint(octets[3])
	address := uint(octets[4]) ^ uint(octets[5]) ^ uint(octets[6]) ^ uint(octets[7]) ^ uint(octets[22]) ^ uint(octets[23])
	return (port*31 ^ address*7 ^ uint(len(r.payload))*13)
}

// joins adds a reply to the message of another, when it is for the same address and of
// the same length.
func (o *outward) joins(i, first int32) bool {
	r, f := &o.replies[i], &o.replies[first]
	if len(f.payload) != len(r.payload) || f.members == segmentsMax ||
		f.name != r.name || f.namelen != r.namelen || f.source != r.source || f.scope != r.scope {
		return false
	}
	o.replies[f.last].next = i
	f.last = i
	f.members++
	return true
}

// separate makes a message of each reply that the messages from one on have.
func (o *outward) separate(inet6 bool, from int) int {
	var left [BatchMax]int32
	n := 0
	for _, first := range o.firsts[from:] {
		for i := first; i >= 0; i = o.replies[i].next {
			left[n] = i
			n++
		}
	}
	o.firsts, o.sizes = o.firsts[:0], o.sizes[:0]
	for _, i := range left[:n] {
		o.replies[i].next, o.replies[i].last, o.replies[i].members = -1, i, 1
		o.firsts = append(o.firsts, i)
	}
	return o.write(inet6)
}

// write fills the vector from firsts.
func (o *outward) write(inet6 bool) int {
	iov := 0
	for m, first := range o.firsts {
		r := &o.replies[first]
		h := &o.msgs[m].hdr
		o.names[m] = r.name
		h.Namelen = r.namelen
		h.Iov = &o.iovs[iov]
		h.SetIovlen(int(r.members))
		for i := first; i >= 0; i = o.replies[i].next {
			o.iovs[iov].Base = &o.replies[i].payload[0]
			o.iovs[iov].SetLen(len(o.replies[i].payload))
			iov++
		}
		o.setControl(m, r, inet6)
		o.sizes = append(o.sizes, r.members)
	}
	return len(o.firsts)
}

// datagrams is how many the messages from one to another have.
func (o *outward) datagrams(from, to int) (n uint64) {
	for _, size := range o.sizes[from:to] {
		n += uint64(size)
	}
	return n
}

// setControl makes message m leave from our address, and says where to cut it. An
// unspecified address leaves the choice to the system. The interface is named only where
// the address is meaningless without: the way back may well be another than the way in.
func (o *outward) setControl(m int, r *outgoing, inet6 bool) {
	area := unsafe.Pointer(&o.controls[m])
	used := 0
	put := func(level, kind int32, size int) unsafe.Pointer {
		c := (*unix.Cmsghdr)(unsafe.Add(area, used))
		c.Level, c.Type = level, kind
		c.SetLen(unix.CmsgLen(size))
		used += unix.CmsgSpace(size)
		return unsafe.Add(unsafe.Pointer(c), unix.CmsgLen(0))
	}
	switch {
	case !r.source.IsValid() || r.source.IsUnspecified():
	case inet6:
		*(*unix.Inet6Pktinfo)(put(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)) = unix.Inet6Pktinfo{Addr: r.source.As16(), Ifindex: r.scope}
	default:
		*(*unix.Inet4Pktinfo)(put(unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)) = unix.Inet4Pktinfo{Spec_dst: r.source.As4()}
	}
	if r.members > 1 {
		*(*uint16)(put(unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2)) = uint16(len(r.payload))
	}
	o.msgs[m].hdr.SetControllen(used)
}

// segmentFault says that an error may mean that nobody can cut.
func segmentFault(errno unix.Errno) bool {
	return errno == unix.EIO || errno == unix.EINVAL || errno == unix.EOPNOTSUPP || errno == unix.ENOPROTOOPT || errno == unix.EMSGSIZE
}

// nameOf is a destination for a socket of the given family.
func nameOf(to netip.AddrPort, scope uint32, inet6 bool) (n name, length uint32) {
	if !inet6 {
		n4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&n))
		*n4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: ntohs(to.Port()), Addr: to.Addr().As4()}
		return n, unix.SizeofSockaddrInet4
	}
	return name{Family: unix.AF_INET6, Port: ntohs(to.Port()), Addr: to.Addr().As16(), Scope_id: scope}, unix.SizeofSockaddrInet6
}
