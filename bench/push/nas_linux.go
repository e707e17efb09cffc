package main

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"sallyport/engine/stage"
	"sallyport/netio/radius"
	"sallyport/ops/secret"
)

// gateway is the NAS: it logs sessions in, and acknowledges changes.
type gateway struct {
	key  *radius.Key
	auth *net.UDPConn
	coa  *net.UDPConn

	mu     sync.Mutex // guards the following
	waits  map[string]chan<- time.Time
	forged int
	heard  map[string]struct{} // sessions that were told of a change; nil: nobody counts
	marks  []mark              // who waits for how many of them
}

func openGateway() (g *gateway, err error) {
	g = &gateway{waits: map[string]chan<- time.Time{}}
	if g.key, err = radius.NewKey(secret.New([]byte(stage.Secret))); err != nil {
		return nil, err
	}
	if g.auth, err = listenUDP(); err != nil {
		return nil, err
	}
	if g.coa, err = listenUDP(); err != nil {
		return nil, err
	}
	go g.listen()
	return g, nil
}

func (g *gateway) close() {
	g.auth.Close()
	g.coa.Close()
}

func (g *gateway) port() uint16 { return uint16(g.coa.LocalAddr().(*net.UDPAddr).Port) }

// listen acknowledges what is genuine, and tells whoever waits for it when that left.
func (g *gateway) listen() {
	var buf [radius.PacketMax]byte
	for {
		n, from, err := g.coa.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			return
		}
		var v radius.View
		if v.Decode(buf[:n]) != radius.Sound || g.key.VerifyRequest(&v) != radius.Sound {
			g.mu.Lock()
			g.forged++
			g.mu.Unlock()
			continue
		}
		b := radius.BeginWith(nil, v.Code()+1, v.Identifier(), false)
		pkt, err := g.key.SealReply(&b, v.Authenticator())
		if err != nil {
			continue
		}
		_, _ = g.coa.WriteToUDPAddrPort(pkt, from) // the appliance sends again
		now := time.Now()
		id, _ := v.AVPair("audit-session-id")
		g.mu.Lock()
		g.count(id)
		if waits := g.waits[string(id)]; waits != nil {
			select {
			case waits <- now:
			default: // a retransmission: the first is what counts
			}
		}
		g.mu.Unlock()
	}
}

// expect tells changes of a session to changes, which has room for one.
func (g *gateway) expect(id string, changes chan<- time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waits[id] = changes
}

// login logs a session in and returns where it is redirected to.
func (g *gateway) login(to netip.AddrPort, id string, n int) (redirect string, err error) {
	request, err := g.request(id, byte(n))
	if err != nil {
		return "", err
	}
	var buf [radius.PacketMax]byte
	for range 5 {
		if _, err := g.auth.WriteToUDPAddrPort(request, to); err != nil {
			return "", err
		}
		if err := g.auth.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return "", err
		}
		octets, _, err := g.auth.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			continue // once more
		}
		var v radius.View
		if v.Decode(buf[:octets]) != radius.Sound || v.Identifier() != byte(n) || g.key.VerifyResponse(&v, radius.Authenticator(request[4:radius.HeaderLen])) != radius.Sound {
			continue
		}
		if url, ok := v.AVPair("url-redirect"); ok {
			return string(url), nil
		}
		return "", fmt.Errorf("login %s: %s without a redirect", id, v.Code())
	}
	return "", fmt.Errorf("login %s: no answer", id)
}

// request is the login of a session.
func (g *gateway) request(id string, identifier byte) ([]byte, error) {
	b := radius.Begin(nil, radius.AccessRequest, identifier)
	b.Text(radius.UserName, stage.User)
	b.Password(g.key, []byte(stage.Password))
	b.Addr(radius.NASIPAddress, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	b.Text(radius.CallingStationID, "10.62.145.44")
	b.AVPair("audit-session-id", id)
	b.AVPair("coa-push", "true")
	return g.key.SealRequest(&b)
}

// listenUDP opens a socket of loopback.
func listenUDP() (*net.UDPConn, error) {
	return net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
}
