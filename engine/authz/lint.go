package authz

import (
	"fmt"
	"slices"
	"time"

	"sallyport/engine/expr"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// lint warns of what is allowed and probably not meant. The policy is sound by now.
func (c *compiler) lint() {
	c.lintSame()
	c.lintShadowed()
	c.lintReach()
	c.lintUnused()
	c.lintNamed()
	c.lintLiterals()
}

// lintSame finds conditions that were tried already.
func (c *compiler) lintSame() {
	first := map[string]*rule{}
	for i := range c.out.rules[:len(c.out.rules)-1] {
		r := &c.out.rules[i]
		before := first[r.normal()]
		if before == nil {
			first[r.normal()] = r
			continue
		}
		at := r.when.Text().Pos
		if at.IsZero() {
			at = r.pos
		}
		c.warn(at, r.path+".when", fmt.Sprintf("the rule %q asks what %q at %s asked before it", r.name, before.name, before.pos),
			"it never matches; remove one of them")
	}
}

// lintShadowed finds rules that ask for all that a rule before them asks for, and more:
// whoever they are for has been taken.
func (c *compiler) lintShadowed() {
	rules := c.out.rules[:len(c.out.rules)-1]
	asks := make([][]string, len(rules))
	for i := range rules {
		asks[i] = rules[i].when.Conjuncts()
	}
	for i := range rules {
		for j := range i {
			if len(asks[j])+len(rules[j].limits) == 0 || rules[i].normal() == rules[j].normal() || !within(&rules[j], &rules[i], asks[j], asks[i]) {
				continue
			}
			c.warn(rules[i].pos, rules[i].path, fmt.Sprintf("the rule %q never matches: %q at %s takes all that it is for", rules[i].name, rules[j].name, rules[j].pos),
				"move it up, or remove it")
			break
		}
	}
}

// within says whether everything that the rule broad asks follows from what narrow asks.
func within(broad, narrow *rule, broadAsks, narrowAsks []string) bool {
	for _, one := range broadAsks {
		if one != "true" && !slices.Contains(narrowAsks, one) {
			return false
		}
	}
	for i := range broad.limits {
		implied := func(l limit) bool {
			return l.of == broad.limits[i].of && !slices.ContainsFunc(l.words, func(w config.Text) bool { return !broad.limits[i].has(w.Value) })
		}
		if !slices.ContainsFunc(narrow.limits, implied) {
			return false
		}
	}
	return true
}

// closed are the variables with few values, all of them known: what can be said about
// conditions that read no other is said by trying every case.
const closed = expr.Vars(1<<expr.Posture | 1<<expr.Authenticated | 1<<expr.Assurance | 1<<expr.Hour | 1<<expr.Weekday)

// casesMax bounds evaluations: about a fifth of a second.
const casesMax = 200_000

// lintReach finds rules that always match, never match, or find every case taken.
func (c *compiler) lintReach() {
	rules := c.out.rules[:len(c.out.rules)-1]
	var reads expr.Vars
	for i := range rules {
		if r := rules[i].reads(); r&^closed == 0 {
			reads |= r
		}
	}
	if countCases(reads)*len(rules) > casesMax {
		reads &^= 1<<expr.Hour | 1<<expr.Weekday
	}
	open := cases(reads) // that no rule so far takes
	all := open
	for i := range rules {
		r := &rules[i]
		if len(open) == 0 {
			c.warn(r.pos, r.path, fmt.Sprintf("the rule %q is never reached: the rules before it take every case", r.name),
				"move it up, or remove it")
			continue
		}
		if r.reads()&^reads != 0 {
			continue
		}
		holds := func(in Input) bool { ok, _ := r.when.Eval(&in); return ok }
		switch {
		case !slices.ContainsFunc(all, holds):
			c.warn(r.when.Text().Pos, r.path+".when", fmt.Sprintf("the condition of rule %q never holds", r.name), "")
		case !slices.ContainsFunc(open, holds):
			c.warn(r.pos, r.path, fmt.Sprintf("the rule %q never matches: the rules before it take every case that it is for", r.name),
				"move it up, or remove it")
		}
		open = slices.DeleteFunc(slices.Clone(open), holds)
	}
}

func values(v expr.Var) []string {
	switch v {
	case expr.Hour:
		return numbers(24)
	case expr.Weekday:
		return numbers(7)
	}
	return v.Words()
}

func numbers(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(i)
	}
	return out
}

func countCases(reads expr.Vars) int {
	n := 1
	for v := range reads.All() {
		n *= len(values(v))
	}
	return n
}

// cases are inputs with every combination of values of the variables.
func cases(reads expr.Vars) []Input {
	out := []Input{{Time: time.Unix(0, 0).UTC()}}
	for v := range reads.All() {
		var next []Input
		for _, in := range out {
			for _, value := range values(v) {
				if with, ok := v.With(in, value); ok {
					next = append(next, with)
				}
			}
		}
		out = next
	}
	return out
}

// lintUnused finds profiles that no rule gives and lists that no profile names.
func (c *compiler) lintUnused() {
	given, listed := map[*Profile]bool{}, map[*DACL]bool{}
	for i := range c.out.rules {
		given[c.out.rules[i].profile] = true
	}
	for _, p := range c.out.profiles {
		listed[p.DACL] = true
		if written := c.sources[p.Name]; written != nil && !given[p] {
			c.warn(written.Pos, "profiles."+p.Name, fmt.Sprintf("no rule gives the profile %q", p.Name), "")
		}
	}
	for name, written := range c.in.DACLs.All() {
		if !listed[c.dacls[name]] {
			c.warn(written.Pos, "dacls."+name, fmt.Sprintf("no profile names the dACL %q", name), "")
		}
	}
}

func (c *compiler) lintLiterals() {
	for i := range c.out.rules {
		r := &c.out.rules[i]
		for _, l := range r.literals() {
			if l.Named {
				continue // said where it is written
			}
			if l.Var == expr.Posture && l.Value == sessions.Unknown.String() {
				c.warn(l.Pos, r.path+".when", "an endpoint that a posture rule is for is Pending from its login on, and NotApplicable when none is; Unknown is seldom seen",
					`session.posture != "Compliant" covers all that were not found healthy`)
			}
			c.lintName(r, &l, expr.NAS, c.opts.NAS, "NAS")
			c.lintName(r, &l, expr.NASGroup, c.opts.NASGroups, "NAS group")
			c.lintGroup(r, &l)
		}
	}
}

// lintGroup warns of a group that no store has and that is nearly one that a store has.
// Others may come from elsewhere.
func (c *compiler) lintGroup(r *rule, l *expr.Literal) {
	if l.Var != expr.Groups || !l.Equal || slices.Contains(c.opts.Groups, l.Value) {
		return
	}
	if near := config.Nearest(l.Value, c.opts.Groups); near != "" {
		c.warn(l.Pos, r.path+".when", fmt.Sprintf("no user or endpoint of the files is in the group %q", l.Value), `did you mean "`+near+`"?`)
	}
}

func (c *compiler) lintName(r *rule, l *expr.Literal, of expr.Var, known []string, what string) {
	if l.Var != of || !l.Equal || l.Named || l.Value == "" || len(known) == 0 || slices.Contains(known, l.Value) {
		return
	}
	named := slices.DeleteFunc(slices.Clone(known), func(s string) bool { return s == "" }) // a NAS need not be in a group
	c.warn(l.Pos, r.path+".when", fmt.Sprintf("there is no %s %q", what, l.Value), config.DidYouMean(l.Value, named))
}
