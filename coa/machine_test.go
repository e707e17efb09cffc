package coa

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/coa/recipe"
	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
	"sallyport/sessions"
)

// TestMachine runs testdata/machine.txt and follow.txt.
func TestMachine(t *testing.T) {
	for _, file := range []string{"testdata/machine.txt", "testdata/follow.txt"} {
		t.Run(file, func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	radiustest.Golden(t, file, func(t *testing.T, input []string) string {
		s := newScript(t, nil)
		for _, line := range input {
			s.run(line)
		}
		return s.out.String()
	})
}

var began = time.Date(2016, 3, 11, 14, 57, 39, 0, time.UTC)

// script drives a machine by lines of text.
type script struct {
	t     *testing.T
	m     *machine
	now   time.Time
	nases map[string]*NAS
	sent  map[string][]request // by session, newest last
	out   strings.Builder
	note  func(*Event) // gets every event, when set
}

type request struct {
	datagram
	nas *NAS
}

func newScript(t *testing.T, options map[string]string) *script {
	s := &script{t: t, now: began, nases: map[string]*NAS{}, sent: map[string][]request{}}
	retry := Retransmission{CountMax: number(options["count"])}
	s.m = newMachine(settings{sockets: 2, batchWait: batchWaitDefault, batchMax: batchMaxDefault,
		retry: retry.withDefaults(), staleWindow: staleDefault, linger: lingerDefault, confirms: true}, 1,
		func(i int) netip.AddrPort {
			return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.200"), uint16(50000+i))
		}, true)
	return s
}

func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

func (s *script) run(line string) {
	s.t.Helper()
	words := strings.Fields(line)
	options := map[string]string{}
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		options[name] = value
	}
	argument := append(words, "")[1]
	switch words[0] {
	case "reset":
		out := s.out.String()
		*s = *newScript(s.t, options)
		s.out.WriteString(out)
	case "nas":
		s.nas(argument, options)
	case "submit":
		s.submit(argument, options)
	case "cancel":
		s.m.cancel(s.now, sessions.ID(argument), uint64(number(options["serial"])))
	case "confirmed":
		s.confirmed(options)
	case "dead": // changes that nobody answers, until the NAS is taken for dead
		s.dead(s.nases[argument])
	case "storm":
		for i := range number(argument) {
			s.submitTo(s.nases[options["nas"]], fmt.Sprintf("storm-%d", i))
		}
		s.flushQuietly()
	case "churn":
		s.churn(number(argument), s.nases[options["nas"]])
	case "ack", "nak":
		s.answer(words[0], argument, options)
	case "advance":
		d, err := time.ParseDuration(argument)
		if err != nil {
			s.t.Fatal(err)
		}
		s.advance(d)
	case "tick":
		s.m.tick(s.now)
	case "count":
		s.m.stats.Each(func(name string, n uint64) {
			if n != 0 {
				fmt.Fprintf(&s.out, "%s %d\n", name, n)
			}
		})
	case "peers":
		for _, p := range s.m.peerStates() {
			fmt.Fprintf(&s.out, "%s: %d queued, %d in flight on %d sockets", p.Name, p.Queued, p.InFlight, p.Sockets)
			if p.Dead {
				s.out.WriteString(", dead")
			}
			if p.Awaiting > 0 {
				fmt.Fprintf(&s.out, ", %d awaited", p.Awaiting)
			}
			s.out.WriteString("\n")
		}
	case "close":
		if argument == "waiting" {
			s.m.closeWaiting(s.now)
		} else {
			s.m.closeFlying(s.now)
		}
	default:
		s.t.Fatalf("unknown line %q", line)
	}
	s.flush()
}

func (s *script) nas(name string, options map[string]string) {
	r, ok := recipe.Lookup(options["recipe"])
	if !ok {
		s.t.Fatalf("no recipe %q", options["recipe"])
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + len(s.nases))}), r.Port())
	s.nases[name] = &NAS{Name: name, Addr: addr, Key: radiustest.Key(s.t, name), Recipe: r,
		InFlightMax: number(options["inflight"]), RateMax: number(options["rate"]), ConfirmWithin: -1}
	s.nases[name].Fallback, _ = recipe.ParseFallback(options["fallback"])
	if d, err := time.ParseDuration(options["confirm"]); err == nil {
		s.nases[name].ConfirmWithin = d
	}
}

