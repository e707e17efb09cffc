package portal

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

var errHandshakesFull = errors.New("too many handshakes at once")

// listener takes connections, does the TLS handshake and hands them on, within the
// limits. net/http gets connections that are ready, so that a flood of half-open ones
// never reaches it.
type listener struct {
	// set once
	tcp   net.Listener
	tls   *tls.Config
	lim   Limits
	count *counters
	log   *slog.Logger
	ready chan net.Conn
	slots chan struct{}   // one for each handshake at work
	ctx   context.Context // ends with the listener
	end   context.CancelFunc
	wg    sync.WaitGroup // the accept loop and handshakes

	told       func(from netip.Addr, w why) // of a refusal that was counted
	distrusted func(from netip.Addr)        // told when a peer refuses our certificate

	mu    sync.Mutex // guards all below
	conns map[*conn]struct{}
	per   map[netip.Addr]int
}

func newListener(tcp net.Listener, conf *tls.Config, lim Limits, count *counters, log *slog.Logger) *listener {
	l := &listener{
		tcp: tcp, lim: lim, count: count, log: log,
		ready: make(chan net.Conn), slots: make(chan struct{}, lim.Handshakes), per: map[netip.Addr]int{}, conns: map[*conn]struct{}{},
	}
	l.ctx, l.end = context.WithCancel(context.Background())
	l.tls = conf.Clone()
	l.tls.GetConfigForClient = l.admit
	return l
}

// run accepts until the listener is closed.
func (l *listener) run() {
	defer l.wg.Done()
	pause := acceptPauseMin
	for {
		raw, err := l.tcp.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			// Out of descriptors or memory: those who are in go on.
			l.count.refuse(whyAccept)
			l.log.Warn("portal: accept", "error", err, "pause", pause)
			select {
			case <-l.ctx.Done():
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, acceptPauseMax)
			continue
		}
		pause = acceptPauseMin
		l.count.accepted.Add(1)
		if c := l.enter(raw); c != nil {
			l.wg.Add(1)
			go l.handshake(c)
		}
	}
}

// enter counts a connection in, or closes it.
func (l *listener) enter(raw net.Conn) *conn {
	addr, err := netip.ParseAddrPort(raw.RemoteAddr().String())
	if err != nil {
		raw.Close()
		return nil
	}
	c := &conn{Conn: raw, l: l, from: origin(addr.Addr())}
	l.mu.Lock()
	reason := whys
	switch {
	case len(l.conns) >= l.lim.Connections:
		reason = whyConnections
	case l.per[c.from] >= l.lim.ConnectionsPer:
		reason = whyConnectionsPer
	default:
		l.conns[c] = struct{}{}
		l.per[c.from]++
	}
	l.mu.Unlock()
	if reason != whys {
		l.count.refuse(reason)
		raw.Close()
		l.told(c.from, reason)
		return nil
	}
	return c
}

func (l *listener) leave(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	if l.per[c.from]--; l.per[c.from] == 0 {
		delete(l.per, c.from)
	}
}

// closeUnused closes connections on which no request ever began: browsers open some in
// advance, and net/http would wait for them.
func (l *listener) closeUnused() {
	l.mu.Lock()
	var unused []*conn
	for c := range l.conns {
		if !c.used.Load() {
			unused = append(unused, c)
		}
	}
	l.mu.Unlock()
	for _, c := range unused {
		c.Close()
	}
}

// closeAll cuts every connection.
func (l *listener) closeAll() {
	l.mu.Lock()
	var all []*conn
	for c := range l.conns {
		all = append(all, c)
	}
	l.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

func (l *listener) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// admit runs when the ClientHello is there and before anything is computed for it.
func (l *listener) admit(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c, ok := hello.Conn.(*conn)
	if !ok {
		return nil, errors.New("portal: not a connection of this listener")
	}
	c.old.Store(!slices.Contains(hello.SupportedVersions, tls.VersionTLS13))
	select {
	case l.slots <- struct{}{}:
		c.slot.Store(true)
		return nil, nil
	default:
	}
	timer := time.NewTimer(handshakeWaitTimeout)
	defer timer.Stop()
	select {
	case l.slots <- struct{}{}:
		c.slot.Store(true)
		return nil, nil
	case <-timer.C:
		return nil, errHandshakesFull
	case <-hello.Context().Done():
		return nil, hello.Context().Err()
	}
}

func (l *listener) handshake(c *conn) {
	defer l.wg.Done()
	ctx, cancel := context.WithTimeout(l.ctx, handshakeTimeout)
	defer cancel()
	t := tls.Server(c, l.tls)
	err := t.HandshakeContext(ctx)
	c.release()
	c.alert.over = true
	if err == nil {
		select {
		case l.ready <- t:
			return
		case <-l.ctx.Done():
		}
	} else {
		l.refuse(c, err)
	}
	c.Close()
}

// refuse counts why a handshake failed, and tells a browser that spoke plain HTTP.
func (l *listener) refuse(c *conn, err error) {
	reason := l.broken(c, err)
	l.count.refuse(reason)
	switch reason {
	case whyPlainHTTP:
		c.SetWriteDeadline(deadline(handshakeTimeout))
		// The peer may be gone; there is nobody else to tell.
		_, _ = c.Write([]byte("HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks HTTPS. Write https:// instead of http://.\n"))
	case whyCertificate:
		l.distrusted(c.from)
	}
	if l.ctx.Err() == nil {
		l.told(c.from, reason)
	}
}

// broken is why a handshake failed.
func (l *listener) broken(c *conn, err error) why {
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, errHandshakesFull):
		return whyHandshakesFull
	case errors.As(err, &record) && isHTTP(record.RecordHeader):
		return whyPlainHTTP
	case refusesCertificate(err), c.alert.ofCertificate():
		return whyCertificate
	case c.old.Load():
		return whyTLSVersion
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return whySlowHandshake
	}
	return whyHandshake
}

func isHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

// Accept returns connections whose handshake is done.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close stops taking connections. Those handed on stay open.
func (l *listener) Close() error {
	l.end()
	if err := l.tcp.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Addr is where the listener listens.
func (l *listener) Addr() net.Addr { return l.tcp.Addr() }

// conn is a connection that was counted in.
type conn struct {
	net.Conn
	l    *listener
	from netip.Addr

	alert plainAlert  // of the handshake
	old   atomic.Bool // its ClientHello offers no TLS 1.3

	slot   atomic.Bool // holds a place among the handshakes
	closed atomic.Bool
	used   atomic.Bool // a request began on it, once at least
	begun  atomic.Bool // a request began to arrive and no handler has seen it yet
}

// Read looks at what goes by until the handshake is over.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.alert.see(b[:max(n, 0)])
	return n, err
}

// Write gives up the place among the handshakes: with our first octets out, the costly
// part is done, and waiting for a slow peer must not keep others out.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.release()
	return n, err
}

func (c *conn) release() {
	if c.slot.Load() && c.slot.Swap(false) {
		<-c.l.slots
	}
}

// Close counts the connection out.
func (c *conn) Close() error {
	err := c.Conn.Close()
	if !c.closed.Swap(true) {
		c.release()
		c.l.leave(c)
	}
	return err
}
