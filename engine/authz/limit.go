package authz

import (
	"slices"
	"strings"

	"sallyport/engine/expr"
	"sallyport/ops/config"
)

// limit is one list of a rule: the variable has to hold one of the words.
type limit struct {
	of    expr.Var
	words []config.Text
}

func limitsOf(written *config.AuthzRule) (out []limit) {
	for _, one := range []limit{{expr.NAS, written.NAS}, {expr.NASGroup, written.NASGroup}, {expr.Groups, written.Groups}} {
		if len(one.words) > 0 {
			out = append(out, one)
		}
	}
	return out
}

func (l *limit) holds(in *Input) bool {
	switch l.of {
	case expr.NAS:
		return l.has(in.NAS)
	case expr.NASGroup:
		return l.has(in.NASGroup)
	}
	return slices.ContainsFunc(in.Groups, l.has)
}

func (l *limit) has(word string) bool {
	for i := range l.words {
		if l.words[i].Value == word {
			return true
		}
	}
	return false
}

// text is the limit as an expression would say it.
func (l *limit) text() string {
	list := make([]string, len(l.words))
	for i, w := range l.words {
		list[i] = `"` + w.Value + `"`
	}
	return l.of.String() + " in [" + strings.Join(list, ", ") + "]"
}

// part shows the limit in a trace.
func (l *limit) part(in *Input) expr.Part {
	value := "false"
	if l.holds(in) {
		value = "true"
	}
	return expr.Part{Text: l.text(), Value: value, Read: []expr.Actual{{Name: l.of.String(), Value: l.of.Quoted(in)}}}
}

// holds says whether the rule matches. What its lists leave out costs no expression.
func (r *rule) holds(in *Input) (bool, error) {
	for i := range r.limits {
		if !r.limits[i].holds(in) {
			return false, nil
		}
	}
	return r.when.Eval(in)
}

// reads are the variables that decide whether the rule matches.
func (r *rule) reads() expr.Vars {
	reads := r.when.Reads()
	for i := range r.limits {
		reads |= 1 << r.limits[i].of
	}
	return reads
}

// normal is what the rule asks, the same text for the same question.
func (r *rule) normal() string {
	var b strings.Builder
	for i := range r.limits {
		b.WriteString(r.limits[i].text() + " && ")
	}
	return b.String() + r.when.Normal()
}

// literals are the values that the rule compares variables with.
func (r *rule) literals() []expr.Literal {
	out := slices.Clip(r.when.Literals())
	for i := range r.limits {
		for _, w := range r.limits[i].words {
			out = append(out, expr.Literal{Var: r.limits[i].of, Value: w.Value, Equal: true, Pos: w.Pos})
		}
	}
	return out
}

// asked is the question of the rule as people read it.
func (r *rule) asked() string {
	var all []string
	for i := range r.limits {
		all = append(all, r.limits[i].text())
	}
	if when := r.when.Text().Value; when != "" {
		all = append(all, when)
	}
	return strings.Join(all, " && ")
}
