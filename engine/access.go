package engine

import (
	"time"

	"sallyport/engine/authn"
	"sallyport/engine/authz"
	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/radius"
	"sallyport/netio/udp"
	"sallyport/sessions"
)

// Methods of authentication, as policies and the live log name them.
const (
	methodPAP           = "pap"
	methodMAB           = "mab"
	methodAuthorizeOnly = "authorize-only"
)

// Access answers one datagram on an authentication port, from top to bottom:
//
//	gate -> NAS by source address -> decode + Message-Authenticator -> Status-Server
//	  -> duplicate? the stored reply -> ACL download -> authenticate -> the core:
//	     authorize, session change, journal -> late reply
//
// What cannot be trusted gets silence and is counted. What can be trusted and not
// accepted gets a Reject with the reason in the live log.
func (e *Engine) Access(now time.Time, loop int, d *udp.Datagram) {
	q := e.admit(now, d, radius.AuthServer)
	if q == nil {
		return
	}
	if e.access(now, loop, d, q) {
		e.release(q)
	}
}

// access says whether the request has come to its end here; else the pool or the core
// has it now.
func (e *Engine) access(now time.Time, loop int, d *udp.Datagram, q *request) (ended bool) {
	q.counters.requests.Add(1)
	if q.view.Code() == radius.StatusServer {
		d.Reply = e.statusReply(d.Reply, q, radius.AccessAccept)
		return true
	}
	if q.nas.LimitProxyState && !q.view.HasMessageAuthenticator() && q.view.Has(radius.ProxyState) {
		q.counters.drop(now, dropProxyState)
		return true
	}
	if q.duplicate(e, now, loop, d) {
		return true
	}
	if name, _ := q.view.Get(radius.UserName); len(name) >= len(aclPrefix) && string(name[:len(aclPrefix)]) == aclPrefix {
		d.Reply = e.aclDownload(now, d.Reply, q)
		return true
	}
	return e.authenticate(now, q)
}

// admit lets in what comes from a NAS we know and is authentic as far as its code can
// tell. Anything else is dropped and counted; there is no request then.
func (e *Engine) admit(now time.Time, d *udp.Datagram, role radius.Role) *request {
	snap := e.snapshot()
	nas := snap.NAS(d.From.Addr())
	if nas == nil {
		e.counters.none.drop(now, dropUnknownNAS)
		e.strangers.saw(now, d.From.Addr())
		return nil
	}
	counters := snap.counters[nas]
	if d.Truncated {
		counters.drop(now, dropOversize)
		return nil
	}
	if _, why := radius.Gate(d.Data, role); why != radius.Sound {
		counters.drop(now, dropReason(why))
		return nil
	}
	if e.core.crowded(counters) {
		counters.drop(now, dropNASShare)
		return nil
	}
	q := e.newRequest(snap, nas, counters, now, d)
	if why := q.verify(); why != radius.Sound {
		counters.drop(now, dropReason(why))
		e.release(q)
		return nil
	}
	return q
}

// verify decodes the packet and makes every check that its secret allows.
func (q *request) verify() radius.Why {
	if why := q.view.Decode(q.buf); why != radius.Sound {
		return why
	}
	if why := q.nas.Key.VerifyRequest(&q.view); why != radius.Sound {
		return why
	}
	if q.nas.RequireMessageAuthenticator && q.view.Code() == radius.AccessRequest && !q.view.HasMessageAuthenticator() {
		return radius.WhyNoMessageAuthenticator
	}
	return radius.Sound
}

// authenticate finds out who it is, here when that is quick, in the pool when a
// password has to be hashed, and hands the identity to the core. True means that the
// request has ended here.
func (e *Engine) authenticate(now time.Time, q *request) (ended bool) {
	v := &q.view
	user := text(v, radius.UserName)
	hidden, pap := v.Get(radius.UserPassword)
	service, _ := v.U32(radius.ServiceType)
	switch {
	case service == serviceAuthorizeOnly:
		return e.authorizeOnly(now, q, user)
	case service == serviceCallCheck:
		return e.mab(now, q)
	case pap:
		return e.pap(now, q, user, hidden)
	case v.Has(radius.CHAPPassword):
		return e.reject(now, q, user, "chap", "CHAP needs the password in clear, and the store keeps only hashes; let the NAS use PAP")
	case v.Has(radius.EAPMessage):
		return e.reject(now, q, user, "eap", "EAP is not offered yet; let the NAS use PAP or MAB")
	case hasMSCHAP(v):
		return e.reject(now, q, user, "mschap", "MS-CHAP needs an NT hash, which the store does not keep; on an ASA set \"no mschapv2-capable\" for the server")
	case !v.HasMessageAuthenticator():
		// RFC 3579 section 3.2: nothing to go by and nothing that proves the sender.
		q.drop(now, dropNoCredentials)
		return true
	}
	return e.reject(now, q, user, "none", "the request carries no credentials")
}

