package engine

import (
	"time"

	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/radius"
	"sallyport/netio/udp"
	"sallyport/sessions"
)

// Accounting answers one datagram on an accounting port, from top to bottom:
//
//	gate -> NAS by source address -> decode + Request Authenticator -> Status-Server
//	  -> duplicate? the stored reply -> the core: totals, journal -> late reply
//
// The Accounting-Response leaves only after the record is durable (RFC 2866 section
// 4.1: never acknowledge what is not recorded). When it cannot be made durable there is
// silence, so that the NAS keeps it or goes elsewhere.
func (e *Engine) Accounting(now time.Time, loop int, d *udp.Datagram) {
	q := e.admit(now, d, radius.AcctServer)
	if q == nil {
		return
	}
	if e.accounting(now, loop, d, q) {
		e.release(q)
	}
}

// accounting says whether the request has come to its end here; else the core has it.
func (e *Engine) accounting(now time.Time, loop int, d *udp.Datagram, q *request) (ended bool) {
	q.counters.requests.Add(1)
	if q.view.Code() == radius.StatusServer {
		d.Reply = e.statusReply(d.Reply, q, radius.AccountingResponse)
		return true
	}
	if q.duplicate(e, now, loop, d) {
		return true
	}
	q.counters.accounting.Add(1)
	var ev event
	switch kind := number(&q.view, radius.AcctStatusType); kind {
	case step.AcctOn, step.AcctOff:
		q.onOff = nasEvent{q: q, kind: kind, at: eventTime(now, &q.view)}
		ev = &q.onOff
	case step.AcctStart, step.AcctStop, step.AcctInterim:
		q.acct = accountingEvent{q: q, known: true}
		q.accountingInput(now, kind, &q.acct.in)
		ev = &q.acct
	default:
		// Nothing we keep, and nothing the NAS should go on sending for ever.
		q.acct = accountingEvent{q: q}
		ev = &q.acct
	}
	if !e.core.submitFor(q.counters, ev) {
		q.drop(now, dropCoreFull)
		return true
	}
	return false
}

// delayMax bounds Acct-Delay-Time: a NAS that keeps records longer than a week has a
// wrong clock.
const delayMax = 7 * 24 * time.Hour

// eventTime is when a record's event happened, by our clock (RFC 2866 section 5.2).
func eventTime(now time.Time, v *radius.View) time.Time {
	delay := time.Duration(number(v, radius.AcctDelayTime)) * time.Second
	return now.Add(-min(delay, delayMax))
}

func (q *request) accountingInput(now time.Time, kind uint32, in *step.AccountingInput) {
	v := &q.view
	big := func(low, high radius.Type) uint64 {
		return uint64(number(v, high))<<32 | uint64(number(v, low))
	}
	q.attributes(&in.Attributes)
	update, _ := v.AVPair("nas-update")
	in.Kind, in.At = kind, eventTime(now, v)
	in.SessionTime = number(v, radius.AcctSessionTime)
	in.InOctets = big(radius.AcctInputOctets, radius.AcctInputGigawords)
	in.OutOctets = big(radius.AcctOutputOctets, radius.AcctOutputGigawords)
	in.InPackets = uint64(number(v, radius.AcctInputPackets))
	in.OutPackets = uint64(number(v, radius.AcctOutputPackets))
	in.Cause = number(v, radius.AcctTerminateCause)
	in.NASUpdate = string(update) == "true"
}

// accountingEvent is one record about one session; one that is of no known kind means
// nothing to us and is acknowledged all the same.
type accountingEvent struct {
	q       *request
	known   bool
	in      step.AccountingInput
	before  *sessions.Session
	next    *sessions.Session
	what    string
	refused string
	full    bool // there is no room for another session
}

func (ev *accountingEvent) request() *request { return ev.q }

