package step_test

import (
	"testing"
	"time"

	. "sallyport/engine/step"
	"sallyport/sessions"
)

// TestLimits: a session that is idle, or lasts, for as long as it may is disconnected; a
// NAS that does not take that is told again; without limits nothing happens.
func TestLimits(t *testing.T) {
	r := rules(t)
	s := login(t, r, at(0), nil)
	s.Posture.ValidUntil = time.Time{}
	if next, what := expire(at(3*time.Hour), s, r); next != s || what != "" {
		t.Fatalf("without limits: %s", what)
	}
	for _, c := range []struct {
		name       string
		idle, most time.Duration
		due        time.Duration
		reason     string
	}{
		{"idle", time.Hour, 0, time.Hour, "nothing was heard for 1h0m0s"},
		{"long", 0, 2 * time.Hour, 2 * time.Hour, "the session lasted 2h0m0s"},
		{"both", time.Hour, 2 * time.Hour, time.Hour, "nothing was heard for 1h0m0s"},
	} {
		r.IdleMax, r.SessionMax = c.idle, c.most
		if due := Deadline(s, r); !due.Equal(at(c.due)) {
			t.Errorf("%s: due at %s", c.name, due)
		}
		if next, what := expire(at(c.due-1), s, r); next != s || what != "" {
			t.Errorf("%s: %s too early", c.name, what)
		}
		next, what := expire(at(c.due), s, r)
		if what != ExpiredLimit || next.Change == nil || next.Change.Kind != sessions.ChangeDisconnect || next.Change.Reason != c.reason {
			t.Fatalf("%s: %s %+v", c.name, what, next.Change)
		}
		if again, what := expire(at(c.due+time.Second), next, r); again != next || what != "" {
			t.Errorf("%s: %s while the disconnect is under way", c.name, what)
		}
		refused := Settle(at(c.due+time.Second), next, &Settled{Serial: next.Change.Serial, Outcome: OutcomeNAK, Cause: 506})
		if again, what := expire(at(c.due+10*time.Minute), refused, r); what != ExpiredLimit || again.Change == nil {
			t.Errorf("%s: %s after a NAK", c.name, what)
		}
	}
}

// TestInterimRecordsThatStop: where interim records came, their end is the session's; a
// NAS that never sent any is not suspected, and an agent that reports shows life.
func TestInterimRecordsThatStop(t *testing.T) {
	r := rules(t)
	r.InterimMax = time.Hour
	started, _ := Accounting(at(0), nil, &AccountingInput{Attributes: asa(), Kind: AcctStart, At: at(0)})
	if _, what := expire(at(2*time.Hour), started, r); what != "" {
		t.Errorf("%s without any interim record", what)
	}
	told, _ := Accounting(at(10*time.Minute), started, &AccountingInput{Attributes: asa(), Kind: AcctInterim, At: at(10 * time.Minute)})
	if due := Deadline(told, r); !due.Equal(at(70 * time.Minute)) {
		t.Errorf("due at %s", due)
	}
	next, what := expire(at(70*time.Minute), told, r)
	if what != ExpiredPurge || next.Live() || next.EndCause != "no interim record came since 2016-03-11T15:07:39Z" {
		t.Errorf("%s %q", what, next.EndCause)
	}
	reported := *told
	reported.Posture.ReportAt = at(time.Hour)
	if _, what := expire(at(70*time.Minute), &reported, r); what != "" {
		t.Errorf("%s though the agent reports", what)
	}
}
