package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// The phases of an overload. A fifth of the knee goes on through all of them, so that
// what an ordinary NAS sees before, meanwhile and afterwards is measured.
const (
	calmTime   = time.Second
	floodTime  = 1500 * time.Millisecond
	afterTime  = 2 * time.Second
	probeShare = 0.2
	// wellShare is what is answered of a moment where all is well.
	wellShare = 0.99
)

// Overload is what a server did when far more came than it can answer.
type Overload struct {
	Times    float64 `json:"times"`    // the knee, offered
	Goodput  float64 `json:"goodput"`  // requests a second that got their answer meanwhile
	Ratio    float64 `json:"ratio"`    // of goodput and knee, or what the closed loop reached if that is more
	Recovery float64 `json:"recovery"` // seconds from the end of the overload until all was well; negative: never
	Begin    float64 `json:"begin"`    // of the overload in the series, seconds
	End      float64 `json:"end"`
}

// String is one line for people.
func (o *Overload) String() string {
	recovery := fmt.Sprintf("all is well %.0f ms afterwards", o.Recovery*1000)
	if o.Recovery < 0 {
		recovery = "never well afterwards"
	}
	return fmt.Sprintf("%.1f times the knee offered, %.0f/s answered, %.3f of the knee; %s", o.Times, o.Goodput, o.Ratio, recovery)
}

// overload finds the knee and then offers the scenario's multiple of it.
func (a *attack) overload(ctx context.Context) (*Result, error) {
	k, err := a.knee(ctx)
	if err != nil {
		return nil, err
	}
	for i := range k.Steps {
		a.tell(&k.Steps[i])
	}
	probe := probeShare * k.Rate
	s := surge{calmTime, floodTime, a.s.Overload*k.Rate - probe}
	f, err := newFlood(a.s, a.load.verifier, floodPorts, int(s.rate*floodTime.Seconds()), false)
	if err != nil {
		return nil, err
	}
	if err := a.release(f, s); err != nil {
		return nil, err
	}
	r, err := a.at(probe, identifiers, calmTime+floodTime+afterTime).measure(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.release(nil, surge{}); err != nil {
		return nil, err
	}
	r.Knee, r.Overload = k, judgeOverload(r, k)
	if r.Overload == nil {
		return nil, errors.New("the overload did not take place")
	}
	r.judge()
	return r, nil
}

// judgeOverload adds up the moments of the flood.
func judgeOverload(r *Result, k *Knee) *Overload {
	width := r.Series.Width
	from, to := int(calmTime/width), int((calmTime+floodTime)/width)
	flooded := r.Storm.Series.Moments
	if to >= len(r.Series.Moments) || to-from > len(flooded) {
		return nil
	}
	replies, due := uint64(0), uint64(0)
	for i := from; i < to; i++ {
		replies += r.Series.Moments[i].Replies + flooded[i-from].Replies
		due += r.Series.Moments[i].Due
	}
	o := &Overload{Begin: calmTime.Seconds(), End: (calmTime + floodTime).Seconds(), Recovery: -1}
	o.Times = math.Round((float64(due)/floodTime.Seconds()+r.Storm.Offered)/k.Rate*100) / 100
	o.Goodput = float64(replies) / floodTime.Seconds()
	o.Ratio = o.Goodput / max(k.Rate, k.Closed)
	for i := to; i < len(r.Series.Moments)-1; i++ {
		if well(r.Series.Moments[i]) && well(r.Series.Moments[i+1]) {
			o.Recovery = (time.Duration(i-to) * width).Seconds()
			break
		}
	}
	return o
}

// well says whether the requests of a moment were answered, and its answers were soon.
func well(m Moment) bool {
	return float64(m.Answered) >= wellShare*float64(m.Due) && m.P99 <= kneeP99.Microseconds()
}
