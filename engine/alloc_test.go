package engine

import (
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"testing"

	"sallyport/netio/radius"
	"sallyport/netio/udp"
)

// feeder drives the engine as a loop of the reactor does, without a socket and without
// memory of its own: what is allocated while packets flow is the appliance's.
type feeder struct {
	e   *Engine
	out *udp.Outbox
}

func newFeeder(e *Engine) *feeder {
	return &feeder{e: e, out: udp.NewOutbox(lateQueue, func() {})}
}

// run feeds the packets in batches, eight of them before it waits for the core, as NASes
// with a window do.
func (f *feeder) run(r *rig, datagrams []udp.Datagram) {
	for i := 0; i < len(datagrams); i += udp.BatchMax {
		f.e.ServeBatch(0, datagrams[i:min(i+udp.BatchMax, len(datagrams))])
		if i/udp.BatchMax%8 == 7 {
			r.idle()
		}
		f.out.Drain(func(udp.Late, []byte) {})
	}
	r.idle()
	f.out.Drain(func(udp.Late, []byte) {})
}

// allocations is what one packet allocates, once the memories have grown.
func (r *rig) allocations(from netip.AddrPort, role int, answered bool, make func(n int) []byte) float64 {
	r.t.Helper()
	const warm, measured = 4096, 4096
	f := newFeeder(r.e)
	build := func(first, n int) (datagrams []udp.Datagram) {
		for i := range n {
			p := make(first + i)
			// Every 256 identifiers another source port, as NASes do it.
			at := netip.AddrPortFrom(from.Addr(), uint16(20000+(first+i)/256))
			datagrams = append(datagrams, udp.NewDatagram(f.out, udp.Listener{Role: role}, role, at, netip.MustParseAddrPort("192.0.2.1:1812"), p))
		}
		return datagrams
	}
	run := func(datagrams []udp.Datagram) {
		before := r.answered()
		f.run(r, datagrams)
		if n := int(r.answered() - before); answered && n != len(datagrams) {
			r.t.Fatalf("%d of %d answered", n, len(datagrams))
		}
	}
	run(build(r.fed, warm))
	datagrams := build(r.fed+warm, measured)
	r.fed += warm + measured // what is new is new the next time, too
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run(datagrams)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / measured
}

func (r *rig) answered() (n uint64) {
	r.e.counters.each(func(_ string, c *nasCounters) {
		n += c.accepts.Load() + c.rejects.Load() + c.challenges.Load() + c.accounting.Load()
	})
	return n
}

// TestAPacketAllocatesNothing holds the whole way of a packet to that, from the datagram
// to the reply: session, decision, journal, live log and metrics included. What is left
// are the journal's group commits, shared by all packets of a group, and the growth of
// the table with each session that is new.
func TestAPacketAllocatesNothing(t *testing.T) {
	r := newRig(t, 1700)
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit)) // the password is remembered
	r.e.memory.Wait()
	id := func(n int) string { return fmt.Sprintf("0a30426f%016x", n) }
	garbage := make([]byte, 60)
	garbage[0], garbage[3] = byte(radius.AccessRequest), 60
	for _, c := range []struct {
		what     string
		from     netip.AddrPort
		role     int
		answered bool
		most     float64
		make     func(n int) []byte
	}{
		{"the same login again", asaAddr, RoleAuthentication, true, 0.01, func(int) []byte { return r.pap("cisco", "cisco", audit) }},
		{"a login of a new session", asaAddr, RoleAuthentication, true, 3, func(n int) []byte { return r.pap("cisco", "cisco", id(n)) }},
		{"a wrong user", asaAddr, RoleAuthentication, true, 0.01, func(int) []byte {
			b := r.request(radius.AccessRequest)
			b.Text(radius.UserName, "cisco")
			b.Bytes(radius.CHAPPassword, make([]byte, 17))
			return r.seal(&b)
		}},
		{"MAB", iosAddr, RoleAuthentication, true, 0.01, func(int) []byte { return r.mab() }},
		{"accounting", asaAddr, RoleAccounting, true, 0.2, func(n int) []byte {
			return r.acct(3, id(n%512), func(b *radius.Builder) {
				b.U32(radius.AcctSessionTime, uint32(n))
				b.Addr(radius.FramedIPAddress, netip.MustParseAddr("10.1.2.3"))
			})
		}},
		{"a login of an endpoint that has an address", asaAddr, RoleAuthentication, true, 0.01, func(n int) []byte { return r.pap("cisco", "cisco", id(n%512)) }},
		{"sessions that begin, go on and end", asaAddr, RoleAccounting, true, 0.2, func(n int) []byte {
			return r.acct([]uint32{1, 3, 2}[n/512%3], id(n%512), func(b *radius.Builder) {
				b.U32(radius.AcctSessionTime, uint32(n))
				b.U32(radius.AcctTerminateCause, 1)
				b.Addr(radius.FramedIPAddress, netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}))
			})
		}},
		{"Status-Server", asaAddr, RoleAuthentication, false, 0.01, func(int) []byte { b := r.request(radius.StatusServer); return r.seal(&b) }},
		{"another NAS's", netip.MustParseAddrPort("203.0.113.9:1"), RoleAuthentication, false, 0.01, func(int) []byte { return r.pap("cisco", "cisco", audit) }},
		{"a wrong secret", asaAddr, RoleAuthentication, false, 0.01, func(int) []byte { p := r.pap("cisco", "cisco", audit); p[25] ^= 1; return p }},
		{"garbage", asaAddr, RoleAuthentication, false, 0.01, func(int) []byte { return garbage }},
	} {
		n := math.Inf(1)
		for try := 0; try < 3 && n > c.most; try++ { // something else of the process may allocate meanwhile
			n = min(n, r.allocations(c.from, c.role, c.answered, c.make))
		}
		if n > c.most {
			t.Errorf("%s: %.3f allocations a packet, want %.2f at most", c.what, n, c.most)
		} else {
			t.Logf("%s: %.4f allocations a packet", c.what, n)
		}
	}
}

// mab is a printer at a switch.
func (r *rig) mab() []byte {
	b := r.request(radius.AccessRequest)
	b.Text(radius.UserName, "000c29c9d999")
	b.U32(radius.ServiceType, serviceCallCheck)
	b.Text(radius.CallingStationID, "00-0C-29-C9-D9-99")
	b.U32(radius.NASPortType, 15)
	b.Addr(radius.NASIPAddress, netip.MustParseAddr("127.0.0.2"))
	b.AVPair("audit-session-id", "0A30426F0000000000000001")
	return r.seal(&b)
}
