package engine

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sallyport/sessions"
)

// metric descriptions. Labels are bounded: configured NASes, fixed reasons, never a
// user or an endpoint.
var (
	descRequests   = desc("radius_requests_total", "Requests that were authentic, by NAS.", "nas")
	descReplies    = desc("radius_replies_total", "Replies by NAS and kind.", "nas", "reply")
	descDuplicates = desc("radius_duplicates_total", "Retransmissions recognised (RFC 5080 section 2.2.2), by NAS.", "nas")
	descDrops      = desc("radius_drops_total", "Packets that got no answer, by NAS (empty: unknown source) and reason.", "nas", "reason")
	descSessions   = desc("sessions", "Live sessions by posture status.", "posture")
	descEnded      = desc("sessions_ended", "Ended sessions that are still kept.")
	descOpen       = desc("coa_open", "Changes of authorization that are not settled.")
	descQueue      = desc("core_queue", "Events that wait for the committer.")
	descRefused    = desc("core_refused_total", "Events that found no room.")
	descFailed     = desc("commit_failures_total", "Groups that could not be made durable.")
	descStart      = desc("start_time_seconds", "When this run began.")
	descRevision   = desc("config_info", "The configuration in force.", "revision")
	descUDP        = desc("udp_total", "Datagrams by what became of them.", "event")
	descCoA        = desc("coa_total", "CoA packets and their ends.", "event")
	descPortal     = desc("portal_total", "HTTPS requests by endpoint, refusals by reason, and people redirected again and again by cause.", "event")
	descRecording  = desc("recording_total", "Events for the recording, and those it could not take.", "event")
	descShadow     = desc("shadow_total", "Decisions that the shadow configuration looked at, would have made otherwise, and was too slow for.", "event")
	descDifference = desc("shadow_differences_total", "Decisions that the shadow configuration would have made otherwise, by rule in force and rule of the shadow.", "rule", "shadow_rule")
	descPortalOpen = desc("portal_open", "Connections of the portal, and polls of agents that wait.", "what")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sallyport_"+name, help, labels, nil)
}

// collector reads the engine when it is asked, so that counting costs the packets nothing.
type collector struct {
	e *Engine
	s *Server
}

// Registry is what the metrics listener serves.
func (s *Server) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{s.e, s})
	r.MustRegister(s.e.latency.all()...)
	return r
}

// Describe tells no names before the first collection: the set grows with the NASes.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads every counter.
func (c collector) Collect(out chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	c.e.counters.each(func(nas string, n *nasCounters) {
		if nas != "" {
			counter(descRequests, n.requests.Load(), nas)
			counter(descDuplicates, n.duplicates.Load(), nas)
			counter(descReplies, n.accepts.Load(), nas, "accept")
			counter(descReplies, n.rejects.Load(), nas, "reject")
			counter(descReplies, n.challenges.Load(), nas, "challenge")
			counter(descReplies, n.accounting.Load(), nas, "accounting")
		}
		for i := range n.drops {
			if v := n.drops[i].Load(); v > 0 {
				counter(descDrops, v, nas, dropReason(i).String())
			}
		}
	})
	census := c.e.census()
	for i, n := range census.byPosture {
		gauge(descSessions, float64(n), sessions.PostureStatus(i).String())
	}
	gauge(descEnded, float64(census.ended))
	gauge(descOpen, float64(census.changing))
	gauge(descQueue, float64(c.e.core.events.len()))
	counter(descRefused, c.e.counters.core.Load())
	counter(descFailed, c.e.counters.failed.Load())
	gauge(descStart, float64(c.e.started.UnixNano())/float64(time.Second))
	gauge(descRevision, 1, c.e.snapshot().Revision)
	c.stages(counter, gauge)
}

// stages are the counters that the sockets, the CoA engine and the portal keep themselves.
func (c collector) stages(counter func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	u := c.s.radius.Stats()
	for event, v := range map[string]uint64{
		"received": u.Received, "truncated": u.Truncated, "empty": u.Empty, "no_return": u.NoReturn,
		"kernel_drops": u.KernelDrops, "receive_errors": u.ReceiveErrors, "panics": u.Panics, "sent": u.Sent,
		"late_sent": u.LateSent, "late_refused": u.LateFull + u.LateClosed + u.LateSize, "send_errors": u.SendErrors.Total(),
	} {
		counter(descUDP, v, event)
	}
	changes := c.e.coa.Stats()
	changes.Each(func(event string, v uint64) { counter(descCoA, v, event) })
	p := c.s.portal.Stats()
	for endpoint, v := range p.Requests {
		counter(descPortal, v.Requests, "request_"+endpoint)
	}
	for reason, v := range p.Refused {
		counter(descPortal, v, "refused_"+reason)
	}
	for cause, v := range p.Loops {
		counter(descPortal, v, "loop_"+cause)
	}
	gauge(descPortalOpen, float64(p.Connections), "connections")
	gauge(descPortalOpen, float64(p.Polls), "polls")
	c.beside(counter)
}

// beside are the counters of who looks on. A shadow that is loaded anew begins at zero.
func (c collector) beside(counter func(*prometheus.Desc, uint64, ...string)) {
	b := c.e.beside.Load()
	if v := b.recording(); v != nil {
		counter(descRecording, v.Events, "added")
		counter(descRecording, v.Dropped, "dropped")
	}
	v := b.tried()
	if v == nil {
		return
	}
	counter(descShadow, uint64(v.Events), "decisions")
	counter(descShadow, uint64(v.Changed), "different")
	counter(descShadow, v.Dropped, "dropped")
	byRule := map[[2]string]uint64{}
	for _, g := range v.Groups {
		byRule[[2]string{g.Before.Rule, g.After.Rule}] += uint64(g.Count)
	}
	for rules, n := range byRule {
		counter(descDifference, n, rules[0], rules[1])
	}
}

// census counts the sessions.
type census struct {
	live, ended, changing int
	byPosture             []int // by status
}

func (e *Engine) census() census {
	c := e.table.Counts()
	return census{live: c.Live, ended: c.Ended, changing: c.Changing, byPosture: c.Posture[:]}
}
