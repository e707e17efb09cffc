package posture

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/engine/expr"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// Explanation says why an endpoint is judged as it is: rule by rule, requirement by
// requirement, down to each fact and what it was compared with.
type Explanation struct {
	Status  string      `json:"status"`
	Facts   string      `json:"facts"` // how old they are, or why none can be believed
	AgeS    float64     `json:"facts_age,omitempty"`
	Rules   []RuleWhy   `json:"rules"`
	Changes []string    `json:"changes,omitempty"` // the fewest conditions that would have to turn for Compliant
	Result  *Assessment `json:"-"`
}

// RuleWhy is one posture rule: whether it is for the endpoint, and what it asks.
type RuleWhy struct {
	Rule         string           `json:"rule"`
	Pos          config.Pos       `json:"pos"`
	Applies      bool             `json:"applies"`
	Why          string           `json:"why"`
	Parts        []expr.Part      `json:"parts,omitempty"` // of its expression
	Requirements []RequirementWhy `json:"requirements,omitempty"`
}

// RequirementWhy is one requirement of a rule.
type RequirementWhy struct {
	Name        string         `json:"name"`
	Enforcement string         `json:"enforcement"`
	Status      string         `json:"status"`
	CannotTell  string         `json:"cannot_tell"` // fail or skip: what it makes of that
	Remediation string         `json:"remediation,omitempty"`
	Message     string         `json:"message,omitempty"` // for the person, when it is not met
	Conditions  []ConditionWhy `json:"conditions"`
}

// ConditionWhy is one condition with what it compared.
type ConditionWhy struct {
	Name   string     `json:"name"`
	Pos    config.Pos `json:"pos"`
	Result string     `json:"result"`
	Reason string     `json:"reason,omitempty"`
	AgeS   float64    `json:"facts_age"` // of the facts it looked at
	Parts  []Part     `json:"parts,omitempty"`
}

// Explain judges anew, and shows every step.
func (p *Policy) Explain(now time.Time, in Input) Explanation {
	a := p.Assess(now, in)
	x := Explanation{Status: a.Status.String(), Facts: p.silence(now, &in), Result: &a}
	j := judgement{policy: p, silence: x.Facts, known: make([]judged, len(p.conditions)), evidence: gather(now, &in)}
	defer j.evidence.release()
	if in.Facts != nil {
		x.AgeS = now.Sub(in.FactsAt).Seconds()
	}
	if x.Facts == "" {
		x.Facts = "the report is " + age(now.Sub(in.FactsAt)) + " old, and believed for " + p.reportValid.String()
	}
	for i := range p.rules {
		x.Rules = append(x.Rules, j.explainRule(&p.rules[i], &in.Session))
	}
	if a.Status == sessions.NonCompliant || a.Status == sessions.Pending {
		x.Changes = j.changes(p.match(&in.Session))
	}
	return x
}

func (j *judgement) explainRule(r *rule, in *expr.Input) RuleWhy {
	w := RuleWhy{Rule: r.name, Pos: r.pos}
	holds, err := j.policy.holds(r, in)
	if r.when != nil {
		w.Parts = r.when.Trace(in).Parts
	}
	switch {
	case !r.os.has(in.OS):
		w.Why = fmt.Sprintf("it is for %s, and the endpoint runs %s", r.os.words(), in.OS)
		return w
	case err != nil:
		w.Why = "its expression cannot be evaluated, so it applies: " + err.Error()
	case !holds:
		w.Why = j.whyNot(r, in, w.Parts)
		return w
	case in.OS == "" && (len(r.os) > 0 || r.when != nil):
		w.Why = "nobody told the endpoint's system: it applies when it may"
	default:
		w.Why = "everything it asks for holds"
	}
	w.Applies = true
	for i := range r.requirements {
		if q := &r.requirements[i]; q.os.has(in.OS) {
			w.Requirements = append(w.Requirements, j.explainRequirement(&applied{q, r}))
		}
	}
	return w
}

func (j *judgement) whyNot(r *rule, in *expr.Input, parts []expr.Part) string {
	switch {
	case len(r.kinds) > 0 && in.AgentKind != "" && !slices.Contains(r.kinds, in.AgentKind):
		return fmt.Sprintf("it is for %s, and the agent is %s", strings.Join(r.kinds, ", "), in.AgentKind)
	case len(r.groups) > 0 && !slices.ContainsFunc(in.Groups, func(g string) bool { return slices.Contains(r.groups, g) }):
		return fmt.Sprintf("it is for the groups %s, and the identity is in %s", strings.Join(r.groups, ", "), orWord(strings.Join(in.Groups, ", "), "none"))
	}
	for _, part := range parts {
		if part.Value == "false" {
			return part.Text + " does not hold" + readWords(part.Read)
		}
	}
	return "its expression does not hold"
}

