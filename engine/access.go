package engine

import (
	"strings"
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
	q, why := e.admit(now, d, radius.AuthServer)
	if why != 0 {
		return
	}
	q.counters.requests.Add(1)
	if q.view.Code() == radius.StatusServer {
		d.Reply = e.statusReply(d.Reply, q, radius.AccessAccept)
		return
	}
	if q.nas.LimitProxyState && !q.view.HasMessageAuthenticator() && q.view.Has(radius.ProxyState) {
		q.counters.drop(now, dropProxyState)
		return
	}
	if q.duplicate(e, now, loop, d) {
		return
	}
	if name, _ := q.view.Get(radius.UserName); strings.HasPrefix(string(name), aclPrefix) {
		d.Reply = e.aclDownload(now, d.Reply, q)
		return
	}
	e.authenticate(now, q)
}

// admit lets in what comes from a NAS we know and is authentic as far as its code can
// tell. Anything else is dropped and counted; why is not 0 then.
func (e *Engine) admit(now time.Time, d *udp.Datagram, role radius.Role) (*request, dropReason) {
	snap := e.snapshot()
	nas := snap.NAS(d.From.Addr())
	if nas == nil {
		e.counters.none.drop(now, dropUnknownNAS)
		e.strangers.saw(now, d.From.Addr())
		return nil, dropUnknownNAS
	}
	q := newRequest(snap, nas, e.counters.of(nas.Name), now, d)
	drop := func(why dropReason) (*request, dropReason) {
		q.counters.drop(now, why)
		return nil, why
	}
	if d.Truncated {
		return drop(dropOversize)
	}
	if _, why := radius.Gate(d.Data, role); why != radius.Sound {
		return drop(dropReason(why))
	}
	if why := q.view.Decode(q.buf); why != radius.Sound {
		return drop(dropReason(why))
	}
	if why := nas.Key.VerifyRequest(&q.view); why != radius.Sound {
		return drop(dropReason(why))
	}
	if nas.RequireMessageAuthenticator && q.view.Code() == radius.AccessRequest && !q.view.HasMessageAuthenticator() {
		return drop(dropReason(radius.WhyNoMessageAuthenticator))
	}
	return q, 0
}

// authenticate finds out who it is, here when that is quick, in the pool when a
// password has to be hashed, and hands the identity to the core.
func (e *Engine) authenticate(now time.Time, q *request) {
	v := &q.view
	user := text(v, radius.UserName)
	hidden, pap := v.Get(radius.UserPassword)
	service, _ := v.U32(radius.ServiceType)
	switch {
	case service == serviceAuthorizeOnly:
		e.authorizeOnly(now, q, user)
	case service == serviceCallCheck:
		e.mab(now, q)
	case pap:
		e.pap(now, q, user, hidden)
	case v.Has(radius.CHAPPassword):
		e.reject(now, q, user, "chap", "CHAP needs the password in clear, and the store keeps only hashes; let the NAS use PAP")
	case v.Has(radius.EAPMessage):
		e.reject(now, q, user, "eap", "EAP is not offered yet; let the NAS use PAP or MAB")
	case hasMSCHAP(v):
		e.reject(now, q, user, "mschap", "MS-CHAP needs an NT hash, which the store does not keep; on an ASA set \"no mschapv2-capable\" for the server")
	case !v.HasMessageAuthenticator():
		// RFC 3579 section 3.2: nothing to go by and nothing that proves the sender.
		q.drop(now, dropNoCredentials)
	default:
		e.reject(now, q, user, "none", "the request carries no credentials")
	}
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

func (e *Engine) pap(now time.Time, q *request, user string, hidden []byte) {
	var room [radius.PasswordMax]byte
	password, ok := q.nas.Key.RevealPassword(room[:0], hidden, q.view.Authenticator())
	if !ok {
		e.reject(now, q, user, methodPAP, "User-Password is not 16 to 128 octets in steps of 16 (RFC 2865 section 5.2)")
		return
	}
	users := q.snap.Users
	if id, outcome := users.Remembered(user, password); outcome == authn.OK {
		e.authenticated(now, q, methodPAP, id)
		return
	}
	slow := append([]byte(nil), password...)
	if !e.pool.Submit(func() {
		id, outcome := users.Verify(user, slow)
		clear(slow)
		if outcome != authn.OK {
			e.reject(e.clock.Now(), q, user, methodPAP, outcome.String())
			return
		}
		e.authenticated(e.clock.Now(), q, methodPAP, id)
	}) {
		q.drop(now, dropPoolFull)
	}
}

// mab accepts an endpoint by its MAC. That is identification, not authentication: the
// User-Password that some NASes copy the MAC into proves nothing (RFC 5080 section 2.2.1).
func (e *Engine) mab(now time.Time, q *request) {
	station := text(&q.view, radius.CallingStationID)
	if !isMAC(station) {
		station = text(&q.view, radius.UserName)
	}
	id, outcome := q.snap.Users.MAB(station)
	if outcome != authn.OK {
		e.reject(now, q, station, methodMAB, outcome.String())
		return
	}
	e.authenticated(now, q, methodMAB, id)
}

// authorizeOnly asks for the authorization of a session that is authenticated already
// (RFC 5080 section 2.1.1: State is required, except where a NAS is known to authenticate
// by other means first). The session must be ours, live and of the same user.
func (e *Engine) authorizeOnly(now time.Time, q *request, user string) {
	if !q.view.HasMessageAuthenticator() {
		q.drop(now, dropReason(radius.WhyNoMessageAuthenticator))
		return
	}
	e.authenticated(now, q, methodAuthorizeOnly, authn.Identity{User: user})
}

// authenticated hands a proven identity to the core.
func (e *Engine) authenticated(now time.Time, q *request, method string, id authn.Identity) {
	ev := &loginEvent{q: q, in: step.LoginInput{Attributes: q.attributes(), Groups: id.Groups, Method: method}, store: id.Store}
	ev.in.UserName = id.User
	if ev.in.OS == "" {
		ev.in.OS = id.OS
	}
	if !e.core.submit(ev) {
		q.drop(now, dropCoreFull)
	}
}

// loginEvent is an authenticated request on its way through the core.
type loginEvent struct {
	q        *request
	in       step.LoginInput
	store    string
	next     *sessions.Session
	decision authz.Decision
	id       string
	refused  string // why there is no grant
	reply    []byte
	fault    error
}

func (ev *loginEvent) step(c *core, now time.Time) {
	old, conflict := c.resolve(&ev.in.Attributes)
	ev.id = c.decisionID(now)
	switch {
	case conflict:
		ev.refused = errOtherNAS
	case old == nil && c.full():
		ev.refused = "the session table is full (sessions.max)"
	case ev.in.Method == methodAuthorizeOnly && (old == nil || !old.Live() || !old.Authenticated || old.UserName != ev.in.UserName):
		ev.refused = "Authorize-Only for a session that was not authenticated here"
	}
	if ev.refused != "" {
		ev.reply, ev.fault = rejectReply(nil, ev.q, nil)
		return
	}
	if ev.in.Method == methodAuthorizeOnly {
		ev.in.Groups, ev.in.Method = old.Groups, old.Method
	}
	ev.next, ev.decision = step.Login(now, old, &ev.in, &ev.q.snap.Rules)
	if ev.next == nil {
		ev.refused = "the profile " + ev.decision.Profile.Name + " of rule " + ev.decision.Rule + " rejects"
		ev.reply, ev.fault = rejectReply(nil, ev.q, ev.decision.Profile)
		return
	}
	ev.reply, ev.fault = c.e.acceptReply(nil, ev.q, ev.next, ev.decision.Profile)
	if ev.fault == nil {
		c.put(old, ev.next)
	}
}

func (ev *loginEvent) done(c *core, err error) {
	now := c.e.clock.Now()
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
		c.later(&reauthorizeEvent{ids: []sessions.ID{ev.next.ID}, finished: make(chan struct{})})
	}
}

