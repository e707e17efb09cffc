package engine

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"sallyport/engine/authz"
	"sallyport/engine/policy"
	"sallyport/engine/posture"
	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/console"
	"sallyport/sessions"
)

// explainRequest asks about a session.
type explainRequest struct {
	Session string `json:"session,omitempty"`
}

// explained is the answer.
type explained struct {
	Session     SessionView       `json:"session"`
	Revision    string            `json:"config_revision"`
	Explanation authz.Explanation `json:"explanation"`
	Why         policy.Why        `json:"why"`
	Text        string            `json:"text"` // the whole of it in words
}

// Explain says why a session stands where it does, why not where it stood before, and what
// would open the gate.
func (o operator) Explain(ctx context.Context, request json.RawMessage) (console.Row, error) {
	var q explainRequest
	if err := json.Unmarshal(request, &q); err != nil {
		return nil, problem(400, "malformed", err.Error())
	}
	s := o.e.session(q.Session)
	if s == nil {
		return nil, errUnknown
	}
	w := o.e.why(ctx, s)
	return explained{o.e.viewWhole(s), w.Revision, w.Authorization, w, w.Text()}, nil
}

// why explains a session by the configuration in force. The facts are those of its last
// report while that is in memory; after that, what the report came to.
func (e *Engine) why(ctx context.Context, s *sessions.Session) policy.Why {
	snap, now := e.snapshot(), e.clock.Now()
	last, before := e.results(ctx, s)
	w := snap.Explain(now, e.question(now, snap, s, last))
	w.Since, w.Course = s.Posture.Since.UTC(), step.Clocks(s, now, &snap.Rules)
	w.Person = append(w.Person, step.Deadlines(s, now, &snap.Rules)...)
	if before != nil {
		w.Before = beforeOf(&w, last, before)
		if before == last {
			w.Before.Changed = e.sinceThen(s)
		}
	}
	return w
}

// question is what is asked of the policy about a session.
func (e *Engine) question(now time.Time, snap snapshot, s *sessions.Session, last *record.Posture) policy.Question {
	q := policy.Question{DecisionID: s.Posture.DecisionID, Held: true, Posture: posture.Input{Session: step.Input(s, now, &snap.Rules)}}
	if r := e.heard.of(s); r != nil {
		q.Posture.Facts, q.Posture.FactsAt, q.Posture.System = &r.Facts, s.Posture.ReportAt, &r.System
	} else if last != nil {
		q.Judged = judgedOf(s, last)
	}
	return q
}

// resultsMax bounds the posture records that are looked through for those of one session.
const resultsMax = 20000

// results finds the record of the session's last report, and the newest one that came to
// something else than what stands: the last one itself when time or a NAS has changed what
// it came to. Either may be nil.
func (e *Engine) results(ctx context.Context, s *sessions.Session) (last, before *record.Posture) {
	if s.Posture.DecisionID == "" {
		return nil, nil
	}
	status, grant := s.Posture.Status.String(), s.Grant
	if s.Change != nil {
		grant = s.Change.Grant
	}
	looked := 0
	err := e.Reports(ctx, s.Started, func(p *record.Posture) bool {
		looked++
		if p.SessionID == string(s.ID) {
			if last == nil {
				last = p
			}
			if p.Status != status || p.Profile != grant.Profile {
				before = p
			}
		}
		return before == nil && looked < resultsMax
	})
	if err != nil {
		e.log.Warn("posture records could not be read for an explanation", "session", s.ID, "error", err)
	}
	return last, before
}

// sinceThen is what happened to a session since its last report, as the live log has it.
func (e *Engine) sinceThen(s *sessions.Session) (out []string) {
	rows, _, _ := e.livelog.Since(0, 0)
	for _, d := range rows {
		if d.SessionID == string(s.ID) && d.Time.After(s.Posture.ReportAt) && d.Reason != "" &&
			(d.Kind == record.KindAlarm || d.Kind == record.KindPosture || d.Kind == record.KindSession) {
			out = append(out, d.Time.UTC().Format(time.RFC3339)+" "+d.Details+": "+d.Reason)
		}
	}
	if len(out) == 0 { // of before we started
		out = append(out, "posture "+s.Posture.Status.String()+" since "+s.Posture.Since.UTC().Format(time.RFC3339)+": "+strings.Join(s.Posture.Failed, ", "))
	}
	return out
}