func readWords(read []expr.Actual) string {
	var out []string
	for _, r := range read {
		out = append(out, r.Name+" is "+r.Value)
	}
	if len(out) == 0 {
		return ""
	}
	return ": " + strings.Join(out, ", ")
}

func (j *judgement) explainRequirement(r *applied) RequirementWhy {
	result, _ := j.requirement(r)
	w := RequirementWhy{
		Name: r.name, Enforcement: r.enforcement, Status: result.Status, CannotTell: config.CannotTellFails, Remediation: r.remediationName,
	}
	if r.skipsUnknown {
		w.CannotTell = config.CannotTellSkips
	}
	if result.Status == Failed && r.enforcement != config.Audit {
		w.Message = r.message(&result)
	}
	for _, i := range r.conditions {
		c, k := &j.policy.conditions[i], j.condition(i)
		one := ConditionWhy{Name: c.name, Pos: c.pos, Result: k.verdict.String(), Reason: k.reason, AgeS: j.evidence.now.Sub(j.evidence.at).Seconds()}
		if j.silence == "" || c.when != nil {
			one.Parts = c.parts(j)
		} else {
			one.AgeS = 0
		}
		w.Conditions = append(w.Conditions, one)
	}
	return w
}

// changes are the fewest conditions that would have to turn, so that every mandatory
// requirement is met.
func (j *judgement) changes(m *match) []string {
	if j.silence != "" {
		return []string{"an agent reports what passes: " + j.silence}
	}
	var out []string
	for _, r := range m.requirements {
		result, _ := j.requirement(r)
		if r.enforcement != config.Mandatory || result.Status != Failed {
			continue
		}
		for _, i := range r.conditions {
			c, k := &j.policy.conditions[i], j.condition(i)
			if k.verdict == pass || k.verdict == cannotTell && r.skipsUnknown {
				continue
			}
			if c.compound != nil {
				for _, one := range c.compound.fewest(j, false) {
					out = appendNew(out, one)
				}
			} else {
				out = appendNew(out, c.name+" passes, instead of "+k.reason)
			}
		}
	}
	return out
}

// fewest are the conditions that would have to turn for a part to hold, or, negated, not
// to hold; of alternatives those that ask for least.
func (n *node) fewest(j *judgement, negated bool) []string {
	want := pass
	if negated {
		want = fail
	}
	if n.verdict(j) == want {
		return nil
	}
	switch n.join {
	case 0:
		k := j.condition(n.at)
		if negated {
			return []string{n.name + " does not pass, instead of passing"}
		}
		if c := &j.policy.conditions[n.at]; c.compound != nil {
			return c.compound.fewest(j, false)
		}
		return []string{n.name + " passes, instead of " + k.reason}
	case '!':
		return n.parts[0].fewest(j, !negated)
	}
	var out []string
	for i, p := range n.parts {
		one := p.fewest(j, negated)
		if together := (n.join == '&') != negated; together {
			for _, s := range one {
				out = appendNew(out, s)
			}
		} else if i == 0 || len(one) < len(out) {
			out = one
		}
	}
	return out
}

// Text is the explanation for people who run the appliance.
func (x *Explanation) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "posture %s; %s\n", x.Status, x.Facts)
	for _, r := range x.Rules {
		word := "does not apply"
		if r.Applies {
			word = "applies"
		}
		fmt.Fprintf(&b, "  rule %q (%s) %s: %s\n", r.Rule, r.Pos, word, r.Why)
		for _, q := range r.Requirements {
			fmt.Fprintf(&b, "    %s (%s) %s\n", q.Name, q.Enforcement, q.Status)
			for _, c := range q.Conditions {
				c.text(&b)
			}
		}
	}
	return b.String()
}

func (c *ConditionWhy) text(b *strings.Builder) {
	fmt.Fprintf(b, "      %s (%s): %s\n", c.Name, c.Pos, c.Result)
	for _, p := range c.Parts {
		fmt.Fprintf(b, "        %-11s  %s: %s is %s, wanted %s\n", p.Result, p.Of, p.What, p.Have, p.Want)
	}
	if len(c.Parts) == 0 && c.Reason != "" {
		fmt.Fprintf(b, "        %s\n", c.Reason)
	}
}

// Person is the explanation for whoever sits in front of the endpoint: what is not met
// and what was found, without rules, places, or anything about others.
func (x *Explanation) Person() []string {
	var out []string
	for _, r := range x.Rules {
		for _, q := range r.Requirements {
			if q.Message == "" {
				continue
			}
			out = appendNew(out, q.Message)
			for _, c := range q.Conditions {
				if c.Result != pass.String() && c.Reason != "" {
					out = appendNew(out, c.Reason)
				}
			}
		}
	}
	return out
}
