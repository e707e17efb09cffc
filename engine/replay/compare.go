package replay

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/engine/step"
	"sallyport/sessions"
)

// Group is the decisions that change in the same way.
type Group struct {
	Before   Outcome     `json:"before"`
	After    Outcome     `json:"after"`
	Count    int         `json:"decisions"`
	Sessions int         `json:"sessions"`
	First    time.Time   `json:"first,omitzero"`
	Example  sessions.ID `json:"example"`
	seen     map[sessions.ID]bool
}

// Result is what a replay found.
type Result struct {
	From     string   `json:"from"` // revisions
	To       string   `json:"to"`
	Events   int      `json:"events"`
	Changed  int      `json:"changed"`           // decisions that differ
	Sessions int      `json:"changed_sessions"`  // in which any does
	Unknown  int      `json:"unknown,omitempty"` // events of sessions whose login is not in the recording
	Unasked  int      `json:"unasked,omitempty"` // sessions that would change for want of facts nobody asked their agents for so far
	Unheard  int      `json:"unheard,omitempty"` // sessions taken as they stand: their last report is not at hand
	Groups   []*Group `json:"groups"`            // the most decisions first
	seen     map[sessions.ID]bool
	index    map[[2]Outcome]*Group
}

// groupsMax bounds the groups of a result; what changes in yet another way is counted as
// that of others.
const groupsMax = 1000

func newResult(to string) Result {
	return Result{To: to, seen: map[sessions.ID]bool{}, index: map[[2]Outcome]*Group{}}
}

// Comparison runs the same events through another configuration, and holds what it
// decides against what was decided: by a second configuration, or as the recording says.
type Comparison struct {
	before *World // nil: the recording tells
	after  *World
	result Result
	from   []string // revisions of the recording
}

// NewComparison compares next with before; before may be nil, and then the outcomes of
// the recording count.
func NewComparison(before, next *step.Rules) *Comparison {
	c := &Comparison{after: NewWorld(next), result: newResult(next.Revision)}
	if before != nil {
		c.before, c.result.From = NewWorld(before), before.Revision
	}
	return c
}

// Event takes the next event.
func (c *Comparison) Event(e *Event) error {
	if e.Kind == KindConfiguration {
		c.Recorded(e.Revision)
		return nil
	}
	c.result.Events++
	after := c.after.Step(e)
	if c.before == nil {
		switch {
		case e.Kind != KindLogin && after[e.Session] == (Outcome{}):
			c.result.Unknown++
		case e.Outcome != nil:
			c.result.note(e.At, e.Session, *e.Outcome, after[e.Session])
		}
		return nil
	}
	before := c.before.Step(e)
	for id := range after {
		before[id] = c.before.Outcome(id)
	}
	for _, id := range sorted(before) {
		c.result.note(e.At, id, before[id], c.after.Outcome(id))
	}
	return nil
}

func sorted(m map[sessions.ID]Outcome) (ids []sessions.ID) {
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Recorded notes that the events that follow were decided by a revision.
func (c *Comparison) Recorded(revision string) {
	if n := len(c.from); revision != "" && (n == 0 || c.from[n-1] != revision) {
		c.from = append(c.from, revision)
	}
}

// Result closes the comparison.
func (c *Comparison) Result() Result {
	if n := len(c.from); c.before == nil && n > 0 {
		c.result.From = c.from[n-1]
		if n > 1 {
			c.result.From = fmt.Sprintf("%s and %d before it", c.result.From, n-1)
		}
	}
	c.result.finish()
	return c.result
}

// note counts a decision if it changed.
func (r *Result) note(at time.Time, id sessions.ID, before, after Outcome) {
	if before != after {
		r.add(at, id, before, after)
	}
}

// add counts a decision that changed, if only what its profile says, and returns how many
// changed like that.
func (r *Result) add(at time.Time, id sessions.ID, before, after Outcome) int {
	r.Changed++
	r.seen[id] = true
	g := r.index[[2]Outcome{before, after}]
	if g == nil && len(r.Groups) >= groupsMax {
		before, after = others, others
		g = r.index[[2]Outcome{others, others}]
	}
	if g == nil {
		g = &Group{Before: before, After: after, First: at, Example: id, seen: map[sessions.ID]bool{}}
		r.index[[2]Outcome{before, after}] = g
		r.Groups = append(r.Groups, g)
	}
	g.Count++
	g.seen[id] = true
	return g.Count
}

var others = Outcome{Rule: "others", Profile: "others", Posture: "others"}

func (r *Result) finish() {
	r.Sessions = len(r.seen)
	for _, g := range r.Groups {
		g.Sessions = len(g.seen)
	}
	slices.SortStableFunc(r.Groups, func(a, b *Group) int { return b.Count - a.Count })
}

// Text is the result for people.
func (r *Result) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d events, revision %s -> %s: %d decisions of %d sessions change.\n", r.Events, orWord(r.From, "unknown"), r.To, r.Changed, r.Sessions)
	if r.Unknown > 0 {
		fmt.Fprintf(&b, "%d events are of sessions whose login is not in the recording, and say nothing.\n", r.Unknown)
	}
	b.WriteString(r.Groupwise())
	return b.String()
}

// Groupwise is the groups for people, two lines each.
func (r *Result) Groupwise() string {
	var b strings.Builder
	for _, g := range r.Groups {
		fmt.Fprintf(&b, "%6d decisions, %d sessions: %s -> %s\n", g.Count, g.Sessions, g.Before, g.After)
		first := ""
		if !g.First.IsZero() {
			first = ", first at " + g.First.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(&b, "       such as session %s%s\n", g.Example, first)
	}
	if r.Unasked > 0 {
		fmt.Fprintf(&b, "%d sessions cannot be told: the next posture policy looks at what their agents were not asked for so far\n", r.Unasked)
	}
	if r.Unheard > 0 {
		fmt.Fprintf(&b, "%d sessions were taken as they stand: what their agents reported last is not in memory any more\n", r.Unheard)
	}
	return b.String()
}

// JSON is one object a group, and then the whole without them.
func (r *Result) JSON() string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	whole := *r
	whole.Groups = nil
	for _, g := range r.Groups {
		if encoder.Encode(g) != nil {
			continue // texts and numbers always encode
		}
	}
	if err := encoder.Encode(struct {
		Kind string `json:"kind"`
		Result
	}{"result", whole}); err != nil {
		return b.String()
	}
	return b.String()
}

// String is an outcome in words.
func (o Outcome) String() string {
	if o == (Outcome{}) {
		return "no session"
	}
	return fmt.Sprintf("rule %q, %s, %s", o.Rule, o.Profile, o.Posture)
}

func orWord(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
