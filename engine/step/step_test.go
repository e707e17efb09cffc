package step_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"sallyport/engine/policy"
	"sallyport/engine/posture"
	. "sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/sessions"
)

var t0 = time.Date(2016, 3, 11, 14, 57, 39, 0, time.UTC)

func at(d time.Duration) time.Time { return t0.Add(d) }

func rules(t *testing.T) *Rules {
	t.Helper()
	snap, _, faults := policy.Load("testdata/reference.yaml")
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return &snap.Rules
}

func asa() Attributes {
	return Attributes{
		ID: "0a3042ca0001d00056e2dce3", AuditSessionID: "0a3042ca0001d00056e2dce3", NAS: "BSNS-ASA5515-11",
		NASAddress: netip.MustParseAddr("10.48.66.202"), CallingStationID: "10.229.16.34", UserName: "cisco",
		MACs: []string{"00:0c:29:c9:d9:37"}, OS: "windows", AcctSessionID: "63815AAF", CoAPush: true,
	}
}

func login(t *testing.T, r *Rules, now time.Time, old *sessions.Session) *sessions.Session {
	t.Helper()
	s, d := Login(now, old, &LoginInput{Attributes: asa(), Groups: []string{"employees"}, Method: "pap"}, r)
	if s == nil {
		t.Fatalf("rejected by %s", d.Rule)
	}
	return s
}

var key = []byte("device key")

func claim(t *testing.T, r *Rules, now time.Time, old *sessions.Session) *sessions.Session {
	t.Helper()
	s, p := Claim(now, old, &ClaimInput{
		Claim: &report.Claim{Ticket: "t", Agent: report.Agent{Name: "agent", Version: "1"}, System: report.System{OS: "windows"}},
		Key:   key, TicketSerial: old.Posture.Binding.TicketSerial, Nonce: "n0",
	}, r)
	if p != nil {
		t.Fatal(p)
	}
	return s
}

// send reports with the next sequence number; state "" is no stick at all.
func send(t *testing.T, r *Rules, now time.Time, old *sessions.Session, state string) Judged {
	t.Helper()
	doc := &report.Report{SessionID: string(old.ID), Seq: old.Posture.Binding.Seq + 1, Nonce: old.Posture.Binding.Nonce,
		System: report.System{OS: "windows"}, Facts: report.Facts{USB: &report.USB{}}}
	if state != "" {
		doc.Facts.USB.Devices = []report.USBDevice{{Port: "2-1", Ifaces: []string{"08/06/50"}, State: state}}
	}
	raw, _ := json.Marshal(doc)
	sum := sha256.Sum256(raw)
	return Report(now, old, &ReportInput{Report: doc, Hash: sum[:], Key: key,
		Nonce: fmt.Sprintf("n%d", doc.Seq), DecisionID: fmt.Sprintf("d%d", doc.Seq)}, r)
}

func ack(now time.Time, s *sessions.Session) *sessions.Session {
	return Settle(now, s, &Settled{Serial: s.Change.Serial, Outcome: OutcomeACK, Attempts: 1})
}

// expire is Expire with the names of what happened.
func expire(now time.Time, s *sessions.Session, r *Rules) (*sessions.Session, string) {
	next, all := Expire(now, s, r)
	var what []string
	for _, h := range all {
		what = append(what, h.What)
	}
	return next, strings.Join(what, ", ")
}

