package posture

import (
	"fmt"
	"slices"
	"time"

	"sallyport/engine/expr"
	"sallyport/ops/config"
)

// verdict is what a condition says of facts, best first: all of several conditions is
// the greatest of their verdicts, any of them the least.
type verdict uint8

const (
	pass verdict = iota
	cannotTell
	fail
)

// String is the verdict as reports show it.
func (v verdict) String() string {
	switch v {
	case pass:
		return "pass"
	case fail:
		return "fail"
	}
	return "cannot tell"
}

// condition is one compiled condition. One of usb, items, when and compound is set.
type condition struct {
	name   string
	pos    config.Pos
	os     systems       // elsewhere it cannot tell
	maxAge time.Duration // 0: as long as the report is believed

	usb      *usbCondition
	items    *itemTest
	when     *expr.Condition
	compound *node

	sources  []source // that it looks at, those of its parts included
	probes   []probe  // what the agent must look for
	children []int    // conditions that a compound names
}

// judge holds the condition against facts that are there and fresh enough for the policy.
func (c *condition) judge(j *judgement) (verdict, string) {
	e := j.evidence
	if len(c.os) > 0 && !c.os.includes(e.session.OS) {
		return cannotTell, fmt.Sprintf("the condition is for %s, and the endpoint runs %s", c.os.words(), orWord(e.session.OS, "nobody knows what"))
	}
	if old := e.now.Sub(e.at); c.maxAge > 0 && old > c.maxAge {
		return cannotTell, "the facts are " + age(old) + " old, at most " + age(c.maxAge) + " are allowed"
	}
	switch {
	case c.usb != nil:
		return c.usb.judge(e.facts.USB, e.storage())
	case c.items != nil:
		return c.items.judge(e)
	case c.compound != nil:
		return c.compound.judge(j)
	}
	return c.judgeSession(e)
}

// judgeSession evaluates a condition over the session.
func (c *condition) judgeSession(e *evidence) (verdict, string) {
	holds, err := c.when.Eval(&e.session)
	switch {
	case err != nil:
		return cannotTell, err.Error()
	case holds:
		return pass, ""
	}
	return fail, c.when.Text().Value + " does not hold"
}

// Part is one comparison of a condition with one observation, as explain shows it.
type Part struct {
	Of     string `json:"of"`   // the observation: service ssh.service
	What   string `json:"what"` // its property: state
	Have   string `json:"have"`
	Want   string `json:"want"`
	Result string `json:"result"` // pass, fail, cannot tell
}

// parts shows what the condition compared, and how each comparison came out.
func (c *condition) parts(j *judgement) []Part {
	switch {
	case c.usb != nil:
		return c.usb.parts(j.evidence)
	case c.items != nil:
		return c.items.parts(j.evidence)
	case c.compound != nil:
		return c.compound.listed(j, nil)
	}
	var out []Part
	for _, p := range c.when.Trace(&j.evidence.session).Parts {
		result := fail
		switch p.Value {
		case "true":
			result = pass
		case "false":
		default:
			result = cannotTell
		}
		have := ""
		for _, read := range p.Read {
			have += read.Name + " " + read.Value + " "
		}
		out = append(out, Part{Of: "the session", What: "expression", Have: have, Want: p.Text, Result: result.String()})
	}
	return out
}

// includes says whether an endpoint of the system may be judged: one that nobody told
// may not.
func (s systems) includes(os string) bool { return slices.Contains(s, os) }

func (s systems) words() string {
	out := ""
	for i, one := range s {
		if i > 0 {
			out += ", "
		}
		out += one
	}
	return out
}
