package bench

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what one run of a scenario measured.
type Result struct {
	Scenario Scenario  `json:"scenario"`
	Seed     uint64    `json:"seed"` // that repeats it
	Target   string    `json:"target"`
	Server   string    `json:"server"` // what answers there
	Disk     string    `json:"disk"`   // file system of its journal, where it was started here
	Begun    time.Time `json:"begun"`
	Machine  Machine   `json:"machine"`
	Pinned   bool      `json:"pinned"` // server and generator on a CPU of their own each

	Counts  Counts  `json:"counts"`
	Rate    float64 `json:"rate"` // answers a second, while requests were sent
	Latency Latency `json:"latency"`
	Used    Used    `json:"used"`
	Series  Series  `json:"series"`
	First   float64 `json:"first"` // share of requests answered without being sent again
	Last    float64 `json:"last"`  // seconds from the first request to the last answer
	// ServerCPU is microseconds of the server for each answer, 0 where it was not started
	// here. In JSON it is in seconds.
	ServerCPU float64 `json:"-"`
	// Written is octets to disks for each answer, by a server that was started here; Reply is
	// the octets of an answer.
	Written  float64   `json:"written_per_answer"`
	Reply    int       `json:"reply_octets"`
	Inside   *Inside   `json:"inside"`   // of an appliance that was started here, else nil
	Storm    *Flooded  `json:"storm"`    // what went on beside the load, or nil
	Phases   []Phase   `json:"phases"`   // of a day, in order
	Knee     *Knee     `json:"knee"`     // of a ramp or an overload, or nil
	Overload *Overload `json:"overload"` // or nil
	Missed   []string  `json:"missed"`   // objectives, in words

	histogram *hdrhistogram.Histogram
}

// Latency is in microseconds, from the moment a request was due to the reply that
// settled it. In JSON it is in seconds.
type Latency struct {
	P50, P90, P99, P999, Max int64
	Mean                     float64
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	at := h.ValueAtPercentile
	return Latency{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: h.Max(), Mean: math.Round(h.Mean()*10) / 10}
}

// rate is answers a second while requests were sent. A run that ended by its count has
// ended with its last reply.
func (t *tally) rate(l *load) float64 {
	end := l.end
	if t.inTime == t.Answered && t.lastReply > l.begun && uint64(l.scenario.Count) == t.Requests {
		end = t.lastReply
	}
	return float64(t.inTime) / time.Duration(end-l.begun).Seconds()
}

// judge names the objectives that were missed.
func (r *Result) judge() {
	r.Missed = nil
	c, o := &r.Counts, &r.Scenario.Objectives
	miss := func(format string, args ...any) { r.Missed = append(r.Missed, fmt.Sprintf(format, args...)) }
	most := func(what string, have, most uint64) {
		if have > most {
			miss("%s: %d, at most %d", what, have, most)
		}
	}
	asked := c.Requests + c.Unsent
	if asked == 0 {
		miss("no request was sent")
		return
	}
	if share := float64(c.Answered) / float64(asked); share < o.Answered {
		miss("answered: %.4f of %d requests, at least %.4f", share, asked, o.Answered)
	}
	if r.First < o.First {
		miss("answered at once: %.4f of %d requests, at least %.4f", r.First, asked, o.First)
	}
	most("wrong", c.Wrong+c.Malformed, o.Wrong)
	most("stray", c.Stray, o.Stray)
	most("rejected", c.Rejected, o.Rejected)
	most("answers to duplicates that differ from the first", c.Differs, 0)
	most("duplicates without an answer", c.Unrepeated, 0)
	slow := func(what string, have int64, most time.Duration) {
		if most > 0 && time.Duration(have)*time.Microsecond > most {
			miss("%s: %s, at most %s", what, time.Duration(have)*time.Microsecond, most)
		}
	}
	slow("p50", r.Latency.P50, o.P50)
	slow("p99", r.Latency.P99, o.P99)
	if v := r.Overload; v != nil {
		if v.Times < 0.95*r.Scenario.Overload {
			miss("overload: %.1f times the knee, %g were to be offered", v.Times, r.Scenario.Overload)
		}
		if v.Ratio < o.Goodput {
			miss("goodput: %.3f of the knee, at least %g", v.Ratio, o.Goodput)
		}
		if o.Recovery > 0 && (v.Recovery < 0 || v.Recovery > o.Recovery.Seconds()) {
			miss("recovery: %.2f s, at most %.2f", v.Recovery, o.Recovery.Seconds())
		}
	}
	if r.Rate < o.Rate {
		miss("rate: %.0f answers a second, at least %.0f", r.Rate, o.Rate)
	}
}

