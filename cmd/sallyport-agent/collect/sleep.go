package collect

import (
	"context"
	"time"
)

// Timers stand still while a machine sleeps, so that a heartbeat of every quarter of an
// hour may come after a night and a quarter of an hour.
const (
	sleepCheck = 3 * time.Second  // how late a wake-up is noticed
	sleepLeast = 10 * time.Second // a shorter sleep is none that anybody need know of
)

// WatchSleep gives a channel that gets a value when this machine has slept and is awake
// again. It stops with ctx.
func WatchSleep(ctx context.Context) <-chan struct{} {
	ticker := time.NewTicker(sleepCheck)
	return watchSleep(ctx, sleptSince(time.Now()), ticker.C, ticker.Stop)
}

// watchSleep asks at every tick how long the machine has slept so far.
func watchSleep(ctx context.Context, slept func() time.Duration, ticks <-chan time.Time, stop func()) <-chan struct{} {
	woke, before := newSignal(), slept()
	go func() {
		defer stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticks:
			}
			now := slept()
			if now-before >= sleepLeast {
				woke.raise()
			}
			before = now
		}
	}()
	return woke
}
