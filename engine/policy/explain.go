package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sallyport/engine/authz"
	"sallyport/engine/posture"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// Question is what an explanation is asked of: a session, and the facts of its last
// report when they are at hand.
type Question struct {
	DecisionID string // of the decision that stands; empty: none was made
	Posture    posture.Input
	// Held says that Posture.Session.Posture is what the appliance holds, to be explained
	// as it is. Else the status is what the facts come to.
	Held bool
	// Judged is what the last report came to, when its facts are not at hand.
	Judged *posture.Explanation
}

// Why is a whole decision with its reasons: posture, authorization, and what would have
// opened the gate.
type Why struct {
	DecisionID    string               `json:"decision_id,omitempty"`
	Since         time.Time            `json:"since,omitzero"` // of the posture status, of a session
	Revision      string               `json:"config_revision"`
	Posture       *posture.Explanation `json:"posture,omitempty"` // nil: there were no facts and no rule is for the endpoint
	Authorization authz.Explanation    `json:"authorization"`
	Opens         *Opening             `json:"opens,omitempty"`  // nil: nothing single would
	Before        *Before              `json:"before,omitempty"` // of a session: what its reports came to before
	Course        []posture.Clock      `json:"next,omitempty"`   // of a session: what happens by itself, and when
	Person        []string             `json:"person,omitempty"`
}

// Before is the result before the one that stands, and why it does not stand any more.
type Before struct {
	At         time.Time `json:"at"`
	DecisionID string    `json:"decision_id"`
	Posture    string    `json:"posture"`
	Rule       string    `json:"rule"`
	Profile    string    `json:"profile"`
	Changed    []string  `json:"changed,omitempty"` // requirements that came out otherwise
	NotNow     string    `json:"not_now,omitempty"` // why its rule does not give the profile now
}

// Opening is the smallest change that would have given more.
type Opening struct {
	Changes []string   `json:"changes"` // all of them together
	Profile string     `json:"profile"`
	Rule    string     `json:"rule"`
	Pos     config.Pos `json:"pos"`
}

// Explain answers a question by the rules that decide, evaluated anew.
func (s *Snapshot) Explain(now time.Time, q Question) Why {
	w := Why{DecisionID: q.DecisionID, Revision: s.Revision}
	in := q.Posture
	in.Session.Time = now
	if in.Facts == nil && q.Judged != nil {
		w.Posture, w.Person = q.Judged, q.Judged.Person()
	} else if in.Facts != nil || s.Posture.Applies(&in) {
		x := s.Posture.Explain(now, in)
		w.Posture, w.Person = &x, x.Person()
		if !q.Held {
			in.Session.Posture = x.Result.Status
			in.Session.Failed = failed(x.Result)
		}
		if in.Facts != nil {
			in.Session.Facts = posture.Digest(in.Facts)
		}
	} else if !q.Held {
		in.Session.Posture = s.Posture.DefaultStatus()
	}
	w.Authorization = s.Authz.Explain(&in.Session)
	w.Opens = s.opening(&w, in.Session)
	return w
}

func failed(a *posture.Assessment) (names []string) {
	for _, r := range a.Rules {
		names = append(names, r.Failed...)
	}
	return names
}

// opening looks for the smallest change: a healthy endpoint first, then whatever single
// value leads to a profile that neither rejects nor redirects.
func (s *Snapshot) opening(w *Why, in authz.Input) *Opening {
	if s.open(w.Authorization.Profile) {
		return nil
	}
	healthy := in
	healthy.Posture, healthy.Failed = sessions.Compliant, nil
	if d := s.Authz.Decide(&healthy); in.Posture != sessions.Compliant && s.open(d.Profile.Name) {
		o := &Opening{Profile: d.Profile.Name, Rule: d.Rule, Pos: d.Pos, Changes: []string{"the endpoint is found Compliant"}}
		if w.Posture != nil && len(w.Posture.Changes) > 0 {
			o.Changes = w.Posture.Changes
		}
		return o
	}
	for _, a := range w.Authorization.Nearest {
		if s.open(a.Profile) {
			return &Opening{Changes: []string{a.Variable + " is " + a.To + " instead of " + a.From}, Profile: a.Profile, Rule: a.Rule, Pos: a.Pos}
		}
	}
	return nil
}

// open says whether a profile lets somebody in without sending them away first.
func (s *Snapshot) open(name string) bool {
	p := s.Authz.Profile(name)
	return p != nil && !p.Reject && p.Redirect == nil
}

// JSON is the explanation in one line.
func (w Why) JSON() string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(w); err != nil { // texts, numbers and truth values only
		return fmt.Sprintf(`{"error":%q}`, err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Text is the explanation for people who run the appliance.
func (w Why) Text() string {
	var b strings.Builder
	if w.DecisionID != "" {
		fmt.Fprintf(&b, "decision %s, ", w.DecisionID)
	}
	fmt.Fprintf(&b, "configuration %s\n", w.Revision)
	if w.Posture != nil {
		b.WriteString(w.Posture.Text())
	}
	b.WriteString("\n" + w.Authorization.Text())
	w.Before.text(&b)
	if w.Opens != nil {
		fmt.Fprintf(&b, "\nThe smallest change that opens the gate (%s by rule %q):\n", w.Opens.Profile, w.Opens.Rule)
		for _, c := range w.Opens.Changes {
			fmt.Fprintf(&b, "  %s\n", c)
		}
	}
	if len(w.Course) > 0 {
		b.WriteString("\nWhat happens by itself, and when:\n")
	}
	for _, c := range w.Course {
		fmt.Fprintf(&b, "  %s  %-11s  %s\n", c.At.UTC().Format(time.RFC3339), c.Name, c.Then)
	}
	if len(w.Person) > 0 {
		b.WriteString("\nWhat the person is told:\n")
		for _, line := range w.Person {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	return b.String()
}

func (o *Before) text(b *strings.Builder) {
	if o == nil {
		return
	}
	fmt.Fprintf(b, "\nWhy not as before (%s by rule %q, posture %s, decision %s at %s):\n", o.Profile, o.Rule, o.Posture, o.DecisionID, o.At.UTC().Format(time.RFC3339))
	for _, c := range o.Changed {
		fmt.Fprintf(b, "  %s\n", c)
	}
	if o.NotNow != "" {
		fmt.Fprintf(b, "  rule %q: %s\n", o.Rule, o.NotNow)
	}
}
