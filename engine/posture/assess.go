package posture

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/netio/report"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// Assess judges facts at a moment. Without any facts an endpoint that must meet
// something is Pending: nobody has looked at it. With facts older than the policy
// believes, every condition fails, whatever cannot-tell says: that is for what an agent
// cannot see, not for silence.
func (p *Policy) Assess(now time.Time, in Input) Assessment {
	m := p.match(&in.Session)
	a := Assessment{Errors: m.errors}
	if len(m.requirements) == 0 {
		a.Status = p.defaultStatus
		a.Actions = unblock(in.Facts, m)
		return a
	}
	j := judgement{policy: p, silence: p.silence(now, &in), known: make([]judged, len(p.conditions)), evidence: gather(now, &in)}
	defer j.evidence.release()
	a.Rules = make([]RuleResult, 0, len(m.requirements))
	a.Status = sessions.Compliant
	var messages []string
	for _, r := range m.requirements {
		result, blockable := j.requirement(r)
		a.Rules = append(a.Rules, result)
		if result.Status != Failed {
			continue
		}
		if r.enforcement == config.Mandatory {
			if a.Status == sessions.Compliant || r.rule.grace < a.Grace {
				a.Grace = r.rule.grace
			}
			a.Status = sessions.NonCompliant
		}
		if r.enforcement != config.Audit {
			messages = appendNew(messages, r.message(&result))
			a.Actions = appendAction(a.Actions, r.requirement, blockable)
		}
	}
	a.Message = strings.Join(messages, "\n")
	if in.Facts == nil {
		a.Status, a.Actions, a.Message = sessions.Pending, nil, ""
		return a
	}
	a.ValidUntil = in.FactsAt.Add(p.reportValid)
	a.Actions = append(a.Actions, unblock(in.Facts, m)...)
	return a
}

// silence says in words why no fact can be believed; empty when they can.
func (p *Policy) silence(now time.Time, in *Input) string {
	if in.Facts == nil {
		return "no report was received"
	}
	if age := now.Sub(in.FactsAt); age > p.reportValid {
		return fmt.Sprintf("the report is %s old, and believed for %s", age.Round(time.Second), p.reportValid)
	}
	return ""
}

// judged is what one condition said; every condition is judged once an assessment.
type judged struct {
	done    bool
	verdict verdict
	reason  string // with the condition's name
}

// judgement is one assessment under way.
type judgement struct {
	policy   *Policy
	evidence *evidence
	silence  string
	known    []judged
}

func (j *judgement) condition(i int) *judged {
	k := &j.known[i]
	if k.done {
		return k
	}
	c := &j.policy.conditions[i]
	k.done = true
	if j.silence != "" && c.when == nil {
		k.verdict, k.reason = cannotTell, j.silence
	} else {
		k.verdict, k.reason = c.judge(j)
	}
	switch k.verdict {
	case fail:
		k.reason = c.name + ": " + k.reason
	case cannotTell:
		k.reason = c.name + " cannot tell: " + k.reason
	}
	return k
}

// requirement holds one requirement against the facts. failed says that a condition
// did fail, rather than being unable to tell.
func (j *judgement) requirement(r *applied) (result RuleResult, failed bool) {
	result = RuleResult{
		Rule: r.rule.name, Requirement: r.name, Enforcement: r.enforcement, Status: Passed,
		Remediation: r.remediationName, Pos: r.rule.pos,
	}
	passed := 0
	for _, i := range r.conditions {
		if j.condition(i).verdict == pass {
			passed++
		}
	}
	if passed == len(r.conditions) { // nothing to tell apart: the policy's own list will do
		result.Passed = slices.Clip(r.conditionNames)
		return result, false
	}
	if len(r.conditions) == 1 && (j.silence != "" || !r.skipsUnknown) { // the same, the other way round
		k := j.condition(r.conditions[0])
		result.Status, result.Failed, result.Reason = Failed, slices.Clip(r.conditionNames), k.reason
		return result, k.verdict == fail
	}
	var reasons []string
	for _, i := range r.conditions {
		name := j.policy.conditions[i].name
		k := j.condition(i)
		switch {
		case k.verdict == pass:
			result.Passed = append(result.Passed, name)
			continue
		case k.verdict == cannotTell && r.skipsUnknown && j.silence == "":
			result.Skipped = append(result.Skipped, name)
		default:
			failed = failed || k.verdict == fail
			result.Failed = append(result.Failed, name)
		}
		reasons = append(reasons, k.reason)
	}
	result.Status = Skipped
	if len(result.Failed) > 0 {
		result.Status = Failed
	}
	result.Reason = strings.Join(reasons, "; ")
	return result, failed
}

// message is what the person at the endpoint reads about a requirement that failed.
func (r *applied) message(result *RuleResult) string {
	if r.remediation != nil && r.remediation.Message != "" {
		return r.remediation.Message
	}
	return r.name + " is not met. " + result.Reason
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// appendAction adds a requirement's remediation once. Blocking is asked for only when
// something was seen that can be blocked.
func appendAction(actions []report.Action, r *requirement, blockable bool) []report.Action {
	if r.remediation == nil || r.blocksUSB && !blockable {
		return actions
	}
	if slices.ContainsFunc(actions, func(a report.Action) bool { return a.ID == r.remediation.ID }) {
		return actions
	}
	return append(actions, *r.remediation)
}

// unblock gives devices back that are held blocked for no requirement any more.
func unblock(f *report.Facts, m *match) []report.Action {
	if f == nil || f.USB == nil || m.blocksUSB {
		return nil
	}
	for i := range f.USB.Devices {
		if f.USB.Devices[i].State == report.USBBlocked {
			return []report.Action{{ID: "policy/" + report.VerbUSBUnblock, Verb: report.VerbUSBUnblock, Mode: modeAutomatic}}
		}
	}
	return nil
}
