package sessions

import (
	"fmt"
	"testing"
	"time"
)

// TestWheelAgainstModel schedules, moves, deletes and asks at random, with a clock that
// also jumps, and compares with a plain map: nothing is early, nothing is forgotten.
func TestWheelAgainstModel(t *testing.T) {
	rng := seeded(t)
	table, model := NewTable(), map[ID]time.Time{}
	now := t0
	spans := []time.Duration{time.Millisecond, time.Second, time.Minute, time.Hour, 100 * time.Hour, 20000 * time.Hour}
	span := func() time.Duration { return time.Duration(rng.Int64N(int64(spans[rng.IntN(len(spans))]))) }
	for range 60000 {
		id := ID(fmt.Sprintf("%08x", rng.IntN(400)))
		switch rng.IntN(12) {
		case 0:
			table.Delete(id)
			delete(model, id)
		case 1:
			if d := span(); d < 200*time.Hour || rng.IntN(30) == 0 {
				now = now.Add(d)
			}
		case 2:
			if rng.IntN(20) == 0 {
				now = now.Add(-span())
			}
		case 3, 4:
			for {
				id, ok := table.Due(now)
				if !ok {
					break
				}
				at, ok := model[id]
				if !ok || at.After(now) {
					t.Fatalf("%s is due at %s (%v), and it is %s", id, at, ok, now)
				}
				delete(model, id)
			}
			for id, at := range model {
				if !at.After(now) {
					t.Fatalf("%s was due at %s, and it is %s", id, at, now)
				}
			}
		default:
			if table.Get(id) == nil {
				table.Put(&Session{ID: id})
			}
			at := now.Add(span() - span()/8)
			table.Schedule(id, at)
			if noted, ok := model[id]; !ok || at.Before(noted) {
				model[id] = at
			}
		}
	}
	table.Schedule("none", now)
	table.Schedule("00000001", time.Time{})
	for id := range model {
		table.Delete(id)
	}
	for n := range table.wheel.heads {
		for list, head := range table.wheel.heads[n] {
			if head != 0 {
				t.Errorf("list %d has %d", list, head)
			}
		}
	}
}

// TestWheelWorkIsBounded: a call moves so many timers and no more, and all come up.
func TestWheelWorkIsBounded(t *testing.T) {
	table := NewTable()
	table.Due(t0)
	const n = 3*moveMax + 100
	for i := range n {
		id := ID(fmt.Sprintf("%08x", i))
		table.Put(&Session{ID: id})
		table.Schedule(id, t0.Add(5*24*time.Hour))
	}
	count := func(now time.Time) (due, calls int) {
		for calls = 1; ; calls++ {
			if _, ok := table.Due(now); ok {
				due++
			} else if table.wheel.spreading == 0 && table.wheel.moving == wheelLists && table.wheel.now >= now.UnixNano()>>wheelTick {
				return due, calls - due
			}
		}
	}
	for _, now := range []time.Time{t0.Add(5*24*time.Hour - time.Nanosecond), t0.Add(-24 * time.Hour), t0} {
		if due, empty := count(now); due != 0 || empty < 2 && !now.Equal(t0) {
			t.Fatalf("%s: %d due, %d calls in vain", now, due, empty)
		}
	}
	if due, _ := count(t0.Add(5 * 24 * time.Hour)); due != n {
		t.Fatalf("%d of %d", due, n)
	}
}

func BenchmarkSchedule(b *testing.B) {
	table := NewTable()
	table.Due(t0)
	ids := make([]ID, 1<<16)
	for i := range ids {
		ids[i] = ID(fmt.Sprintf("0a3042ca%08x56e2dce3", i))
		table.Put(&Session{ID: ids[i]})
	}
	i := 0
	for b.Loop() {
		table.Schedule(ids[i&(len(ids)-1)], t0.Add(time.Hour-time.Duration(i)*time.Microsecond))
		i++
	}
}
