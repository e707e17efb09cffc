package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// burst is how many datagrams one system call moves.
const burst = 64

// receiveBuffer is asked for per source port: the replies to 256 requests.
const receiveBuffer = 1 << 20

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// vector is what one system call works on.
type vector struct {
	msgs [burst]mmsghdr
	iovs [burst]unix.Iovec
}

func newVector() *vector {
	v := &vector{}
	for i := range v.msgs {
		v.msgs[i].hdr.Iov = &v.iovs[i]
		v.msgs[i].hdr.SetIovlen(1)
	}
	return v
}

func (v *vector) call(trap uintptr, fd, n int) (int, unix.Errno) {
	got, _, errno := unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&v.msgs[0])), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(got), 0
}

// train is one send of datagrams of one length: the kernel cuts it (UDP_SEGMENT). For
// the receiver nothing is different, for the sender it costs a third.
type train struct {
	hdr     unix.Msghdr
	control [24]byte // cmsghdr and a uint16, in the alignment of CMSG_SPACE(2)
}

func newTrain(v *vector) *train {
	t := &train{}
	t.hdr.Iov = &v.iovs[0]
	t.hdr.Control = &t.control[0]
	t.hdr.SetControllen(unix.CmsgSpace(2))
	c := (*unix.Cmsghdr)(unsafe.Pointer(&t.control[0]))
	c.Level, c.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	c.SetLen(unix.CmsgLen(2))
	return t
}

// send sends the first n of the vector's buffers, each of so many octets.
func (t *train) send(fd, n, octets int) unix.Errno {
	t.hdr.SetIovlen(n)
	binary.NativeEndian.PutUint16(t.control[unix.CmsgLen(0):], uint16(octets))
	_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&t.hdr)), unix.MSG_DONTWAIT)
	return errno
}

// wire is the sockets of a load: one for each source port, connected, so that the system
// itself discards what does not come from the target.
type wire struct {
	sockets []int
	epoll   int
	base    time.Time
	in, out *vector
	train   *train
	buffers [burst][replyMax + 1]byte
	events  [256]unix.EpollEvent

	flood *flood // that goes on beside the load; its sockets are the last ones
	floor int    // number of its first socket
}

// openWire opens a source port for each address; the zero address lets the system choose.
func openWire(target netip.AddrPort, sources []netip.Addr) (_ *wire, err error) {
	w := &wire{base: time.Now(), in: newVector(), out: newVector()}
	w.train = newTrain(w.out)
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	for i := range w.in.iovs {
		w.in.iovs[i].Base = &w.buffers[i][0]
		w.in.iovs[i].SetLen(len(w.buffers[i]))
	}
	for _, source := range sources {
		if err := w.open(target, source); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// open adds a source port.
func (w *wire) open(target netip.AddrPort, source netip.Addr) error {
	fd, err := openPort(target, source)
	if err != nil {
		return fmt.Errorf("source port %d: %w", len(w.sockets), err)
	}
	w.sockets = append(w.sockets, fd)
	return unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(len(w.sockets) - 1)})
}

func openPort(target netip.AddrPort, source netip.Addr) (int, error) {
	family, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(target.Port()), Addr: target.Addr().As16()})
	if target.Addr().Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: int(target.Port()), Addr: target.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer) // less only means losses, which are counted
	if source.Is4() {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: source.As4()})
	}
	if err == nil {
		err = unix.Connect(fd, to)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (w *wire) close() {
	for _, fd := range w.sockets {
		unix.Close(fd)
	}
	unix.Close(w.epoll)
}

// now is the load's clock.
func (w *wire) now() int64 { return int64(time.Since(w.base)) }

// drive moves datagrams until the load is done or ctx ends. progress is called now and
// then with the time.
func (w *wire) drive(ctx context.Context, l *load, progress func(now int64)) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const progressEvery = int64(500 * time.Millisecond)
	next := w.now() + progressEvery
	for {
		now := w.now()
		if err := l.step(now); err != nil {
			return err
		}
		blocked := w.write(l)
		if l.done() {
			return nil
		}
		now = w.now()
		if now >= next {
			next = now + progressEvery
			if err := ctx.Err(); err != nil {
				return err
			}
			progress(now)
		}
		pause := l.wake(now) - now
		if blocked {
			pause = min(pause, int64(50*time.Microsecond))
		}
		if w.flood != nil {
			w.rush(now)
			pause = min(pause, w.flood.wake()-w.now())
		}
		if err := w.read(l, max(pause, 0)); err != nil {
			return err
		}
	}
}

// write sends what lies in the ports. True when a socket took no more; the rest goes
// with the next call.
func (w *wire) write(l *load) (blocked bool) {
	for at, p := range l.ports {
		for len(p.pending) > 0 {
			sent, errno := w.send(w.sockets[at], p)
			switch errno {
			case 0:
			case unix.EAGAIN, unix.ENOBUFS:
				blocked = true
			case unix.EINTR:
				continue
			case unix.ECONNREFUSED:
				// An ICMP error of an earlier datagram; it was told now, and nothing was sent.
				l.tally.Refused++
				continue
			default:
				l.tally.Refused++
				sent = 1 // this one cannot be sent; the retransmission is its way out
			}
			p.pending = p.pending[:copy(p.pending, p.pending[sent:])]
			if blocked {
				break
			}
		}
	}
	return blocked
}

// send hands what is pending to a socket, a burst at most.
func (w *wire) send(fd int, p *port) (sent int, errno unix.Errno) {
	n := min(len(p.pending), burst)
	octets, alike := p.slots[p.pending[0]].octets, n > 1
	for i, identifier := range p.pending[:n] {
		s := &p.slots[identifier]
		w.out.iovs[i].Base = &s.request[0]
		w.out.iovs[i].SetLen(s.octets)
		alike = alike && s.octets == octets
	}
	if !alike || octets == 0 {
		return w.out.call(unix.SYS_SENDMMSG, fd, n)
	}
	if errno = w.train.send(fd, n, octets); errno != 0 {
		return 0, errno
	}
	return n, 0
}

// read waits for replies, for pause nanoseconds at most, and hands them to the load.
func (w *wire) read(l *load, pause int64) error {
	n, err := w.wait(pause)
	if err != nil {
		return err
	}
	for _, ev := range w.events[:n] {
		at := int(ev.Fd)
		for {
			got, errno := w.in.call(unix.SYS_RECVMMSG, w.sockets[at], burst)
			if errno == unix.ECONNREFUSED {
				l.tally.Refused++
				continue
			}
			now := w.now()
			for i := range got {
				w.received(l, now, at, w.buffers[i][:w.in.msgs[i].n])
			}
			if got < burst {
				break
			}
		}
	}
	return nil
}

// received hands a datagram to whom its socket belongs. What comes to a flood that is
// over is nobody's.
func (w *wire) received(l *load, now int64, at int, data []byte) {
	switch {
	case w.floor == 0 || at < w.floor:
		l.receive(now, at, data)
	case w.flood != nil:
		w.flood.receive(now, at-w.floor, data)
	}
}

// wait is epoll_pwait2(2): its timeout has the precision that an open loop needs.
func (w *wire) wait(pause int64) (int, error) {
	timeout := unix.NsecToTimespec(pause)
	for {
		n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(w.epoll), uintptr(unsafe.Pointer(&w.events[0])),
			uintptr(len(w.events)), uintptr(unsafe.Pointer(&timeout)), 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, fmt.Errorf("epoll_pwait2 (Linux 5.11 or later is needed): %w", errno)
		}
	}
}
