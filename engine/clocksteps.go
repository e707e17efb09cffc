package engine

import (
	"sync/atomic"
	"time"
)

// clockSteps knows when our clock was set since we started, so that a moment "so long ago"
// can be told as the clock showed it then. The moments in the records are of then too.
//
// Only a clock that was set forward is taken back for that. Of one that was set back some
// moments came twice, and which one a record means nobody can tell; then a record is taken
// for one of the second time, so that no event is of later than now.
//
// One goroutine notes, all may ask. What was set before we started nobody knows any more.
type clockSteps struct {
	steps atomic.Pointer[[]clockStep] // the newest first
	last  time.Time                   // of the last look; with the monotonic reading
}

// clockStep is one time that the clock was set.
type clockStep struct {
	at time.Time     // the first moment after it, by the clock as it was set
	by time.Duration // forward, or back when negative
}

const (
	stepMin  = time.Second // less is a slew, or a machine that was busy
	stepsMax = 16
)

// look compares the clock with the monotonic one, which nobody sets, and returns by how
// much the clock was set since the last look.
func (t *clockSteps) look(now time.Time) time.Duration {
	last := t.last
	t.last = now
	if last.IsZero() {
		return 0
	}
	by := now.Round(0).Sub(last.Round(0)) - now.Sub(last)
	if by.Abs() < stepMin {
		return 0
	}
	t.set(last.Round(0).Add(by), by)
	return by
}

// set notes that the clock was set by so much and showed at then.
func (t *clockSteps) set(at time.Time, by time.Duration) {
	steps := []clockStep{{at, by}}
	if old := t.steps.Load(); old != nil {
		steps = append(steps, (*old)[:min(len(*old), stepsMax-1)]...)
	}
	t.steps.Store(&steps)
}

// ago is the moment so long before now, as the clock showed it then.
func (t *clockSteps) ago(now time.Time, d time.Duration) time.Time {
	at := now.Add(-d)
	if steps := t.steps.Load(); steps != nil {
		for _, s := range *steps {
			if !at.Before(s.at) {
				break
			}
			at = at.Add(-max(0, s.by))
		}
	}
	return at
}
