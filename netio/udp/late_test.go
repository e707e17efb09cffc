package udp_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"sallyport/netio/udp"
)

// TestLateReply: a reply sent after ServeBatch returned, from another goroutine,
// reaches the sender from the address it wrote to.
func TestLateReply(t *testing.T) {
	for _, c := range []struct{ listen, client, to string }{
		{"127.0.0.2:0", "127.0.0.1:0", "127.0.0.2"}, {":0", "[::1]:0", "::1"}, {":0", "127.0.0.1:0", "127.0.0.1"},
	} {
		t.Run(c.listen+" to "+c.to, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, portable bool) {
				later := make(chan udp.Late, 10)
				s := open(t, udp.Config{Listeners: []udp.Listener{{Address: c.listen}}, Loops: 2, Portable: portable},
					handler(func(_ int, batch []udp.Datagram) {
						for i := range batch {
							later <- batch[i].Late()
						}
					}))
				client := dial(t, c.client)
				to := local(c.to, s.Addrs()[0].Port())
				send(t, client, to, []byte("request"))
				late := <-later
				reply := []byte("late reply")
				if !late.Send(reply) {
					t.Fatal("refused")
				}
				clear(reply) // Send copies
				got, from := receive(t, client)
				if string(got) != "late reply" || from != to {
					t.Errorf("got %q from %v, want \"late reply\" from %v", got, from, to)
				}
				if !late.Send([]byte("twice")) { // a Late is a way, not a ticket
					t.Error("second send refused")
				}
				if got, _ := receive(t, client); string(got) != "twice" {
					t.Errorf("got %q", got)
				}
				await(t, s, "late counted", func(st udp.Stats) bool { return st.LateSent == 2 && st.Sent == 2 })
			})
		})
	}
}

// TestLateRepliesFromManyGoroutines: every reply arrives once, to its own sender,
// over several sockets and loops.
func TestLateRepliesFromManyGoroutines(t *testing.T) {
	eachBackend(t, func(t *testing.T, portable bool) {
		type job struct {
			late udp.Late
			data [8]byte
		}
		jobs := make(chan job, 4096)
		s := open(t, udp.Config{Listeners: []udp.Listener{{Address: "127.0.0.1:0"}, {Address: "127.0.0.1:0"}}, Loops: 2, Portable: portable},
			handler(func(_ int, batch []udp.Datagram) {
				for i := range batch {
					j := job{late: batch[i].Late()}
					copy(j.data[:], batch[i].Data)
					jobs <- j
				}
			}))
		var workers, clients sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				for j := range jobs {
					for !j.late.Send(j.data[:]) {
						t.Error("refused although few are under way")
					}
				}
			})
		}
		for n := range 16 {
			client := dial(t, "127.0.0.1:0")
			clients.Go(func() {
				const window = 8
				for round := range 20 {
					missing := map[uint64]bool{}
					for i := range window {
						id := uint64(n)<<32 | uint64(round*window+i)
						missing[id] = true
						client.WriteToUDPAddrPort(binary.BigEndian.AppendUint64(nil, id), s.Addrs()[i%2])
					}
					buf := make([]byte, 64)
					for len(missing) > 0 {
						k, _, err := client.ReadFromUDPAddrPort(buf)
						if err != nil || k != 8 || !missing[binary.BigEndian.Uint64(buf)] {
							t.Errorf("client %d round %d: %x (%v), waiting for %v", n, round, buf[:k], err, missing)
							return
						}
						delete(missing, binary.BigEndian.Uint64(buf))
					}
				}
			})
		}
		clients.Wait()
		s.StopReading()
		close(jobs)
		workers.Wait()
		await(t, s, "all counted", func(st udp.Stats) bool { return st.LateSent == 16*20*8 })
	})
}

