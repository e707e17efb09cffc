package step

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/engine/authz"
	"sallyport/engine/posture"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// ReportInput is one posture report whose signature was verified with Key.
type ReportInput struct {
	Report     *report.Report
	Hash       []byte // SHA-256 of the bytes
	Key        []byte // that signed it
	Nonce      string // for the next report
	DecisionID string
}

// Judged is what came of a report. Answer is nil when Problem says why there is none.
type Judged struct {
	Session    *sessions.Session
	Assessment posture.Assessment
	Decision   authz.Decision
	Answer     []byte // the Verdict, encoded: a retry gets these very octets
	Again      bool   // a retry of the last report: nothing was judged
	Problem    *report.Problem
}

// Report judges facts. The verdict is the appliance's own: what the agent thinks of
// its facts is not in the document.
func Report(now time.Time, old *sessions.Session, in *ReportInput, r *Rules) Judged {
	if again, refused := admit(old, in); refused != nil || again != nil {
		return Judged{Session: old, Answer: again, Again: again != nil, Problem: refused}
	}
	next := copyOf(old, now)
	next.LastSeen = now
	p := &next.Posture
	p.ReportAt, p.DecisionID = now, in.DecisionID
	told(next, &in.Report.Agent, &in.Report.System)
	p.Facts = sessions.Facts(posture.Digest(&in.Report.Facts))
	input := postureInput(now, next, r)
	input.Facts, input.FactsAt, input.System = &in.Report.Facts, now, &in.Report.System
	a := r.Posture.Assess(now, input)
	c, do := r.Posture.Report(now, courseOf(p), &input, &a, in.Report.Trigger)
	follow(next, &c)
	p.Failed, p.Message = failedConditions(&a), a.Message
	d := decided(now, next, r, &a, do)

	p.Binding.Seq, p.Binding.ReportHash, p.Binding.Nonce = in.Report.Seq, in.Hash, in.Nonce
	v := verdict(next, &a, in, r)
	v.Message = strings.TrimSpace(strings.Join(append([]string{v.Message}, Deadlines(next, now, r)...), "\n"))
	answer, err := json.Marshal(v)
	if err != nil { // strings and numbers only: this cannot happen, and must not be hidden if it does
		return Judged{Session: old, Problem: problem(http.StatusInternalServerError, report.CodeMalformed, "the verdict cannot be encoded: %v", err)}
	}
	p.Binding.Answer = answer
	return Judged{Session: next, Assessment: a, Decision: d, Answer: answer}
}

// decided authorizes again, or has the session disconnected when its course asks for that.
func decided(now time.Time, next *sessions.Session, r *Rules, a *posture.Assessment, do posture.Do) authz.Decision {
	reason := "posture " + a.Status.String()
	if do == posture.DoDisconnect {
		logoff(now, next, r, reason+": the reassessment failed")
		in := Input(next, now, r)
		return r.Authz.Decide(&in)
	}
	if next.Posture.Status != a.Status {
		reason += ", access goes on"
	}
	return authorize(now, next, r, reason)
}

// told writes down what an agent says of itself and its system. What it does not say is
// as before.
func told(next *sessions.Session, a *report.Agent, s *report.System) {
	p := &next.Posture
	p.Agent = agentName(*a)
	setText(&p.AgentKind, a.Kind)
	setText(&next.OS, s.OS)
	setText(&next.OSVersion, short(s.OSVersion))
	setText(&next.Hostname, short(s.Hostname))
	setText(&next.Domain, short(s.Domain))
}

// shortMax is what rules may read of a text, as of RADIUS attributes.
const shortMax = 253

// short cuts a text between characters, for what has its place in every record.
func short(s string) string {
	if len(s) <= shortMax {
		return s
	}
	at := shortMax
	for !utf8.RuneStart(s[at]) {
		at--
	}
	return s[:at]
}

// admit decides whether a report is news: the octets of the last answer for a retry, a
// problem for what must not be judged, neither for news.
func admit(old *sessions.Session, in *ReportInput) ([]byte, *report.Problem) {
	b := &old.Posture.Binding
	switch {
	case !old.Live():
		return nil, problem(http.StatusGone, report.CodeSessionEnded, "the session ended: %s", old.EndCause)
	case len(b.Key) == 0 || !bytes.Equal(b.Key, in.Key):
		return nil, problem(http.StatusForbidden, report.CodeNotBound, "the key is not bound to the session; claim it first")
	case in.Report.Seq == b.Seq && bytes.Equal(in.Hash, b.ReportHash):
		return b.Answer, nil
	case in.Report.Seq <= b.Seq:
		return nil, problem(http.StatusConflict, report.CodeReplay, "sequence number %d was used; the next report must have more than %d", in.Report.Seq, b.Seq)
	case in.Report.Nonce != b.Nonce:
		p := problem(http.StatusConflict, report.CodeStaleNonce, "the nonce is not the one given out last")
		p.Nonce = b.Nonce
		return nil, p
	}
	return nil, nil
}

func verdict(s *sessions.Session, a *posture.Assessment, in *ReportInput, r *Rules) *report.Verdict {
	v := &report.Verdict{
		V: report.Version, SessionID: string(s.ID), Status: a.Status.String(), Epoch: s.Epoch,
		DecisionID: in.DecisionID, Nonce: in.Nonce, NextS: int(r.Heartbeat / time.Second),
		PolicyETag: PolicyDocument(s, s.Changed, r).ETag, Actions: a.Actions, Message: a.Message,
	}
	for _, one := range a.Rules {
		v.Requirements = append(v.Requirements, report.Outcome{
			Policy: one.Rule, Requirement: one.Requirement, Enforcement: one.Enforcement, Status: one.Status,
			Passed: one.Passed, Failed: one.Failed, Skipped: one.Skipped, Reason: one.Reason,
		})
	}
	return v
}

// PolicyDocument is the posture policy that the endpoint of s should hold.
func PolicyDocument(s *sessions.Session, now time.Time, r *Rules) *report.Policy {
	in := postureInput(now, s, r)
	return r.Posture.Document(&in)
}

func failedConditions(a *posture.Assessment) []string {
	var out []string
	for _, one := range a.Rules {
		for _, c := range one.Failed {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}
