package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sallyport/netio/radius"
	"sallyport/ops/secret"
	"sallyport/sessions"
)

const (
	simUser      = "cisco"
	simPassword  = "cisco"
	simEndpoints = 7
)

// simKind is how a NAS behaves.
type simKind int

const (
	simASA   simKind = iota // PAP, push, downloadable ACL, audit-session-id in lower case
	simIOS                  // MAB, asks again on a change, audit-session-id in upper case
	simPlain                // PAP, push, knows the session by Class and Acct-Session-Id only
)

var simKinds = []string{"asa", "ios", "plain"}

// simNAS is one NAS: what it holds, and what it has been told.
type simNAS struct {
	w        *simWorld
	kind     simKind
	name     string
	addr     netip.Addr
	key      *radius.Key
	sent     int // requests so far
	counter  uint32
	acct     uint32
	sessions []*simSession // that are there now
	waiting  map[simSlot]*simExchange
	heard    map[simSlot]simHeard // changes, for duplicates (RFC 5176 section 2.3)
	cut      bool                 // nothing comes through
	off      bool                 // it has no power, or starts
	booting  bool                 // it has said that it starts, and lets nobody in before that is answered or given up
	deaf     bool                 // to changes
	nak      uint32               // answers every change with this Error-Cause
	boots    int
}

// simSlot is where an answer belongs.
type simSlot struct {
	port       uint16
	identifier byte
}

type simHeard struct {
	at      time.Time
	request radius.Authenticator
	reply   []byte
}

// simExchange is one request until it is answered or given up.
type simExchange struct {
	pkt    []byte
	from   netip.AddrPort
	role   int
	tries  int
	pause  time.Duration
	first  time.Time
	boot   int
	flying int // answers on their way
	reply  func(*radius.View)
	giveUp func()
}

func newSimNAS(w *simWorld, kind simKind, number int) *simNAS {
	key, err := radius.NewKey(secret.New([]byte(sharedSecret)))
	if err != nil {
		w.failf("%v", err)
	}
	return &simNAS{w: w, kind: kind, name: simKinds[kind], addr: netip.AddrFrom4([4]byte{127, 0, 0, byte(number)}), key: key,
		waiting: map[simSlot]*simExchange{}, heard: map[simSlot]simHeard{}}
}

// request begins a request with an identifier of its own.
func (n *simNAS) request(code radius.Code) (radius.Builder, netip.AddrPort) {
	n.sent++
	b := radius.Begin(nil, code, byte(n.sent))
	if code == radius.AccessRequest { // ids are made of it, and a seed is a seed
		sum := sha256.Sum256(fmt.Append(nil, n.w.seed, n.name, n.boots, n.sent))
		b.SetAuthenticator(radius.Authenticator(sum[:]))
	}
	return b, netip.AddrPortFrom(n.addr, uint16(20000+n.sent/256%20000))
}

// RFC 5080 section 2.2.1.
const (
	simIRT = 2 * time.Second
	simMRT = 16 * time.Second
	simMRC = 5
	simMRD = 30 * time.Second
)

// exchange sends a request until it is answered or the time for it is over.
func (n *simNAS) exchange(b *radius.Builder, from netip.AddrPort, role int, reply func(*radius.View), giveUp func()) *simExchange {
	pkt, err := n.key.SealRequest(b)
	if err != nil {
		n.w.failf("%s cannot ask: %v", n.name, err)
	}
	x := &simExchange{pkt: pkt, from: from, role: role, pause: simIRT, first: n.w.now, boot: n.boots, reply: reply, giveUp: giveUp}
	n.waiting[simSlot{from.Port(), pkt[1]}] = x
	n.transmit(x)
	return x
}

func (n *simNAS) transmit(x *simExchange) {
	w := n.w
	slot := simSlot{x.from.Port(), x.pkt[1]}
	if n.waiting[slot] != x || n.boots != x.boot {
		return
	}
	if x.tries == simMRC || w.now.Sub(x.first) >= simMRD {
		delete(n.waiting, slot)
		if x.giveUp != nil {
			x.giveUp()
		}
		return
	}
	x.tries++
	if !n.cut && !n.off {
		w.datagram(x.from, x.role, x.pkt)
	}
	pause := x.pause + x.pause*time.Duration(w.rng.IntN(200)-100)/1000
	x.pause = min(2*x.pause, simMRT)
	w.after(pause, func() { n.transmit(x) })
}

