package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// What a rate has to satisfy to be below the knee: nearly all is answered, soon.
const (
	kneeAnswered = 0.999
	kneeP99      = 100 * time.Millisecond
	// busy is the share of its CPU from which on the generator may be what limits.
	busy = 0.97
)

// Step is an open loop at one rate.
type Step struct {
	Rate      float64 `json:"rate"`    // asked for, requests a second
	Answers   float64 `json:"answers"` // a second, while requests were sent
	Answered  float64 `json:"answered"`
	Latency   Latency `json:"latency"`
	Generator float64 `json:"generator"` // share of its CPU
	Good      bool    `json:"good"`      // below the knee
	Dirty     bool    `json:"dirty"`     // others disturbed it, see Dirty
}

// String is one line for people.
func (s *Step) String() string {
	verdict := "ok"
	if !s.Good {
		verdict = "beyond the knee"
	}
	if s.Dirty {
		verdict += ", DIRTY"
	}
	return fmt.Sprintf("%8.0f/s asked  %8.0f/s answered (%.2f%%)  p50 %s  p99 %s  generator %.0f%%  %s",
		s.Rate, s.Answers, s.Answered*100, ms(s.Latency.P50), ms(s.Latency.P99), s.Generator*100, verdict)
}

func sortedSteps(all []Step) []Step {
	return slices.SortedFunc(slices.Values(all), func(a, b Step) int { return cmp.Compare(a.Rate, b.Rate) })
}

// Knee is the highest rate that a server answers as it should, and how it was found.
type Knee struct {
	Rate   float64 `json:"rate"`   // answers a second there
	Closed float64 `json:"closed"` // answers a second of the closed loop, where the search began
	Steps  []Step  `json:"steps"`
	// Generator says that the generator was busy beyond the knee: the server's may be higher.
	Generator bool `json:"generator"`
}

const (
	closedTime   = 700 * time.Millisecond
	closedWindow = 8 // at each port, no more than elsewhere
	closedMost   = 256
)

// closed asks the closed loop what the server does at most.
func (a *attack) closed(ctx context.Context) (float64, error) {
	window := min(closedWindow, max(1, closedMost/len(a.load.ports)))
	r, err := a.at(0, window, closedTime).measure(ctx)
	if err != nil {
		return 0, err
	}
	if r.Rate == 0 {
		return 0, errors.New("no knee: the closed loop got no answer")
	}
	return r.Rate, nil
}

// once runs the open loop at one rate.
func (a *attack) once(ctx context.Context, rate float64, length time.Duration) (s Step, err error) {
	r, err := a.at(rate, identifiers, length).measure(ctx)
	if err != nil {
		return s, err
	}
	s = Step{Rate: rate, Answers: r.Rate, Latency: r.Latency, Generator: r.Used.Generator, Dirty: dirty(r)}
	s.Answered = float64(r.Counts.Answered) / float64(max(1, r.Counts.Requests+r.Counts.Unsent))
	s.Good = s.Answered >= kneeAnswered && r.Latency.P99 <= kneeP99.Microseconds()
	return s, nil
}

// try runs a rate again when it was not answered, but others disturbed the server.
func (a *attack) try(ctx context.Context, k *Knee, rate float64, length time.Duration) (*Step, error) {
	var s Step
	for range triesMax {
		var err error
		if s, err = a.once(ctx, rate, length); err != nil {
			return nil, err
		}
		if s.Good || !s.Dirty {
			break
		}
	}
	k.Steps = append(k.Steps, s)
	if s.Good && s.Answers > k.Rate {
		k.Rate = s.Answers
	}
	if !s.Good && s.Generator >= busy {
		k.Generator = true
	}
	return &s, nil
}

// knee halves the rates between what is surely good and what surely is not.
func (a *attack) knee(ctx context.Context) (*Knee, error) {
	const tries, length = 5, 600 * time.Millisecond
	k := &Knee{}
	var err error
	if k.Closed, err = a.closed(ctx); err != nil {
		return nil, err
	}
	low, high := 0.5*k.Closed, 1.3*k.Closed
	for n := 0; n < tries || (k.Rate == 0 && n < 2*tries); n++ {
		at := (low + high) / 2
		s, err := a.try(ctx, k, at, length)
		if err != nil {
			return nil, err
		}
		switch {
		case s.Good:
			low = at
		case k.Rate == 0: // not even the lower half: look further down
			low, high = low/2, at
		default:
			high = at
		}
	}
	if k.Rate == 0 {
		return nil, fmt.Errorf("no knee: at %.0f a second not %.1f%% are answered with p99 up to %s", high, kneeAnswered*100, kneeP99)
	}
	return k, nil
}

// rampShares are the rates of a ramp, as shares of what the closed loop reached.
var rampShares = []float64{0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1, 1.1, 1.25}

// ramp goes up to the knee and beyond it; the result is that of nine tenths of it.
func (a *attack) ramp(ctx context.Context) (*Result, error) {
	k := &Knee{}
	var err error
	if k.Closed, err = a.closed(ctx); err != nil {
		return nil, err
	}
	for _, share := range rampShares {
		s, err := a.try(ctx, k, share*k.Closed, a.s.Time/time.Duration(len(rampShares)))
		if err != nil {
			return nil, err
		}
		a.tell(s)
	}
	if k.Rate == 0 {
		return nil, errors.New("no knee: no rate of the ramp was answered as it should")
	}
	r, err := a.at(0.9*k.Rate, identifiers, a.s.Time/time.Duration(len(rampShares))).measure(ctx)
	if err != nil {
		return nil, err
	}
	r.Knee = k
	return r, nil
}
