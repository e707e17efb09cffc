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
	q, why := e.admit(now, d, radius.AcctServer)
	if why != 0 {
		return
	}
	q.counters.requests.Add(1)
	if q.view.Code() == radius.StatusServer {
		d.Reply = e.statusReply(d.Reply, q, radius.AccountingResponse)
		return
	}
	if q.duplicate(e, now, loop, d) {
		return
	}
	q.counters.accounting.Add(1)
	var ev event
	switch kind := number(&q.view, radius.AcctStatusType); kind {
	case step.AcctStart, step.AcctStop, step.AcctInterim:
		ev = &accountingEvent{q: q, in: accountingInput(now, q, kind)}
	case step.AcctOn, step.AcctOff:
		ev = &nasEvent{q: q, kind: kind, at: eventTime(now, &q.view)}
	default:
		// Nothing we keep, and nothing the NAS should go on sending for ever.
		ev = &accountingEvent{q: q}
	}
	if !e.core.submit(ev) {
		q.drop(now, dropCoreFull)
	}
}

// delayMax bounds Acct-Delay-Time: a NAS that keeps records longer than a week has a
// wrong clock.
const delayMax = 7 * 24 * time.Hour

// eventTime is when a record's event happened, by our clock (RFC 2866 section 5.2).
func eventTime(now time.Time, v *radius.View) time.Time {
	delay := time.Duration(number(v, radius.AcctDelayTime)) * time.Second
	return now.Add(-min(delay, delayMax))
}

func accountingInput(now time.Time, q *request, kind uint32) *step.AccountingInput {
	v := &q.view
	big := func(low, high radius.Type) uint64 {
		return uint64(number(v, high))<<32 | uint64(number(v, low))
	}
	update, _ := v.AVPair("nas-update")
	return &step.AccountingInput{
		Attributes: q.attributes(), Kind: kind, At: eventTime(now, v),
		SessionTime: number(v, radius.AcctSessionTime),
		InOctets:    big(radius.AcctInputOctets, radius.AcctInputGigawords),
		OutOctets:   big(radius.AcctOutputOctets, radius.AcctOutputGigawords),
		InPackets:   uint64(number(v, radius.AcctInputPackets)),
		OutPackets:  uint64(number(v, radius.AcctOutputPackets)),
		Cause:       number(v, radius.AcctTerminateCause),
		NASUpdate:   string(update) == "true",
	}
}

// accountingEvent is one record about one session; without input it is a record that
// means nothing to us and is acknowledged all the same.
type accountingEvent struct {
	q       *request
	in      *step.AccountingInput
	before  *sessions.Session
	next    *sessions.Session
	what    string
	refused string
	full    bool // there is no room for another session
}

func (ev *accountingEvent) step(c *core, now time.Time) {
	if ev.in == nil {
		return
	}
	old, conflict := c.resolve(&ev.in.Attributes)
	switch {
	case conflict:
		ev.refused = errOtherNAS
	case old == nil && c.full():
		ev.refused, ev.full = "the session table is full (sessions.max)", true
	default:
		ev.before = old
		ev.next, ev.what = step.Accounting(now, old, ev.in)
		c.put(old, ev.next)
	}
}

func (ev *accountingEvent) done(c *core, err error) {
	e, now := c.e, c.e.clock.Now()
	if err != nil && ev.next != nil {
		ev.q.drop(now, dropStorage)
		return
	}
	reply, fault := accountingReply(ev.q)
	if fault != nil {
		ev.q.drop(now, dropReply)
		return
	}
	switch d := ev.row(e, now); {
	case ev.refused != "":
		e.suppress.add(now, d)
	case d != nil:
		e.livelog.Add(d)
	}
	if ev.full {
		ev.q.drop(now, dropTableFull) // not kept, so not acknowledged: the NAS may go elsewhere
		return
	}
	ev.q.answer(now, reply)
	e.latency.accounting.observe(now.Sub(ev.q.received))
}

var accountingWords = map[string]string{
	step.AcctStarted: "Accounting start",
	step.AcctEnded:   "Session ended",
	step.AcctRoamed:  "Accounting stop with nas-update: the session goes on",
}

// row shows what is news: the beginning, the end, an address that came late. An
// interim record with nothing new makes no row.
func (ev *accountingEvent) row(e *Engine, now time.Time) *record.Decision {
	if ev.refused != "" {
		d := e.row(unknownSession(&ev.in.Attributes), record.KindAcct, record.Failed, "Accounting record ignored")
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
	d := e.row(ev.next, record.KindSession, record.Session, details)
	d.Elapsed = now.Sub(ev.q.received)
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

func (ev *nasEvent) step(c *core, now time.Time) {
	cause := "Accounting-On: the NAS started again"
	if ev.kind == step.AcctOff {
		cause = "Accounting-Off: the NAS shuts down"
	}
	over := func(s *sessions.Session) {
		if s.NAS != ev.q.nas.Name || s.NASAddress != ev.q.late.From().Addr() || !s.Live() || !s.Started.Before(ev.at) {
			return
		}
		next := step.End(now, s, cause)
		c.put(s, next)
		ev.ended = append(ev.ended, next)
	}
	for _, s := range c.pending {
		if s != nil {
			over(s)
		}
	}
	for s := range c.table.All() {
		if _, changed := c.pending[s.ID]; !changed {
			over(s)
		}
	}
}

func (ev *nasEvent) done(c *core, err error) {
	e, now := c.e, c.e.clock.Now()
	if err != nil {
		ev.q.drop(now, dropStorage)
		return
	}
	reply, fault := accountingReply(ev.q)
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