func (ev *accountingEvent) step(c *core, now time.Time) {
	if !ev.known {
		return
	}
	f := c.frame()
	old, conflict := c.resolve(ev.q, &ev.in.Attributes, f)
	switch {
	case conflict:
		ev.refused = errOtherNAS
	case old == nil && c.full():
		ev.refused, ev.full = "the session table is full (sessions.max)", true
	default:
		ev.before = old
		ev.next, ev.what = step.AccountingInto(&f.next, now, old, &ev.in)
		c.lend(old, ev.next)
	}
}

func (ev *accountingEvent) done(c *core, err error) {
	e, q, now := c.e, ev.q, c.published
	if err != nil && ev.next != nil {
		q.drop(now, dropStorage)
		return
	}
	reply, fault := accountingReply(q.reply[:0], q)
	if fault != nil {
		q.drop(now, dropReply)
		return
	}
	switch d := ev.row(e, now); {
	case ev.refused != "":
		e.suppress.add(now, d)
	case d != nil:
		e.livelog.Add(d)
	}
	if ev.full {
		q.drop(now, dropTableFull) // not kept, so not acknowledged: the NAS may go elsewhere
		return
	}
	q.answer(now, reply)
	e.latency.accounting.observe(now.Sub(q.received))
}

var accountingWords = map[string]string{
	step.AcctStarted: "Accounting start",
	step.AcctEnded:   "Session ended",
	step.AcctRoamed:  "Accounting stop with nas-update: the session goes on",
}

// row shows what is news: the beginning, the end, an address that came late. An
// interim record with nothing new makes no row.
func (ev *accountingEvent) row(e *Engine, now time.Time) *record.Decision {
	q := ev.q
	if ev.refused != "" {
		d := q.fillUnknown(e, now, &ev.in.Attributes, record.KindAcct, record.Failed, "Accounting record ignored")
		d.Reason = ev.refused
		return d
	}
	if ev.next == nil {
		return nil
	}
	details := accountingWords[ev.what]
	learned := ev.before == nil || ev.before.FramedIP != ev.next.FramedIP || ev.before.FramedIPv6 != ev.next.FramedIPv6
	switch {
	case details == "" && learned && ev.next.FramedIP.IsValid():
		details = "The endpoint has the address " + ev.next.FramedIP.String()
	case details == "":
		return nil
	}
	d := q.fillRow(e, now, ev.next, record.KindSession, record.Session, details)
	d.Elapsed = now.Sub(q.received)
	if ev.what == step.AcctEnded {
		d.Reason = ev.next.EndCause
	}
	return d
}

// nasEvent is Accounting-On or -Off: every session of the NAS that was there before is
// over (RFC 2866 section 5.1).
type nasEvent struct {
	q     *request
	kind  uint32
	at    time.Time
	ended []*sessions.Session
}

func (ev *nasEvent) request() *request { return ev.q }

func (ev *nasEvent) step(c *core, now time.Time) {
	cause := "Accounting-On: the NAS started again"
	if ev.kind == step.AcctOff {
		cause = "Accounting-Off: the NAS shuts down"
	}
	address := ev.q.late.From().Addr()
	over := func(id sessions.ID) {
		s := c.get(id)
		if s == nil || s.NAS != ev.q.nas.Name || s.NASAddress != address || !s.Live() || !s.Started.Before(ev.at) {
			return
		}
		next := step.End(now, s, cause)
		c.put(s, next)
		ev.ended = append(ev.ended, next)
	}
	for id := range c.table.OfNAS(address) {
		over(id)
	}
	for _, id := range c.order { // those that the table has not yet
		over(id)
	}
}

func (ev *nasEvent) done(c *core, err error) {
	e, now := c.e, c.published
	if err != nil {
		ev.q.drop(now, dropStorage)
		return
	}
	reply, fault := accountingReply(ev.q.reply[:0], ev.q)
	if fault != nil {
		ev.q.drop(now, dropReply)
		return
	}
	for _, s := range ev.ended {
		d := e.row(s, record.KindSession, record.Session, "Session ended")
		d.Reason = s.EndCause
		e.livelog.Add(d)
	}
	ev.q.answer(now, reply)
}
