package coatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
	"sallyport/ops/secret"
)

// TestPasswordArrives: the server reads what the user typed.
func TestPasswordArrives(t *testing.T) {
	s := newServer(t)
	login(t, newASA(t, s), "cisco")
	v := s.got(radius.AccessRequest)[0]
	hidden, _ := v.Get(radius.UserPassword)
	if plain, ok := s.key.RevealPassword(nil, hidden, v.Authenticator()); !ok || string(plain) != "cisco" {
		t.Fatalf("the password arrives as %q", plain)
	}
}

// TestSentAgain: the same octets until an answer comes (RFC 5080 section 2.2.1).
func TestSentAgain(t *testing.T) {
	s := newServer(t)
	s.set(func(s *server) { s.silent = 2 })
	login(t, newASA(t, s), "cisco")
	all := s.got(radius.AccessRequest)
	if len(all) != 3 || !bytes.Equal(all[0].Bytes(), all[1].Bytes()) || !bytes.Equal(all[1].Bytes(), all[2].Bytes()) {
		t.Fatalf("%d requests arrived, or not the same three times", len(all))
	}
}

// TestGivesUp: a dead server costs Count transmissions, a closed ASA and a cancelled
// context nothing more.
func TestGivesUp(t *testing.T) {
	s := newServer(t)
	s.set(func(s *server) { s.silent = 1000 })
	quick := func(c *ASAConfig) { c.Retransmit = Retransmit{Initial: 5 * time.Millisecond, Count: 3} }
	a := newASA(t, s, quick)
	if _, err := a.Login(soon(t), "cisco", "cisco", Endpoint{}); !errors.Is(err, ErrNoReply) {
		t.Errorf("a silent server: %v", err)
	}
	if n := len(s.got(radius.AccessRequest)); n != 3 {
		t.Errorf("%d transmissions", n)
	}
	short := newASA(t, s, func(c *ASAConfig) {
		c.Retransmit = Retransmit{Initial: 5 * time.Millisecond, Count: 1000, Duration: 30 * time.Millisecond}
	})
	if _, err := short.Login(soon(t), "cisco", "cisco", Endpoint{}); !errors.Is(err, ErrNoReply) {
		t.Errorf("the whole duration: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := newASA(t, s, func(c *ASAConfig) { c.Retransmit = Retransmit{}; c.Log = func(Step) { cancel() } })
	if _, err := waiting.Login(ctx, "cisco", "cisco", Endpoint{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled login: %v", err)
	}
	a.Close()
	if _, err := a.Login(soon(t), "cisco", "cisco", Endpoint{}); err == nil || !strings.Contains(err.Error(), "is closed") {
		t.Errorf("a closed ASA: %v", err)
	}
}

// TestAnotherDelayIsAnotherRequest: Acct-Delay-Time changes, so the identifier does
// (RFC 2866 section 5.2), and the answer to either packet counts.
func TestAnotherDelayIsAnotherRequest(t *testing.T) {
	s := newServer(t)
	a := newASA(t, s)
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	next := byte(0)
	r := request{server: s.addr(), role: radius.AcctClient, delays: true, build: func(_ byte, delay uint32) ([]byte, error) {
		next++
		b := radius.Begin(nil, radius.AccountingRequest, next)
		b.U32(radius.AcctDelayTime, delay)
		return a.key.SealRequest(&b)
	}}
	var sent []attempt
	for _, since := range []time.Duration{0, 900 * time.Millisecond, 2 * time.Second} {
		if sent, err = a.transmit(conn, &r, sent, since); err != nil {
			t.Fatal(err)
		}
	}
	if len(sent) != 2 || a.delayOf(&sent[0].view) != 0 || a.delayOf(&sent[1].view) != 2 {
		t.Fatalf("%d different packets were sent", len(sent))
	}
	for i := range sent {
		answer := s.seal(&sent[i].view, radius.AccountingResponse, func(*radius.Builder) {})
		if why := a.judge(answer, &r, sent, &reply{}); why != "" {
			t.Errorf("the answer to packet %d: %s", i+1, why)
		}
	}
}

// TestBadRepliesAreDropped: forged, misdirected and broken replies change nothing; the
// sound one after them does.
func TestBadRepliesAreDropped(t *testing.T) {
	s := newServer(t)
	other := radiustest.Key(t, "another secret")
	s.set(func(s *server) {
		s.reply = func(v *radius.View) [][]byte {
			if v.Code() != radius.AccessRequest {
				return [][]byte{s.story(v)}
			}
			forged := radius.Begin(nil, radius.AccessAccept, v.Identifier())
			pkt, _ := other.SealReply(&forged, v.Authenticator())
			late := radius.Begin(nil, radius.AccessAccept, v.Identifier()+1)
			misdirected, _ := s.key.SealReply(&late, v.Authenticator())
			bare := radius.BeginWith(nil, radius.AccessAccept, v.Identifier(), false)
			unsigned, _ := s.key.SealReply(&bare, v.Authenticator())
			changed := s.story(v)
			changed[len(changed)-1]++
			return [][]byte{nil, pkt, misdirected, unsigned, changed, s.story(v)[:30],
				s.seal(v, radius.AccountingResponse, func(*radius.Builder) {}), s.story(v)}
		}
	})
	var mu sync.Mutex
	var dropped []string
	a := newASA(t, s, func(c *ASAConfig) {
		c.RequireMessageAuthenticator = true
		c.Log = func(s Step) {
			mu.Lock()
			defer mu.Unlock()
			if why, ok := strings.CutPrefix(s.Note, "dropped: "); ok {
				dropped = append(dropped, why)
			}
		}
	})
	got := login(t, a, "cisco")
	const want = "short, bad_authenticator, answers nothing that was asked, no_message_authenticator, bad_authenticator, truncated, wrong_code"
	mu.Lock()
	defer mu.Unlock()
	if all := strings.Join(dropped, ", "); all != want {
		t.Errorf("dropped:\n%s\nwant\n%s", all, want)
	}
	if !got.Authorization().Redirected() || !got.MessageAuthenticatorFirst() {
		t.Error("the sound reply is not in force: ", got.Access())
	}
}

// TestMessageAuthenticatorPlace: the ASA tells where it stood.
func TestMessageAuthenticatorPlace(t *testing.T) {
	s := newServer(t)
	s.set(func(s *server) {
		s.reply = func(v *radius.View) [][]byte {
			if v.Code() != radius.AccessRequest {
				return [][]byte{s.story(v)}
			}
			b := radius.BeginWith(nil, radius.AccessAccept, v.Identifier(), false)
			b.Text(radius.ReplyMessage, "none")
			pkt, _ := s.key.SealReply(&b, v.Authenticator())
			return [][]byte{pkt}
		}
	})
	if got := login(t, newASA(t, s), "cisco"); got.MessageAuthenticatorFirst() || got.Access() != "full" {
		t.Errorf("first %t, access %s", got.MessageAuthenticatorFirst(), got.Access())
	}
}

func TestRefusals(t *testing.T) {
	s := newServer(t)
	a := newASA(t, s)
	var no *RejectedError
	if _, err := a.Login(soon(t), "mallory", "x", Endpoint{}); !errors.As(err, &no) || no.Message != "no" {
		t.Errorf("a reject: %v", err)
	}
	answer := func(code radius.Code, write func(*radius.Builder)) func(*server) {
		return func(s *server) {
			s.reply = func(v *radius.View) [][]byte { return [][]byte{s.seal(v, code, write)} }
		}
	}
	s.set(answer(radius.AccessChallenge, func(b *radius.Builder) { b.Text(radius.State, "more") }))
	if _, err := a.Login(soon(t), "cisco", "x", Endpoint{}); err == nil {
		t.Error("a challenge opened a tunnel")
	}
	s.set(answer(radius.AccessAccept, func(b *radius.Builder) { b.Bytes(radius.SessionTimeout, []byte{1}) }))
	if _, err := a.Login(soon(t), "cisco", "x", Endpoint{}); err == nil {
		t.Error("a Session-Timeout of one octet opened a tunnel")
	}
	if n := len(a.live()); n != 0 {
		t.Errorf("%d sessions live", n)
	}
}

// fragment answers for a dACL with the part that State names; the last is the Access-Accept.
func (s *server) fragment(v *radius.View, parts [][]int) [][]byte {
	if !strings.HasPrefix(v.Text(radius.UserName), "#ACSACL#") {
		return [][]byte{s.story(v)}
	}
	part := 0
	if state, ok := v.Get(radius.State); ok {
		part = int(state[0])
	}
	code := radius.AccessChallenge
	if part == len(parts)-1 {
		code = radius.AccessAccept
	}
	return [][]byte{s.seal(v, code, func(b *radius.Builder) {
		for _, n := range parts[part] {
			b.AVPair(fmt.Sprintf("ip:inacl#%d", n), fmt.Sprintf("permit ip any host 10.0.0.%d", n))
		}
		if code == radius.AccessChallenge {
			b.Bytes(radius.State, []byte{byte(part + 1)})
		}
	})}
}

// TestDACL: fragments are put together, a hole is not covered up, and what came is kept.
func TestDACL(t *testing.T) {
	for _, c := range []struct {
		name  string
		parts [][]int // numbers of each fragment; the last is the Access-Accept
		fails string
	}{
		{"whole", [][]int{{1, 2, 3}}, ""},
		{"fragments", [][]int{{1, 2}, {3, 4}, {5}}, ""},
		{"many", [][]int{{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}, {10}, {11}, {12}}, ""},
		{"hole", [][]int{{1, 2}, {4}}, "entry 3 of 3 is missing"},
		{"empty", [][]int{{}}, "holds no ip:inacl#n entry"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			s.set(func(s *server) { s.reply = func(v *radius.View) [][]byte { return s.fragment(v, c.parts) } })
			a := newASA(t, s)
			got, err := a.Login(soon(t), "clean", "cisco", Endpoint{})
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || len(a.live()) != 0 {
					t.Fatalf("%v, %d sessions", err, len(a.live()))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			total := 0
			for _, part := range c.parts {
				total += len(part)
			}
			acl := got.Authorization().DACL
			if len(acl) != total || acl[total-1] != fmt.Sprintf("permit ip any host 10.0.0.%d", total) {
				t.Errorf("entries: %q", acl)
			}
			asked := len(s.got(radius.AccessRequest))
			login(t, a, "clean")
			if n := len(s.got(radius.AccessRequest)); n != asked+1 {
				t.Errorf("%d requests for a login with a dACL that is in the cache", n-asked)
			}
			for _, v := range s.got(radius.AccessRequest)[1:asked] {
				if service, _ := v.AVPair("aaa:service"); string(service) != "vpn" || !v.HasMessageAuthenticator() {
					t.Error("a download without aaa:service=vpn or Message-Authenticator")
				}
			}
		})
	}
}

// TestDACLNeedsSignature: a dACL from a reply without Message-Authenticator is none.
func TestDACLNeedsSignature(t *testing.T) {
	s := newServer(t)
	s.set(func(s *server) {
		s.reply = func(v *radius.View) [][]byte {
			if !strings.HasPrefix(v.Text(radius.UserName), "#ACSACL#") {
				return [][]byte{s.story(v)}
			}
			b := radius.BeginWith(nil, radius.AccessAccept, v.Identifier(), false)
			b.AVPair("ip:inacl#1", "permit ip any any")
			pkt, _ := s.key.SealReply(&b, v.Authenticator())
			return [][]byte{pkt}
		}
	})
	a := newASA(t, s, func(c *ASAConfig) { c.Retransmit = Retransmit{Initial: 5 * time.Millisecond, Count: 2} })
	if _, err := a.Login(soon(t), "clean", "cisco", Endpoint{}); !errors.Is(err, ErrNoReply) {
		t.Error(err)
	}
}

// TestAccountingSwitch: off is off for Start, Interim, Stop and On.
func TestAccountingSwitch(t *testing.T) {
	s := newServer(t)
	a := newASA(t, s, func(c *ASAConfig) { c.WithoutAccounting = true })
	one := login(t, a, "cisco")
	for _, err := range []error{one.Interim(soon(t)), one.Logout(soon(t)), a.Reboot(soon(t))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.got(radius.AccountingRequest)); n != 0 {
		t.Fatalf("%d accounting requests", n)
	}
	a.SetAccounting(true)
	two := login(t, a, "cisco")
	if err := errors.Join(two.Interim(soon(t)), two.Logout(soon(t))); err != nil {
		t.Fatal(err)
	}
	var statuses []uint32
	for _, v := range s.got(radius.AccountingRequest) {
		status, _ := v.U32(radius.AcctStatusType)
		statuses = append(statuses, status)
	}
	if fmt.Sprint(statuses) != "[1 3 2]" {
		t.Errorf("statuses %v", statuses)
	}
	if err := two.Logout(soon(t)); !errors.Is(err, ErrEnded) {
		t.Errorf("a second logout: %v", err)
	}
	if err := two.Interim(soon(t)); !errors.Is(err, ErrEnded) {
		t.Errorf("an interim of the dead: %v", err)
	}
}

func TestConfigFaults(t *testing.T) {
	s := newServer(t)
	good := ASAConfig{Name: "asa", Secret: secret.New([]byte(shared)), AuthServer: s.addr()}
	for name, spoil := range map[string]func(*ASAConfig){
		"secret":   func(c *ASAConfig) { c.Secret = secret.Shared{} },
		"name":     func(c *ASAConfig) { c.Name = "" },
		"server":   func(c *ASAConfig) { c.AuthServer = ASAConfig{}.AuthServer },
		"coa":      func(c *ASAConfig) { c.CoAListen = s.addr().String() },
		"redirect": func(c *ASAConfig) { c.RedirectListen = "127.0.0.1:99999" },
		"nas":      func(c *ASAConfig) { c.CoAListen = "[::1]:0" },
	} {
		c := good
		spoil(&c)
		if a, err := NewASA(c); err == nil {
			a.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}
