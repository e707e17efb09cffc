package engine

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"sallyport/coa"
	"sallyport/coa/recipe"
	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// sendChange gives a session's change to the CoA engine. It is in the journal by now.
// False when there is no room: the next tick tries again.
func (c *core) sendChange(now time.Time, s *sessions.Session) bool {
	e := c.e
	if c.orphan(s) {
		ev := &orphanEvent{id: keep(s.ID)}
		if !c.push(ev) {
			c.unsent[ev.id] = struct{}{}
			return false
		}
		delete(c.unsent, ev.id)
		return true
	}
	change, err := e.change(s)
	if err != nil {
		delete(c.unsent, s.ID)
		// A change that cannot even be written is settled as a fault at once.
		c.settleLater(settlement{Settlement: coa.Settlement{Session: s.ID, Serial: s.Change.Serial, NAS: s.NAS, Outcome: coa.Unsayable, Err: err}})
		return true
	}
	switch err := e.coa.Submit(change); {
	case errors.Is(err, coa.ErrFull):
		c.unsent[s.ID] = struct{}{}
		return false
	case err != nil:
		c.settleLater(settlement{Settlement: coa.Settlement{Session: s.ID, Serial: s.Change.Serial, NAS: s.NAS, Outcome: coa.Unsayable, Err: err}})
	}
	delete(c.unsent, s.ID)
	return true
}

// change makes the CoA engine's order out of a session's change: to which NAS, in
// which words.
func (e *Engine) change(s *sessions.Session) (coa.Change, error) {
	snap := e.snapshot()
	nas := snap.NASByName(s.NAS)
	if nas == nil {
		return coa.Change{}, fmt.Errorf("NAS %s is not in the configuration any more", s.NAS)
	}
	kind, ok := recipe.ParseKind(s.Change.Kind)
	if !ok {
		return coa.Change{}, fmt.Errorf("unknown kind of change %q", s.Change.Kind)
	}
	kind = nas.Recipe.Means(kind)
	out := coa.Change{
		Session: s.ID, Serial: s.Change.Serial, Epoch: s.Change.Epoch, Made: s.Change.Made,
		NAS: nas.CoATarget(s.NASAddress), Kind: kind, Ident: ident(s), Began: s.Started,
		Operator: step.ByOperator(s.Change), Bulk: step.ByPolicy(s.Change) || step.Again(s.Change),
	}
	if nas.Recipe.CarriesGrant(kind) {
		profile := snap.Authz.Profile(s.Change.Grant.Profile)
		if profile == nil {
			return coa.Change{}, fmt.Errorf("profile %s is not in the configuration any more", s.Change.Grant.Profile)
		}
		g := e.grant(s, profile)
		out.Grant = &g
	}
	return out, nil
}

func ident(s *sessions.Session) recipe.Ident {
	id := recipe.Ident{
		NASIP: s.NASIP, NASIdentifier: s.NASIdentifier, NASPort: s.NASPort,
		CallingStationID: s.CallingStationID, AcctSessionID: s.AcctSessionID,
		AuditSessionID: s.AuditSessionID, UserName: s.UserName, FramedIP: s.FramedIP,
	}
	if !id.NASIP.IsValid() && id.NASIdentifier == "" {
		id.NASIP = s.NASAddress
	}
	return id
}

// settlement is the end of a change with what was said, copied: the CoA engine's
// buffers are lent.
type settlement struct {
	coa.Settlement
	asked, answered string
}

var ticketText = regexp.MustCompile(report.QueryTicket + `=[\w-]+`)

// hideTicket takes the ticket out of a redirect URL: whoever reads the live log must not
// be able to report for the session.
func hideTicket(words string) string {
	return ticketText.ReplaceAllLiteralString(words, report.QueryTicket+"=[hidden]")
}

// settled is the CoA engine's report of how changes ended. A change that was given up
// because the engine closes is not settled: it stays open in the journal.
func (e *Engine) settled(all []coa.Settlement) {
	for i := range all {
		if one := &all[i]; one.Action() != coa.Reopen {
			s := settlement{Settlement: *one, asked: hideTicket(one.Words()), answered: hideTicket(one.ReplyWords())}
			s.Request, s.Reply = nil, nil
			if waiting, ok := e.rehearsals.LoadAndDelete(one.Session); ok {
				waiting.(chan settlement) <- s
				continue
			}
			e.core.settleLater(s)
		}
	}
}

// settleLater queues a settlement.
func (c *core) settleLater(one settlement) { c.later(&settleEvent{in: one}) }

// later queues an event that must not be lost, without ever blocking the core on itself.
func (c *core) later(ev event) {
	if !c.submit(ev) {
		go func() { _ = c.submitWait(c.e.life, ev) }()
	}
}

// settleEvent is the end of one change.
type settleEvent struct {
	in     settlement
	before *sessions.Session
	next   *sessions.Session
}

