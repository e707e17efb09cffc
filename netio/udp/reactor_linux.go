package udp

import (
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	errorx "github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"
)

// reactor is one loop on gnet's poller.
type reactor struct {
	// set once
	guard
	poller  *netpoll.Poller
	wakeFD  int
	sockets []socket
	out     *Outbox
	stopped chan struct{} // closed by the loop when it reads no more

	// the loop's own
	in          *vector
	buffers     []byte // len(in) x DatagramMax
	batch       []Datagram
	replies     []byte // len(batch) x ReplyMax
	outward     *outward
	unsegmented bool // the kernel does not cut datagrams for us
	reading     bool

	// told from outside, looked at after a wake-up
	wantStop, wantEnd atomic.Bool
	stopping          sync.Once
}

// socket is a listener's socket in one loop.
type socket struct {
	fd       int
	listed   int
	listener Listener
	bound    netip.AddrPort
	inet6    bool
	overflow uint32 // SO_RXQ_OVFL last seen
}

// openReactor opens the sockets of every loop and the loops.
func openReactor(s *Server, h Handler) (err error) {
	sockets, err := openSockets(s)
	if err != nil {
		return err
	}
	for i := range sockets {
		r, err := newReactor(s.config, i, sockets[i], h)
		if err != nil {
			for _, l := range s.loops {
				l.(*reactor).discard()
			}
			for _, rest := range sockets[i:] {
				closeSockets(rest)
			}
			return err
		}
		s.loops = append(s.loops, r)
	}
	return nil
}

// openSockets returns one list of sockets per loop, and sets the bound addresses.
func openSockets(s *Server) (perLoop [][]socket, err error) {
	perLoop = make([][]socket, s.config.Loops)
	defer func() {
		if err != nil {
			for _, sockets := range perLoop {
				closeSockets(sockets)
			}
		}
	}()
	for listed, listener := range s.config.Listeners {
		bind, f, err := parseAddress(listener.Address)
		if err != nil {
			return perLoop, err
		}
		for i := range perLoop {
			fd, err := openSocket(listener.Address, bind, f, s.config.RecvBuffer, i > 0)
			if errors.Is(err, unix.EAFNOSUPPORT) && f == dual {
				// a kernel without IPv6: every address is every IPv4 address
				bind, f = netip.AddrPortFrom(netip.IPv4Unspecified(), bind.Port()), only4
				fd, err = openSocket(listener.Address, bind, f, s.config.RecvBuffer, i > 0)
			}
			if err != nil {
				return perLoop, err
			}
			perLoop[i] = append(perLoop[i], socket{fd: fd, listed: listed, listener: listener, inet6: f != only4})
			bound, err := boundTo(fd)
			if err != nil {
				return perLoop, err
			}
			perLoop[i][listed].bound = bound
			bind = netip.AddrPortFrom(bind.Addr(), bound.Port()) // port 0: the loops share the one found
			if n := grantedBuffer(fd); s.granted == 0 || n < s.granted {
				s.granted = n
			}
		}
		s.addrs = append(s.addrs, perLoop[0][listed].bound)
	}
	return perLoop, nil
}

func closeSockets(sockets []socket) {
	for i := range sockets {
		unix.Close(sockets[i].fd)
	}
}

func newReactor(c Config, loop int, sockets []socket, h Handler) (*reactor, error) {
	r := &reactor{
		guard: guard{handler: h, loop: loop, log: c.Logger}, sockets: sockets, stopped: make(chan struct{}),
		in: newVector(c.Batch), buffers: make([]byte, c.Batch*DatagramMax),
		batch: make([]Datagram, c.Batch), replies: make([]byte, c.Batch*ReplyMax),
		outward: newOutward(c.Batch), reading: true,
	}
	for i := range r.in.iovs {
		r.in.iovs[i].Base = &r.buffers[i*DatagramMax]
		r.in.iovs[i].SetLen(DatagramMax)
	}
	r.out = NewOutbox(c.LateQueue, r.wake)
	var err error
	if r.wakeFD, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, err
	}
	if r.poller, err = netpoll.OpenPoller(); err != nil {
		unix.Close(r.wakeFD)
		return nil, err
	}
	err = r.poller.AddRead(&netpoll.PollAttachment{FD: r.wakeFD}, false)
	for i := range sockets {
		if err == nil {
			err = r.poller.AddRead(&netpoll.PollAttachment{FD: sockets[i].fd}, false)
		}
	}
	if err != nil {
		r.poller.Close()
		unix.Close(r.wakeFD)
		return nil, err
	}
	return r, nil
}

// discard closes all that newReactor and openSockets opened.
func (r *reactor) discard() {
	closeSockets(r.sockets)
	unix.Close(r.wakeFD)
	r.poller.Close()
}

// wake makes the poller call ready for wakeFD. Any goroutine may call it while the
// loop has not ended; the Outbox and stopReading see to that.
func (r *reactor) wake() {
	one := uint64(1)
	unix.RawSyscall(unix.SYS_WRITE, uintptr(r.wakeFD), uintptr(unsafe.Pointer(&one)), 8)
}

// run polls until end is called.
func (r *reactor) run(started func()) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	started()
	err := r.poller.Polling(r.ready)
	r.finish()
	if errors.Is(err, errorx.ErrEngineShutdown) {
		return nil
	}
	return err
}

// finish closes the outbox, sends what it still holds, and closes the sockets.
func (r *reactor) finish() {
	r.stop()
	r.out.Close()
	r.sendLate()
	r.discard()
}

// ready is called by the poller, once for each readable descriptor.
func (r *reactor) ready(fd int, _ netpoll.IOEvent, _ netpoll.IOFlags) error {
	if fd == r.wakeFD {
		return r.woken()
	}
	for i := range r.sockets {
		if r.sockets[i].fd == fd && r.reading {
			r.serveSocket(&r.sockets[i])
		}
	}
	return nil
}

// woken sends late replies and does what was asked from outside.
func (r *reactor) woken() error {
	var count uint64
	unix.RawSyscall(unix.SYS_READ, uintptr(r.wakeFD), uintptr(unsafe.Pointer(&count)), 8)
	r.out.rest()
	r.sendLate()
	if r.wantStop.Load() {
		r.stop()
	}
	if r.wantEnd.Load() {
		return errorx.ErrEngineShutdown
	}
	return nil
}

// stop reads no more. The loop calls it.
func (r *reactor) stop() {
	if !r.reading {
		return
	}
	r.reading = false
	for i := range r.sockets {
		if err := r.poller.Delete(r.sockets[i].fd); err != nil {
			r.log.Error("udp: cannot leave the poller", "loop", r.loop, "error", err)
		}
	}
	close(r.stopped)
}

// stopReading is told from outside.
func (r *reactor) stopReading() {
	r.wantStop.Store(true)
	r.tell()
	<-r.stopped
}

// end is told from outside, after stopReading.
func (r *reactor) end() {
	r.wantEnd.Store(true)
	r.tell()
}

// tell wakes the loop unless it ended; counting as a writer keeps wakeFD open.
func (r *reactor) tell() {
	r.out.writers.Add(1)
	if !r.out.closed.Load() {
		r.wake()
	}
	r.out.writers.Add(-1)
}

func (r *reactor) addTo(s *Stats) { r.count.addTo(s, r.out) }