var signs = map[string]recipe.Sign{"acl": recipe.SignACL, "access": recipe.SignAccess, "accounting": recipe.SignAccounting, "stop": recipe.SignStop}

func (s *script) confirmed(options map[string]string) {
	c := Confirmed{Sign: signs[options["sign"]], Session: sessions.ID(options["session"]), DACLName: options["dacl"]}
	if nas := s.nases[options["nas"]]; nas != nil {
		c.NAS = nas.Addr.Addr()
	}
	s.m.confirmed(s.now, &c)
}

func (s *script) dead(nas *NAS) {
	for i := range deadAfter {
		s.submitTo(nas, fmt.Sprintf("dead-%d", i))
	}
	before := s.out.String()
	s.advance(31 * time.Second)
	s.out.Reset()
	s.out.WriteString(before)
	s.flushQuietly()
}

func (s *script) submit(session string, options map[string]string) {
	nas := s.nases[options["nas"]]
	c := s.change(nas, session)
	if options["serial"] != "" {
		c.Serial = uint64(number(options["serial"]))
	}
	c.Epoch = uint64(number(options["epoch"]))
	c.Grant = &recipe.Grant{FilterID: options["filter"], DACLName: options["dacl"]}
	_, c.Operator = options["operator"]
	_, c.Bulk = options["bulk"]
	if _, ok := options["known"]; ok {
		c.Ident.CallingStationID, c.Ident.FramedIP = "02-00-00-00-00-01", netip.MustParseAddr("192.0.2.99")
	}
	if age, err := time.ParseDuration(options["age"]); err == nil {
		c.Began = s.now.Add(-age)
	}
	if _, ok := options["nameless"]; ok {
		c.Ident = recipe.Ident{}
	}
	if _, ok := options["long"]; ok {
		c.Grant.FilterID = strings.Repeat("x", 254)
	}
	if kind, ok := recipe.ParseKind(options["kind"]); ok {
		c.Kind = nas.Recipe.Means(kind)
	}
	if err := c.validate(); err != nil {
		s.t.Fatal(err)
	}
	s.m.submit(s.now, &c)
	s.m.pumpDirty(s.now)
}

func (s *script) change(nas *NAS, session string) Change {
	return Change{Session: sessions.ID(session), Serial: 1, NAS: nas, Kind: nas.Recipe.Means(recipe.Push), Made: s.now,
		Ident: recipe.Ident{AuditSessionID: session}, Grant: &recipe.Grant{FilterID: "PERMIT"}}
}

func (s *script) submitTo(nas *NAS, session string) {
	c := s.change(nas, session)
	s.m.submit(s.now, &c)
	s.m.pumpDirty(s.now)
}

// churn uses up identifiers one after the other.
func (s *script) churn(n int, nas *NAS) {
	for i := range n {
		session := fmt.Sprintf("churn-%d", i)
		s.submitTo(nas, session)
		s.now = s.now.Add(batchWaitDefault)
		s.m.tick(s.now)
		s.flushQuietly()
		s.answer("ack", session, nil)
		s.flushQuietly()
	}
}

