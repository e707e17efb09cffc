package core

import (
	"slices"
	"strings"
	"time"

	"sallyport/netio/report"
)

func (a *Agent) search() {
	if a.searching {
		a.searchAgain = true
		return
	}
	a.searching, a.searchAt = true, time.Time{}
	a.emit(Search{Gen: a.gen})
}

// found: while bound only a redirect to another session counts, as after a VPN was
// connected again.
func (a *Agent) found(ev Found) {
	if ev.Gen != a.gen {
		return
	}
	a.searching, a.searchAgain = false, false
	if a.phase >= Preparing {
		if ev.Ticket == "" || strings.EqualFold(ev.SessionID, a.session.SessionID) {
			return
		}
		a.leave("the NAS redirects to another session")
		a.searchAt = time.Time{}
	}
	a.link = link{appliance: ev.Appliance, sessionID: ev.SessionID, ticket: ev.Ticket}
	if ev.SessionID == "" {
		a.link.sessionID = a.lastSession
	}
	a.enter(Claiming)
	a.claim()
}

func (a *Agent) notFound(ev NotFound) {
	if ev.Gen != a.gen {
		return
	}
	a.searching = false
	if a.searchAgain {
		a.searchAgain = false
		a.search()
		return
	}
	if a.phase == Searching {
		a.note(ev.Err)
		a.searchAt = a.now.Add(a.wait(&a.searchPause))
	}
}

func (a *Agent) claim() {
	a.emit(Claim{Gen: a.gen, Appliance: a.link.appliance, SessionID: a.link.sessionID, Ticket: a.link.ticket})
}

// claimFailed: a ticket that was used or is over leaves the key that is bound already,
// or address and MAC; a session that is over leaves address and MAC for the next one.
func (a *Agent) claimFailed(ev Failed) {
	if a.phase != Claiming {
		return
	}
	a.note(ev.Err)
	switch code(ev.Problem) {
	case report.CodeTicketUsed, report.CodeTicketUnknown:
		if a.link.ticket != "" {
			a.link.ticket = ""
			a.claim()
			return
		}
	case report.CodeUnknownSession, report.CodeSessionEnded:
		a.giveBack("the session is over")
		a.lastSession = ""
		if a.link.ticket == "" && a.link.sessionID != "" {
			a.link.sessionID = ""
			a.claim()
			return
		}
	case report.CodeBusy, report.CodeStorage:
		a.claimAt = a.now.Add(a.pauseAfter(ev.Problem, &a.searchPause))
		return
	}
	a.leave(ev.Err)
}

// pauseAfter is the pause the appliance asked for, or our own when that is longer.
func (a *Agent) pauseAfter(p *report.Problem, own *pause) time.Duration {
	d := a.wait(own)
	if p != nil {
		d = max(d, time.Duration(min(max(p.Retry, 0), int(pauseMax/time.Second)))*time.Second)
	}
	return d
}

func code(p *report.Problem) string {
	if p == nil {
		return ""
	}
	return p.Code
}

func (a *Agent) claimed(ev Claimed) {
	if ev.Gen != a.gen || a.phase != Claiming {
		return
	}
	a.session = ev.Claimed
	a.link.sessionID, a.link.ticket, a.lastSession = ev.SessionID, "", ev.SessionID
	a.seq, a.nonce, a.after = ev.Seq, ev.Nonce, 0
	a.everJudged, a.fresh, a.failures = false, false, 0
	a.view = View{SessionID: ev.SessionID, Assurance: ev.Assurance}
	a.setStatus(ev.Status, ev.Epoch)
	a.enter(Preparing)
	a.poll()
	a.fetch(ev.PolicyETag)
	a.collect()
}

// fetch gets a policy unless it is there or on its way.
func (a *Agent) fetch(etag string) {
	if etag == "" || a.policy != nil && a.policy.ETag == etag {
		a.bind()
		return
	}
	if a.fetching == etag {
		return
	}
	a.fetching = etag
	a.emit(FetchPolicy{Gen: a.gen, Appliance: a.link.appliance, ETag: etag})
}

func (a *Agent) policyFetched(ev PolicyFetched) {
	if ev.Gen != a.gen || ev.Policy.ETag != a.fetching {
		return
	}
	a.fetching = ""
	a.policy = &ev.Policy
	a.bind()
}

// bind: without a policy the agent goes on; it reports all it can and the appliance
// judges.
func (a *Agent) bind() {
	first := a.phase == Preparing
	if first {
		a.enter(Bound)
		a.renew()
	}
	if first || a.policy != nil && a.surveyed != a.policy.ETag {
		a.survey()
	}
}

// renew asks for a newer build of the agent, where it may be renewed.
func (a *Agent) renew() {
	if a.cfg.Renew {
		a.renewAt = a.now.Add(renewEvery)
		a.emit(Renew{Appliance: a.link.appliance, SessionID: a.session.SessionID})
	}
}

