package step_test

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	. "sallyport/engine/step"
	"sallyport/sessions"
)

// TestOrderDoesNotMatter: the records of one session, in any order and any of them more
// than once, make the same totals, the same beginning and the same end. Some copies seem
// to be of a little later, since their delay was not corrected when they were sent again.
func TestOrderDoesNotMatter(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for round := range 2000 {
		records := lifeOf(rng)
		var want *sessions.Session
		for shuffle := range 6 {
			all := append([]AccountingInput(nil), records...)
			if shuffle > 0 {
				for range rng.IntN(len(records) + 1) {
					all = append(all, records[rng.IntN(len(records))])
				}
				rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			}
			s := fold(t, rng, all)
			s.Version, s.Changed, s.LastSeen = 0, time.Time{}, time.Time{}
			if want == nil {
				want = s
			} else if !reflect.DeepEqual(s, want) {
				t.Fatalf("round %d of seed %d: in order\n%+v\nelse\n%+v\nby %+v", round, seed, want, s, all)
			}
		}
	}
}

// fold takes the records as they come, each some time after the one before.
func fold(t *testing.T, rng *rand.Rand, all []AccountingInput) *sessions.Session {
	t.Helper()
	var s *sessions.Session
	now := at(2 * time.Hour)
	for i := range all {
		before := s
		s, _ = Accounting(now, s, &all[i])
		if before != nil && (s.Accounting.InOctets < before.Accounting.InOctets || !before.Live() && s.Live()) {
			t.Fatalf("%+v\nbecame\n%+v\nby %+v", before, s, all[i])
		}
		now = now.Add(time.Duration(rng.IntN(5000)) * time.Millisecond)
	}
	return s
}

// lifeOf is what a NAS tells of one session: a Start, interim records, sometimes roams,
// sometimes a Stop, some of them twice with another delay.
func lifeOf(rng *rand.Rand) (records []AccountingInput) {
	begin := at(time.Duration(rng.IntN(3600)) * time.Second)
	now := begin
	a := asa()
	a.FramedIP = netip.MustParseAddr("172.16.31.10")
	in := AccountingInput{Attributes: a, Kind: AcctStart}
	add := func() {
		in.At = now
		in.SessionTime = uint32(now.Sub(begin).Seconds())
		records = append(records, in)
		if rng.IntN(4) == 0 {
			late := in
			late.At = now.Add(time.Duration(rng.IntN(1000)) * time.Millisecond)
			records = append(records, late)
		}
	}
	if rng.IntN(5) > 0 { // else the Start was lost for good
		add()
	}
	for range 1 + rng.IntN(5) {
		now = now.Add(time.Duration(1000+rng.IntN(600_000)) * time.Millisecond)
		in.Kind, in.NASUpdate = AcctInterim, false
		in.InOctets += uint64(rng.IntN(1 << 33))
		in.OutPackets += uint64(rng.IntN(1000))
		if rng.IntN(6) == 0 {
			in.Kind, in.NASUpdate = AcctStop, true
		}
		add()
	}
	if rng.IntN(4) > 0 {
		now = now.Add(time.Duration(1000+rng.IntN(600_000)) * time.Millisecond)
		in.Kind, in.NASUpdate, in.Cause = AcctStop, false, 1
		add()
	}
	return records
}

// TestTheLifeBeforeCountsNothing: a record of the session that had the id before, of any
// kind, adds nothing to the one that has it now.
func TestTheLifeBeforeCountsNothing(t *testing.T) {
	second := asa()
	second.AcctSessionID = "63815AB0"
	now, _ := Accounting(at(time.Hour), nil, &AccountingInput{Attributes: second, Kind: AcctStart, At: at(time.Hour)})
	for _, kind := range []uint32{AcctStart, AcctInterim, AcctStop} {
		late := AccountingInput{Attributes: asa(), Kind: kind, At: at(time.Minute), InOctets: 1 << 40, SessionTime: 50}
		if s, what := Accounting(at(time.Hour+time.Second), now, &late); s != now || what != AcctStale {
			t.Errorf("kind %d: %s, %+v", kind, what, s)
		}
	}
}