// TestTheStory walks the reference: redirect, a stick, blocked, full access by CoA, the
// stick again, back to the redirect by CoA.
func TestTheStory(t *testing.T) {
	r := rules(t)
	s := login(t, r, at(0), nil)
	if s.Grant.Profile != "Posture_Redirect" || s.Grant.Rule != "Posture_Unknown" || s.Posture.Status != sessions.Pending || s.Change != nil {
		t.Fatalf("after login: %+v", s)
	}
	s = claim(t, r, at(5*time.Second), s)
	j := send(t, r, at(6*time.Second), s, report.USBActive)
	if j.Problem != nil || j.Session.Posture.Status != sessions.NonCompliant || j.Session.Change != nil {
		t.Fatalf("with the stick: %v %+v; NonCompliant has the same profile, so no CoA", j.Problem, j.Session)
	}
	var v report.Verdict
	if err := json.Unmarshal(j.Answer, &v); err != nil || len(v.Actions) == 0 || v.Actions[0].Verb != report.VerbUSBBlock {
		t.Fatalf("the verdict asks for no block: %s", j.Answer)
	}
	j = send(t, r, at(8*time.Second), j.Session, report.USBBlocked)
	s = j.Session
	if s.Posture.Status != sessions.Compliant || s.Change == nil || s.Change.Grant.Profile != "FullAccess" || s.Grant.Profile != "Posture_Redirect" {
		t.Fatalf("blocked: %+v %+v", s.Posture, s.Change)
	}
	s = ack(at(9*time.Second), s)
	if s.Grant.Profile != "FullAccess" || s.Change != nil {
		t.Fatalf("after the ACK: %+v", s)
	}
	epoch := s.Epoch
	j = send(t, r, at(40*time.Second), s, report.USBActive)
	if j.Session.Change == nil || j.Session.Change.Grant.Profile != "Posture_Redirect" || j.Session.Epoch <= epoch ||
		j.Session.Posture.Binding.TicketSerial != s.Posture.Binding.TicketSerial+1 {
		t.Fatalf("plugged again: %+v %+v", j.Session.Posture, j.Session.Change)
	}
	// The stick goes before the NAS answered: the newer change replaces the older one.
	back := send(t, r, at(41*time.Second), j.Session, "").Session
	if back.Change == nil || back.Change.Grant.Profile != "FullAccess" || back.Change.Serial != j.Session.Change.Serial+1 {
		t.Fatalf("gone again: %+v", back.Change)
	}
	if late := Settle(at(42*time.Second), back, &Settled{Serial: j.Session.Change.Serial, Outcome: OutcomeACK}); late != back {
		t.Fatal("the answer to a replaced change changed the session")
	}
}

// TestNothingIsChangedInPlace: every step leaves the record it was given as it was.
func TestNothingIsChangedInPlace(t *testing.T) {
	r := rules(t)
	s := login(t, r, at(0), nil)
	for i, f := range []func(*sessions.Session) *sessions.Session{
		func(s *sessions.Session) *sessions.Session { return claim(t, r, at(1), s) },
		func(s *sessions.Session) *sessions.Session { return send(t, r, at(2), s, "").Session },
		func(s *sessions.Session) *sessions.Session { return ack(at(3), s) },
		func(s *sessions.Session) *sessions.Session {
			n, _ := Accounting(at(4), s, &AccountingInput{Attributes: asa(), Kind: AcctStart, At: at(4)})
			return n
		},
		func(s *sessions.Session) *sessions.Session { return send(t, r, at(5), s, report.USBActive).Session },
		func(s *sessions.Session) *sessions.Session {
			return Operator(at(6), s, sessions.ChangeDisconnect, "x", r)
		},
		func(s *sessions.Session) *sessions.Session { return login(t, r, at(7), s) },
		func(s *sessions.Session) *sessions.Session { n, _ := expire(at(100*time.Hour), s, r); return n },
		func(s *sessions.Session) *sessions.Session { return End(at(8), at(8), s, "x") },
	} {
		before := *s
		binding := s.Posture.Binding
		next := f(s)
		if !reflect.DeepEqual(before, *s) || !reflect.DeepEqual(binding, s.Posture.Binding) {
			t.Fatalf("step %d changed the record in place", i)
		}
		if next != s && next.Version != s.Version+1 {
			t.Fatalf("step %d: version %d after %d", i, next.Version, s.Version)
		}
		s = next
	}
}