// answer has the NAS of the session's last request reply, with what options change.
func (s *script) answer(word, session string, options map[string]string) {
	all := s.sent[session]
	if len(all) == 0 {
		s.t.Fatalf("nothing was sent for %s", session)
	}
	q := all[len(all)-1]
	if _, ok := options["first"]; ok {
		q = all[0]
	}
	code := radius.Code(q.pkt[0]) + 1
	if word == "nak" {
		code++
	}
	if options["code"] != "" {
		code = radius.Code(number(options["code"]))
	}
	b := radius.Begin(nil, code, q.pkt[1])
	if cause := number(options["cause"]); cause != 0 {
		b.U32(radius.ErrorCause, uint32(cause))
	}
	if stamp, err := time.ParseDuration(options["stamp"]); err == nil {
		b.U32(radius.EventTimestamp, uint32(s.now.Add(stamp).Unix()))
	}
	key, from, socket := q.nas.Key, q.to, q.socket
	if options["secret"] != "" {
		key = radiustest.Key(s.t, options["secret"])
	}
	if options["from"] != "" {
		from = netip.MustParseAddrPort(options["from"])
	}
	if options["socket"] != "" {
		socket = number(options["socket"])
	}
	pkt, err := key.SealReply(&b, radius.Authenticator(q.pkt[4:20]))
	if err != nil {
		s.t.Fatal(err)
	}
	if _, ok := options["flip"]; ok { // of Message-Authenticator, under a right authenticator
		pkt = s.flipped(q, code)
	}
	if _, ok := options["short"]; ok {
		pkt = pkt[:len(pkt)-1]
	}
	s.m.receive(s.now, socket, from, pkt)
}

// flipped is an answer whose Response Authenticator is right and whose
// Message-Authenticator is not.
func (s *script) flipped(q request, code radius.Code) []byte {
	b := radius.BeginWith(nil, code, q.pkt[1], false)
	b.Bytes(radius.MessageAuthenticator, make([]byte, 16))
	pkt, err := q.nas.Key.SealReply(&b, radius.Authenticator(q.pkt[4:20]))
	if err != nil {
		s.t.Fatal(err)
	}
	return pkt
}

// advance moves the time, stopping at each of the machine's deadlines.
func (s *script) advance(d time.Duration) {
	end := s.now.Add(d)
	for {
		at, ok := s.m.next()
		if !ok || at.After(end) {
			break
		}
		if at.After(s.now) {
			s.now = at
		}
		s.m.tick(s.now)
		s.flush()
	}
	s.now = end
	s.m.tick(s.now)
}

// flush writes down what the machine decided, as the rim would act on it.
func (s *script) flush() {
	s.m.pumpDirty(s.now)
	since := func(at time.Time) string { return at.Sub(began).Round(time.Millisecond).String() }
	for i := range s.m.events {
		e := &s.m.events[i]
		if s.note != nil {
			s.note(e)
		}
		fmt.Fprintf(&s.out, "%s %s %s\n", since(e.At), e.String(), e.Session)
	}
	for i := range s.m.settled {
		end := &s.m.settled[i]
		fmt.Fprintf(&s.out, "%s %s -> %s\n", since(end.Settled), strings.Replace(end.String(), end.Latency.String(),
			end.Latency.Round(time.Millisecond).String(), 1), end.Action())
	}
	s.keep()
	s.m.done()
}

func (s *script) flushQuietly() {
	s.m.pumpDirty(s.now)
	s.keep()
	s.m.done()
}

// keep remembers requests by the session in them, for answers.
func (s *script) keep() {
	for _, d := range s.m.sends {
		var v radius.View
		if why := v.Decode(d.pkt); why != radius.Sound {
			s.t.Fatal(why)
		}
		session, _ := v.AVPair("audit-session-id")
		all := s.sent[string(session)]
		for _, nas := range s.nases {
			if nas.Addr != d.to {
				continue
			}
			if why := nas.Key.VerifyRequest(&v); why != radius.Sound || !v.HasMessageAuthenticator() {
				s.t.Fatalf("request to %s: %s", nas.Name, why)
			}
			if n := len(all); n > 0 && string(all[n-1].pkt) == string(d.pkt) && all[n-1].socket == d.socket {
				continue // a retransmission: the same octets from the same socket
			}
			d.pkt = append([]byte(nil), d.pkt...)
			s.sent[string(session)] = append(all, request{d, nas})
		}
	}
}
