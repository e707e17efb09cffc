package collect

import (
	"context"
	"testing"
	"time"
)

// TestWatchSleep: a sleep is told once, what is too short for one is not, and neither is
// the time since before the watch.
func TestWatchSleep(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ticks, asked, stopped := make(chan time.Time), make(chan time.Duration), make(chan struct{})
	var woke <-chan struct{}
	ready := make(chan struct{})
	go func() {
		woke = watchSleep(ctx, func() time.Duration { return <-asked }, ticks, func() { close(stopped) })
		close(ready)
	}()
	asked <- time.Hour
	<-ready
	for _, step := range []struct {
		slept time.Duration // so far
		told  bool
	}{{time.Hour, false}, {time.Hour + sleepLeast - 1, false}, {time.Hour + 2*sleepLeast, true}, {time.Hour + 2*sleepLeast, false}, {time.Hour, false}, {9 * time.Hour, true}} {
		ticks <- time.Time{}
		asked <- step.slept
		ticks <- time.Time{} // taken when the step before was thought about
		asked <- step.slept
		told := false
		select {
		case <-woke:
			told = true
		default:
		}
		if told != step.told {
			t.Errorf("slept %s so far: told %v, want %v", step.slept, told, step.told)
		}
	}
	cancel()
	<-stopped
	now := sleptSince(time.Now())
	if first, second := now(), now(); second-first > time.Second || second-first < -time.Second {
		t.Errorf("slept %s, and %s a moment later", first, second)
	}
}