func (ev *settleEvent) step(c *core, now time.Time) {
	ev.before = c.get(ev.in.Session)
	if ev.before == nil {
		return
	}
	outcome := ev.in.Outcome.String()
	if ev.in.Action() == coa.Expect {
		outcome = step.OutcomeFollows
	}
	ev.next = step.Settle(now, ev.before, &step.Settled{
		Serial: ev.in.Serial, Outcome: outcome, Cause: ev.in.Cause, Attempts: ev.in.Attempts,
		Ended: (ev.in.Outcome == coa.ACK || ev.in.Outcome == coa.FellBack) && ev.in.Did == recipe.Disconnect,
	})
	if ev.next != ev.before {
		c.doubtful(now, ev.before, &ev.in)
	}
	c.put(ev.before, ev.next)
}

func (ev *settleEvent) done(c *core, err error) {
	if ev.before == nil || ev.next == ev.before {
		return // late news of a change that was replaced
	}
	e := c.e
	if err != nil {
		// The NAS has answered and the disk has not: the next tick tries again. After a restart
		// the change is sent again, which the NAS takes as what it has already.
		c.unsettled = append(c.unsettled, ev.in)
		return
	}
	row := ev.row(e)
	if ev.in.Outcome == coa.ACK {
		e.livelog.Add(row)
		e.latency.change.observe(e.clock.Now().Sub(ev.before.Change.Made))
		return
	}
	if !e.suppress.many(c.published, row) {
		return // a NAS that is gone would fill the log with its sessions
	}
	e.log.Warn("change of authorization failed", "session", ev.in.Session, "nas", ev.before.NAS,
		"profile", ev.next.Settled.Profile, "why", ev.why())
}

// why is the outcome in words, with what to look at.
func (ev *settleEvent) why() string {
	switch ev.in.Outcome {
	case coa.NAK:
		return coa.CauseWords(ev.in.Cause)
	case coa.Silent:
		return "no answer from " + ev.in.Remote.String() + ": wrong CoA port or secret, or a packet filter between"
	}
	if ev.in.Err != nil {
		return ev.in.Err.Error()
	}
	return ev.in.Outcome.String()
}

func (ev *settleEvent) row(e *Engine) *record.Decision {
	status := record.Passed
	details := "Change of authorization acknowledged"
	if ev.in.Outcome != coa.ACK {
		status, details = record.Failed, "Change of authorization failed"
	}
	d := e.row(ev.next, record.KindCoA, status, details)
	d.AuthorizationProfile = ev.next.Settled.Profile
	d.Elapsed = ev.in.Latency
	d.Reason = fmt.Sprintf("%s: %s to %s, %d sent", ev.before.Change.Reason, ev.in.Kind, ev.in.Remote, ev.in.Attempts)
	if ev.in.Outcome != coa.ACK {
		d.Reason += ": " + ev.why()
	}
	d.Sent, d.Answered = ev.in.asked, ev.in.answered
	return d
}

// confirmed is the CoA engine's report of what NASes showed after they acknowledged.
func (e *Engine) confirmed(all []coa.Confirmation) {
	for i := range all {
		if all[i].State != coa.Overtaken {
			e.core.later(&confirmEvent{in: all[i]})
		}
	}
}

// confirmEvent is the end of waiting for what a NAS does when it carries a change out.
type confirmEvent struct {
	in           coa.Confirmation
	before, next *sessions.Session
}

func (ev *confirmEvent) step(c *core, now time.Time) {
	if ev.before = c.get(ev.in.Session); ev.before != nil {
		ev.next = step.Confirm(now, ev.before, ev.in.Serial, ev.in.State == coa.ConfirmedByNAS)
		c.put(ev.before, ev.next)
	}
}

func (ev *confirmEvent) done(c *core, err error) {
	if ev.next == ev.before || err != nil || ev.in.State == coa.ConfirmedByNAS {
		return
	}
	d := c.e.row(ev.next, record.KindAlarm, record.Failed, "Change of authorization acknowledged, not confirmed")
	d.Reason = ev.in.String()
	c.e.suppress.many(c.published, d)
}

// showed tells the CoA engine what a NAS did of its own accord with a session.
func (e *Engine) showed(s *sessions.Session, sign recipe.Sign) {
	if s.Settled.Outcome == step.OutcomeACK {
		e.coa.Confirmed(coa.Confirmed{Sign: sign, Session: keep(s.ID)})
	}
}

// operatorEvent is a change that a person asked for.
type operatorEvent struct {
	id       sessions.ID
	kind     string
	who      string
	next     *sessions.Session
	fault    error
	finished chan struct{}
}

func (ev *operatorEvent) step(c *core, now time.Time) {
	old := c.get(ev.id)
	switch {
	case old == nil:
		ev.fault = errUnknown
	case !old.Live():
		ev.fault = fmt.Errorf("session %s has ended: %s", old.ID, old.EndCause)
	default:
		ev.next = step.Operator(now, old, ev.kind, ev.who, &c.e.snapshot().Rules)
		c.put(old, ev.next)
	}
}

func (ev *operatorEvent) done(c *core, err error) {
	defer close(ev.finished)
	if ev.fault == nil {
		ev.fault = err
	}
	if ev.next != nil && err == nil {
		d := c.e.row(ev.next, record.KindCoA, record.Session, "Change of authorization: "+ev.kind)
		d.Reason = "asked for by " + ev.who
		c.e.livelog.Add(d)
	}
}
