package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"sallyport/engine/stage"
	"sallyport/netio/radius"
	"sallyport/ops/secret"
)

const (
	burst  = 64
	octets = 4096
)

type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// responder acknowledges CoA-Requests as fast as one CPU can.
type responder struct {
	key   *radius.Key
	msgs  [burst]mmsghdr
	iovs  [burst]unix.Iovec
	names [burst]unix.RawSockaddrInet4
	in    [burst][octets]byte
	out   [burst][]byte

	answers [burst]mmsghdr
	replies [burst]unix.Iovec
	cuts    [burst]cutAt
}

// cutAt is the control message UDP_SEGMENT.
type cutAt struct {
	head unix.Cmsghdr
	size uint16
	_    [6]byte
}

// respond prints its address and serves until it is killed.
func respond(ctx context.Context) error {
	key, err := radius.NewKey(secret.New([]byte(stage.Secret)))
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadBuffer(8 << 20); err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	fmt.Println(conn.LocalAddr())
	r := &responder{key: key}
	for i := range r.msgs {
		h := &r.msgs[i].hdr
		h.Name, h.Iov = (*byte)(unsafe.Pointer(&r.names[i])), &r.iovs[i]
		h.SetIovlen(1)
		r.out[i] = make([]byte, 0, 64)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	for ctx.Err() == nil {
		if err := raw.Read(func(fd uintptr) bool { return r.round(int(fd)) }); err != nil {
			return nil
		}
	}
	return nil
}

// round answers one burst; false when nothing has come.
func (r *responder) round(fd int) bool {
	for i := range r.msgs {
		r.iovs[i].Base = &r.in[i][0]
		r.iovs[i].SetLen(octets)
		r.msgs[i].hdr.Namelen = unix.SizeofSockaddrInet4
	}
	n, errno := call(unix.SYS_RECVMMSG, fd, &r.msgs[0], burst)
	if errno == unix.EAGAIN {
		return false
	}
	r.answer(fd, n)
	return true
}

// answer acknowledges the first n requests. Replies to one source port that follow each
// other are one message, which the kernel cuts.
func (r *responder) answer(fd, n int) {
	messages, replies := 0, 0
	for i := range n {
		pkt := r.in[i][:r.msgs[i].n]
		if len(pkt) < radius.HeaderLen {
			continue
		}
		b := radius.BeginWith(r.out[i][:0], radius.Code(pkt[0])+1, pkt[1], false)
		reply, err := r.key.SealReply(&b, radius.Authenticator(pkt[4:radius.HeaderLen]))
		if err != nil {
			continue
		}
		r.out[i] = reply
		r.replies[replies].Base = &reply[0]
		r.replies[replies].SetLen(len(reply))
		if last := messages - 1; last >= 0 && r.names[i] == *(*unix.RawSockaddrInet4)(unsafe.Pointer(r.answers[last].hdr.Name)) {
			r.answers[last].hdr.SetIovlen(int(r.answers[last].hdr.Iovlen) + 1)
		} else {
			h := &r.answers[messages].hdr
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&r.names[i])), unix.SizeofSockaddrInet4
			h.Iov = &r.replies[replies]
			h.SetIovlen(1)
			c := &r.cuts[messages]
			c.head.Level, c.head.Type, c.size = unix.IPPROTO_UDP, unix.UDP_SEGMENT, radius.HeaderLen
			c.head.SetLen(unix.CmsgLen(2))
			h.Control = (*byte)(unsafe.Pointer(c))
			h.SetControllen(unix.CmsgSpace(2))
			messages++
		}
		replies++
	}
	for from := 0; from < messages; {
		sent, errno := call(unix.SYS_SENDMMSG, fd, &r.answers[from], messages-from)
		if errno != 0 && errno != unix.EAGAIN {
			sent = 1 // lost; the sender sends again
		}
		from += sent
	}
}

func call(trap uintptr, fd int, first *mmsghdr, n int) (int, unix.Errno) {
	got, _, errno := unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(first)), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(got), 0
}
