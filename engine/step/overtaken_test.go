package step_test

import (
	"testing"
	"time"

	"sallyport/engine/posture"
	. "sallyport/engine/step"
	"sallyport/sessions"
)

// TestAStopOfTheLifeBefore: a Stop that was sent again, and comes when the same id is in
// use again, ends nothing; neither its time nor its totals are the new life's.
func TestAStopOfTheLifeBefore(t *testing.T) {
	r := rules(t)
	stop := &AccountingInput{Attributes: asa(), Kind: AcctStop, At: at(60 * time.Second), InOctets: 1000, SessionTime: 60}
	first, _ := Accounting(at(60*time.Second), login(t, r, at(0), nil), stop)
	second := asa()
	second.AcctSessionID = "63815AB0"
	next, _ := Login(at(90*time.Second), first, &LoginInput{Attributes: second, Method: "pap"}, r)
	next, _ = Accounting(at(91*time.Second), next, &AccountingInput{Attributes: second, Kind: AcctStart, At: at(91 * time.Second)})
	late, what := Accounting(at(95*time.Second), next, stop)
	if !late.Live() || what != AcctStale || late.Accounting.InOctets != 0 || late.AcctSessionID != "63815AB0" {
		t.Errorf("%s, live %v, %d octets of %s", what, late.Live(), late.Accounting.InOctets, late.AcctSessionID)
	}
	own, what := Accounting(at(96*time.Second), late, &AccountingInput{Attributes: second, Kind: AcctStop, At: at(96 * time.Second)})
	if own.Live() || what != AcctEnded {
		t.Errorf("its own Stop: %s, live %v", what, own.Live())
	}
}

// TestAccountingProvesNoIdentity: the name in an accounting record is what the NAS calls
// the user, often without its realm, and was not authenticated.
func TestAccountingProvesNoIdentity(t *testing.T) {
	r := rules(t)
	in := &AccountingInput{Attributes: asa(), Kind: AcctInterim, At: at(time.Second)}
	in.UserName = "administrator"
	if s, _ := Accounting(at(time.Second), login(t, r, at(0), nil), in); s.UserName != "cisco" {
		t.Errorf("authenticated as cisco, now %q", s.UserName)
	}
	if s, _ := Accounting(at(time.Second), nil, in); s.UserName != "administrator" {
		t.Errorf("%q: a session that was not authenticated here has the name its NAS gives", s.UserName)
	}
}

// TestAnOldStopIsNotForgottenAtOnce: an ended session is kept from when we learn of its
// end. A NAS that was cut off tells of ends long ago, and with the record would go the
// counters by which late news and old tickets are known.
func TestAnOldStopIsNotForgottenAtOnce(t *testing.T) {
	r := rules(t)
	now := at(100 * time.Hour)
	s, _ := Accounting(now, login(t, r, at(0), nil), &AccountingInput{Attributes: asa(), Kind: AcctStop, At: at(time.Hour)})
	if kept, what := expire(now.Add(time.Second), s, r); kept != s || what != "" {
		t.Errorf("%s at once, want it kept for %s", what, r.KeepEnded)
	}
	if _, what := expire(now.Add(r.KeepEnded), s, r); what != ExpiredForget {
		t.Errorf("%q after %s", what, r.KeepEnded)
	}
}

