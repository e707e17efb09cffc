package posture

import (
	"slices"
	"strconv"
	"strings"

	"sallyport/netio/report"
)

// itemTest holds observations of one group against comparisons.
type itemTest struct {
	source  source
	key     factKey      // of probed groups
	selects []comparison // which observations are meant at all
	classes *classes     // products of which kind; nil: any
	states  []string     // any of them
	checks  []comparison // all of them
	perUser bool         // there is one observation for each person
	some    bool         // one observation that holds is enough; else every one must
	none    verdict      // when there is no observation that is meant
	noneIs  string       // why, in words
}

// judge holds the test against what was collected.
func (t *itemTest) judge(e *evidence) (verdict, string) {
	n, trouble, collected := e.group(t.source)
	if !collected {
		return cannotTell, "the agent did not look at " + sourceTable[t.source].words
	}
	result, seen := pass, 0
	if t.some {
		result = fail
	}
	for i := t.begin(e, n); i >= 0; i = t.after(e, i, n) {
		s := e.item(t.source, i)
		if !t.meant(s, e) {
			continue
		}
		seen++
		if v := t.item(s, e); t.some {
			result = min(result, v)
		} else {
			result = max(result, v)
		}
	}
	if seen == 0 {
		return t.nothing(trouble)
	}
	if trouble != "" && (!t.source.probed() || t.perUser) && (result != pass) == t.some {
		return cannotTell, "the agent could not look everywhere: " + clean(trouble)
	}
	if result == pass {
		return pass, ""
	}
	return result, t.describe(e, n)
}

// nothing is the verdict when no observation is the one that is meant.
func (t *itemTest) nothing(trouble string) (verdict, string) {
	switch {
	case trouble != "":
		return cannotTell, "the agent could not look everywhere: " + clean(trouble)
	case t.source.probed():
		return cannotTell, "the agent told nothing of it: it holds an older policy, or could not ask"
	}
	return t.none, t.noneIs
}

func (t *itemTest) begin(e *evidence, n int) int {
	if t.source.probed() {
		return e.find(t.source, &t.key)
	}
	return t.after(e, -1, n)
}

func (t *itemTest) after(e *evidence, i, n int) int {
	if t.source.probed() {
		return int(e.index[t.source].next[i])
	}
	if i++; i < n {
		return i
	}
	return -1
}

// meant says whether the test is about the observation. One that cannot be told apart is
// meant: it would be missing otherwise.
func (t *itemTest) meant(s subject, e *evidence) bool {
	for i := range t.selects {
		if t.selects[i].judge(s, e.now) == fail {
			return false
		}
	}
	return t.classes == nil || t.classes.has(s)
}

// item is the verdict on one observation.
func (t *itemTest) item(s subject, e *evidence) verdict {
	result := t.state(s)
	for i := range t.checks {
		if result == fail {
			break
		}
		result = max(result, t.checks[i].judge(s, e.now))
	}
	return result
}

func (t *itemTest) state(s subject) verdict {
	state, _ := s.status()
	switch {
	case slices.Contains(t.states, state):
		return pass
	case state == report.StateUnknown || state == "":
		return cannotTell
	}
	return fail
}

// describe says what keeps the observations from passing, in the order of their names.
func (t *itemTest) describe(e *evidence, n int) string {
	var all []string
	for i := t.begin(e, n); i >= 0; i = t.after(e, i, n) {
		s := e.item(t.source, i)
		if t.meant(s, e) && t.item(s, e) != pass {
			all = append(all, t.problem(s, e))
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if over := len(all) - describedMax; over > 0 {
		all = append(all[:describedMax], "and "+strconv.Itoa(over)+" more")
	}
	return strings.Join(all, ", ")
}

// problem says what one observation does not hold: what it fails, or else what is not
// known of it.
func (t *itemTest) problem(s subject, e *evidence) string {
	state, reason := s.status()
	switch t.state(s) {
	case fail:
		return s.label() + " is " + clean(state) + ", wanted " + strings.Join(t.states, " or ")
	case cannotTell:
		return s.label() + ": " + clean(orWord(reason, "its state is not known"))
	}
	worst := t.item(s, e)
	for i := range t.checks {
		c := &t.checks[i]
		if c.judge(s, e.now) == worst {
			return s.label() + ": " + c.field.String() + " " + c.actual(s, e.now) + ", wanted " + c.want
		}
	}
	return s.label()
}

func orWord(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// parts shows every comparison with every observation that is meant.
func (t *itemTest) parts(e *evidence) []Part {
	n, _, collected := e.group(t.source)
	if !collected {
		return nil
	}
	var out []Part
	for i := t.begin(e, n); i >= 0 && len(out) < partsMax; i = t.after(e, i, n) {
		s := e.item(t.source, i)
		if !t.meant(s, e) {
			continue
		}
		state, reason := s.status()
		have := clean(orWord(state, "not known"))
		if reason != "" {
			have += ": " + clean(reason)
		}
		out = append(out, Part{Of: s.label(), What: fieldState.String(), Have: have, Want: strings.Join(t.states, " or "), Result: t.state(s).String()})
		for i := range t.checks {
			c := &t.checks[i]
			out = append(out, Part{Of: s.label(), What: c.field.String(), Have: c.actual(s, e.now), Want: c.want, Result: c.judge(s, e.now).String()})
		}
	}
	slices.SortStableFunc(out, func(a, b Part) int { return strings.Compare(a.Of, b.Of) })
	return out
}

// partsMax bounds what one condition shows of itself: nobody reads more.
const partsMax = 64
