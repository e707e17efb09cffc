package bench

import (
	"encoding/json"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// momentsMax bounds a series, and is finer than a plot can show.
const momentsMax = 600

// momentLeast is the shortest moment: with fewer answers in it percentiles say little.
const momentLeast = int64(50 * time.Millisecond)

// Moment is a short time of a run.
type Moment struct {
	Due      uint64 `json:"due"`      // requests that were to be sent then
	Answered uint64 `json:"answered"` // of these, whenever that was
	Replies  uint64 `json:"replies"`  // that settled requests then
	P50, P99 int64  `json:"-"`        // microseconds, of the requests that these replies settled
}

// MarshalJSON writes seconds.
func (m Moment) MarshalJSON() ([]byte, error) {
	type plain Moment
	return json.Marshal(struct {
		plain
		P50 float64 `json:"p50"`
		P99 float64 `json:"p99"`
	}{plain(m), microseconds(float64(m.P50)), microseconds(float64(m.P99))})
}

// series is a run, moment by moment. Replies come in the order of time, so one histogram
// does for all moments.
type series struct {
	begun, width int64
	moments      []Moment
	now          int // the moment that latency is of
	latency      *hdrhistogram.Histogram
}

func newSeries(begun, end int64) series {
	width := max(momentLeast, (end-begun)/momentsMax)
	// Replies come after the end of sending too; one moment more takes them all.
	n := int((end-begun+width-1)/width) + 1
	return series{begun: begun, width: width, moments: make([]Moment, n), latency: hdrhistogram.New(1, latencyMax/int64(time.Microsecond), 2)}
}

func (s *series) index(at int64) int {
	return int(min(max(0, (at-s.begun)/s.width), int64(len(s.moments)-1)))
}

func (s *series) at(due int64) *Moment { return &s.moments[s.index(due)] }

func (s *series) answer(now, due, latency int64) {
	if i := s.index(now); i != s.now {
		s.close()
		s.now = i
	}
	s.at(due).Answered++
	s.moments[s.now].Replies++
	_ = s.latency.RecordValue(latency) // never above its maximum
}

// close writes the percentiles of the moment at hand.
func (s *series) close() {
	if s.latency.TotalCount() > 0 {
		m := &s.moments[s.now]
		m.P50, m.P99 = s.latency.ValueAtPercentile(50), s.latency.ValueAtPercentile(99)
		s.latency.Reset()
	}
}

// Series is a run in moments of one length.
type Series struct {
	Width   time.Duration `json:"-"`
	Moments []Moment      `json:"moments"`
}

// MarshalJSON writes seconds.
func (s Series) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Width   float64  `json:"width"`
		Moments []Moment `json:"moments"`
	}{s.Width.Seconds(), s.Moments})
}

// whole closes a series and returns it without what came after the end of sending.
func (s *series) whole() Series {
	s.close()
	return Series{Width: time.Duration(s.width), Moments: s.moments[:len(s.moments)-1]}
}
