package core

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"sallyport/netio/report"
)

// sending is the report under way.
type sending struct {
	seq       uint64
	trigger   string
	facts     report.Facts
	testimony bool // of a witness
	digest    [sha256.Size]byte
	results   int // how many of a.results it carries
	stale     int // nonces in a row that were stale
	body      []byte
}

// staleMax bounds how often a stale nonce is answered at once.
const staleMax = 3

func (a *Agent) wantReport(trigger string) {
	a.want, a.fresh = trigger, false
	a.collect()
	a.survey()
}

// advance makes a report when there is a reason, facts are there, and none is under way.
func (a *Agent) advance() {
	a.testify()
	if a.phase != Bound || a.sending != nil || a.facts == nil {
		return
	}
	if trigger := a.trigger(); trigger != "" {
		a.makeReport(trigger)
	}
}

// trigger is the reason for a report now, if any. While an action runs, the changes it
// makes are not reported one by one.
func (a *Agent) trigger() string {
	switch {
	case !a.fresh || a.fetching != "" || !a.holdAt.IsZero():
		return ""
	case a.surveying && (!a.everJudged || a.surveyed != a.policy.ETag):
		return "" // the first report by a policy has everything
	case !a.everJudged:
		return report.TriggerInitial
	case len(a.results) > 0 && !a.mending() && !(a.mended && a.surveying):
		return report.TriggerRemediated
	case a.want != "" && !a.surveying:
		return a.want
	case !a.mending() && digest(a.offered()) != a.judged:
		return report.TriggerEvent
	}
	return ""
}

// mending says that USB storage is being taken away or given back. A program that runs for
// minutes holds no report up.
func (a *Agent) mending() bool {
	for _, action := range a.running {
		if aboutUSB(action.Verb) {
			return true
		}
	}
	return false
}

func (a *Agent) makeReport(trigger string) {
	a.want, a.mended = "", a.mended && a.surveying
	a.reportOf(trigger, a.offered())
}

// reportOf makes and sends a report of the facts.
func (a *Agent) reportOf(trigger string, facts report.Facts) {
	a.seq++
	r := report.Report{V: report.Version, SessionID: a.session.SessionID, Seq: a.seq, Nonce: a.nonce, BootID: a.cfg.BootID,
		MonoMS: a.now.Sub(a.start).Milliseconds(), Wall: a.now.UTC(), Trigger: trigger, Agent: a.cfg.Agent, System: a.cfg.System,
		Facts: copied(facts), Actions: slices.Clone(a.results)}
	if a.policy != nil {
		r.PolicyETag = a.policy.ETag
	}
	body, err := r.Encode()
	if err != nil { // a time outside RFC 3339 is the one value that cannot be written
		a.note(fmt.Sprintf("the report cannot be written: %v", err))
		return
	}
	stale, testimony := 0, false
	if a.sending != nil {
		stale, testimony = a.sending.stale, a.sending.testimony
	}
	a.sending = &sending{seq: a.seq, trigger: trigger, facts: facts, testimony: testimony, digest: digest(facts), results: len(a.results), stale: stale, body: body}
	a.send()
}

// copied is facts whose groups may be changed: bounds are applied in place, and a View
// may be reading. The lists were tidied when they came in, so that only what does not fit
// is left out now.
func copied(f report.Facts) report.Facts {
	if f.USB != nil {
		usb := *f.USB
		usb.Devices = slices.Clone(usb.Devices)
		f.USB = &usb
	}
	f.Files, f.Registry, f.Services = clone(f.Files), clone(f.Registry), clone(f.Services)
	f.Processes, f.Packages, f.Patch = clone(f.Processes), clone(f.Packages), clone(f.Patch)
	f.Encryption, f.Firewall, f.AntiMalware = clone(f.Encryption), clone(f.Firewall), clone(f.AntiMalware)
	f.Hardware, f.Scripts = clone(f.Hardware), clone(f.Scripts)
	return f
}

func clone[G any](g *G) *G {
	if g == nil {
		return nil
	}
	c := *g
	return &c
}

func (a *Agent) send() {
	a.emit(Send{Gen: a.gen, Seq: a.sending.seq, Appliance: a.link.appliance, SessionID: a.session.SessionID, Body: a.sending.body})
}

// reportFailed: the same octets again later, except where the appliance wants others.
func (a *Agent) reportFailed(ev Failed) {
	if a.sending == nil || ev.Seq != a.sending.seq {
		return
	}
	switch code(ev.Problem) {
	case report.CodeStaleNonce:
		if ev.Problem.Nonce != "" && a.sending.stale < staleMax {
			a.nonce = ev.Problem.Nonce
			a.sending.stale++
			a.reportOf(a.sending.trigger, a.sending.facts)
			return
		}
		a.leave(ev.Err)
	case report.CodeMalformed, report.CodeTooLarge, report.CodeVersion:
		// The same will be refused again: wait for other facts or the heartbeat.
		a.note(ev.Err)
		a.judged, a.everJudged = a.sending.digest, true
		a.results = nil
		a.sending = nil
		a.beat(0)
	default:
		a.lostOr(ev, func() { a.retryAt = a.now.Add(a.pauseAfter(ev.Problem, &a.retry)) })
	}
}

func (a *Agent) judge(ev Judged) {
	if ev.Gen != a.gen || a.sending == nil || ev.Seq != a.sending.seq {
		return
	}
	v := ev.Verdict
	done := a.sending
	a.sending, a.retryAt, a.failures = nil, time.Time{}, 0
	a.searchPause, a.retry = pause{}, pause{}
	a.note("")
	a.nonce, a.judged, a.everJudged, a.armed = v.Nonce, done.digest, true, true
	if done.digest == digest(a.offered()) {
		a.dealt = done.digest
	}
	if done.testimony {
		a.holdAt = a.now.Add(mendedAfter)
	}
	if done.results > 0 {
		a.view.Actions = a.results[:done.results]
	}
	a.results = a.results[done.results:]
	a.setStatus(v.Status, v.Epoch)
	a.view.ReportAt, a.view.Trigger, a.view.DecisionID = a.now, done.trigger, v.DecisionID
	a.view.Requirements, a.view.Message = v.Requirements, v.Message
	a.beat(v.NextS)
	if v.PolicyETag != "" {
		a.fetch(v.PolicyETag)
	}
	if v.Message == "" && !slices.ContainsFunc(v.Actions, func(x report.Action) bool { return x.Message != "" }) {
		clear(a.shown)
	}
	a.show(v.Message)
	a.obey(v.Actions, done)
}

// beat sets the time of the next report that has no other reason.
func (a *Agent) beat(nextS int) {
	if a.cfg.Heartbeat > 0 {
		a.beatAt = a.now.Add(a.cfg.Heartbeat)
		return
	}
	every := time.Duration(nextS) * time.Second
	if every == 0 && a.policy != nil {
		every = time.Duration(a.policy.HeartbeatS) * time.Second
	}
	if every <= 0 || every > heartbeatMax {
		every = heartbeatDefault
	}
	a.beatAt = a.now.Add(max(every, heartbeatMin))
}