// leave ends the link: what is under way for it is abandoned, and the search begins
// after a pause. Blocked devices stay blocked.
func (a *Agent) leave(why string) {
	a.gen++
	a.emit(Abandon{Gen: a.gen})
	a.note(why)
	a.searching, a.searchAgain, a.polling, a.fetching, a.sending = false, false, false, "", nil
	a.claimAt, a.retryAt, a.beatAt = time.Time{}, time.Time{}, time.Time{}
	a.pollAt, a.calmAt = time.Time{}, time.Time{}
	a.want, a.results, a.everJudged, a.failures = "", nil, false, 0
	a.surveyAt, a.holdAt, a.witness = time.Time{}, time.Time{}, nil
	a.cool, a.refused, a.shown = map[string]*cooling{}, map[string]bool{}, map[string]bool{}
	a.enter(Searching)
	a.searchAt = a.now.Add(a.wait(&a.searchPause))
}

// sessionOver is the appliance's word that the session is no more.
func (a *Agent) sessionOver(why string) {
	a.giveBack("the session is over")
	a.lastSession, a.view, a.link = "", View{}, link{}
	a.leave(why)
}

// failed sorts failures. Some end the link whatever was being done.
func (a *Agent) failed(ev Failed) {
	if ev.Gen != a.gen {
		return
	}
	if ev.Doing == DoingClaim {
		a.claimFailed(ev)
		return
	}
	switch code(ev.Problem) {
	case report.CodeSessionEnded:
		a.sessionOver(ev.Err)
		return
	case report.CodeUnknownSession, report.CodeNotBound, report.CodeBadSignature, report.CodeAddressMismatch, report.CodeReplay:
		// A new claim binds the key and tells the last number, or is told that the
		// session is really over.
		a.leave(ev.Err)
		return
	}
	switch ev.Doing {
	case DoingPolicy:
		a.note(ev.Err)
		a.fetching = ""
		a.bind()
	case DoingPoll:
		a.polling, a.calmAt = false, time.Time{}
		a.lostOr(ev, func() { a.pollAt = a.now.Add(a.pauseAfter(ev.Problem, &a.retry)) })
	case DoingReport:
		a.reportFailed(ev)
	}
}

// lostOr counts failures to reach the appliance in a row and gives the link up after
// some; before that, later is what to do.
func (a *Agent) lostOr(ev Failed, later func()) {
	a.note(ev.Err)
	if ev.Problem == nil {
		a.failures++
	}
	if a.failures >= failuresMax {
		a.leave("the appliance is lost: " + ev.Err)
		return
	}
	later()
}

// giveBack un-blocks what the agent holds, if it holds anything.
func (a *Agent) giveBack(why string) {
	a.disarm()
	if a.holding {
		a.emit(Unblock{Why: why})
	}
}

func (a *Agent) unblocked(ev Unblocked) {
	if ev.Err == "" {
		a.holding = false
	} else {
		a.note(ev.Err)
	}
	a.collect()
}

func (a *Agent) poll() {
	if a.polling || a.cfg.Once {
		return
	}
	a.polling, a.pollAt = true, time.Time{}
	if a.view.Problem != "" {
		a.calmAt = a.now.Add(calmAfter)
	}
	a.emit(Poll{Gen: a.gen, Appliance: a.link.appliance, SessionID: a.session.SessionID, After: a.after})
}

// calm: the appliance answers, or has let a poll wait for longer than a connection
// takes to fail, so it is there.
func (a *Agent) calm() {
	a.failures, a.calmAt = 0, time.Time{}
	if a.sending == nil {
		a.note("")
	}
}

// heard reads events in the order of their numbers and leaves out those read before.
// An answer that counts from below what was read comes from an appliance that began
// to count anew.
func (a *Agent) heard(ev Heard) {
	if ev.Gen != a.gen || a.phase < Preparing {
		return
	}
	a.polling = false
	a.calm()
	before := a.after
	if ev.Events.After < before {
		before = 0
	}
	a.after = ev.Events.After
	events := slices.Clone(ev.Events.Events[:min(len(ev.Events.Events), eventsMax)])
	slices.SortStableFunc(events, func(x, y report.Event) int { return int(min(max(int64(x.Seq)-int64(y.Seq), -1), 1)) })
	for _, e := range events {
		if e.Seq > before {
			a.told(e)
		}
		if a.phase < Preparing {
			return
		}
	}
	a.poll()
}

func (a *Agent) told(e report.Event) {
	if e.Kind == report.EventEnd {
		a.sessionOver(strings.TrimSuffix("the session ended: "+e.Message, ": "))
		return
	}
	a.show(e.Message)
	switch e.Kind {
	case report.EventRecheck:
		a.wantReport(report.TriggerPeriodic)
	case report.EventPolicy:
		a.renew()
		a.fetch(e.ETag)
		a.wantReport(report.TriggerPeriodic)
	case report.EventStatus:
		a.setStatus(e.Status, e.Epoch)
	}
}

// setStatus takes the appliance's word; older news loses.
func (a *Agent) setStatus(status string, epoch uint64) {
	if status == "" || epoch < a.view.Epoch {
		return
	}
	if status != a.view.Status {
		a.view.Status, a.view.StatusSince = status, a.now
	}
	a.view.Epoch = epoch
}