// flies counts the answers to a request that are on their way.
func (n *simNAS) flies(pkt []byte, by int) {
	for _, x := range n.waiting {
		if x.pkt[1] == pkt[1] {
			x.flying += by
		}
	}
}

// receive takes an answer.
func (n *simNAS) receive(to netip.AddrPort, pkt []byte) {
	var q, v radius.View
	x := n.waiting[simSlot{to.Port(), pkt[1]}]
	if n.cut || n.off || x == nil || q.Decode(x.pkt) != radius.Sound || v.Decode(pkt) != radius.Sound ||
		n.key.VerifyResponse(&v, q.Authenticator()) != radius.Sound {
		return
	}
	delete(n.waiting, simSlot{to.Port(), pkt[1]})
	x.reply(&v)
}

// simAccess is what a NAS lets an endpoint do; more is better.
type simAccess int

const (
	simNone simAccess = iota
	simNarrow
	simWide
)

// granted reads what an answer or a change allows.
func (n *simNAS) granted(v *radius.View) (a simAccess, ticket string) {
	if n.kind == simPlain {
		if filter, ok := v.Get(radius.FilterID); ok && string(filter) == "wide" {
			return simWide, ""
		}
		return simNarrow, ""
	}
	if url, ok := v.AVPair("url-redirect"); ok {
		_, ticket, _ = strings.Cut(string(url), "ticket=")
		return simNarrow, ticket
	}
	return simWide, ""
}

// boot is a power cut: sessions, records that wait and what was heard are gone. Whether
// it says so depends on the NAS; its numbers begin anew.
func (n *simNAS) boot(says bool) {
	w := n.w
	n.boots++
	for _, s := range n.sessions {
		s.gone("power cut")
	}
	n.sessions, n.waiting, n.heard = nil, map[simSlot]*simExchange{}, map[simSlot]simHeard{}
	n.acct = 0
	n.off = true
	boots := n.boots
	w.after(45*time.Second, func() {
		if n.boots != boots {
			return // the power failed again
		}
		n.off = false
		if says {
			n.booting = true
			n.startsAgain(w.now)
		}
	})
}

// startsAgain sends Accounting-On until it is acknowledged.
func (n *simNAS) startsAgain(when time.Time) {
	w, boots := n.w, n.boots
	b, from := n.request(radius.AccountingRequest)
	b.U32(radius.AcctStatusType, 7)
	b.Addr(radius.NASIPAddress, n.addr)
	b.Text(radius.AcctSessionID, "00000000")
	b.U32(radius.AcctDelayTime, uint32(w.now.Sub(when).Seconds()))
	n.exchange(&b, from, RoleAccounting, func(*radius.View) {
		w.tracef("%s: Accounting-On is acknowledged", n.name)
		n.booting = false
		for _, s := range w.all {
			if s.nas == n && s.left && s.boot < n.boots {
				s.endAcked = true
			}
		}
	}, func() {
		n.booting = false
		w.after(10*time.Second, func() {
			if n.boots == boots {
				n.startsAgain(when)
			}
		})
	})
}

// find is the session that a change is about.
func (n *simNAS) find(v *radius.View) *simSession {
	audit, _ := v.AVPair("audit-session-id")
	acct, _ := v.Get(radius.AcctSessionID)
	station, _ := v.Get(radius.CallingStationID)
	i := slices.IndexFunc(n.sessions, func(s *simSession) bool {
		switch {
		case len(audit) > 0:
			return s.audit == string(audit)
		case len(acct) > 0:
			return s.acct == string(acct)
		}
		return len(station) > 0 && s.station == string(station)
	})
	if i < 0 {
		return nil
	}
	return n.sessions[i]
}

// fliesCoA counts the changes on their way to a session.
func (n *simNAS) fliesCoA(pkt []byte, by int) {
	var v radius.View
	if v.Decode(pkt) == radius.Sound {
		if s := n.find(&v); s != nil {
			s.flying += by
		}
	}
}