// Service-Type values (RFC 2865 section 5.6, RFC 5176 section 3).
const (
	serviceCallCheck     = 10
	serviceAuthorizeOnly = 17
)

func hasMSCHAP(v *radius.View) bool {
	for vt := range v.VendorAttrs() {
		if vt.Vendor == radius.VendorMicrosoft {
			return true
		}
	}
	return false
}

func (e *Engine) pap(now time.Time, q *request, user string, hidden []byte) (ended bool) {
	var room [radius.PasswordMax]byte
	password, ok := q.nas.Key.RevealPassword(room[:0], hidden, q.view.Authenticator())
	if !ok {
		return e.reject(now, q, user, methodPAP, "User-Password is not 16 to 128 octets in steps of 16 (RFC 2865 section 5.2)")
	}
	if id, outcome := q.snap.Users.Remembered(user, password); outcome == authn.OK {
		return e.authenticated(now, q, methodPAP, &id)
	}
	return e.hash(now, q, user, password)
}

// hash has the password hashed by the pool; its worker owns the request then.
func (e *Engine) hash(now time.Time, q *request, user string, password []byte) (ended bool) {
	slow := append([]byte(nil), password...)
	taken := e.pool.Submit(func() {
		id, outcome := q.snap.Users.Verify(user, slow)
		clear(slow)
		ended := false
		if outcome == authn.OK {
			ended = e.authenticated(e.clock.Now(), q, methodPAP, &id)
		} else {
			ended = e.reject(e.clock.Now(), q, user, methodPAP, outcome.String())
		}
		if ended {
			e.release(q)
		}
	})
	if !taken {
		q.drop(now, dropPoolFull)
	}
	return !taken
}

// mab accepts an endpoint by its MAC. That is identification, not authentication: the
// User-Password that some NASes copy the MAC into proves nothing (RFC 5080 section 2.2.1).
func (e *Engine) mab(now time.Time, q *request) (ended bool) {
	station := text(&q.view, radius.CallingStationID)
	mac, ok := q.mac(station)
	if !ok {
		station = text(&q.view, radius.UserName)
		mac, _ = q.mac(station)
	}
	id, outcome := q.snap.Users.MAB(mac)
	if outcome != authn.OK {
		return e.reject(now, q, station, methodMAB, outcome.String())
	}
	return e.authenticated(now, q, methodMAB, &id)
}

// authorizeOnly asks for the authorization of a session that is authenticated already
// (RFC 5080 section 2.1.1: State is required, except where a NAS is known to authenticate
// by other means first). The session must be ours, live and of the same user.
func (e *Engine) authorizeOnly(now time.Time, q *request, user string) (ended bool) {
	if !q.view.HasMessageAuthenticator() {
		q.drop(now, dropReason(radius.WhyNoMessageAuthenticator))
		return true
	}
	return e.authenticated(now, q, methodAuthorizeOnly, &authn.Identity{User: user})
}

// authenticated hands a proven identity to the core.
func (e *Engine) authenticated(now time.Time, q *request, method string, id *authn.Identity) (ended bool) {
	ev := &q.login
	*ev = loginEvent{q: q, store: id.Store}
	q.attributes(&ev.in.Attributes)
	ev.in.Groups, ev.in.Method = id.Groups, method
	ev.in.UserName = id.User
	if ev.in.OS == "" {
		ev.in.OS = id.OS
	}
	if !e.core.submitFor(q.counters, ev) {
		q.drop(now, dropCoreFull)
		return true
	}
	return false
}

// loginEvent is an authenticated request on its way through the core.
type loginEvent struct {
	q        *request
	in       step.LoginInput
	store    string
	next     *sessions.Session
	decision authz.Decision
	number   uint64 // of the decision
	refused  string // why there is no grant
	reply    []byte
	fault    error
}

func (ev *loginEvent) request() *request { return ev.q }