// Table writes the result for people.
func (r *Result) Table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	s := &r.Scenario
	row("scenario", "%s: %s", s.Name, s.About)
	row("server", "%s at %s%s", r.Server, r.Target, r.where())
	unit := "a packet"
	if r.Phases != nil {
		unit = "a session"
		r.sessionRows(row)
	} else {
		r.packetRows(row)
	}
	if r.ServerCPU > 0 {
		row("server", "%.1f us of CPU an answer; %.0f%% of a CPU, others on it %.0f%%, steal %.0f%%; generator %.0f%%, others %.0f%%",
			r.ServerCPU, r.Used.Server*100, r.Used.Foreign*100, r.Used.Steal*100, r.Used.Generator*100, r.Used.Beside*100)
	}
	if r.Written > 0 {
		row("disk", "%.1f octets written for each answer", r.Written)
	}
	if r.Inside != nil {
		row("inside", "%s", r.Inside.words(unit))
	}
	if k := r.Knee; k != nil {
		limit := ""
		if k.Generator {
			limit = "; the generator was busy, the server's may be higher"
		}
		row("knee", "%.0f answers a second; closed loop %.0f%s", k.Rate, k.Closed, limit)
	}
	if r.Overload != nil {
		row("overload", "%s", r.Overload)
	}
	for _, m := range r.Missed {
		row("MISSED", "%s", m)
	}
	return w.Flush()
}

// where says which file system the server's journal is on.
func (r *Result) where() string {
	if r.Disk == "" {
		return ""
	}
	return ", its journal on " + r.Disk
}

// packetRows are of a scenario that is requests.
func (r *Result) packetRows(row func(name, format string, args ...any)) {
	c, s := &r.Counts, &r.Scenario
	loop := fmt.Sprintf("closed loop, %d x %d outstanding", s.Ports, s.Window)
	if s.Rate > 0 {
		loop = fmt.Sprintf("open loop, %.0f a second, %d source ports", s.Rate, s.Ports)
	}
	row("load", "%s, %s, seed %d", loop, s.Time, r.Seed)
	row("answers", "%.0f a second", r.Rate)
	row("requests", "%d, answered %d (%.2f%% without being sent again), rejected %d, given up %d, unsent %d", c.Requests, c.Answered, r.First*100, c.Rejected, c.GivenUp, c.Unsent)
	row("datagrams", "%d sent, %d retransmitted, %d garbage, %d refused; %d received", c.Datagrams, c.Retransmitted, c.Garbage, c.Refused, c.Received)
	row("not as asked", "%d wrong, %d malformed, %d stray, %d late, %d surplus", c.Wrong, c.Malformed, c.Stray, c.Late, c.Surplus)
	if s.Again > 0 {
		row("duplicates", "%d answered, %d of them otherwise than at first, %d unanswered", c.Repeated, c.Differs, c.Unrepeated)
	}
	if f := r.Storm; f != nil {
		row("beside", "%.0f requests a second made beforehand, %d sent; %d of them answered, %d answered again", f.Offered, f.Sent, f.Answered, f.Again)
		if s.Storm > 0 {
			row("fairness", "%.2f%% of the other NASes' requests answered at once", r.First*100)
		}
	}
	row("latency", "%s", r.Latency)
	if s.Failover {
		row("failover", "the last of %d sessions was answered after %.2f s", c.Answered, r.Last)
	}
}

// sessionRows are of a scenario that is whole sessions.
func (r *Result) sessionRows(row func(name, format string, args ...any)) {
	c := &r.Counts
	row("load", "%g sessions begin each second, for %s", r.Scenario.Rate, r.Scenario.Time)
	row("sessions", "%d began, %d came to their end, %d found no room", c.Requests, c.Answered, c.Unsent)
	for _, p := range r.Phases {
		row(p.Name, "%d  %s%s", p.Count, p.Latency, p.failed())
	}
}

// String is the percentiles for people.
func (l Latency) String() string {
	return fmt.Sprintf("p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", ms(l.P50), ms(l.P90), ms(l.P99), ms(l.P999), ms(l.Max))
}

func ms(us int64) string { return fmt.Sprintf("%.2fms", float64(us)/1000) }

// Save writes NAME.json, NAME.html and NAME.hgrm, the last in the percentile format that
// HdrHistogram's plotters read, into a directory.
func (r *Result) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var text strings.Builder
	if err := r.JSON(&text); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, r.Scenario.Name+".json"), []byte(text.String()), 0o644); err != nil {
		return err
	}
	text.Reset()
	if err := r.Percentiles(&text); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, r.Scenario.Name+".hgrm"), []byte(text.String()), 0o644),
		savePage(dir, r.Scenario.Name, r.Page))
}

// Percentiles writes the distribution of latencies, in milliseconds.
func (r *Result) Percentiles(out io.Writer) error {
	_, err := r.histogram.PercentilesPrint(out, 5, 1000)
	return err
}
