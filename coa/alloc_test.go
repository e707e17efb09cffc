package coa

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"sallyport/coa/recipe"
	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
	"sallyport/sessions"
)

// exchange takes one change through the machine: submitted, sent, acknowledged.
func exchange(tb testing.TB, m *machine, c *Change, now time.Time, reply []byte) {
	m.submit(now, c)
	m.tick(now)
	if len(m.sends) != 1 {
		tb.Fatalf("%d datagrams sent", len(m.sends))
	}
	d := m.sends[0]
	asked := radius.Authenticator(d.pkt[4:20])
	identifier, socket := d.pkt[1], d.socket
	m.done()
	b := radius.Begin(reply[:0], radius.CoAACK, identifier)
	pkt, err := c.NAS.Key.SealReply(&b, asked)
	if err != nil {
		tb.Fatal(err)
	}
	m.receive(now, socket, d.to, pkt)
	if len(m.settled) != 1 || m.settled[0].Outcome != ACK {
		tb.Fatalf("settled %v", m.settled)
	}
	m.done()
}

func quick(tb testing.TB) (*machine, *Change) {
	r, _ := recipe.Lookup("cisco-asa")
	nas := &NAS{Name: "asa", Addr: netip.MustParseAddrPort("192.0.2.1:1700"), Key: radiustest.Key(tb, "secret"), Recipe: r}
	m := newMachine(settings{sockets: 4, batchMax: 1, retry: Retransmission{}.withDefaults(), staleWindow: staleDefault}, 1,
		func(int) netip.AddrPort { return netip.AddrPort{} }, false)
	return m, &Change{NAS: nas, Ident: recipe.Ident{AuditSessionID: "0a3042ca0001d00056e2dce3", CallingStationID: "10.62.145.44"},
		Grant: &recipe.Grant{DACLName: "#ACSACL#-IP-PERMIT_ALL_TRAFFIC-57e5bcbd"}}
}

// TestPushAllocatesNothing in steady state: sessions that are known, slots that were used.
func TestPushAllocatesNothing(t *testing.T) {
	m, c := quick(t)
	var ids [64]sessions.ID
	for i := range ids {
		ids[i] = sessions.ID(fmt.Sprintf("%024x", i))
	}
	reply := make([]byte, 0, radius.PacketMax)
	now, n := began, 0
	one := func() {
		c.Session, c.Serial = ids[n%len(ids)], uint64(n)
		n++
		now = now.Add(time.Millisecond)
		exchange(t, m, c, now, reply)
		m.tick(now)
	}
	for range 4096 {
		one()
	}
	if got := testing.AllocsPerRun(4096, one); got != 0 {
		t.Errorf("a push allocates %v times", got)
	}
}

// BenchmarkMachine is what the machine costs a push, without sockets.
func BenchmarkMachine(b *testing.B) {
	m, c := quick(b)
	c.Session = "s1"
	reply := make([]byte, 0, radius.PacketMax)
	b.ReportAllocs()
	for b.Loop() {
		c.Serial++
		exchange(b, m, c, began, reply)
	}
}