func (ev *loginEvent) row(e *Engine, now time.Time, err error) *record.Decision {
	s, status := ev.next, record.Passed
	if s == nil {
		s, status = unknownSession(&ev.in.Attributes), record.Failed
	}
	d := e.row(s, record.KindAuth, status, "Authentication succeeded")
	d.ID, d.Elapsed = ev.id, now.Sub(ev.q.received)
	d.AuthenticationPolicy = ev.in.Method + " >> " + orNone(ev.store)
	if ev.decision.Profile != nil {
		d.AuthorizationPolicy, d.RulePosition = ev.decision.Rule, ev.decision.Pos.String()
		d.AuthorizationProfile = ev.decision.Profile.Name
	}
	switch {
	case ev.fault != nil:
		d.Status, d.Details, d.Reason = record.Failed, "No reply was sent", ev.fault.Error()
	case ev.refused != "":
		ev.q.counters.rejects.Add(1)
		d.Details, d.Reason = "Authorization refused", ev.refused
	case err != nil:
		d.Status, d.Details, d.Reason = record.Failed, "No reply was sent", err.Error()
	default:
		ev.q.counters.accepts.Add(1)
	}
	return d
}

// reject answers a request whose sender is authentic and whose credentials are not
// good enough. No session changes, so the core need not hear of it.
func (e *Engine) reject(now time.Time, q *request, identity, method, reason string) {
	reply, err := rejectReply(nil, q, nil)
	if err != nil {
		q.drop(now, dropReply)
		return
	}
	q.counters.rejects.Add(1)
	a := q.attributes()
	a.UserName = identity
	d := e.row(unknownSession(&a), record.KindAuth, record.Failed, "Authentication failed")
	d.Reason, d.AuthenticationPolicy, d.Elapsed = reason, method+" >> none", now.Sub(q.received)
	e.suppress.add(now, d)
	q.answer(now, reply)
}

// unknownSession gives a row its columns when there is no session.
func unknownSession(a *step.Attributes) *sessions.Session {
	return &sessions.Session{
		ID: a.ID, NAS: a.NAS, UserName: a.UserName, CallingStationID: a.CallingStationID,
		MACs: a.MACs, NASPortID: a.NASPortID, OS: a.OS, Server: a.Server,
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
