package engine

import (
	"time"

	"sallyport/coa/recipe"
	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/radius"
	"sallyport/sessions"
)

// accounting serves one datagram on an accounting port, from top to bottom. The loop has
// seen to the gate, the NAS, the decoding and the Request Authenticator:
//
//	Status-Server -> duplicate? the stored reply -> the core: totals, journal
//	  -> late reply
//
// The Accounting-Response leaves only after the record is durable (RFC 2866 section
// 4.1: never acknowledge what is not recorded). When it cannot be made durable there is
// silence, so that the NAS keeps it or goes elsewhere.
func (e *Engine) accounting(now time.Time, l *loop, w *passage) fate {
	q := w.q
	q.counters.requests.Add(1)
	if q.view.Code() == radius.StatusServer {
		q.dst = w.d.Reply
		return q.status(radius.AccountingResponse)
	}
	if q.duplicate(l.dups, now, w.d, 0) {
		return ended
	}
	q.counters.accounting.Add(1)
	switch kind := number(&q.view, radius.AcctStatusType); kind {
	case step.AcctOn, step.AcctOff:
		q.onOff = nasEvent{q: q, kind: kind, at: e.happened(now, number(&q.view, radius.AcctDelayTime))}
		return e.toCore(now, q, &q.onOff)
	case step.AcctStart, step.AcctStop, step.AcctInterim:
		q.acct = accountingEvent{q: q, known: true}
		q.accountingInput(e, now, kind, &q.acct.in)
	default:
		// Nothing we keep, and nothing the NAS should go on sending for ever.
		q.acct = accountingEvent{q: q}
	}
	return e.toCore(now, q, &q.acct)
}

// delayMax bounds Acct-Delay-Time: a NAS that keeps records longer than a week has a
// wrong clock.
const delayMax = 7 * 24 * time.Hour

// happened is when a record's event happened, as our clock showed it then (RFC 2866 section
// 5.2).
func (e *Engine) happened(now time.Time, delaySeconds uint32) time.Time {
	return e.clockSteps.ago(now, min(time.Duration(delaySeconds)*time.Second, delayMax))
}

func (q *request) accountingInput(e *Engine, now time.Time, kind uint32, in *step.AccountingInput) {
	q.attributes(&in.Attributes)
	var delay, inLow, inHigh, outLow, outHigh, inPackets, outPackets uint32
	for t, value := range q.view.Attrs() {
		switch t {
		case radius.AcctDelayTime:
			firstNumber(&delay, value)
		case radius.AcctSessionTime:
			firstNumber(&in.SessionTime, value)
		case radius.AcctInputOctets:
			firstNumber(&inLow, value)
		case radius.AcctInputGigawords:
			firstNumber(&inHigh, value)
		case radius.AcctOutputOctets:
			firstNumber(&outLow, value)
		case radius.AcctOutputGigawords:
			firstNumber(&outHigh, value)
		case radius.AcctInputPackets:
			firstNumber(&inPackets, value)
		case radius.AcctOutputPackets:
			firstNumber(&outPackets, value)
		case radius.AcctTerminateCause:
			firstNumber(&in.Cause, value)
		}
	}
	in.Kind, in.At = kind, e.happened(now, delay)
	in.InOctets, in.OutOctets = uint64(inHigh)<<32|uint64(inLow), uint64(outHigh)<<32|uint64(outLow)
	in.InPackets, in.OutPackets = uint64(inPackets), uint64(outPackets)
	if kind == step.AcctStop {
		update, _ := q.view.AVPair("nas-update")
		in.NASUpdate = string(update) == "true"
	}
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

	replaced *sessions.Session // ended by this record of another
}

func (ev *accountingEvent) request() *request { return ev.q }

func (ev *accountingEvent) step(c *core, now time.Time) {
	if !ev.known {
		return
	}
	f := c.frame()
	numbered := ev.in.ID == ""
	old, conflict := c.resolve(ev.q, &ev.in.Attributes, f)
	if numbered && old != nil && step.Renumbered(old, &ev.in) {
		old = c.renumbered(ev.q, &ev.in.Attributes)
	}
	switch {
	case conflict:
		ev.refused = errOtherNAS
	case old == nil && c.full(ev.in.NASAddress) != "":
		ev.refused, ev.full = c.full(ev.in.NASAddress), true
	default:
		ev.before = old
		if c.flaws.countsTwice && old != nil {
			ev.in.InOctets += old.Accounting.InOctets
		}
		misled := false
		if ev.in.Kind == step.AcctStart && !numbered {
			ev.replaced, misled = c.replaced(now, &ev.in)
		}
		ev.next, ev.what = step.AccountingInto(&f.next, now, old, &ev.in)
		if misled {
			step.TellAgain(now, ev.next)
		}
		c.lend(old, ev.next)
	}
}

// replaced ends the session that had the number which its NAS now gives to another: the
// NAS lost its memory and did not say so. Changes of the old one would reach the new one;
// misled says that one may have.
func (c *core) replaced(now time.Time, in *step.AccountingInput) (ended *sessions.Session, misled bool) {
	other := c.byAcctSessionID(in.NASAddress, in.AcctSessionID, c.frame())
	if other == nil || other.ID == in.ID || !step.Replaced(now, other, in) {
		return nil, false
	}
	old := c.get(other.ID)
	next := step.End(now, in.At, old, "the NAS gave its Acct-Session-Id to another session")
	c.put(old, next)
	return next, step.Flying(now, old)
}

func (ev *accountingEvent) done(c *core, err error) {
	e, q, now := c.e, ev.q, c.published
	if err != nil && ev.next != nil {
		q.drop(now, dropStorage)
		return
	}
	if q.accountingReply() != nil {
		q.drop(now, dropReply)
		return
	}
	if ev.replaced != nil && err == nil {
		d := e.row(ev.replaced, record.KindSession, record.Session, "Session ended")
		d.Reason = ev.replaced.EndCause
		e.livelog.Add(d)
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
	c.answer(q)
	e.beside.Load().accounting(now, ev)
	if ev.next != nil {
		e.showed(ev.next, signs[ev.in.Kind])
	}
	e.latency.accounting.observe(now.Sub(q.received))
}

// signs are what a record of each kind shows of a change.
var signs = map[uint32]recipe.Sign{step.AcctInterim: recipe.SignAccounting, step.AcctStop: recipe.SignStop}

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
		details = q.addressText("The endpoint has the address ", ev.next.FramedIP)
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
		if s == nil || s.NAS != ev.q.nas.Name || s.NASAddress != address || !step.Over(now, s, ev.kind, ev.at) {
			return
		}
		next := step.End(now, ev.at, s, cause)
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
	if ev.q.accountingReply() != nil {
		ev.q.drop(now, dropReply)
		return
	}
	for _, s := range ev.ended {
		d := e.row(s, record.KindSession, record.Session, "Session ended")
		d.Reason = s.EndCause
		e.livelog.Add(d)
	}
	e.beside.Load().over(now, ev.ended)
	c.answer(ev.q)
}