// TestCloseDeliversLateReplies: what was accepted before Close goes out, what comes
// afterwards is refused and counted.
func TestCloseDeliversLateReplies(t *testing.T) {
	eachBackend(t, func(t *testing.T, portable bool) {
		later := make(chan udp.Late, 200)
		s := open(t, udp.Config{Listeners: []udp.Listener{{Address: "127.0.0.1:0"}}, Loops: 2, Portable: portable},
			handler(func(_ int, batch []udp.Datagram) {
				for i := range batch {
					later <- batch[i].Late()
				}
			}))
		client := dial(t, "127.0.0.1:0")
		const n = 150
		var lates []udp.Late
		for i := range n {
			send(t, client, s.Addrs()[0], []byte{byte(i)})
			lates = append(lates, <-later)
		}
		s.StopReading()
		send(t, client, s.Addrs()[0], []byte("nobody reads this"))
		for i, l := range lates {
			if !l.Send(fmt.Appendf(nil, "%d", i)) {
				t.Fatal("refused before Close")
			}
		}
		closeServer(t, s)
		seen := map[string]bool{}
		for range n {
			got, _ := receive(t, client)
			seen[string(got)] = true
		}
		if len(seen) != n {
			t.Errorf("%d of %d late replies came", len(seen), n)
		}
		if lates[0].Send([]byte("too late")) {
			t.Error("accepted after Close")
		}
		if st := s.Stats(); st.LateClosed != 1 || st.Received != n || len(later) != 0 {
			t.Errorf("after close: %+v", st)
		}
		closeServer(t, s) // again is harmless
	})
}

// TestCloseWhileSending: senders on other goroutines never race the closing.
func TestCloseWhileSending(t *testing.T) {
	eachBackend(t, func(t *testing.T, portable bool) {
		later := make(chan udp.Late, 1)
		s := open(t, udp.Config{Listeners: []udp.Listener{{Address: "127.0.0.1:0"}}, Loops: 1, Portable: portable},
			handler(func(_ int, batch []udp.Datagram) { later <- batch[0].Late() }))
		client := dial(t, "127.0.0.1:0")
		send(t, client, s.Addrs()[0], []byte("x"))
		late := <-later
		var senders sync.WaitGroup
		started := make(chan struct{}, 4)
		for range 4 {
			senders.Go(func() {
				started <- struct{}{}
				for s.Stats().LateClosed == 0 {
					late.Send([]byte("y"))
				}
			})
		}
		for range 4 {
			<-started
		}
		closeServer(t, s)
		senders.Wait()
	})
}

// TestCloseReturnsAfterStop: stopping and closing are separate, and stopping twice is one stop.
func TestCloseReturnsAfterStop(t *testing.T) {
	eachBackend(t, func(t *testing.T, portable bool) {
		s := open(t, udp.Config{Listeners: []udp.Listener{{Address: "127.0.0.1:0"}}, Portable: portable}, echo)
		s.StopReading()
		s.StopReading()
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestOutboxIsBounded: when the loop does not come to it, senders are refused.
func TestOutboxIsBounded(t *testing.T) {
	wakes := 0
	out := udp.NewOutbox(5, func() { wakes++ })
	d := udp.NewDatagram(out, udp.Listener{}, 0, local("192.0.2.1", 1), local("192.0.2.2", 2), nil)
	late := d.Late()
	for round := range 3 {
		for i := range 8 { // 5 is rounded up
			if !late.Send([]byte{byte(i)}) {
				t.Fatalf("round %d: refused at %d of 8", round, i)
			}
		}
		if late.Send([]byte("x")) {
			t.Fatal("accepted a ninth")
		}
		if wakes != round+1 {
			t.Errorf("%d wake-ups for 8 sends, want one", wakes-round)
		}
		i := byte(0)
		out.Drain(func(to udp.Late, reply []byte) {
			if len(reply) != 1 || reply[0] != i || to.From() != local("192.0.2.1", 1) {
				t.Errorf("reply %d: %x to %v", i, reply, to.From())
			}
			i++
		})
		if i != 8 {
			t.Errorf("drained %d of 8", i)
		}
	}
	if late.Send(nil) || late.Send(make([]byte, udp.ReplyMax+1)) || (udp.Late{}).Send([]byte("x")) {
		t.Error("accepted an empty or an over-long reply, or one to nobody")
	}
	if (udp.Late{}).From() != (netip.AddrPort{}) {
		t.Error("the zero Late has a sender")
	}
}
