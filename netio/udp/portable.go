package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// portableMax is what a read may fill: any UDP datagram, so that a longer one than
// DatagramMax shows without flags that systems disagree on.
const portableMax = 1 << 16

// portable is one loop on net.UDPConn: one goroutine per listener, one datagram a
// batch, and mu makes the loop's ServeBatch calls one at a time. A listener belongs to
// one loop, since nothing else would keep a sender on the same one.
type portable struct {
	guard
	mu        sync.Mutex // guards batch, held while serving
	batch     [1]Datagram
	listeners []*listening
	byListed  map[int]*listening
	out       *Outbox
	wakeup    chan struct{}
	ending    chan struct{}
	readers   sync.WaitGroup
	stopping  atomic.Bool
}

type listening struct {
	conn     *net.UDPConn
	listed   int
	listener Listener
	bound    netip.AddrPort
	buf      []byte
	reply    []byte
}

// openPortable opens every listener once and spreads them over the loops.
func openPortable(s *Server, h Handler) error {
	loops := make([]*portable, min(s.config.Loops, len(s.config.Listeners)))
	for i := range loops {
		p := &portable{guard: guard{handler: h, loop: i, log: s.config.Logger}, byListed: map[int]*listening{},
			wakeup: make(chan struct{}, 1), ending: make(chan struct{})}
		p.out = NewOutbox(s.config.LateQueue, p.wake)
		loops[i] = p
		s.loops = append(s.loops, p)
	}
	for i, l := range s.config.Listeners {
		opened, err := listen(l, i, s.config.RecvBuffer)
		if err != nil {
			for _, p := range loops {
				p.closeAll()
			}
			return err
		}
		p := loops[i%len(loops)]
		p.listeners = append(p.listeners, opened)
		p.byListed[i] = opened
		s.addrs = append(s.addrs, opened.bound)
	}
	return nil
}

func listen(l Listener, listed, recvBuffer int) (*listening, error) {
	bind, f, err := parseAddress(l.Address)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP([...]string{dual: "udp", only4: "udp4", only6: "udp6"}[f], net.UDPAddrFromAddrPort(bind))
	if err != nil {
		return nil, bindError(l.Address, strings.Contains(err.Error(), "in use"), err)
	}
	if err := conn.SetReadBuffer(recvBuffer); err != nil {
		conn.Close()
		return nil, bindError(l.Address, false, err)
	}
	bound := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	if f == only4 {
		bound = netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port())
	}
	return &listening{conn: conn, listed: listed, listener: l, bound: bound,
		buf: make([]byte, portableMax), reply: make([]byte, 0, ReplyMax)}, nil
}

// run starts the readers and sends late replies until end.
func (p *portable) run(started func()) error {
	for _, l := range p.listeners {
		p.readers.Add(1)
		go func() { defer p.readers.Done(); p.read(l) }()
	}
	started()
	for {
		select {
		case <-p.wakeup:
			p.out.Drain(p.sendLate)
		case <-p.ending:
			p.readers.Wait()
			p.out.Close()
			p.out.Drain(p.sendLate)
			p.closeAll()
			return nil
		}
	}
}

func (p *portable) wake() {
	select {
	case p.wakeup <- struct{}{}:
	default: // a wake-up is waiting already
	}
}

// read serves one listener until stopReading.
func (p *portable) read(l *listening) {
	for {
		n, from, err := l.conn.ReadFromUDPAddrPort(l.buf)
		switch {
		case p.stopping.Load() || errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			p.count.receiveErrors.Add(1) // an ICMP error of an earlier reply, on some systems
		default:
			p.serveOne(l, l.buf[:n], from)
		}
	}
}

func (p *portable) serveOne(l *listening, data []byte, from netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	p.count.received.Add(1)
	p.count.batches.Add(1)
	d := &p.batch[0]
	*d = Datagram{Data: data, From: withoutZone(from), To: l.bound, Role: l.listener.Role, Listed: l.listed, Reply: l.reply[:0]}
	switch {
	case len(data) > DatagramMax:
		d.Data, d.Truncated = data[:DatagramMax:DatagramMax], true
		p.count.truncated.Add(1)
	case len(data) == 0:
		p.count.empty.Add(1)
	}
	d.late = Late{out: p.out, socket: int32(l.listed), from: from, to: l.bound}
	if !answerable(d) {
		p.count.noReturn.Add(1)
		return
	}
	p.serve(p.batch[:])
	if len(d.Reply) > 0 && p.send(l, d.Reply, from) {
		p.count.sent.Add(1)
	}
	poison(data)
}

func (p *portable) sendLate(to Late, reply []byte) {
	if l := p.byListed[int(to.socket)]; l != nil && p.send(l, reply, to.from) {
		p.count.sent.Add(1)
		p.count.lateSent.Add(1)
	}
}

func (p *portable) send(l *listening, reply []byte, to netip.AddrPort) bool {
	if len(reply) > ReplyMax {
		p.count.sendErrors[sendTooLong].Add(1)
		return false
	}
	if _, err := l.conn.WriteToUDPAddrPort(reply, to); err != nil {
		kind := sendOther
		if errors.Is(err, os.ErrPermission) {
			kind = sendDenied
		}
		p.count.sendErrors[kind].Add(1)
		return false
	}
	return true
}

func (p *portable) stopReading() {
	p.stopping.Store(true)
	for _, l := range p.listeners {
		if err := l.conn.SetReadDeadline(time.Unix(1, 0)); err != nil { // wakes the reader
			p.log.Error("udp: cannot stop reading", "loop", p.loop, "error", err)
		}
	}
	p.readers.Wait()
}

func (p *portable) end() { close(p.ending) }

func (p *portable) closeAll() {
	for _, l := range p.listeners {
		l.conn.Close()
	}
}

func (p *portable) addTo(s *Stats) { p.count.addTo(s, p.out) }