// change takes a CoA- or Disconnect-Request.
func (n *simNAS) change(from netip.AddrPort, pkt []byte) {
	w := n.w
	var v radius.View
	if n.cut || n.off || n.deaf || v.Decode(pkt) != radius.Sound || n.key.VerifyRequest(&v) != radius.Sound {
		return
	}
	slot := simSlot{from.Port(), v.Identifier()}
	if h, ok := n.heard[slot]; ok && h.request == v.Authenticator() && w.now.Sub(h.at) < simMRD {
		n.answer(from, h.reply)
		return
	}
	code, cause, then := n.carryOut(&v)
	b := radius.Begin(nil, code, v.Identifier())
	if cause != 0 {
		b.U32(radius.ErrorCause, cause)
	}
	reply, err := n.key.SealReply(&b, v.Authenticator())
	if err != nil {
		w.failf("%s cannot answer: %v", n.name, err)
	}
	n.heard[slot] = simHeard{w.now, v.Authenticator(), reply}
	n.answer(from, reply)
	if then != nil {
		then()
	}
}

func (n *simNAS) answer(to netip.AddrPort, reply []byte) {
	w := n.w
	w.carry(func() {
		if w.e != nil {
			w.coa.Receive(w.now, netip.AddrPortFrom(n.addr, n.coaPort()), to, reply)
		}
	}, nil)
}

func (n *simNAS) coaPort() uint16 {
	if n.kind == simPlain {
		return 3799
	}
	return 1700
}

// carryOut does what a change asks for.
func (n *simNAS) carryOut(v *radius.View) (code radius.Code, cause uint32, then func()) {
	ack, nak := radius.CoAACK, radius.CoANAK
	if v.Code() == radius.DisconnectRequest {
		ack, nak = radius.DisconnectACK, radius.DisconnectNAK
	}
	s := n.find(v)
	switch {
	case n.nak != 0:
		n.w.tracef("%s: NAK %d", n.name, n.nak)
		return nak, n.nak, nil
	case s == nil:
		n.w.tracef("%s: NAK 503", n.name)
		return nak, 503, nil
	case v.Code() == radius.DisconnectRequest:
		n.w.tracef("%s: disconnected", s)
		return ack, 0, func() { s.stop(6) }
	}
	if command, ok := v.AVPair("subscriber:command"); ok && string(command) == "reauthenticate" {
		n.w.tracef("%s: is to ask again", s)
		return ack, 0, s.login
	}
	a, ticket := n.granted(v)
	s.allow("CoA", a, ticket)
	return ack, 0, nil
}

// audit makes an id that looks as this kind of NAS makes it.
func (n *simNAS) audit(at time.Time) string {
	n.counter++
	a := n.addr.As4()
	id := hex.EncodeToString(a[:]) + fmt.Sprintf("%08x%08x", n.counter<<12, at.Unix())
	if n.kind == simIOS {
		return strings.ToUpper(id)
	}
	return id
}

// connect begins a session for an endpoint.
func (n *simNAS) connect(p *simEndpoint, rng *rand.Rand) *simSession {
	n.acct++
	s := &simSession{nas: n, endpoint: p, rng: rng, began: n.w.now, boot: n.boots, acct: fmt.Sprintf("%08X", n.acct), metered: p.metered,
		mac: fmt.Sprintf("00-0c-29-00-00-%02x", p.n), ip: netip.AddrFrom4([4]byte{172, 16, byte(p.n), byte(1 + n.counter%200)})}
	s.station = strings.ToUpper(s.mac)
	if n.kind == simASA {
		s.station = fmt.Sprintf("198.51.100.%d", 1+p.n)
	}
	if n.kind != simPlain && !p.metered {
		s.audit = n.audit(n.w.now)
		id, _ := sessions.CanonicalID(s.audit)
		s.id = id
	} else {
		n.counter++
	}
	if p.metered { // numbers that are given once; those that begin anew have names besides
		s.acct = fmt.Sprintf("M%07X", n.counter)
	}
	n.sessions = append(n.sessions, s)
	n.w.all = append(n.w.all, s)
	return s
}
