package core

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"time"

	"sallyport/netio/report"
)

// cooling is an action that was carried out and asked for again with the same facts:
// repeating it at once would change nothing, so it is repeated with growing pauses.
type cooling struct {
	action report.Action
	facts  [sha256.Size]byte // judged when it was last carried out, afterwards
	pause  time.Duration
	at     time.Time // of the repetition; zero: none is wanted
	left   int       // repetitions that the appliance grants, of what is not about USB
}

// results of actions, as in report.ActionResult.
const (
	resultDone    = "done"
	resultRefused = "refused"
)

// obey starts what a verdict asks for. Automatic actions of the closed list run at once,
// manual ones are shown, unknown ones are refused and that is reported.
func (a *Agent) obey(actions []report.Action, judged *sending) {
	before := a.cool
	a.cool = map[string]*cooling{} // what this verdict does not ask for starts afresh next time
	for _, action := range actions[:min(len(actions), actionsMax)] {
		a.show(action.Message)
		switch {
		case action.Verb == report.VerbMessage:
		case !slices.Contains(report.Verbs(), action.Verb):
			a.refuse(action, "this agent does not know the action "+action.Verb)
		case action.Mode == modeManual:
		case aboutUSB(action.Verb):
			a.begin(action, judged, before)
		default:
			a.try(action, before)
		}
	}
}

func aboutUSB(verb string) bool { return verb == report.VerbUSBBlock || verb == report.VerbUSBUnblock }

// keyOf is what makes an action the same as one of an earlier verdict.
func keyOf(action *report.Action) string {
	return action.Verb + " " + action.Requirement + " " + action.Target + " " + action.SHA256
}

// try carries out what is not about USB: once, and again as often as the appliance grants,
// its interval apart, for as long as it goes on asking. The facts, which change all the time,
// say nothing about whether that is worth while. An appliance that asks no more, and then
// again, has something new to mend.
func (a *Agent) try(action report.Action, before map[string]*cooling) {
	key := keyOf(&action)
	c := before[key]
	if c == nil {
		a.cool[key] = &cooling{left: action.Retries}
		a.run(action)
		return
	}
	a.cool[key] = c
	if _, running := a.running[action.ID]; running || c.left == 0 || !c.at.IsZero() {
		return
	}
	c.action, c.at = action, a.now.Add(cmp.Or(time.Duration(action.IntervalS)*time.Second, coolFirst))
}

// modeManual is an action left to the person.
const modeManual = "manual"

func (a *Agent) begin(action report.Action, judged *sending, before map[string]*cooling) {
	key := keyOf(&action)
	c := before[key]
	_, running := a.running[action.ID]
	switch {
	case running:
		a.cool[key] = cmp.Or(c, &cooling{facts: judged.digest, pause: coolFirst})
	case c == nil && a.reflexed == judged.digest:
		// The reflex did it already; again if the next verdict still asks.
		a.cool[key] = &cooling{action: action, facts: judged.digest, pause: 2 * coolFirst, at: a.now.Add(coolFirst)}
	case c != nil && c.facts == judged.digest:
		c.at, c.action = a.now.Add(c.pause), action
		c.pause = min(2*c.pause, coolMax)
		a.cool[key] = c
	default:
		a.cool[key] = &cooling{facts: judged.digest, pause: coolFirst}
		a.run(action)
	}
}

// refuse reports, once per session, that an action is not of the closed list.
func (a *Agent) refuse(action report.Action, why string) {
	if a.refused[action.Verb] || len(a.refused) == actionsMax {
		return
	}
	a.refused[action.Verb] = true
	a.results = append(a.results, report.ActionResult{ID: action.ID, Result: resultRefused, Error: why})
}

func (a *Agent) run(action report.Action) { a.begun(action, false) }

func (a *Agent) begun(action report.Action, reflex bool) {
	if action.Verb == report.VerbUSBBlock {
		a.holding = true
	}
	a.running[action.ID] = action
	a.emit(Run{Action: action, Reflex: reflex, Appliance: a.link.appliance})
}

// repeatActions carries out again what cooled down.
func (a *Agent) repeatActions() {
	for _, key := range sortedKeys(a.cool) {
		if c := a.cool[key]; a.due(&c.at) && a.phase == Bound {
			c.left--
			a.run(c.action)
		}
	}
}

// actionEnded: the result goes with the next report, after another look. The result of
// an action of an older session is nobody's business any more.
func (a *Agent) actionEnded(ev ActionEnded) {
	action, ok := a.running[ev.Result.ID]
	if !ok {
		return
	}
	delete(a.running, ev.Result.ID)
	if c := a.cool[keyOf(&action)]; c != nil && ev.Result.Result == resultRefused {
		c.left = 0 // what is refused now is refused again
	}
	if action.Verb == report.VerbUSBUnblock && ev.Result.Result == resultDone {
		a.holding = false
	}
	if a.phase == Bound && a.everJudged {
		a.results = append(a.results, ev.Result)
	}
	if !aboutUSB(action.Verb) { // it may have mended anything
		a.mended = true
		a.survey()
	}
	a.fresh = false
	a.collect()
}
