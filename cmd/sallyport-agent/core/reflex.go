package core

import (
	"crypto/sha256"
	"slices"
	"time"

	"sallyport/netio/report"
)

// A reflex is an action that the agent begins by itself, because the policy it holds
// would have it asked for as soon as the facts are judged: a disk is blocked while its
// report is still on its way. It needs a session that was judged before, so that the
// appliance's first word is always its own, and lasts until that session is over by the
// appliance's word: a network that is gone must not open the door to a stick.

// reflexive is the policy's mandatory, automatic block, or nil.
func (a *Agent) reflexive() *report.Action {
	if a.policy == nil || !a.armed || a.cfg.Observe || a.policy.USB != nil && a.policy.USB.Mode == report.USBObserve {
		return nil
	}
	for i := range a.policy.Requirements {
		r := &a.policy.Requirements[i]
		if x := r.Remediation; x != nil && r.Enforcement == "mandatory" && x.Verb == report.VerbUSBBlock && x.Mode != modeManual {
			return x
		}
	}
	return nil
}

// reflex looks at facts that just came in.
func (a *Agent) reflex() {
	action := a.reflexive()
	if action == nil || a.facts.USB == nil || !usable(a.facts.USB, action.Allow) {
		a.dealt = [sha256.Size]byte{} // the same stick again is a new one
		return
	}
	if a.mending() {
		return
	}
	facts := a.offered()
	now := digest(facts)
	if a.dealt == now { // it was tried with these, or the appliance had its say about them
		return
	}
	a.dealt, a.reflexed = now, now
	if a.phase == Bound {
		a.witness = &facts // it has to be told, though the block may end it before a report can leave
		a.testify()
	}
	a.begun(*action, true)
}

// Reflex is the action that the agent may begin by itself now; nil: none.
func (a *Agent) Reflex() *report.Action { return a.reflexive() }

// Control is how the policy of the session has USB storage handled; nil: it does not say,
// or there is no session.
func (a *Agent) Control() *report.USBControl {
	if a.policy == nil || a.lastSession == "" {
		return nil
	}
	return a.policy.USB
}

// struck: a device was blocked as it appeared, before anybody could look. It is told as
// it was seen.
func (a *Agent) struck(ev Struck) {
	a.holding = true
	a.running[ev.Action.ID] = ev.Action
	if a.phase != Bound || a.facts == nil {
		return
	}
	facts := a.offered()
	usb := report.USB{}
	if facts.USB != nil {
		usb.Error = facts.USB.Error
		usb.Devices = slices.DeleteFunc(slices.Clone(facts.USB.Devices), func(d report.USBDevice) bool { return d.Port == ev.Device.Port })
	}
	usb.Devices = append(usb.Devices, ev.Device)
	facts.USB = &usb
	bounded := report.Report{Facts: facts}
	bounded.Tidy()
	a.witness, a.reflexed = &bounded.Facts, digest(bounded.Facts)
	a.testify()
}

// usable says whether some device could be used and is not allowed.
func usable(usb *report.USB, allow []string) bool {
	for i := range usb.Devices {
		if d := &usb.Devices[i]; d.State == report.USBActive && !d.AllowedBy(allow) {
			return true
		}
	}
	return false
}

// testify reports facts that a reflex ended, when no report is under way.
func (a *Agent) testify() {
	if a.witness == nil || a.phase != Bound || a.sending != nil || a.fetching != "" {
		return
	}
	facts := *a.witness
	a.witness, a.holdAt = nil, time.Time{}
	a.reportOf(report.TriggerEvent, facts)
	a.sending.testimony = true
}

// mendedAfter is how long the agent waits, after it was told what a witness brought about,
// before it tells that all is well again: the NAS is told first, as people and logs expect.
// A quicker word would overtake the change on its way.
const mendedAfter = 250 * time.Millisecond

// disarm ends the reflexes: there is no session any more.
func (a *Agent) disarm() {
	a.armed, a.witness, a.dealt, a.reflexed = false, nil, [sha256.Size]byte{}, [sha256.Size]byte{}
}
