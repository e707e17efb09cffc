package step_test

import (
	"testing"
	"time"

	"sallyport/engine/authz"
	. "sallyport/engine/step"
	"sallyport/sessions"
)

// TestALoginThatChangesNothing: the NAS asks again, and nothing has to be written.
func TestALoginThatChangesNothing(t *testing.T) {
	r := rules(t)
	first := login(t, r, at(0), nil)
	if again := login(t, r, at(10*time.Second), first); again != first {
		t.Errorf("the same login made version %d of %d", again.Version, first.Version)
	}
	if later := login(t, r, at(2*time.Minute), first); later == first || !later.LastSeen.Equal(at(2*time.Minute)) {
		t.Error("a login two minutes later left no trace")
	}
	memo, err := authz.NewMemo(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer memo.Close()
	r.Authz.Remember(memo)
	var next sessions.Session
	in := LoginInput{Attributes: asa(), Groups: first.Groups, Method: first.Method}
	in.UserName = first.UserName
	for deadline := time.Now().Add(10 * time.Second); ; { // the memory takes what it is given a little later
		LoginInto(&next, at(time.Second), nil, &in, r)
		if hits, _ := memo.Stats(); hits > 100 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no decision is remembered")
		}
	}
	if n := testing.AllocsPerRun(1000, func() { LoginInto(&next, at(time.Second), nil, &in, r) }); n != 0 {
		t.Errorf("%v allocations a login", n)
	}
}
