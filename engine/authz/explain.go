package authz

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport/engine/expr"
	"sallyport/ops/config"
)

// Explanation says why a decision is what it is, rule by rule, and what would change it.
type Explanation struct {
	Rule        string        `json:"rule"`
	Pos         config.Pos    `json:"pos"`
	Profile     string        `json:"profile"`
	ProfileText string        `json:"profile_text"`
	Facts       []expr.Actual `json:"facts"` // every variable that the policy reads
	Rules       []RuleTrace   `json:"rules"`
	Nearest     []Alternative `json:"nearest"` // one for each other profile in reach, the smallest change first
}

// What came of a rule.
const (
	Matched    = "matched"
	NotMatched = "not matched"
	Failed     = "error"
	NotReached = "not reached" // a rule before it matched
)

// RuleTrace is one rule with what its condition gave, part by part. A rule that was not
// reached is evaluated for show.
type RuleTrace struct {
	Rule      string      `json:"rule"`
	Pos       config.Pos  `json:"pos"`
	Exception bool        `json:"exception,omitempty"`
	Profile   string      `json:"profile"`
	When      string      `json:"when,omitempty"`
	Result    string      `json:"result"`
	Error     string      `json:"error,omitempty"`
	Why       string      `json:"why,omitempty"` // why it does not match: the first part that does not hold
	Parts     []expr.Part `json:"parts,omitempty"`
}

// Alternative is a change of one variable that would have given another profile.
type Alternative struct {
	Variable string     `json:"variable"`
	From     string     `json:"from"`
	To       string     `json:"to"`
	Rule     string     `json:"rule"`
	Pos      config.Pos `json:"pos"`
	Profile  string     `json:"profile"`
}

// String is the change in words.
func (a Alternative) String() string {
	return fmt.Sprintf("with %s = %s instead of %s, rule %q%s gives %s", a.Variable, a.To, a.From, a.Rule, at(a.Pos), a.Profile)
}

// at is a place in brackets; a default that nobody wrote has none.
func at(pos config.Pos) string {
	if pos.IsZero() {
		return ""
	}
	return " (" + pos.String() + ")"
}

// Explain decides anew, without the memory, and shows every step.
func (p *Policy) Explain(in *Input) Explanation {
	own := *in
	d := p.evaluate(&own)
	e := Explanation{Rule: d.Rule, Pos: d.Pos, Profile: d.Profile.Name, ProfileText: d.Profile.Text}
	for v := range p.reads.All() {
		e.Facts = append(e.Facts, expr.Actual{Name: v.String(), Value: v.Quoted(&own)})
	}
	reached := true
	for i := range p.rules {
		t, matched := p.rules[i].trace(&own)
		if !reached {
			t.Result = NotReached
		}
		reached = reached && !matched
		e.Rules = append(e.Rules, t)
	}
	e.Nearest = p.alternatives(&own, d.Profile)
	return e
}

func (r *rule) trace(in *Input) (RuleTrace, bool) {
	trace := r.when.Trace(in)
	var limits []expr.Part
	for i := range r.limits {
		limits = append(limits, r.limits[i].part(in))
		trace.Holds = trace.Holds && r.limits[i].holds(in)
	}
	trace.Parts = append(limits, trace.Parts...)
	t := RuleTrace{
		Rule: r.name, Pos: r.pos, Exception: r.exception, Profile: r.profile.Name, When: r.asked(),
		Result: NotMatched, Error: trace.Error, Parts: trace.Parts,
	}
	switch {
	case trace.Error != "":
		t.Result = Failed
	case trace.Holds:
		t.Result = Matched
	default:
		t.Why = whyNot(trace.Parts)
	}
	return t, trace.Holds
}

// whyNot is the first part that does not hold, with what it read.
func whyNot(parts []expr.Part) string {
	for _, p := range parts {
		if p.Value != "false" {
			continue
		}
		var read []string
		for _, r := range p.Read {
			read = append(read, r.Name+" is "+r.Value)
		}
		if len(read) == 0 {
			return p.Text + " does not hold"
		}
		return p.Text + " does not hold: " + strings.Join(read, ", ")
	}
	return ""
}

