package bench

import (
	"encoding/json"
	"io"
	"math"
)

// JSON writes the result as one line; durations are seconds.
func (r *Result) JSON(out io.Writer) error {
	type plain Result
	copied := struct {
		*plain
		ServerCPU float64  `json:"server_cpu"`
		Missed    []string `json:"missed"` // never null
	}{(*plain)(r), microseconds(r.ServerCPU), append([]string{}, r.Missed...)}
	return json.NewEncoder(out).Encode(&copied)
}

// microseconds in seconds, to the nanosecond.
func microseconds(us float64) float64 { return math.Round(us*1000) / 1e9 }

// MarshalJSON writes seconds.
func (l Latency) MarshalJSON() ([]byte, error) {
	us := func(n int64) float64 { return microseconds(float64(n)) }
	return json.Marshal(map[string]float64{
		"p50": us(l.P50), "p90": us(l.P90), "p99": us(l.P99), "p999": us(l.P999), "max": us(l.Max), "mean": microseconds(l.Mean),
	})
}

// MarshalJSON writes seconds.
func (s Scenario) MarshalJSON() ([]byte, error) {
	type plain Scenario
	return json.Marshal(struct {
		plain
		Time float64 `json:"time"`
	}{plain(s), s.Time.Seconds()})
}

// MarshalJSON writes seconds.
func (r Retransmit) MarshalJSON() ([]byte, error) {
	type plain Retransmit
	return json.Marshal(struct {
		plain
		Initial float64 `json:"initial"`
		Longest float64 `json:"longest"`
		GiveUp  float64 `json:"give_up"`
	}{plain(r), r.Initial.Seconds(), r.Longest.Seconds(), r.GiveUp.Seconds()})
}

// MarshalJSON writes seconds.
func (o Objectives) MarshalJSON() ([]byte, error) {
	type plain Objectives
	return json.Marshal(struct {
		plain
		P50      float64 `json:"p50"`
		P99      float64 `json:"p99"`
		Recovery float64 `json:"recovery"`
	}{plain(o), o.P50.Seconds(), o.P99.Seconds(), o.Recovery.Seconds()})
}