func (ev *loginEvent) step(c *core, now time.Time) {
	f := c.frame()
	old, conflict := c.resolve(ev.q, &ev.in.Attributes, f)
	ev.number = c.decision()
	switch {
	case conflict:
		ev.refused = errOtherNAS
	case old == nil && c.full():
		ev.refused = "the session table is full (sessions.max)"
	case ev.in.Method == methodAuthorizeOnly && (old == nil || !old.Live() || !old.Authenticated || old.UserName != ev.in.UserName):
		ev.refused = "Authorize-Only for a session that was not authenticated here"
	}
	if ev.refused != "" {
		ev.reply, ev.fault = rejectReply(ev.q.reply[:0], ev.q, nil)
		return
	}
	if ev.in.Method == methodAuthorizeOnly {
		ev.in.Groups, ev.in.Method = old.Groups, old.Method
	}
	ev.next, ev.decision = step.LoginInto(&f.next, now, old, &ev.in, &ev.q.snap.Rules)
	if ev.next == nil {
		ev.refused = ev.q.say("the profile ", ev.decision.Profile.Name, " of rule ", ev.decision.Rule, " rejects")
		ev.reply, ev.fault = rejectReply(ev.q.reply[:0], ev.q, ev.decision.Profile)
		return
	}
	ev.reply, ev.fault = c.e.acceptReply(ev.q.reply[:0], ev.q, ev.next, ev.decision.Profile)
	if ev.fault == nil {
		ev.q.reply = ev.reply // it may have grown
		c.lend(old, ev.next)
	}
}

func (ev *loginEvent) done(c *core, err error) {
	now := c.published
	c.e.livelog.Add(ev.row(c.e, now, err)) // before the answer: who has that can look it up
	switch {
	case ev.fault != nil:
		ev.q.drop(now, dropReply)
	case err != nil && ev.next != nil:
		ev.q.drop(now, dropStorage)
	default:
		ev.q.answer(now, ev.reply)
		c.e.latency.access.observe(now.Sub(ev.q.received))
	}
	if ev.next != nil && err == nil && ev.q.snap != c.e.snapshot() {
		// The configuration changed while the password was hashed. The request was judged by
		// the one that it came under; the session lives under the new one.
		c.later(&reauthorizeEvent{ids: []sessions.ID{keep(ev.next.ID)}, finished: make(chan struct{})})
	}
}

func (ev *loginEvent) row(e *Engine, now time.Time, err error) *record.Decision {
	q := ev.q
	d := &q.row
	if ev.next != nil {
		q.fillRow(e, now, ev.next, record.KindAuth, record.Passed, "Authentication succeeded")
	} else {
		q.fillUnknown(e, now, &ev.in.Attributes, record.KindAuth, record.Failed, "Authentication succeeded")
	}
	d.ID, d.Elapsed = q.decisionID(e, now, ev.number), now.Sub(q.received)
	d.AuthenticationPolicy = q.say(ev.in.Method, " >> ", orNone(ev.store))
	if ev.decision.Profile != nil {
		d.AuthorizationPolicy, d.RulePosition = ev.decision.Rule, q.position(ev.decision.Pos)
		d.AuthorizationProfile = ev.decision.Profile.Name
	}
	switch {
	case ev.fault != nil:
		d.Status, d.Details, d.Reason = record.Failed, "No reply was sent", ev.fault.Error()
	case ev.refused != "":
		q.counters.rejects.Add(1)
		d.Details, d.Reason = "Authorization refused", ev.refused
	case err != nil:
		d.Status, d.Details, d.Reason = record.Failed, "No reply was sent", err.Error()
	default:
		q.counters.accepts.Add(1)
	}
	return d
}

// reject answers a request whose sender is authentic and whose credentials are not
// good enough. No session changes, so the core need not hear of it; the request ends here.
func (e *Engine) reject(now time.Time, q *request, identity, method, reason string) (ended bool) {
	reply, err := rejectReply(q.reply[:0], q, nil)
	if err != nil {
		q.drop(now, dropReply)
		return true
	}
	q.counters.rejects.Add(1)
	a := &q.login.in.Attributes
	q.attributes(a)
	a.UserName = identity
	d := q.fillUnknown(e, now, a, record.KindAuth, record.Failed, "Authentication failed")
	d.Reason, d.AuthenticationPolicy, d.Elapsed = reason, q.say(method, " >> none"), now.Sub(q.received)
	e.suppress.add(now, d)
	q.answer(now, reply)
	return true
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
