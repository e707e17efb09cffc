package coatest

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"sallyport/netio/radius"
)

// stampWindow is how old or new an Event-Timestamp may be (RFC 5176 section 6.3).
const stampWindow = 300 * time.Second

// slotsMax bounds the remembered answers; beyond it all are forgotten.
const slotsMax = 1 << 16

// slot is where a duplicate is looked for (RFC 5176 section 2.3 and RFC 5080 section 2.2.2).
type slot struct {
	from       netip.AddrPort
	identifier byte
}

type answered struct {
	request radius.Authenticator
	pkt     []byte
}

type arrivals struct {
	request radius.Authenticator
	times   int
}

// listen answers CoA and Disconnect requests until the socket closes.
func (a *ASA) listen() {
	buf := make([]byte, radius.PacketMax+1)
	for {
		n, from, err := a.coa.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the kernel's word about an earlier answer
		}
		a.hear(bytes.Clone(buf[:n]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
	}
}

// hear is one datagram: silence about what is not sound, the same octets for what came
// before, else an answer.
func (a *ASA) hear(pkt []byte, from netip.AddrPort) {
	var v radius.View
	if why := a.unsound(pkt, from, &v); why != "" {
		a.step(Step{Direction: Received, Peer: from.String(), Packet: "datagram", Note: "dropped: " + why})
		return
	}
	audit, _ := v.AVPair("audit-session-id")
	at := slot{from, v.Identifier()}
	reply, times := a.remembered(at, v.Authenticator())
	if reply != nil {
		a.packet(Received, from, &v, string(audit), "again")
		a.send(reply, from, string(audit), "the same octets")
		return
	}
	a.packet(Received, from, &v, string(audit), "")
	answer := ASAAnswer{}
	if f := a.answerer(); f != nil {
		answer = f(ASARequest{From: from, Code: v.Code(), Session: string(audit), Arrival: times})
	}
	var s *ASASession
	cause := answer.Cause
	switch {
	case answer.Silent:
		a.inside(string(audit), "told to be silent")
		return
	case cause == 0:
		s, cause = a.judgeChange(&v)
	}
	reply, err := a.seal(&v, cause)
	if err != nil {
		a.inside(string(audit), "cannot answer: %v", err)
		return
	}
	a.remember(at, answered{v.Authenticator(), reply})
	do := func() {}
	if cause == 0 && answer.Lie {
		a.inside(s.auditID, "told to acknowledge and do nothing")
	} else if cause == 0 {
		do = a.carryOut(s, &v)
	}
	a.send(reply, from, string(audit), "")
	do()
}

// unsound says why the datagram is dropped: not from a server of the group, malformed,
// not signed by the shared secret, too old (RFC 5176 sections 3, 6.1 and 6.3).
func (a *ASA) unsound(pkt []byte, from netip.AddrPort, v *radius.View) string {
	if !slices.ContainsFunc([]netip.AddrPort{a.config.AuthServer, a.config.AcctServer},
		func(server netip.AddrPort) bool { return server.Addr().Unmap() == from.Addr() }) {
		return "not from a server of the group"
	}
	if _, why := radius.Gate(pkt, radius.CoAServer); why != radius.Sound {
		return why.String()
	}
	if why := v.Decode(pkt); why != radius.Sound {
		return why.String()
	}
	if why := a.key.VerifyRequest(v); why != radius.Sound {
		return why.String()
	}
	if stamp, ok := v.U32(radius.EventTimestamp); ok {
		if off := a.clock.Now().Sub(time.Unix(int64(stamp), 0)); off.Abs() > stampWindow {
			return "Event-Timestamp is off by " + off.Round(time.Second).String()
		}
	}
	return ""
}

func (a *ASA) answerer() func(ASARequest) ASAAnswer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.answer
}

// remembered is the answer that the same request got, and how often it has come.
func (a *ASA) remembered(at slot, request radius.Authenticator) (reply []byte, times int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.seen) > slotsMax {
		clear(a.seen)
		clear(a.answered)
	}
	seen := a.seen[at]
	if seen.request != request {
		seen = arrivals{request: request}
	}
	seen.times++
	a.seen[at] = seen
	if known := a.answered[at]; known.pkt != nil && known.request == request {
		return known.pkt, seen.times
	}
	return nil, seen.times
}

func (a *ASA) remember(at slot, answer answered) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answered[at] = answer
}

func (a *ASA) send(pkt []byte, to netip.AddrPort, session, note string) {
	var v radius.View
	if v.Decode(pkt) == radius.Sound {
		a.packet(Sent, to, &v, session, note)
	}
	a.coa.WriteToUDPAddrPort(pkt, to)
}

// seal makes the ACK, or the NAK with its cause: State echoed, Proxy-State copied in
// order (RFC 5176 sections 3.1 and 3.6).
func (a *ASA) seal(v *radius.View, cause uint32) ([]byte, error) {
	code := v.Code() + 1 // ACK
	if cause != 0 {
		code++
	}
	b := radius.Begin(nil, code, v.Identifier())
	b.U32(radius.EventTimestamp, uint32(a.clock.Now().Unix()))
	if cause != 0 {
		b.U32(radius.ErrorCause, cause)
	}
	b.Copy(v, radius.State)
	b.Copy(v, radius.ProxyState)
	return a.key.SealReply(&b, v.Authenticator())
}

// carryOut does what was asked, except for what needs the server again: that is the
// function it returns, to be called when the answer is away. An ASA acknowledges first
// and gets the dACL then.
func (a *ASA) carryOut(s *ASASession, v *radius.View) (later func()) {
	if v.Code() == radius.DisconnectRequest {
		s.end("Disconnect-Request")
		return func() {
			a.wg.Go(func() {
				if err := s.account(a.ctx, acctStop, radius.AcctTerminateCauseAdminReset); err != nil {
					a.inside(s.auditID, "the Stop was not answered: %v", err)
				}
			})
		}
	}
	access, _ := understand(v)
	if push, _ := v.AVPair("coa-push"); string(push) != "true" {
		access = merge(s.Authorization(), access)
	}
	s.mu.Lock()
	s.pushes++
	s.serial++
	serial := s.serial
	s.mu.Unlock()
	if access.DACLName == "" {
		s.apply(serial, access, "CoA")
		return func() {}
	}
	return func() {
		a.wg.Go(func() {
			var err error
			if access.DACL, err = a.download(a.ctx, s.auditID, access.DACLName); err != nil {
				access = Access{Blocked: err.Error()}
			}
			if a.ctx.Err() == nil || err == nil {
				s.apply(serial, access, "CoA")
			}
		})
	}
}
