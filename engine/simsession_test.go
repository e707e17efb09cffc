package engine

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"sallyport/engine/step"
	"sallyport/netio/radius"
	"sallyport/sessions"
)

// simEndpoint is a machine that comes and goes.
type simEndpoint struct {
	w       *simWorld
	n       int
	nas     *simNAS
	metered bool // the NAS only counts: accounting without a login
	stick   bool
	session *simSession
	agent   *simAgent
}

// simSession is a session as its NAS has it.
type simSession struct {
	nas      *simNAS
	endpoint *simEndpoint
	rng      *rand.Rand
	began    time.Time
	boot     int
	metered  bool

	id      sessions.ID // the appliance's; empty until an answer tells it
	audit   string
	class   []byte
	acct    string
	station string
	mac     string
	ip      netip.Addr

	access   simAccess
	ticket   string // of the redirect that is in force
	asking   *simExchange
	askAgain bool // a change came meanwhile
	flying   int  // changes on their way here
	started  bool
	left     bool // it is over, whatever the appliance knows of that
	raced    bool // it was over while a login was on its way
	octets   uint64
	records  []*simRecord

	// What the appliance has acknowledged:
	loggedIn  time.Time // by its clock
	ackAt     time.Time // newest acknowledgement, by its clock
	endAcked  bool
	forgotten bool // it ended so long ago that the record is gone
	ackOctets uint64
	verdict   simVerdict
	facts     []bool    // healthy or not: of the report judged last and of those sent since
	healthy   time.Time // when a report said so last, by its clock
}

// simRecord is one accounting record that the NAS has made.
type simRecord struct {
	kind   uint32
	at     time.Time
	time   uint32
	octets uint64
	cause  uint32
	roam   bool
	acked  bool
}

func (s *simSession) String() string {
	return fmt.Sprintf("%s e%d %s", s.nas.name, s.endpoint.n, s.acct)
}

func (s *simSession) live() bool { return !s.left }

// login asks for the session, for the first time or again.
func (s *simSession) login() {
	n := s.nas
	if s.left || s.asking != nil {
		s.askAgain = true
		return
	}
	s.askAgain = false
	b, from := n.request(radius.AccessRequest)
	if n.kind == simIOS {
		b.Text(radius.UserName, fmt.Sprintf("000c290000%02x", s.endpoint.n))
		b.U32(radius.ServiceType, serviceCallCheck)
		b.U32(radius.NASPortType, 15)
	} else {
		b.Text(radius.UserName, simUser)
		b.Password(n.key, []byte(simPassword))
		b.U32(radius.NASPortType, 5)
	}
	if n.kind == simASA {
		b.AVPair("mdm-tlv", "device-platform=win")
		b.AVPair("mdm-tlv", "device-mac="+s.mac)
		b.AVPair("coa-push", "true")
	}
	b.Text(radius.CallingStationID, s.station)
	b.Addr(radius.NASIPAddress, n.addr)
	if s.audit != "" {
		b.AVPair("audit-session-id", s.audit)
	}
	s.nas.w.tracef("%s: login", s)
	s.asking = n.exchange(&b, from, RoleAuthentication, s.answered, func() {
		s.asking = nil
		s.nas.w.tracef("%s: nobody answers the login", s)
		s.stop(17) // what was not authorized again is not let through any more
	})
}

// answered takes the answer to a login.
func (s *simSession) answered(v *radius.View) {
	w := s.nas.w
	s.asking = nil
	if s.left {
		return
	}
	if v.Code() != radius.AccessAccept {
		w.tracef("%s: %s", s, v.Code())
		s.stop(17)
		return
	}
	if class, ok := v.Get(radius.Class); ok {
		s.class = append([]byte(nil), class...)
		if s.id == "" && len(class) > len(classPrefix) {
			s.id = sessions.ID(class[len(classPrefix):])
		}
	}
	s.loggedIn, s.ackAt = w.appNow(), w.appNow()
	a, ticket := s.nas.granted(v)
	s.allow("login", a, ticket)
	if !s.started {
		s.start()
	}
	if s.askAgain {
		s.login()
	}
}

// allow is what the session may do from now on.
func (s *simSession) allow(why string, a simAccess, ticket string) {
	s.nas.w.tracef("%s: %s gives %d", s, why, a)
	s.access, s.ticket = a, ticket
	if a == simNarrow {
		s.endpoint.redirected(s)
	}
}

// start begins the accounting.
func (s *simSession) start() {
	s.started = true
	s.account(step.AcctStart, 0)
	if s.metered && s.rng.IntN(2) == 0 { // it came to us late, with what followed
		s.octets += 500
		s.account(step.AcctInterim, 0)
	}
	s.plan()
}

