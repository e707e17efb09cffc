package coatest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
	"sallyport/ops/clock"
	"sallyport/ops/secret"
)

const (
	shared   = "a shared secret"
	portal   = "https://posture.example.com:8443/portal/gateway?sessionId=0a30&action=cpp"
	aclName  = "#ACSACL#-IP-PERMIT_ALL_TRAFFIC-57e5bcbd"
	awaitFor = 10 * time.Second
)

var began = time.Date(2016, 3, 11, 14, 57, 55, 0, time.UTC)

// server is the other end: authentication, accounting and the sender of changes.
type server struct {
	t    *testing.T
	key  *radius.Key
	conn *net.UDPConn // for both
	coa  *net.UDPConn
	next byte // identifier of the next change

	mu     sync.Mutex // guards what follows
	heard  []radius.View
	silent int
	reply  func(v *radius.View) [][]byte // nil: answers of the story
	acl    []string
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, key: radiustest.Key(t, shared), acl: []string{"permit ip any any"}}
	for _, conn := range []**net.UDPConn{&s.conn, &s.coa} {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		*conn = c
		t.Cleanup(func() { c.Close() })
	}
	var done sync.WaitGroup
	done.Go(s.serve)
	t.Cleanup(func() { s.conn.Close(); done.Wait() })
	return s
}

func (s *server) addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func (s *server) serve() {
	buf := make([]byte, radius.PacketMax)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		var v radius.View
		if why := v.Decode(bytes.Clone(buf[:n])); why != radius.Sound {
			s.t.Errorf("the ASA sent a packet that is %s", why)
			continue
		}
		if why := s.key.VerifyRequest(&v); why != radius.Sound {
			s.t.Errorf("the ASA's %s is %s", v.Code(), why)
		}
		for _, pkt := range s.answers(&v) {
			s.conn.WriteToUDPAddrPort(pkt, from)
		}
	}
}

func (s *server) answers(v *radius.View) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, *v)
	if s.silent > 0 {
		s.silent--
		return nil
	}
	if s.reply != nil {
		return s.reply(v)
	}
	return [][]byte{s.story(v)}
}

// story is quarantine for a login, the dACL for its name, an answer for accounting.
func (s *server) story(v *radius.View) []byte {
	name := v.Text(radius.UserName)
	switch {
	case v.Code() == radius.AccountingRequest:
		return s.seal(v, radius.AccountingResponse, func(*radius.Builder) {})
	case strings.HasPrefix(name, "#ACSACL#"):
		return s.seal(v, radius.AccessAccept, func(b *radius.Builder) {
			for i, entry := range s.acl {
				b.AVPair(fmt.Sprintf("ip:inacl#%d", i+1), entry)
			}
		})
	case name == "mallory":
		return s.seal(v, radius.AccessReject, func(b *radius.Builder) { b.Text(radius.ReplyMessage, "no") })
	}
	return s.seal(v, radius.AccessAccept, func(b *radius.Builder) {
		b.Text(radius.Class, "CACS:1")
		b.Text(radius.Class, "OU=GP-SSL;")
		if name == "clean" {
			b.AVPair("ACS:CiscoSecure-Defined-ACL", aclName)
			return
		}
		b.AVPair("url-redirect-acl", "ACL_WEBAUTH_REDIRECT")
		b.AVPair("url-redirect", portal)
	})
}

func (s *server) seal(v *radius.View, code radius.Code, write func(*radius.Builder)) []byte {
	b := radius.Begin(nil, code, v.Identifier())
	write(&b)
	pkt, err := s.key.SealReply(&b, v.Authenticator())
	if err != nil {
		s.t.Error(err)
	}
	return pkt
}

// set changes how the server answers.
func (s *server) set(change func(s *server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// got is what arrived of one code.
func (s *server) got(code radius.Code) (all []radius.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.heard {
		if v.Code() == code {
			all = append(all, v)
		}
	}
	return all
}

// change makes a CoA-Request or Disconnect-Request for the session: its names, the time,
// then what write adds. Without a session only what write adds.
func (s *server) change(code radius.Code, session *ASASession, write func(*radius.Builder)) []byte {
	s.t.Helper()
	s.next++
	b := radius.Begin(nil, code, s.next)
	if session != nil {
		b.Addr(radius.NASIPAddress, session.asa.NASIP())
		b.Text(radius.CallingStationID, session.endpoint.PublicIP.String())
		b.U32(radius.EventTimestamp, uint32(session.asa.clock.Now().Unix()))
		b.AVPair("audit-session-id", session.AuditSessionID())
		if code == radius.CoARequest {
			b.AVPair("coa-push", "true")
		}
	}
	write(&b)
	pkt, err := s.key.SealRequest(&b)
	if err != nil {
		s.t.Fatal(err)
	}
	return pkt
}

// tell sends a change and returns the verified answer, which must come.
func (s *server) tell(a *ASA, pkt []byte) *radius.View {
	s.t.Helper()
	s.send(a, pkt)
	return s.hear(pkt)
}

func (s *server) send(a *ASA, pkt []byte) {
	s.t.Helper()
	if _, err := s.coa.WriteToUDPAddrPort(pkt, a.CoAAddr()); err != nil {
		s.t.Fatal(err)
	}
}

// hear reads the next answer, which must be to pkt.
func (s *server) hear(pkt []byte) *radius.View {
	s.t.Helper()
	buf := make([]byte, radius.PacketMax)
	s.coa.SetReadDeadline(time.Now().Add(awaitFor))
	n, _, err := s.coa.ReadFromUDPAddrPort(buf)
	if err != nil {
		s.t.Fatal("no answer to the change: ", err)
	}
	v := &radius.View{}
	if why := v.Decode(buf[:n]); why != radius.Sound {
		s.t.Fatal(why)
	}
	if why := s.key.VerifyResponse(v, radius.Authenticator(pkt[4:20])); why != radius.Sound {
		s.t.Fatalf("the answer %s %d is %s", v.Code(), v.Identifier(), why)
	}
	return v
}

func outcome(v *radius.View) string {
	if cause, ok := v.U32(radius.ErrorCause); ok {
		return fmt.Sprintf("%s %d", v.Code(), cause)
	}
	return v.Code().String()
}

// newASA is an ASA of the server with quick retransmission and a clock that stands.
func newASA(t *testing.T, s *server, adjust ...func(*ASAConfig)) *ASA {
	t.Helper()
	c := ASAConfig{Name: "asa", Secret: secret.New([]byte(shared)), AuthServer: s.addr(), AcctServer: s.addr(),
		NASIP: netip.MustParseAddr("10.48.66.202"), Clock: clock.NewManual(began),
		Retransmit: Retransmit{Initial: 50 * time.Millisecond, Most: 100 * time.Millisecond, Count: 5, Duration: awaitFor}}
	for _, f := range adjust {
		f(&c)
	}
	a, err := NewASA(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), awaitFor)
	t.Cleanup(cancel)
	return ctx
}

func login(t *testing.T, a *ASA, user string) *ASASession {
	t.Helper()
	s, err := a.Login(soon(t), user, "cisco", Endpoint{MAC: "00:50:56:AA:BB:CC", Platform: "win", PlatformVersion: "10.0.19044"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
