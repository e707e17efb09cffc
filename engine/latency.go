package engine

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// hops are the upper bounds of the latency histograms, in seconds: from a duplicate
// answered from memory to a CoA that had to be sent again.
var hops = [...]float64{0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

// latencies are the hops of the story, each a histogram.
type latencies struct {
	access     *histogram // request received -> answered
	accounting *histogram
	report     *histogram // report received -> verdict
	change     *histogram // change decided -> acknowledged by the NAS
}

// histogram counts durations by hops. Packets observe it by the hundred thousand a
// second, so it is plain counters that a scrape makes a histogram of.
type histogram struct {
	desc    *prometheus.Desc
	buckets [len(hops) + 1]atomic.Uint64 // the last one is beyond all hops
	nanos   atomic.Int64
}

var hopNanos = func() (out [len(hops)]int64) {
	for i, s := range hops {
		out[i] = int64(s * float64(time.Second))
	}
	return out
}()

func newLatencies() latencies {
	h := func(name, help string) *histogram {
		return &histogram{desc: prometheus.NewDesc("sallyport_"+name, help, nil, nil)}
	}
	return latencies{
		access:     h("access_seconds", "From an Access-Request received to its reply handed to the socket."),
		accounting: h("accounting_seconds", "From an Accounting-Request received to its durable answer."),
		report:     h("posture_report_seconds", "From a posture report received to its verdict."),
		change:     h("coa_seconds", "From a change of authorization decided to its acknowledgement."),
	}
}

func (l *latencies) all() []prometheus.Collector {
	return []prometheus.Collector{l.access, l.accounting, l.report, l.change}
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < len(hopNanos) && int64(d) > hopNanos[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.nanos.Add(int64(d))
}

// Describe and Collect make it a prometheus.Collector.
func (h *histogram) Describe(to chan<- *prometheus.Desc) { to <- h.desc }

// Collect sends the histogram as it is.
func (h *histogram) Collect(to chan<- prometheus.Metric) {
	counts, sum := make(map[float64]uint64, len(hops)), uint64(0)
	for i, bound := range hops {
		sum += h.buckets[i].Load()
		counts[bound] = sum
	}
	sum += h.buckets[len(hops)].Load()
	to <- prometheus.MustNewConstHistogram(h.desc, sum, time.Duration(h.nanos.Load()).Seconds(), counts)
}