// TestWhoMayClaim: the newest ticket once, address and MAC together while nobody is
// bound, the bound key again; never the id alone.
func TestWhoMayClaim(t *testing.T) {
	r := rules(t)
	fresh := login(t, r, at(0), nil)
	fresh.FramedIP = netip.MustParseAddr("10.10.10.10")
	bound := claim(t, r, at(1), fresh)
	relogged := login(t, r, at(2), bound)
	ended := End(at(3), at(3), fresh, "x")
	home, away := netip.MustParseAddr("10.10.10.10"), netip.MustParseAddr("10.9.9.9")
	mac := []string{"00-0C-29-C9-D9-37"}
	for _, c := range []struct {
		what   string
		s      *sessions.Session
		serial uint32
		ticket string
		key    string
		peer   netip.Addr
		macs   []string
		at     time.Time
		code   string
		want   sessions.Assurance
	}{
		{"the ticket", fresh, 1, "t", "device key", home, nil, at(1), "", sessions.Ticket},
		{"the ticket from another address", fresh, 1, "t", "device key", away, nil, at(1), "", sessions.TicketElsewhere},
		{"a forged ticket", fresh, 0, "t", "device key", home, mac, at(1), report.CodeTicketUnknown, 0},
		{"an old ticket", relogged, 1, "t", "other", away, nil, at(3), report.CodeTicketUsed, 0},
		{"the ticket of a login that was repeated", login(t, r, at(2), fresh), 1, "t", "device key", home, nil, at(3), "", sessions.Ticket},
		{"a replaced ticket", login(t, r, at(40*time.Minute), fresh), 1, "t", "other", away, nil, at(41 * time.Minute), report.CodeTicketUnknown, 0},
		{"an expired ticket", fresh, 1, "t", "device key", away, nil, at(2 * time.Hour), report.CodeTicketUnknown, 0},
		{"a used ticket, another device", bound, 1, "t", "other", away, nil, at(2), report.CodeTicketUsed, 0},
		{"a used ticket, the same device", bound, 1, "t", "device key", away, nil, at(2), "", sessions.Ticket},
		{"no ticket, nothing", fresh, 0, "", "device key", away, nil, at(1), report.CodeAddressMismatch, 0},
		{"address only", fresh, 0, "", "device key", home, nil, at(1), report.CodeAddressMismatch, 0},
		{"MAC only", fresh, 0, "", "device key", away, mac, at(1), report.CodeAddressMismatch, 0},
		{"address and MAC", fresh, 0, "", "device key", home, mac, at(1), "", sessions.AddressMAC},
		{"address and MAC, another device bound", bound, 0, "", "other", home, mac, at(2), report.CodeNotBound, 0},
		{"the bound key again", bound, 0, "", "device key", away, nil, at(2), "", sessions.Ticket},
		{"a newer ticket, another device", relogged, relogged.Posture.Binding.TicketSerial, "t", "other", home, nil, at(3), "", sessions.Ticket},
		{"an ended session", ended, 1, "t", "device key", home, mac, at(4), report.CodeSessionEnded, 0},
	} {
		next, p := Claim(c.at, c.s, &ClaimInput{Claim: &report.Claim{Ticket: c.ticket, MACs: c.macs}, Peer: c.peer,
			Key: []byte(c.key), TicketSerial: c.serial, Nonce: "n"}, r)
		switch {
		case c.code == "" && (p != nil || next.Posture.Binding.Assurance != c.want || string(next.Posture.Binding.Key) != c.key):
			t.Errorf("%s: %v %v", c.what, p, next.Posture.Binding.Assurance)
		case c.code != "" && (p == nil || p.Code != c.code || next != c.s):
			t.Errorf("%s: %v, want %s and the session as it was", c.what, p, c.code)
		}
	}
}

// TestReportsOutOfOrder: a retry gets the same octets, everything else that is not the
// next report is refused and changes nothing.
func TestReportsOutOfOrder(t *testing.T) {
	r := rules(t)
	s := claim(t, r, at(1), login(t, r, at(0), nil))
	first := send(t, r, at(2), s, "")
	in := func(seq uint64, nonce, k, body string) *ReportInput {
		return &ReportInput{Report: &report.Report{Seq: seq, Nonce: nonce, Facts: report.Facts{USB: &report.USB{}}}, Hash: []byte(body), Key: []byte(k), Nonce: "next"}
	}
	for _, c := range []struct {
		what string
		s    *sessions.Session
		in   *ReportInput
		code string
	}{
		{"another key", first.Session, in(2, "n1", "other", "b"), report.CodeNotBound},
		{"the same number, other bytes", first.Session, in(1, "n1", "device key", "b"), report.CodeReplay},
		{"an older number", send(t, r, at(3), first.Session, "").Session, in(1, "n2", "device key", "b"), report.CodeReplay},
		{"a stale nonce", first.Session, in(2, "n0", "device key", "b"), report.CodeStaleNonce},
		{"nobody bound", login(t, r, at(0), nil), in(1, "", "device key", "b"), report.CodeNotBound},
		{"an ended session", End(at(3), at(3), first.Session, "x"), in(2, "n1", "device key", "b"), report.CodeSessionEnded},
	} {
		j := Report(at(4), c.s, c.in, r)
		if j.Problem == nil || j.Problem.Code != c.code || j.Session != c.s || j.Answer != nil {
			t.Errorf("%s: %+v, want %s", c.what, j.Problem, c.code)
		}
		if c.code == report.CodeStaleNonce && j.Problem.Nonce != "n1" {
			t.Errorf("%s: the answer does not carry the nonce to use", c.what)
		}
	}
	b := first.Session.Posture.Binding
	again := Report(at(5), first.Session, &ReportInput{Report: &report.Report{Seq: 1}, Hash: b.ReportHash, Key: key}, r)
	if !again.Again || string(again.Answer) != string(first.Answer) || again.Session != first.Session {
		t.Errorf("a retry got %s", again.Answer)
	}
}