// TestAChangeThatWasNotTakenIsTriedAgain: the agent is gone, so no report will come that
// could bring the redirect to the NAS; time has to.
func TestAChangeThatWasNotTakenIsTriedAgain(t *testing.T) {
	r := rules(t)
	full := ack(at(3), send(t, r, at(2), claim(t, r, at(1), login(t, r, at(0), nil)), "").Session)
	lost, _ := expire(at(47*time.Minute), full, r)
	for outcome, wait := range map[string]time.Duration{OutcomeSilence: time.Minute, OutcomeNAK: 5 * time.Minute} {
		now := at(48 * time.Minute)
		failed := Settle(now, lost, &Settled{Serial: lost.Change.Serial, Outcome: outcome, Cause: 506})
		if next, what := expire(now.Add(wait-1), failed, r); next != failed || what != "" {
			t.Errorf("%s: %s before its time", outcome, what)
		}
		next, what := expire(now.Add(wait), failed, r)
		if what != ExpiredRetry || next.Change == nil || next.Change.Grant.Profile != "Posture_Redirect" || next.Change.Serial <= lost.Change.Serial {
			t.Errorf("%s: %s %+v, want the redirect again", outcome, what, next.Change)
		}
	}
	// Full access was refused, and is not due any more: nothing is sent, once and for all.
	opening := send(t, r, at(2), claim(t, r, at(1), login(t, r, at(0), nil)), "").Session
	failed := Settle(at(3), opening, &Settled{Serial: opening.Change.Serial, Outcome: OutcomeNAK, Cause: 506})
	closed := send(t, r, at(4), failed, "active").Session
	if closed.Change != nil {
		t.Fatalf("%+v", closed.Change)
	}
	next, what := expire(at(5*time.Minute+4), closed, r)
	for what == posture.HappenedRemedy { // due by then, too
		next, what = expire(at(5*time.Minute+4), next, r)
	}
	if what != ExpiredRetry || next.Change != nil {
		t.Errorf("%s %+v, want no change", what, next.Change)
	}
	if again, what := expire(at(10*time.Minute), next, r); again != next || what != "" {
		t.Errorf("%s again", what)
	}
}

// TestSilenceIsNoRefusal: full access was given and the answer was lost, so what is not due
// any more is taken back, until the NAS says so.
func TestSilenceIsNoRefusal(t *testing.T) {
	r := rules(t)
	opening := send(t, r, at(2), claim(t, r, at(1), login(t, r, at(0), nil)), "").Session
	silent := func(now time.Time, s *sessions.Session) *sessions.Session {
		return Settle(now, s, &Settled{Serial: s.Change.Serial, Outcome: OutcomeSilence, Attempts: 4})
	}
	closed := send(t, r, at(4), silent(at(3), opening), "active").Session
	if closed.Change == nil || closed.Change.Grant.Profile != "Posture_Redirect" {
		t.Fatalf("%+v", closed.Change)
	}
	if again := send(t, r, at(5), closed, "active").Session; again.Change != closed.Change {
		t.Errorf("it is on its way, and another one is made: %+v", again.Change)
	}
	still := silent(at(time.Minute), closed)
	next, what := expire(at(2*time.Minute), still, r)
	if what != ExpiredRetry || next.Change == nil || next.Change.Grant.Profile != "Posture_Redirect" {
		t.Fatalf("%s %+v", what, next.Change)
	}
	done := ack(at(3*time.Minute), next)
	if again, what := expire(at(4*time.Minute-1), done, r); again != done || what != "" {
		t.Errorf("%s after the acknowledgement", what)
	}
	if asked := login(t, r, at(2*time.Minute), still); asked.Doubt {
		t.Error("the NAS has an answer of now")
	}
}

// TestOneTicketForOneRedirect: a redirect is on its way while the endpoint logs in, and
// the NAS may take it after the answer. Both hold the ticket that counts.
func TestOneTicketForOneRedirect(t *testing.T) {
	r := rules(t)
	full := ack(at(3), send(t, r, at(2), claim(t, r, at(1), login(t, r, at(0), nil)), "").Session)
	closing := send(t, r, at(10), full, "active").Session
	pushed := closing.Posture.Binding.TicketSerial
	if again := login(t, r, at(11), closing); again.Change != nil || again.Posture.Binding.TicketSerial != pushed {
		t.Errorf("ticket %d pushed, %d answered, change %v", pushed, again.Posture.Binding.TicketSerial, again.Change)
	}
	other := claim(t, r, at(11), closing)
	if again := login(t, r, at(12), other); again.Posture.Binding.TicketSerial == pushed {
		t.Error("a ticket that was redeemed is answered")
	}
}

