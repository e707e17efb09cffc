package coa

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"sallyport/coa/recipe"
	"sallyport/netio/radius"
)

// Sign is what came back from an address that a request was sent to.
type Sign uint8

// Signs.
const (
	Nothing     Sign = iota // within the time
	Answered                // and the answer fits the secret
	Unverified              // an answer that does not fit the secret
	Closed                  // ICMP port unreachable: the host is there, nobody listens on the port
	Unreachable             // the host or the network, says a router or this machine
)

var signWords = [...]string{"nothing comes back", "it answers", "it answers, and the answer does not fit the secret",
	"closed (ICMP port unreachable)", "the host or its network cannot be reached"}

// String is the sign in words.
func (s Sign) String() string { return signWords[s] }

// replyMax is the longest RADIUS packet (RFC 2865 section 3).
const replyMax = 4096

// Probe sends one request for a change of no session to a port of the NAS, from a socket of
// its own that hears of ICMP errors, and waits for a sign. The engine's own sockets hear of
// none: they talk to many.
func Probe(ctx context.Context, nas *NAS, port uint16, within time.Duration) (Sign, error) {
	dialer := net.Dialer{}
	if nas.Source.IsValid() {
		dialer.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(nas.Source, 0))
	}
	conn, err := dialer.DialContext(ctx, "udp", netip.AddrPortFrom(nas.Addr.Addr(), port).String())
	if err != nil {
		return signOf(err)
	}
	defer conn.Close()
	b := radius.Begin(nil, radius.CoARequest, 0)
	// What no NAS has: every box answers that it does not know the session, or is silent.
	id := recipe.Ident{NASIP: nas.Addr.Addr(), AcctSessionID: "00000000", AuditSessionID: "00000000", CallingStationID: "00-00-00-00-00-00", EventTime: time.Now()}
	nas.Recipe.AppendChange(&b, nas.Recipe.Apply(), &id, &recipe.Grant{})
	packet, err := nas.Key.SealRequest(&b)
	if err != nil {
		return Nothing, err
	}
	if _, err := conn.Write(packet); err != nil {
		return signOf(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return Nothing, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer stop()
	reply := make([]byte, replyMax)
	n, err := conn.Read(reply)
	if err != nil {
		return signOf(err)
	}
	var v radius.View
	if v.Decode(reply[:n]) != radius.Sound || nas.Key.VerifyResponse(&v, radius.Authenticator(packet[4:20])) != radius.Sound {
		return Unverified, nil
	}
	return Answered, nil
}

// signOf is what an error of a connected socket tells; other errors are none of the NAS's.
func signOf(err error) (Sign, error) {
	var late net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Closed, nil
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Unreachable, nil
	case errors.As(err, &late) && late.Timeout():
		return Nothing, nil
	}
	return Nothing, err
}
