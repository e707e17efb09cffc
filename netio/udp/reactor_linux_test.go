package udp

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

type batchFunc func(loop int, batch []Datagram)

func (f batchFunc) ServeBatch(loop int, batch []Datagram) { f(loop, batch) }

// TestKernelDropsAreCounted: while the handler holds the loop, a small receive buffer
// overflows; the next datagram that gets through tells how many were lost.
func TestKernelDropsAreCounted(t *testing.T) {
	gate, entered := make(chan struct{}), make(chan struct{}, 1)
	held := false
	s, err := Open(Config{Listeners: []Listener{{Address: "127.0.0.1:0"}}, Loops: 1, RecvBuffer: 4096},
		batchFunc(func(int, []Datagram) {
			if !held {
				held = true
				entered <- struct{}{}
				<-gate
			}
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	c, err := net.Dial("udp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("hold"))
	<-entered
	const flood = 2000
	for range flood {
		c.Write(make([]byte, 1000))
	}
	close(gate)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c.Write([]byte("and now?")) // carries the count
		if st := s.Stats(); st.KernelDrops > flood/2 && st.KernelDrops < flood {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("drops not counted: %+v", s.Stats())
		}
	}
}

// TestControlMessagesOfAnyShape: lengths in them are never believed.
func TestControlMessagesOfAnyShape(t *testing.T) {
	v := newVector(1)
	for level := range 3 {
		for length := range 200 {
			for controllen := range 160 {
				c := (*unix.Cmsghdr)(unsafe.Pointer(&v.controls[0]))
				c.Level, c.Type = []int32{unix.IPPROTO_IP, unix.IPPROTO_IPV6, unix.SOL_SOCKET}[level],
					[]int32{unix.IP_PKTINFO, unix.IPV6_PKTINFO, unix.SO_RXQ_OVFL}[level]
				c.SetLen(length)
				v.msgs[0].hdr.SetControllen(controllen)
				v.arrival(0) // must return, and read nothing outside (checkptr, -race)
			}
		}
	}
}

// TestSourceSurvivesTheRoundTrip: what setSource writes, arrival reads.
func TestSourceSurvivesTheRoundTrip(t *testing.T) {
	for _, c := range []struct {
		source string
		inet6  bool
	}{{"127.0.0.2", false}, {"::1", true}, {"192.0.2.9", true}, {"fe80::1", true}} {
		v := newVector(1)
		want := netip.MustParseAddr(c.source)
		v.setSource(0, want, 3, c.inet6)
		if got := v.arrival(0); got.to != want || got.counted {
			t.Errorf("%v: read back %+v", want, got)
		}
	}
}

// TestSendErrorsAreSortedAndSkipped: one reply that the system refuses does not keep
// the others of its batch from going.
func TestSendErrorsAreSortedAndSkipped(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sockets, err := openSockets(&Server{config: Config{Loops: 1, RecvBuffer: 1 << 16, Listeners: []Listener{{Address: "127.0.0.1:0"}}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := newReactor(Config{Batch: 8, LateQueue: 8}, 0, sockets[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.discard()
	good := c.LocalAddr().(*net.UDPAddr).AddrPort()
	good = netip.AddrPortFrom(good.Addr().Unmap(), good.Port())
	for i, to := range []netip.AddrPort{good, netip.MustParseAddrPort("255.255.255.255:9"), good, netip.AddrPortFrom(good.Addr(), 0), good} {
		r.outward.setName(i, to, 0, false)
		r.outward.setPayload(i, []byte{byte(i)})
		r.outward.setSource(i, netip.Addr{}, 0, false)
	}
	if sent := r.flush(r.sockets[0].fd, 5); sent != 3 {
		t.Errorf("sent %d, want 3", sent)
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	for _, want := range []byte{0, 2, 4} {
		b := make([]byte, 8)
		if n, err := c.Read(b); err != nil || n != 1 || b[0] != want {
			t.Errorf("received %x (%v), want %d", b[:n], err, want)
		}
	}
	var st Stats
	r.addTo(&st)
	if st.SendErrors.Denied != 1 || st.SendErrors.Other != 1 || st.SendErrors.Total() != 2 {
		t.Errorf("send errors %+v, want one denied (broadcast) and one other (port 0)", st.SendErrors)
	}
	for errno, kind := range map[unix.Errno]int{unix.ENOBUFS: sendNoBuffers, unix.ECONNREFUSED: sendRefused,
		unix.ENETUNREACH: sendUnreachable, unix.EMSGSIZE: sendTooLong, unix.EPERM: sendDenied, unix.EINVAL: sendOther} {
		if kindOf(errno) != kind {
			t.Errorf("%v sorted as %d, want %d", errno, kindOf(errno), kind)
		}
	}
}

// TestFullSendBufferIsCounted: when the buffer stays full the rest of the batch is
// given up after one short wait.
func TestFullSendBufferIsCounted(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	r := &reactor{outward: newVector(8)}
	for i := range 8 {
		r.outward.setPayload(i, make([]byte, 1000))
		r.outward.msgs[i].hdr.Name, r.outward.msgs[i].hdr.Namelen = nil, 0
		r.outward.msgs[i].hdr.SetControllen(0)
	}
	sent := uint64(0)
	for r.count.sendErrors[sendFull].Load() == 0 {
		sent += r.flush(pair[0], 8)
		if sent > 1e6 {
			t.Fatal("a socket pair that nobody reads never fills")
		}
	}
	if lost := r.count.sendErrors[sendFull].Load(); (sent+lost)%8 != 0 {
		t.Errorf("sent %d, lost %d: some replies are unaccounted for", sent, lost)
	}
}
