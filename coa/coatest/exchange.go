package coatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"sallyport/netio/radius"
)

// ErrNoReply says that a request was sent as often and as long as Retransmit allows.
var ErrNoReply = errors.New("coatest: no reply")

// reply is a verified answer with its own octets.
type reply struct {
	view  radius.View
	first bool // Message-Authenticator is there and stands first
}

// request is something to be asked. build makes its packet from nothing each time that
// delay, the whole seconds since the first try, has changed: a packet with another
// Acct-Delay-Time is another packet and needs another identifier (RFC 2866 section 5.2).
type request struct {
	server  netip.AddrPort
	session string
	role    radius.Role
	build   func(identifier byte, delay uint32) ([]byte, error)
	delays  bool // the packet tells the delay
	needsMA bool // a reply without Message-Authenticator is dropped
}

// attempt is a packet that was sent.
type attempt struct {
	pkt  []byte
	view radius.View
}

// exchange sends the request until a reply verifies (RFC 5080 section 2.2.1): after an
// initial time, doubled up to a most, each with a tenth of jitter. The times are those of
// the machine, whatever clock the ASA shows.
func (a *ASA) exchange(ctx context.Context, r request) (*reply, error) {
	conn, err := net.DialUDP("udp", a.source(), net.UDPAddrFromAddrPort(r.server))
	if err != nil {
		return nil, fmt.Errorf("coatest: %w", err)
	}
	defer conn.Close()
	for _, c := range []context.Context{ctx, a.ctx} {
		stop := context.AfterFunc(c, func() { conn.Close() })
		defer stop()
	}
	limits, start := a.config.Retransmit, time.Now()
	wait := jitter(limits.Initial)
	var sent []attempt
	for n := 1; ; n++ {
		if sent, err = a.transmit(conn, &r, sent, time.Since(start)); err != nil {
			return nil, a.why(ctx, err)
		}
		until, end := time.Now().Add(wait), start.Add(limits.Duration)
		last := n == limits.Count || !until.Before(end)
		if until.After(end) {
			until = end
		}
		conn.SetReadDeadline(until)
		got, err := a.await(conn, &r, sent)
		switch {
		case err == nil:
			return got, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, a.why(ctx, err)
		case last:
			return nil, fmt.Errorf("%w from %s to %s after %d transmissions", ErrNoReply, r.server, sent[0].view.Code(), n)
		}
		if wait = 2*wait + jitter(wait) - wait; wait > limits.Most {
			wait = jitter(limits.Most)
		}
	}
}

// source is where packets leave from, nil for where the system likes.
func (a *ASA) source() *net.UDPAddr {
	if !a.config.Source.IsValid() {
		return nil
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.config.Source, 0))
}

// why prefers the reason that closed the socket to the closed socket.
func (a *ASA) why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if a.ctx.Err() != nil {
		return fmt.Errorf("coatest: ASA %s is closed", a.config.Name)
	}
	return err
}

func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()*0.2-0.1)*float64(d))
}

// transmit sends the last packet again, or a new one when it has to tell another delay.
// That nobody listens is no reason to stop.
func (a *ASA) transmit(conn *net.UDPConn, r *request, sent []attempt, since time.Duration) ([]attempt, error) {
	note, delay := "", uint32(since/time.Second)
	if n := len(sent); n == 0 || r.delays && a.delayOf(&sent[n-1].view) != delay {
		pkt, err := r.build(byte(rand.Uint32()), delay)
		if err != nil {
			return sent, err
		}
		next := attempt{pkt: pkt}
		if why := next.view.Decode(pkt); why != radius.Sound {
			return sent, fmt.Errorf("coatest: a packet of our own is %s", why)
		}
		sent = append(sent, next)
	} else {
		note = "again"
	}
	last := &sent[len(sent)-1]
	a.packet(Sent, r.server, &last.view, r.session, note)
	if _, err := conn.Write(last.pkt); errors.Is(err, net.ErrClosed) {
		return sent, err
	}
	return sent, nil
}

func (a *ASA) delayOf(v *radius.View) uint32 {
	n, _ := v.U32(radius.AcctDelayTime)
	return n
}

// await reads until a reply to one of the packets sent verifies. What does not is
// dropped, as if it had not come (RFC 2865 section 3).
func (a *ASA) await(conn *net.UDPConn, r *request, sent []attempt) (*reply, error) {
	buf := make([]byte, radius.PacketMax+1)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
				return nil, err
			}
			continue // an ICMP error: the server may come yet
		}
		got := &reply{}
		if why := a.judge(bytes.Clone(buf[:n]), r, sent, got); why != "" {
			a.step(Step{Direction: Received, Peer: r.server.String(), Packet: "datagram", Session: r.session, Note: "dropped: " + why})
			continue
		}
		note := "without Message-Authenticator"
		switch {
		case got.first:
			note = "Message-Authenticator first"
		case got.view.HasMessageAuthenticator():
			note = "Message-Authenticator not first"
		}
		a.packet(Received, r.server, &got.view, r.session, note)
		return got, nil
	}
}

// judge fills got, or says why the datagram is dropped.
func (a *ASA) judge(pkt []byte, r *request, sent []attempt, got *reply) string {
	if _, why := radius.Gate(pkt, r.role); why != radius.Sound {
		return why.String()
	}
	if why := got.view.Decode(pkt); why != radius.Sound {
		return why.String()
	}
	why := "answers nothing that was asked"
	for i := len(sent) - 1; i >= 0; i-- {
		if asked := &sent[i].view; asked.Identifier() == got.view.Identifier() {
			verdict := a.key.VerifyResponse(&got.view, asked.Authenticator())
			if verdict == radius.Sound {
				if r.needsMA && !got.view.HasMessageAuthenticator() {
					return radius.WhyNoMessageAuthenticator.String()
				}
				got.first = got.view.HasMessageAuthenticator() &&
					radius.Type(got.view.Bytes()[radius.HeaderLen]) == radius.MessageAuthenticator
				return ""
			}
			why = verdict.String()
		}
	}
	return why
}
