package engine

import (
	"time"

	"sallyport/coa/recipe"
	"sallyport/engine/authn"
	"sallyport/engine/authz"
	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/radius"
	"sallyport/sessions"
)

// Methods of authentication, as policies and the live log name them.
const (
	methodPAP           = "pap"
	methodMAB           = "mab"
	methodAuthorizeOnly = "authorize-only"
)

// access serves one datagram on an authentication port, from top to bottom. The loop
// has seen to the gate, the NAS, the decoding and the Message-Authenticator:
//
//	Status-Server -> duplicate? the stored reply -> ACL download -> authenticate
//	  -> nothing changes? the answer : the core: authorize, session change, journal
//	     -> late reply
//
// What cannot be trusted gets silence and is counted. What can be trusted and not
// accepted gets a Reject with the reason in the live log.
func (e *Engine) access(now time.Time, l *loop, w *passage) fate {
	q := w.q
	if q.nas.RequireMessageAuthenticator && q.view.Code() == radius.AccessRequest && !q.view.HasMessageAuthenticator() {
		q.counters.drop(now, dropReason(radius.WhyNoMessageAuthenticator))
		return ended
	}
	q.counters.requests.Add(1)
	q.dst = w.d.Reply
	if q.view.Code() == radius.StatusServer {
		return q.status(radius.AccessAccept)
	}
	if q.nas.LimitProxyState && !q.view.HasMessageAuthenticator() && q.view.Has(radius.ProxyState) {
		q.counters.drop(now, dropProxyState)
		return ended
	}
	if q.duplicate(l.dups, now, w.d, e.pushes.Load()) {
		return ended
	}
	if name, _ := q.view.Get(radius.UserName); len(name) >= len(aclPrefix) && string(name[:len(aclPrefix)]) == aclPrefix {
		return e.aclDownload(now, q)
	}
	return e.authenticate(now, l, w)
}