// alternatives tries every single change worth trying, in the order in which variables
// change in practice, posture first, and keeps the first that leads to each profile.
func (p *Policy) alternatives(in *Input, now *Profile) []Alternative {
	var out []Alternative
	seen := map[*Profile]bool{now: true}
	for v := range p.reads.All() {
		for _, value := range p.candidates(v, in) {
			with, ok := v.With(*in, value)
			if !ok {
				continue
			}
			d := p.evaluate(&with)
			if seen[d.Profile] {
				continue
			}
			seen[d.Profile] = true
			out = append(out, Alternative{
				Variable: v.String(), From: v.Quoted(in), To: v.Quoted(&with), Rule: d.Rule, Pos: d.Pos, Profile: d.Profile.Name,
			})
		}
	}
	return out
}

// candidates are the values of v worth trying: all of them where they are few, else
// those that the rules compare it with, and for numbers their neighbours.
func (p *Policy) candidates(v expr.Var, in *Input) []string {
	out := slices.Clone(v.Words())
	if v == expr.Posture { // Unknown last: no event leads back to it
		out = append(out[1:], out[0])
	}
	for i := range p.rules {
		for _, l := range p.rules[i].literals() {
			if l.Var != v {
				continue
			}
			out = append(out, l.Value)
			if n, err := strconv.Atoi(l.Value); err == nil && (v == expr.Hour || v == expr.Weekday) {
				out = append(out, strconv.Itoa(n-1), strconv.Itoa(n+1))
			}
		}
	}
	switch v {
	case expr.Groups:
		out = append(out, in.Groups...) // one of them taken away
	case expr.Hour, expr.Weekday: // the nearest first
		now, _ := strconv.Atoi(v.Value(in))
		far := func(value string) int {
			n, _ := strconv.Atoi(value)
			return max(n-now, now-n)
		}
		slices.SortStableFunc(out, func(a, b string) int { return far(a) - far(b) })
	}
	return out
}

// JSON is the explanation in one line.
func (e Explanation) JSON() string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)              // conditions are full of && and <
	if err := encoder.Encode(e); err != nil { // texts and truth values only
		return `{"error":` + strconv.Quote(err.Error()) + `}`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Text is the explanation for people.
func (e Explanation) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n  by rule %q%s\n\n", e.Profile, e.ProfileText, e.Rule, at(e.Pos))
	if len(e.Facts) > 0 {
		b.WriteString("What the rules read:\n")
		width := 0
		for _, f := range e.Facts {
			width = max(width, len(f.Name))
		}
		for _, f := range e.Facts {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, f.Name, f.Value)
		}
		b.WriteString("\n")
	}
	b.WriteString("Rules in order:\n")
	for i, r := range e.Rules {
		r.text(&b, i+1)
	}
	if len(e.Nearest) > 0 {
		b.WriteString("\nWhat would change it:\n")
		for _, a := range e.Nearest {
			fmt.Fprintf(&b, "  %s\n", a)
		}
	}
	return b.String()
}

func (r *RuleTrace) text(b *strings.Builder, number int) {
	kind := ""
	if r.Exception {
		kind = "exception "
	}
	fmt.Fprintf(b, "  %d. %s%s -> %s: %s%s\n", number, kind, r.Rule, r.Profile, r.Result, at(r.Pos))
	if r.When != "" {
		fmt.Fprintf(b, "     %s\n", strings.Join(strings.Fields(r.When), " "))
	}
	if r.Why != "" && r.Result == NotMatched {
		fmt.Fprintf(b, "     because %s\n", r.Why)
	}
	if r.Error != "" {
		fmt.Fprintf(b, "     error: %s\n", r.Error)
	}
	for _, part := range r.Parts {
		value := part.Value
		if strings.HasPrefix(value, "error") {
			value = "error"
		}
		fmt.Fprintf(b, "       %-5s  %s\n", value, strings.Repeat("  ", max(part.Depth-1, 0))+part.Text)
	}
}