// judgedOf is what a report came to, where its facts are not at hand any more.
func judgedOf(s *sessions.Session, p *record.Posture) *posture.Explanation {
	x := &posture.Explanation{
		Status: p.Status,
		Facts:  "the report of " + p.LoggedAt.UTC().Format(time.RFC3339) + " is not in memory any more; this is what it came to",
	}
	for _, one := range p.Policies {
		i := slices.IndexFunc(x.Rules, func(r posture.RuleWhy) bool { return r.Rule == one.Policy })
		if i < 0 {
			i = len(x.Rules)
			x.Rules = append(x.Rules, posture.RuleWhy{Rule: one.Policy, Applies: true, Why: "it applied to the report"})
		}
		q := posture.RequirementWhy{Name: one.Name, Enforcement: one.Enforcement, Status: one.Status}
		for result, names := range map[string][]string{"pass": one.Passed, "fail": one.Failed, "cannot tell": one.Skipped} {
			for _, name := range names {
				c := posture.ConditionWhy{Name: name, Result: result}
				if result != "pass" {
					c.Reason = one.Reason
				}
				q.Conditions = append(q.Conditions, c)
			}
		}
		slices.SortFunc(q.Conditions, func(a, b posture.ConditionWhy) int { return strings.Compare(a.Name, b.Name) })
		x.Rules[i].Requirements = append(x.Rules[i].Requirements, q)
		if one.Status == posture.Failed && one.Enforcement == "mandatory" {
			x.Changes = append(x.Changes, one.Name+" is met, instead of "+one.Reason)
		}
	}
	if s.Posture.Message != "" && p.Status == sessions.NonCompliant.String() && len(x.Rules) > 0 && len(x.Rules[0].Requirements) > 0 {
		x.Rules[0].Requirements[0].Message = s.Posture.Message
	}
	return x
}

// beforeOf compares the last result with the one before it.
func beforeOf(w *policy.Why, last, before *record.Posture) *policy.Before {
	b := &policy.Before{
		At: before.LoggedAt.UTC(), DecisionID: before.DecisionID, Posture: before.Status, Rule: before.Rule, Profile: before.Profile,
	}
	was := map[string]record.PosturePolicy{}
	for _, one := range before.Policies {
		was[one.Policy+"\x00"+one.Name] = one
	}
	for _, one := range last.Policies {
		old, asked := was[one.Policy+"\x00"+one.Name]
		switch {
		case !asked:
			b.Changed = append(b.Changed, one.Name+" was not asked for")
		case old.Status != one.Status && one.Reason != "":
			b.Changed = append(b.Changed, one.Name+" was "+old.Status+" and is "+one.Status+": "+one.Reason)
		case old.Status != one.Status:
			b.Changed = append(b.Changed, one.Name+" was "+old.Status+" and is "+one.Status)
		}
	}
	for _, r := range w.Authorization.Rules {
		if r.Rule == before.Rule && r.Result != authz.Matched {
			b.NotNow = r.Result
			if r.Why != "" {
				b.NotNow = r.Why
			}
		}
	}
	return b
}

// person is what is told to whoever sits in front of the endpoint: the words of the
// explanation while the report is in memory, else those that were said with the verdict.
func (e *Engine) person(s *sessions.Session) string {
	snap, now := e.snapshot(), e.clock.Now()
	lines := []string{s.Posture.Message}
	if s.Posture.Judged == sessions.NonCompliant {
		if q := e.question(now, snap, s, nil); q.Posture.Facts != nil {
			if said := snap.Explain(now, q).Person; len(said) > 0 {
				lines = said
			}
		}
	}
	lines = append(lines, step.Deadlines(s, now, &snap.Rules)...)
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