// plan has the next interim record sent.
func (s *simSession) plan() {
	every := time.Duration(30+s.rng.IntN(120)) * time.Second
	if s.nas.w.now.Sub(s.began) > time.Hour {
		every *= 10
	}
	s.nas.w.after(every, func() {
		if s.live() {
			s.octets += uint64(s.rng.IntN(1 << 20))
			if s.rng.IntN(20) == 0 {
				s.octets += 1 << 32 // gigawords
			}
			s.account(step.AcctInterim, 0)
			s.plan()
		}
	})
}

// account makes a record and has it sent.
func (s *simSession) account(kind, cause uint32) *simRecord {
	w := s.nas.w
	r := &simRecord{kind: kind, at: w.now, time: uint32(w.now.Sub(s.began).Seconds()), octets: s.octets, cause: cause}
	s.records = append(s.records, r)
	s.send(r)
	return r
}

// send sends a record until it is acknowledged. After each round in vain it waits and
// begins another, with another identifier and delay.
func (s *simSession) send(r *simRecord) {
	n, w := s.nas, s.nas.w
	if n.boots != s.boot {
		return
	}
	b, from := n.request(radius.AccountingRequest)
	b.U32(radius.AcctStatusType, r.kind)
	b.Text(radius.AcctSessionID, s.acct)
	b.U32(radius.AcctDelayTime, uint32(w.now.Sub(r.at).Seconds()))
	b.U32(radius.AcctSessionTime, r.time)
	b.U32(radius.AcctInputOctets, uint32(r.octets))
	b.U32(radius.AcctInputGigawords, uint32(r.octets>>32))
	b.Text(radius.UserName, simUser)
	b.Text(radius.CallingStationID, s.station)
	b.Addr(radius.NASIPAddress, n.addr)
	b.Addr(radius.FramedIPAddress, s.ip)
	if s.audit != "" {
		b.AVPair("audit-session-id", s.audit)
	}
	if len(s.class) > 0 {
		b.Bytes(radius.Class, []byte("somebody else's"))
		b.Bytes(radius.Class, s.class)
	}
	if r.kind == step.AcctStop {
		b.U32(radius.AcctTerminateCause, r.cause)
	}
	if r.roam {
		b.AVPair("nas-update", "true")
	}
	w.tracef("%s: accounting %d, %d octets, delay %s", s, r.kind, r.octets, w.now.Sub(r.at).Truncate(time.Second))
	n.exchange(&b, from, RoleAccounting, func(*radius.View) { s.acknowledged(r) }, func() {
		w.after(time.Duration(5+s.rng.IntN(60))*time.Second, func() { s.send(r) })
	})
}

// acknowledged notes what the appliance has promised to keep.
func (s *simSession) acknowledged(r *simRecord) {
	w := s.nas.w
	w.tracef("%s: accounting %d is acknowledged", s, r.kind)
	r.acked = true
	s.ackAt = w.appNow()
	s.ackOctets = max(s.ackOctets, r.octets)
	if r.kind == step.AcctStop && !r.roam {
		s.endAcked = true
	}
}

// roam tells of a Stop that is none.
func (s *simSession) roam() {
	if s.started && s.live() {
		s.octets += 1000
		r := &simRecord{kind: step.AcctStop, at: s.nas.w.now, time: uint32(s.nas.w.now.Sub(s.began).Seconds()), octets: s.octets, roam: true}
		s.records = append(s.records, r)
		s.send(r)
	}
}

// stop ends the session and says so.
func (s *simSession) stop(cause uint32) {
	if s.left {
		return
	}
	s.octets += uint64(s.rng.IntN(1 << 16))
	started := s.started
	s.drop()
	if started {
		s.account(step.AcctStop, cause)
	}
}

// drop ends the session at the NAS.
func (s *simSession) drop() {
	if s.left {
		return
	}
	s.gone("dropped")
	n := s.nas
	for i, x := range n.sessions {
		if x == s {
			n.sessions = append(n.sessions[:i:i], n.sessions[i+1:]...)
			break
		}
	}
}

func (s *simSession) gone(why string) {
	s.nas.w.tracef("%s: is over: %s", s, why)
	s.left, s.access = true, simNone
	if x := s.asking; x != nil {
		// A login that the network still holds begins another life of the id, which ends by the
		// purge. The NAS itself asks no more.
		s.raced = true
		delete(s.nas.waiting, simSlot{x.from.Port(), x.pkt[1]})
	}
	if s.endpoint.session == s {
		s.endpoint.session = nil
	}
}

// connect begins a session of the endpoint, after the one it has.
func (p *simEndpoint) connect(rng *rand.Rand) {
	if p.nas.cut || p.nas.off || p.nas.booting {
		return
	}
	if p.session != nil {
		p.session.stop(1)
	}
	s := p.nas.connect(p, rng)
	p.session, p.agent = s, nil
	if s.metered {
		s.start()
	} else {
		s.login()
	}
}
