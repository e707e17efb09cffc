package udp

import (
	"bytes"
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

// TestSourceSurvivesTheRoundTrip: what setControl writes, arrival reads.
func TestSourceSurvivesTheRoundTrip(t *testing.T) {
	for _, c := range []struct {
		source string
		inet6  bool
	}{{"127.0.0.2", false}, {"::1", true}, {"192.0.2.9", true}, {"fe80::1", true}} {
		v := newOutward(1)
		want := netip.MustParseAddr(c.source)
		v.setControl(0, &outgoing{source: want, scope: 3, members: 2, payload: []byte{1}}, c.inet6)
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
		n, length := nameOf(to, 0, false)
		r.outward.add([]byte{byte(i)}, &n, length, netip.Addr{}, 0)
	}
	if sent := r.flush(&r.sockets[0]); sent != 3 {
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

// TestRepliesAreGathered: replies of one length to one address are one message, up to
// what a link takes as it is; all arrive, cut where they were joined, also where nobody
// cuts for us.
func TestRepliesAreGathered(t *testing.T) {
	for _, unsegmented := range []bool{false, true} {
		first, second := listen4(t), listen4(t)
		sockets, err := openSockets(&Server{config: Config{Loops: 1, RecvBuffer: 1 << 16, Listeners: []Listener{{Address: "127.0.0.1:0"}}}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := newReactor(Config{Batch: BatchMax, LateQueue: 8}, 0, sockets[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.discard()
		r.unsegmented = unsegmented
		want := map[*net.UDPConn]map[string]int{first: {}, second: {}}
		for i := range 40 {
			to := []*net.UDPConn{first, second}[i%2]
			payload := bytes.Repeat([]byte{byte(i)}, []int{20, 300, segmentLen + 1}[i%3])
			n, length := nameOf(addrPort(to), 0, false)
			r.outward.add(payload, &n, length, netip.MustParseAddr("127.0.0.1"), 0)
			want[to][string(payload)]++
		}
		// 2 addresses: lengths of 20 and 300 gather, the 13 that are too long do not.
		if n := r.outward.arrange(false, !unsegmented); n != map[bool]int{false: 2*2 + 13, true: 40}[unsegmented] {
			t.Errorf("unsegmented %v: %d messages", unsegmented, n)
		}
		if sent := r.flush(&r.sockets[0]); sent != 40 {
			t.Errorf("sent %d of 40", sent)
		}
		for c, payloads := range want {
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			for range 20 {
				b := make([]byte, DatagramMax)
				n, err := c.Read(b)
				if err != nil || payloads[string(b[:n])] == 0 {
					t.Fatalf("received %d octets nobody sent (%v)", n, err)
				}
				payloads[string(b[:n])]--
			}
		}
	}
}

// TestPlacesThatCollide: addresses whose places are the same still have their replies
// gathered, as far as the search goes; behind it a reply goes alone, and none is lost.
func TestPlacesThatCollide(t *testing.T) {
	for _, test := range []struct{ addresses, messages int }{
		{1, 1}, {2, 2}, {placesTried, placesTried}, {placesTried + 2, placesTried + 2*(60/(placesTried+2))},
	} {
		o := newOutward(BatchMax)
		count := 60 / test.addresses * test.addresses
		for i := range count {
			port := uint16(1024 + placesMax*(i%test.addresses))
			n, length := nameOf(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port), 0, false)
			o.add([]byte{byte(i)}, &n, length, netip.Addr{}, 0)
		}
		if n := o.arrange(false, true); n != test.messages {
			t.Errorf("%d replies to %d addresses of one place are %d messages, want %d", count, test.addresses, n, test.messages)
		}
		if sent := o.datagrams(0, len(o.sizes)); sent != uint64(count) {
			t.Errorf("%d of %d replies are in the messages", sent, count)
		}
	}
}

// TestSeparate: the messages that are left are taken apart, the sent ones are not sent
// again.
func TestSeparate(t *testing.T) {
	o := newOutward(8)
	a, _ := nameOf(netip.MustParseAddrPort("127.0.0.1:1"), 0, false)
	b, length := nameOf(netip.MustParseAddrPort("127.0.0.1:2"), 0, false)
	for i := range 8 {
		o.add([]byte{byte(i)}, []*name{&a, &b}[i%2], length, netip.Addr{}, 0)
	}
	if n := o.arrange(false, true); n != 2 || o.datagrams(0, 2) != 8 {
		t.Fatalf("%d messages of %d datagrams", n, o.datagrams(0, n))
	}
	if n := o.separate(false, 1); n != 4 || o.datagrams(0, n) != 4 || *o.iovs[0].Base != 1 || *o.iovs[3].Base != 7 {
		t.Errorf("%d messages left", n)
	}
}

func listen4(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func addrPort(c *net.UDPConn) netip.AddrPort {
	a := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
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
	r := &reactor{outward: newOutward(8), unsegmented: true}
	sent := uint64(0)
	for r.count.sendErrors[sendFull].Load() == 0 {
		r.outward.begin()
		for range 8 {
			r.outward.add(make([]byte, 1000), &name{}, 0, netip.Addr{}, 0)
		}
		sent += r.flush(&socket{fd: pair[0]})
		if sent > 1e6 {
			t.Fatal("a socket pair that nobody reads never fills")
		}
	}
	if lost := r.count.sendErrors[sendFull].Load(); (sent+lost)%8 != 0 {
		t.Errorf("sent %d, lost %d: some replies are unaccounted for", sent, lost)
	}
}