// TestAccounting is the final state after records in any order and number.
func TestAccounting(t *testing.T) {
	type rec struct {
		kind    uint32
		at      time.Duration
		in      uint64
		update  bool
		what    string
		ended   bool
		octets  uint64
		started time.Duration
	}
	for name, list := range map[string][]rec{
		"in order":        {{AcctStart, 1, 0, false, AcctStarted, false, 0, 1}, {AcctInterim, 60, 5, false, AcctUpdated, false, 5, 1}, {AcctStop, 90, 9, false, AcctEnded, true, 9, 1}},
		"stop first":      {{AcctStop, 90, 9, false, AcctEnded, true, 9, 90}, {AcctStart, 1, 0, false, AcctStarted, true, 9, 1}, {AcctInterim, 60, 5, false, AcctStale, true, 9, 1}},
		"duplicate stop":  {{AcctStart, 1, 0, false, AcctStarted, false, 0, 1}, {AcctStop, 90, 9, false, AcctEnded, true, 9, 1}, {AcctStop, 90, 9, false, AcctStale, true, 9, 1}},
		"a roam":          {{AcctStart, 1, 0, false, AcctStarted, false, 0, 1}, {AcctStop, 30, 4, true, AcctRoamed, false, 4, 1}, {AcctInterim, 60, 5, false, AcctUpdated, false, 5, 1}},
		"counters shrink": {{AcctInterim, 60, 5, false, AcctUpdated, false, 5, 0}, {AcctInterim, 30, 2, false, AcctStale, false, 5, 0}},
	} {
		var s *sessions.Session
		for i, x := range list {
			var what string
			s, what = Accounting(at(time.Hour), s, &AccountingInput{Attributes: asa(), Kind: x.kind, At: at(x.at * time.Second), InOctets: x.in, NASUpdate: x.update})
			started := s.Accounting.Started
			if what != x.what || s.Live() == x.ended || s.Accounting.InOctets != x.octets || x.started > 0 && !started.Equal(at(x.started*time.Second)) {
				t.Errorf("%s, record %d: %s, live %v, %d octets, started %s", name, i, what, s.Live(), s.Accounting.InOctets, started)
			}
		}
	}
}

// TestANewLifeOfAnID: after the end, the same id begins again with nothing of the one
// before but counters that late news is recognised by.
func TestANewLifeOfAnID(t *testing.T) {
	r := rules(t)
	old := send(t, r, at(2), claim(t, r, at(1), login(t, r, at(0), nil)), "").Session
	ended, _ := Accounting(at(60), old, &AccountingInput{Attributes: asa(), Kind: AcctStop, At: at(60)})
	if ended.Live() || ended.Change != nil {
		t.Fatalf("%+v", ended)
	}
	s := login(t, r, at(90), ended)
	if s.Posture.Status != sessions.Pending || len(s.Posture.Binding.Key) != 0 || s.Epoch <= old.Epoch || s.Changes < ended.Changes ||
		s.Posture.Binding.TicketSerial <= old.Posture.Binding.TicketSerial || !s.Accounting.Stopped.IsZero() {
		t.Fatalf("%+v", s)
	}
	other := asa()
	other.UserName = "somebody else"
	s2, _ := Login(at(3), old, &LoginInput{Attributes: other, Method: "pap"}, r)
	if s2.Posture.Status == sessions.Compliant || len(s2.Posture.Binding.Key) != 0 {
		t.Fatal("another user inherits the posture")
	}
	again := login(t, r, at(3), old)
	if again.Posture.Status != sessions.Compliant || again.Grant.Profile != "FullAccess" || again.Change != nil {
		t.Fatalf("a re-authentication of the same user loses the posture: %+v", again)
	}
}

func TestRejected(t *testing.T) {
	r := rules(t)
	a := asa()
	if s, d := Login(at(0), nil, &LoginInput{Attributes: a, Groups: []string{"contractors"}, Method: "pap"}, r); s != nil || d.Rule != "Contractors_Out" {
		t.Fatalf("%+v %s", s, d.Rule)
	}
}

