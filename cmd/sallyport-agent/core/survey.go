package core

import (
	"slices"
	"time"

	"sallyport/netio/report"
)

// surveyEvery is how often everything but USB is looked at: a service that was stopped
// is told within a minute, and a look costs little (it was seen to take 0.1 s).
const surveyEvery = time.Minute

// survey looks at what the policy asks for besides USB storage; one look at a time.
func (a *Agent) survey() {
	if a.policy == nil || !slices.ContainsFunc(a.policy.Collect, func(kind string) bool { return kind != report.KindUSB }) {
		return
	}
	if a.surveying {
		a.surveyAgain = true
		return
	}
	a.surveying, a.surveyAt = true, time.Time{}
	a.emit(Survey{Policy: *a.policy, Appliance: a.link.appliance})
}

// surveyEnded takes what was found, unless another policy came meanwhile.
func (a *Agent) surveyEnded(ev Surveyed) {
	a.surveying = false
	if a.policy == nil || a.policy.ETag != ev.ETag || a.surveyAgain {
		a.surveyAgain = false
		a.survey()
	}
	if a.policy == nil || a.policy.ETag != ev.ETag {
		return
	}
	bounded := report.Report{Facts: ev.Facts}
	bounded.Tidy() // now, so that equal facts have equal digests
	bounded.Facts.USB = nil
	a.others, a.surveyed = &bounded.Facts, ev.ETag
	if !a.surveying {
		a.surveyAt = a.now.Add(surveyEvery)
	}
}
