package engine

import (
	"testing"
	"time"
)

// TestAgo: an hour passes in which the clock is set forward twice.
func TestAgo(t *testing.T) {
	var line clockSteps
	day := time.Date(2026, 3, 11, 0, 0, 0, 0, time.UTC)
	clock := func(minute int) time.Time { // what it shows after so many minutes
		at := day.Add(time.Duration(minute) * time.Minute)
		if minute >= 20 {
			at = at.Add(10 * time.Minute)
		}
		if minute >= 40 {
			at = at.Add(15 * time.Minute)
		}
		return at
	}
	line.set(clock(20), 10*time.Minute)
	line.set(clock(40), 15*time.Minute)
	for _, minute := range []int{0, 19, 20, 21, 39, 40, 41, 60} {
		if got, want := line.ago(clock(60), time.Duration(60-minute)*time.Minute), clock(minute); !got.Equal(want) {
			t.Errorf("minute %d: %s, the clock showed %s", minute, got, want)
		}
	}
	line.set(clock(60), -time.Hour)
	if got, want := line.ago(clock(60), 10*time.Minute), clock(50); !got.Equal(want) {
		t.Errorf("set back: %s, want %s", got, want)
	}
	for range 2 * stepsMax {
		line.set(clock(60), time.Second)
	}
	if n := len(*line.steps.Load()); n != stepsMax {
		t.Errorf("%d steps are kept", n)
	}
}

// TestLookAtTheClock: a time that has no monotonic reading was never set.
func TestLookAtTheClock(t *testing.T) {
	var line clockSteps
	now := time.Now()
	line.look(now)
	if by := line.look(now.Add(time.Hour)); by != 0 {
		t.Errorf("an hour that passed: set by %s", by)
	}
	if by := line.look(now.Add(time.Hour).Round(0)); by != 0 || line.steps.Load() != nil {
		t.Errorf("set by %s", by)
	}
}