// TestWhatAnAcknowledgementEnds: where a push can only be said as a disconnect, the
// acknowledgement ends the session and grants nothing; a NAK 507 is no refusal.
func TestWhatAnAcknowledgementEnds(t *testing.T) {
	r := rules(t)
	opening := send(t, r, at(2), claim(t, r, at(1), login(t, r, at(0), nil)), "").Session
	if gone := Settle(at(3), opening, &Settled{Serial: opening.Change.Serial, Outcome: OutcomeACK, Ended: true}); gone.Live() || gone.Grant.Profile == opening.Change.Grant.Profile {
		t.Errorf("live %v, holds %s", gone.Live(), gone.Grant.Profile)
	}
	asked := Settle(at(3), opening, &Settled{Serial: opening.Change.Serial, Outcome: OutcomeFollows, Cause: 507})
	if next, what := expire(at(10*time.Minute), asked, r); what == ExpiredRetry || !next.Live() {
		t.Errorf("%s: a change that the NAS asks about was sent again", what)
	}
	acked := Settle(at(3), opening, &Settled{Serial: opening.Change.Serial, Outcome: OutcomeACK})
	if s := Confirm(at(4), acked, opening.Change.Serial, false); s.Settled.Outcome != OutcomeUnconfirmed {
		t.Errorf("%+v", s.Settled)
	}
	if s := Confirm(at(4), acked, opening.Change.Serial+1, true); s != acked {
		t.Error("late news changed the record")
	}
}

// TestACopyOfALoginCancelsNothing: the answer to a request that was answered before may go
// where nobody waits for it, so the change to the same grant still has to be told.
func TestACopyOfALoginCancelsNothing(t *testing.T) {
	r := rules(t)
	s := login(t, r, at(0), nil)
	in := &LoginInput{Attributes: asa(), Groups: s.Groups, Method: s.Method}
	changing := *s
	changing.Changes++
	changing.Change = &sessions.Change{Kind: sessions.ChangePush, Serial: changing.Changes, Made: at(time.Second), Grant: s.Grant}
	for _, again := range []bool{false, true} {
		in.Again = again
		next, _ := Login(at(2*time.Second), &changing, in, r)
		if open := next.Change != nil; open != again || open && next.Change.Serial != changing.Change.Serial {
			t.Errorf("again %v: %+v, %+v", again, next.Change, next.Settled)
		}
	}
	other := changing
	other.Change = &sessions.Change{Kind: sessions.ChangePush, Serial: 7, Made: at(time.Second), Grant: sessions.Grant{Profile: "Other"}}
	if next, _ := Login(at(2*time.Second), &other, in, r); next.Change == nil || next.Change.Grant != s.Grant || next.Settled.Serial != 7 {
		t.Errorf("a change to another grant: %+v, %+v", next.Change, next.Settled)
	}
}

// TestTellAgain: whoever got the number of a session that had a change on its way is told
// its own grant, unless it is being told anyway.
func TestTellAgain(t *testing.T) {
	old := &sessions.Session{Started: at(0)}
	if Flying(at(time.Minute), old) {
		t.Error("nothing was ever sent")
	}
	old.Settled = sessions.Settled{Serial: 1, At: at(time.Minute)}
	if !Flying(at(time.Minute+29*time.Second), old) || Flying(at(time.Minute+31*time.Second), old) {
		t.Error("a request is sent for 30 s")
	}
	old.Change = &sessions.Change{Serial: 2}
	if !Flying(at(time.Hour), old) {
		t.Error("a change is open")
	}
	s := login(t, rules(t), at(0), nil)
	TellAgain(at(time.Second), s)
	if s.Change == nil || s.Change.Grant != s.Grant || s.Change.Kind != sessions.ChangePush {
		t.Fatalf("%+v", s.Change)
	}
	serial := s.Change.Serial
	if TellAgain(at(2*time.Second), s); s.Change.Serial != serial {
		t.Error("told twice")
	}
	metered := &sessions.Session{Started: at(0)}
	if TellAgain(at(0), metered); metered.Change != nil {
		t.Error("a session that was not authenticated here has no grant")
	}
}