// TestAStartAfterTheDisconnect: a session that was disconnected before its Start came does
// not live again by it; one that begins later does.
func TestAStartAfterTheDisconnect(t *testing.T) {
	login := asa()
	login.AcctSessionID = ""
	for _, c := range []struct {
		after time.Duration
		known bool // a record had come before
		anew  bool
	}{{time.Millisecond, false, false}, {59 * time.Second, false, false}, {61 * time.Second, false, true}, {time.Second, true, true}} {
		old := &sessions.Session{ID: login.ID, NAS: "asa", Authenticated: true, Started: at(0)}
		if c.known {
			old, _ = Accounting(at(time.Second), old, &AccountingInput{Attributes: asa(), Kind: AcctStart, At: at(time.Second)})
		}
		ended := End(at(time.Minute), at(time.Minute), old, "disconnected")
		start := AccountingInput{Attributes: asa(), Kind: AcctStart, At: at(time.Minute + c.after)}
		if c.known {
			start.AcctSessionID = "63815AB0"
		}
		if s, _ := Accounting(start.At, ended, &start); s.Live() != c.anew || s.AcctSessionID != start.AcctSessionID {
			t.Errorf("%s after the end, known %v: live %v, number %s", c.after, c.known, s.Live(), s.AcctSessionID)
		}
	}
}

// TestAStartThatItsStopOvertook begins no session, however late it comes; a Start with
// another number does.
func TestAStartThatItsStopOvertook(t *testing.T) {
	ended, _ := Accounting(at(time.Minute), nil, &AccountingInput{Attributes: asa(), Kind: AcctStop, At: at(time.Minute), SessionTime: 10, InOctets: 7})
	start := AccountingInput{Attributes: asa(), Kind: AcctStart, At: at(10 * time.Minute)}
	if s, _ := Accounting(at(10*time.Minute), ended, &start); s.Live() || s.Accounting.InOctets != 7 {
		t.Errorf("the same number: %+v", s)
	}
	start.AcctSessionID = "63815AB0"
	if s, _ := Accounting(at(10*time.Minute), ended, &start); !s.Live() || s.Epoch <= ended.Epoch {
		t.Errorf("another number: %+v", s)
	}
	for _, c := range []struct {
		after time.Duration
		anew  bool
	}{{time.Second, false}, {32 * time.Second, false}, {34 * time.Second, true}} {
		start.At = ended.Ended.Add(c.after)
		if got := Renumbered(ended, &start); got != c.anew {
			t.Errorf("a NAS without names, %s after the end: %v", c.after, got)
		}
	}
}

// TestAClockThatWasSetBack hides no end: the Stop of a session that seems to begin in the
// future ends it, and so does the NAS's start.
func TestAClockThatWasSetBack(t *testing.T) {
	r := rules(t)
	s, _ := Accounting(at(time.Hour), login(t, r, at(time.Hour), nil), &AccountingInput{Attributes: asa(), Kind: AcctStart, At: at(time.Hour)})
	if out, what := Accounting(at(0), s, &AccountingInput{Attributes: asa(), Kind: AcctStop, At: at(0)}); out.Live() || what != AcctEnded {
		t.Errorf("%s: %+v", what, out)
	}
	if !Over(at(0), s, AcctOn, at(0)) {
		t.Error("Accounting-On ends nothing")
	}
}

// TestANASThatStartsAgain ends what was there before, and nothing that it told of since.
// TestAStopThatNothingCameBefore: the Start was lost, and by its delay and a clock that was
// set back the Stop seems to be of before the login. It is of this session all the same.
func TestAStopThatNothingCameBefore(t *testing.T) {
	s := login(t, rules(t), at(0), nil)
	s.AcctSessionID = ""
	stop := &AccountingInput{Attributes: asa(), Kind: AcctStop, At: at(-10 * time.Second), InOctets: 7}
	stop.AcctSessionID = "63815AAF"
	if out, what := Accounting(at(20*time.Second), s, stop); out.Live() || what != AcctEnded || out.Accounting.InOctets != 7 {
		t.Errorf("%s: %+v", what, out.Accounting)
	}
}

func TestANASThatStartsAgain(t *testing.T) {
	r := rules(t)
	before := login(t, r, at(0), nil)
	told, _ := Accounting(at(time.Minute), before, &AccountingInput{Attributes: asa(), Kind: AcctInterim, At: at(time.Minute)})
	for _, c := range []struct {
		what string
		s    *sessions.Session
		kind uint32
		at   time.Duration
		over bool
	}{
		{"it was there", before, AcctOn, time.Second, true},
		{"it came later", before, AcctOn, -time.Second, false},
		{"it was told of later", told, AcctOn, 30 * time.Second, false},
		{"a shutdown", told, AcctOff, 30 * time.Second, true},
	} {
		if got := Over(at(time.Hour), c.s, c.kind, at(c.at)); got != c.over {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}
