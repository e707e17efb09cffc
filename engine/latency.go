package engine

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// hops are the upper bounds of the latency histograms, in seconds: from a duplicate
// answered from memory to a CoA that had to be sent again.
var hops = []float64{0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

// latencies are the hops of the story, each a histogram.
type latencies struct {
	access     prometheus.Histogram // request received -> answered
	accounting prometheus.Histogram
	report     prometheus.Histogram // report received -> verdict
	change     prometheus.Histogram // change decided -> acknowledged by the NAS
}

func newLatencies() latencies {
	h := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "sallyport", Name: name, Help: help, Buckets: hops, NativeHistogramBucketFactor: 1.1,
			NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		})
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
