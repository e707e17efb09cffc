package udptest_test

import (
	"net/netip"
	"sync"
	"testing"

	"sallyport/netio/udp"
	"sallyport/netio/udp/udptest"
)

// hold answers half of the datagrams at once and keeps the way back of the others.
type hold struct{ late []udp.Late }

func (h *hold) ServeBatch(_ int, batch []udp.Datagram) {
	for i := range batch {
		d := &batch[i]
		if d.Role == 2 || len(d.Data)%2 == 1 {
			h.late = append(h.late, d.Late())
			continue
		}
		d.Reply = append(d.Reply, d.Data...)
	}
}

func TestFeedAndLate(t *testing.T) {
	h := &hold{}
	s := udptest.New(h, udp.Listener{Role: 1}, udp.Listener{Role: 2})
	nas := netip.MustParseAddrPort("192.0.2.9:40000")
	var packets []udptest.Packet
	for i := range 100 { // more than one batch
		packets = append(packets, udptest.Packet{From: nas, Data: make([]byte, i)})
	}
	replies := s.Feed(0, packets...)
	if len(replies) != 49 || len(h.late) != 50 { // zero octets are no reply
		t.Fatalf("%d replies, %d held; want 49 and 50", len(replies), len(h.late))
	}
	if r := replies[3]; r.To != nas || r.From != udptest.DefaultTo || len(r.Data) != 8 {
		t.Errorf("reply %+v", r)
	}
	var senders sync.WaitGroup
	for _, l := range h.late {
		senders.Go(func() { l.Send([]byte("late")) })
	}
	late := s.AwaitLate(t, 50)
	senders.Wait()
	if len(late) != 50 || late[0].To != nas || string(late[0].Data) != "late" {
		t.Errorf("late %d %+v", len(late), late[0])
	}
	if again := s.Late(); len(again) != 0 {
		t.Errorf("%d late replies twice", len(again))
	}
	s.Close()
	if h.late[0].Send([]byte("x")) {
		t.Error("accepted after Close")
	}
}