// authenticate finds out who it is, here when that is quick, in the pool when a
// password has to be hashed.
func (e *Engine) authenticate(now time.Time, l *loop, w *passage) fate {
	q, v := w.q, &w.q.view
	user := text(v, radius.UserName)
	service, _ := v.U32(radius.ServiceType)
	switch {
	case service == serviceAuthorizeOnly:
		return e.authorizeOnly(now, q, user)
	case service == serviceCallCheck:
		return e.mab(now, l, w)
	case q.reveal >= 0:
		return e.pap(now, l, w, user)
	case v.Has(radius.CHAPPassword):
		return e.reject(now, q, user, "chap", "CHAP needs the password in clear, and the store keeps only hashes; let the NAS use PAP")
	case v.Has(radius.EAPMessage):
		return e.reject(now, q, user, "eap", "EAP is not offered yet; let the NAS use PAP or MAB")
	case hasMSCHAP(v):
		return e.reject(now, q, user, "mschap", "MS-CHAP needs an NT hash, which the store does not keep; on an ASA set \"no mschapv2-capable\" for the server")
	case !v.HasMessageAuthenticator():
		// RFC 3579 section 3.2: nothing to go by and nothing that proves the sender.
		q.drop(now, dropNoCredentials)
		return ended
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

func (e *Engine) pap(now time.Time, l *loop, w *passage, user string) fate {
	var room [radius.PasswordMax]byte
	q := w.q
	password, ok := l.sums.Password(q.reveal, room[:0])
	if !ok {
		return e.reject(now, q, user, methodPAP, "User-Password is not 16 to 128 octets in steps of 16 (RFC 2865 section 5.2)")
	}
	if id, outcome := q.snap.Users.Remembered(user, password); outcome == authn.OK {
		return e.authenticated(now, l, w, methodPAP, &id)
	}
	return e.hash(now, q, user, password)
}

// hash has the password hashed by the pool, whose worker has the request then.
func (e *Engine) hash(now time.Time, q *request, user string, password []byte) fate {
	slow := append([]byte(nil), password...)
	q.dst = q.reply[:0]
	taken := e.pool.Submit(func() {
		id, outcome := q.snap.Users.Verify(user, slow)
		clear(slow)
		now := e.clock.Now()
		if outcome == authn.OK {
			q.identified(methodPAP, &id)
			if e.toCore(now, q, &q.login) == handed {
				return
			}
		} else if e.reject(now, q, user, methodPAP, outcome.String()) == answering {
			q.finish(now)
		}
		e.release(q)
	})
	if !taken {
		q.drop(now, dropPoolFull)
		return ended
	}
	return handed
}

// mab accepts an endpoint by its MAC. That is identification, not authentication: the
// User-Password that some NASes copy the MAC into proves nothing (RFC 5080 section 2.2.1).
func (e *Engine) mab(now time.Time, l *loop, w *passage) fate {
	q := w.q
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
	return e.authenticated(now, l, w, methodMAB, &id)
}

// authorizeOnly asks for the authorization of a session that is authenticated already
// (RFC 5080 section 2.1.1: State is required, except where a NAS is known to authenticate
// by other means first). The session must be ours, live and of the same user.
func (e *Engine) authorizeOnly(now time.Time, q *request, user string) fate {
	if !q.view.HasMessageAuthenticator() {
		q.drop(now, dropReason(radius.WhyNoMessageAuthenticator))
		return ended
	}
	q.identified(methodAuthorizeOnly, &authn.Identity{User: user})
	return e.toCore(now, q, &q.login)
}

// authenticated has a proven identity authorized: here when nothing changes, else by
// the core.
func (e *Engine) authenticated(now time.Time, l *loop, w *passage, method string, id *authn.Identity) fate {
	w.q.identified(method, id)
	if l.repeat(now, w) {
		return again
	}
	return e.toCore(now, w.q, &w.q.login)
}

// identified makes the login of the request, whose identity is proved.
func (q *request) identified(method string, id *authn.Identity) {
	ev := &q.login
	*ev = loginEvent{q: q, store: id.Store}
	q.attributes(&ev.in.Attributes)
	ev.in.Groups, ev.in.Method = id.Groups, method
	ev.in.UserName = id.User
	if ev.in.OS == "" {
		ev.in.OS = id.OS
	}
}

// toCore hands the request to the core, which answers late.
func (e *Engine) toCore(now time.Time, q *request, ev event) fate {
	q.dst = q.reply[:0]
	if !e.core.submitFor(q.counters, ev) {
		q.drop(now, dropCoreFull)
		return ended
	}
	return handed
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
	over     bool   // it was answered before, and the session is over by now
	fault    error  // of the reply
}

func (ev *loginEvent) request() *request { return ev.q }

func (ev *loginEvent) step(c *core, now time.Time) {
	f := c.frame()
	numbered := ev.in.ID == ""
	old, conflict := c.resolve(ev.q, &ev.in.Attributes, f)
	if numbered && old != nil && !old.Live() {
		old = c.renumbered(ev.q, &ev.in.Attributes)
	}
	if old == nil && ev.in.Minted {
		old = c.begunBy(ev.q, &ev.in, f)
	}
	if ev.over = ev.q.again && (old == nil || !old.Live()); ev.over {
		return // the NAS has its answer or has given up; nothing begins by a copy
	}
	ev.number, ev.in.Again = c.e.decision(), ev.q.again
	switch {
	case conflict:
		ev.refused = errOtherNAS
	case ev.in.Method == methodAuthorizeOnly && (old == nil || !old.Live() || !old.Authenticated || old.UserName != ev.in.UserName):
		ev.refused = "Authorize-Only for a session that was not authenticated here"
	case old == nil:
		ev.refused = c.full(ev.in.NASAddress)
	}
	if ev.refused != "" {
		ev.fault = ev.q.rejectReply(nil)
		return
	}
	if ev.in.Method == methodAuthorizeOnly {
		ev.in.Groups, ev.in.Method = old.Groups, old.Method
	}
	earlier := c.lease(now, &ev.in, old, &ev.q.snap.Rules)
	ev.next, ev.decision = step.LoginInto(&f.next, now, old, &ev.in, &ev.q.snap.Rules)
	if ev.next == nil {
		ev.refused = ev.q.say("the profile ", ev.decision.Profile.Name, " of rule ", ev.decision.Rule, " rejects")
		ev.fault = ev.q.rejectReply(ev.decision.Profile)
		return
	}
	if ev.fault = c.e.acceptReply(ev.q, ev.next, ev.decision.Profile); ev.fault == nil {
		c.lend(old, ev.next)
		c.handOver(now, earlier)
	}
}

func (ev *loginEvent) done(c *core, err error) {
	now := c.published
	if ev.over {
		ev.q.drop(now, dropOver)
		return
	}
	c.e.livelog.Add(ev.row(c.e, now, err)) // before the answer: who has that can look it up
	switch {
	case ev.fault != nil:
		ev.q.drop(now, dropReply)
	case err != nil && ev.next != nil:
		ev.q.drop(now, dropStorage)
	default:
		ev.count()
		c.e.beside.Load().login(now, ev)
		if ev.next != nil {
			c.e.answers.note(now, ev.next.ID)
		}
		c.answer(ev.q)
		c.e.latency.access.observe(now.Sub(ev.q.received))
		if ev.next != nil {
			c.e.showed(ev.next, recipe.SignAccess)
		}
	}
	if ev.next != nil && err == nil && ev.q.snap != c.e.snapshot() {
		// The configuration changed while the password was hashed. The request was judged by
		// the one that it came under; the session lives under the new one.
		c.later(&reauthorizeEvent{ids: []sessions.ID{keep(ev.next.ID)}, finished: make(chan struct{})})
	}
}

func (ev *loginEvent) count() {
	if ev.refused != "" {
		ev.q.counters.rejects.Add(1)
	} else {
		ev.q.counters.accepts.Add(1)
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
		d.Details, d.Reason = "Authorization refused", ev.refused
	case err != nil:
		d.Status, d.Details, d.Reason = record.Failed, "No reply was sent", err.Error()
	}
	return d
}

// reject refuses a request whose sender is authentic and whose credentials are not
// good enough. No session changes, so the core need not hear of it.
func (e *Engine) reject(now time.Time, q *request, identity, method, reason string) fate {
	if err := q.rejectReply(nil); err != nil {
		q.drop(now, dropReply)
		return ended
	}
	q.counters.rejects.Add(1)
	a := &q.login.in.Attributes
	q.attributes(a)
	a.UserName = identity
	d := q.fillUnknown(e, now, a, record.KindAuth, record.Failed, "Authentication failed")
	d.Reason, d.AuthenticationPolicy, d.Elapsed = reason, q.say(method, " >> none"), now.Sub(q.received)
	e.suppress.add(now, d)
	return answering
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