// TestTimePasses: an alarm for an agent that never came, NonCompliant for one that fell
// silent, the end of a session whose NAS did.
func TestTimePasses(t *testing.T) {
	r := rules(t)
	pending := login(t, r, at(0), nil)
	compliant := ack(at(3), send(t, r, at(2), claim(t, r, at(1), pending), "").Session)
	acct, _ := Accounting(at(0), pending, &AccountingInput{Attributes: asa(), Kind: AcctStart, At: at(0)})
	for _, c := range []struct {
		what string
		s    *sessions.Session
		at   time.Duration
		want string
		test func(*sessions.Session) bool
	}{
		{"nothing is due", pending, time.Minute, "", func(s *sessions.Session) bool { return s == pending }},
		{"no agent came", pending, 11 * time.Minute, posture.HappenedPending, func(s *sessions.Session) bool {
			return s.Posture.Status == sessions.Pending && s.Posture.ValidUntil.IsZero() && s.Live()
		}},
		{"the agent fell silent", compliant, 47 * time.Minute, posture.HappenedLost, func(s *sessions.Session) bool {
			return s.Posture.Status == sessions.NonCompliant && s.Change != nil && s.Change.Grant.Profile == "Posture_Redirect" && s.Epoch > compliant.Epoch
		}},
		{"no accounting", pending, 5 * time.Hour, ExpiredPurge, func(s *sessions.Session) bool { return !s.Live() }},
		{"accounting began", acct, 5 * time.Hour, posture.HappenedPending, func(s *sessions.Session) bool { return s.Live() }},
		{"no stop", acct, 121 * time.Hour, ExpiredPurge, func(s *sessions.Session) bool { return !s.Live() }},
		{"kept long enough", End(at(0), at(0), pending, "x"), 2 * time.Hour, ExpiredForget, func(s *sessions.Session) bool { return s == nil }},
	} {
		s, what := expire(at(c.at), c.s, r)
		if what != c.want || !c.test(s) {
			t.Errorf("%s: %q %+v", c.what, what, s)
		}
	}
}

// TestSettle: what each answer of the NAS means for the session.
func TestSettle(t *testing.T) {
	r := rules(t)
	s := send(t, r, at(2), claim(t, r, at(1), login(t, r, at(0), nil)), "").Session
	for _, c := range []struct {
		outcome string
		cause   uint32
		live    bool
		profile string
	}{{OutcomeACK, 0, true, "FullAccess"}, {OutcomeACK, 200, true, "FullAccess"}, {OutcomeNAK, 503, false, "Posture_Redirect"},
		{OutcomeNAK, 401, true, "Posture_Redirect"}, {OutcomeNAK, 0, true, "Posture_Redirect"}, {OutcomeSilence, 0, true, "Posture_Redirect"}} {
		next := Settle(at(3), s, &Settled{Serial: s.Change.Serial, Outcome: c.outcome, Cause: c.cause, Attempts: 2})
		if next.Change != nil || next.Live() != c.live || next.Grant.Profile != c.profile || next.Settled.Outcome != c.outcome || next.Settled.Cause != c.cause {
			t.Errorf("%s %d: %+v", c.outcome, c.cause, next)
		}
	}
	gone := Operator(at(3), s, sessions.ChangeDisconnect, "operator", r)
	if gone = ack(at(4), gone); gone.Live() {
		t.Error("a disconnect that was acknowledged leaves the session alive")
	}
}

// TestLoginWhileAChangeIsUnderWay: the old push may be retransmitted after the Access-
// Accept, so a login with another grant sends its own again, behind it; a login with the
// grant that is on its way anyway ends the matter.
func TestLoginWhileAChangeIsUnderWay(t *testing.T) {
	r := rules(t)
	opening := send(t, r, at(2), claim(t, r, at(1), login(t, r, at(0), nil)), "").Session
	if opening.Change == nil || opening.Change.Grant.Profile != "FullAccess" {
		t.Fatalf("%+v", opening.Change)
	}
	same := login(t, r, at(3), opening)
	if same.Grant.Profile != "FullAccess" || same.Change != nil || same.Settled.Outcome != "cancelled" {
		t.Fatalf("the same grant: %+v %+v", same.Change, same.Settled)
	}
	other := asa()
	other.UserName = "somebody else"
	s, _ := Login(at(3), opening, &LoginInput{Attributes: other, Method: "pap"}, r)
	if s.Grant.Profile != "Posture_Redirect" || s.Change == nil || s.Change.Grant.Profile != "Posture_Redirect" ||
		s.Change.Serial <= opening.Change.Serial || s.Epoch <= opening.Epoch {
		t.Fatalf("another user: the push of full access has the last word: %+v", s.Change)
	}
	// The id begins again while the push of its life before may still be on its way.
	ended := End(at(3), at(3), opening, "x")
	if s = login(t, r, at(4), ended); s.Change == nil || s.Change.Grant.Profile != "Posture_Redirect" {
		t.Fatalf("a new life: %+v", s.Change)
	}
	if s = login(t, r, at(40*time.Second), ended); s.Change != nil {
		t.Fatalf("long after: %+v", s.Change)
	}
}
