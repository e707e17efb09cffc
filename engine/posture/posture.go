// Package posture judges endpoints: facts, policy and time in, assessment out. It opens
// nothing and knows no clock, so that the appliance, explain, the policy tests and a
// replay run the very same code.
//
//	facts      what the agent saw                        report.Facts
//	condition  a test on facts: pass, fail, cannot tell  USB_Check
//	requirement  conditions that must all hold, and a remediation
//	rule       which requirements are for which endpoints; all rules that match apply
//	assessment   NonCompliant when a mandatory requirement failed, else Compliant
//
// Doubt never opens a gate. Facts that are missing or too old pass no condition; a rule
// that cannot be evaluated applies; an endpoint whose system nobody told is asked for
// everything that any system must meet.
package posture

import (
	"time"

	"sallyport/engine/expr"
	"sallyport/netio/report"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// Input is what one assessment looks at.
type Input struct {
	Session expr.Input
	Facts   *report.Facts  // nil: no report was received
	FactsAt time.Time      // when the report arrived here
	System  *report.System // what the endpoint's system calls itself; nil: not told
}

// Statuses of a requirement in an assessment.
const (
	Passed  = "passed"
	Failed  = "failed"
	Skipped = "skipped" // a condition could not tell, and the requirement lets that be
)

// RuleResult is how one requirement of one rule came out.
type RuleResult struct {
	Rule        string
	Requirement string
	Enforcement string // mandatory, optional, audit
	Status      string // passed, failed, skipped
	Passed      []string
	Failed      []string
	Skipped     []string
	Reason      string     // why it did not pass, in words; empty when it did
	Remediation string     // its name; empty when there is none
	Pos         config.Pos // of the rule
}

// Assessment is one judgement.
type Assessment struct {
	Status     sessions.PostureStatus
	ValidUntil time.Time // when the facts are too old; zero when there are none
	Rules      []RuleResult
	Actions    []report.Action
	Grace      time.Duration // the least that the rules of failed mandatory requirements give; 0: none, or nothing failed
	Message    string        // for the person at the endpoint; empty when nothing is wanted
	Errors     []string      // rules that could not be evaluated, and so applied
}

// Policy is a compiled posture policy. It is immutable and safe for use by many.
type Policy struct {
	conditions    []condition
	rules         []rule
	reads         expr.Vars
	defaultStatus sessions.PostureStatus
	reportValid   time.Duration
	heartbeat     time.Duration
	times         times
	control       *report.USBControl
	publishers    []report.Publisher
	reassess      []reassessment
	memo          *memo
}

// rule is one rule with its requirements.
type rule struct {
	name         string
	pos          config.Pos
	os           systems
	groups       []string // any of them; empty: everybody
	kinds        []string // of agent; empty: any
	when         *expr.Condition
	grace        time.Duration
	requirements []requirement
}

// requirement is one requirement as one rule enforces it.
type requirement struct {
	name            string
	enforcement     string
	os              systems
	conditions      []int // in Policy.conditions
	conditionNames  []string
	remediationName string
	remediation     *report.Action // nil: none
	blocksUSB       bool
	skipsUnknown    bool // a condition that cannot tell is let be
}

// systems is a set of operating systems; the empty set is all.
type systems []string

func (s systems) has(os string) bool {
	if len(s) == 0 || os == "" {
		return true // nobody told: it may be any of them
	}
	for _, one := range s {
		if one == os {
			return true
		}
	}
	return false
}

// DefaultStatus is the status of an endpoint that no requirement is for.
func (p *Policy) DefaultStatus() sessions.PostureStatus { return p.defaultStatus }

// Applies says whether any requirement is, or may be, for the endpoint.
func (p *Policy) Applies(in *Input) bool { return len(p.match(&in.Session).requirements) > 0 }
