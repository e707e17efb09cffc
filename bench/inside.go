package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Inside is what an appliance says of itself for the length of a run, by its metrics.
type Inside struct {
	// Allocs is heap objects that the whole process allocated, whatever for, by the
	// datagrams that were sent to it.
	Allocs float64 `json:"allocs_per_packet"`
	Bytes  float64 `json:"bytes_per_packet"` // of these objects
	GCs    float64 `json:"gcs"`
	// Drops is packets without an answer: dropped by a reason, by a full queue, by the kernel.
	Drops map[string]uint64 `json:"drops"`
}

// words are one line for people; what was counted is a packet or a session.
func (i *Inside) words(unit string) string {
	text := fmt.Sprintf("%.4f allocations and %.1f octets %s, %.0f collections; dropped:", i.Allocs, i.Bytes, unit, i.GCs)
	if len(i.Drops) == 0 {
		return text + " none"
	}
	var names []string
	for name := range i.Drops {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text += fmt.Sprintf(" %s %d", name, i.Drops[name])
	}
	return text
}

// glance is the counters of a server at a moment: by series, nil where it has none, and
// of its heap.
type glance struct {
	t      *Target
	series map[string]float64
	heap   heap
	asking heap // what asking for the heap adds to it
}

// heap is what was allocated so far.
type heap struct{ objects, octets, collections float64 }

func (h heap) less(o heap) heap {
	return heap{h.objects - o.objects, h.octets - o.octets, h.collections - o.collections}
}

func (h heap) smaller(o heap) heap {
	return heap{min(h.objects, o.objects), min(h.octets, o.octets), min(h.collections, o.collections)}
}

// askTime is how long a server may take to tell its metrics: under overload it is slow.
const askTime = 10 * time.Second

// look reads a server's counters, where it has any; what it holds at the end is as near
// to the packets that follow as can be.
func look(ctx context.Context, t *Target) (glance, error) {
	g := glance{t: t}
	if t.Metrics == "" {
		return g, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var err error
	if g.series, err = metrics(ctx, t); err != nil {
		return g, err
	}
	first, err := t.heap(ctx)
	if err != nil {
		return g, err
	}
	g.heap, err = t.heap(ctx)
	g.asking = g.heap.less(first)
	return g, err
}

// metrics reads what a server tells Prometheus.
func metrics(ctx context.Context, t *Target) (map[string]float64, error) {
	body, err := fetch(ctx, "http://"+t.Metrics+"/metrics")
	if err != nil {
		return nil, fmt.Errorf("the metrics of %s: %w", t.Name, err)
	}
	defer body.Close()
	series := map[string]float64{}
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		if name, value, ok := cutLast(lines.Text(), ' '); ok && name[0] != '#' {
			if n, err := strconv.ParseFloat(value, 64); err == nil {
				series[name] = n
			}
		}
	}
	return series, lines.Err()
}

// heap reads the allocator's totals where they stand at the head of its profile: telling
// all metrics walks over the sessions and allocates by their number.
func (t *Target) heap(ctx context.Context) (h heap, err error) {
	body, err := fetch(ctx, "http://"+t.Metrics+"/debug/pprof/allocs?debug=1")
	if err != nil {
		return h, fmt.Errorf("the allocations of %s: %w", t.Name, err)
	}
	defer body.Close()
	found := 0
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		for name, to := range map[string]*float64{"# Mallocs = ": &h.objects, "# TotalAlloc = ": &h.octets, "# NumGC = ": &h.collections} {
			if value, ok := strings.CutPrefix(lines.Text(), name); ok {
				if *to, err = strconv.ParseFloat(value, 64); err != nil {
					return h, err
				}
				found++
			}
		}
	}
	if lines.Err() == nil && found != 3 {
		return h, fmt.Errorf("the allocations of %s: its profile does not tell them", t.Name)
	}
	return h, lines.Err()
}

func cutLast(text string, by byte) (before, after string, ok bool) {
	at := strings.LastIndexByte(text, by)
	if at < 1 {
		return "", "", false
	}
	return text[:at], text[at+1:], true
}

func fetch(ctx context.Context, url string) (io.ReadCloser, error) {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	reply, err := http.DefaultClient.Do(ask)
	if err != nil {
		return nil, err
	}
	if reply.StatusCode != http.StatusOK {
		reply.Body.Close()
		return nil, fmt.Errorf("%s: %s", url, reply.Status)
	}
	return reply.Body, nil
}

// until looks again and says what happened meanwhile, with so many packets. Asking
// allocates as well, and is no packet: what asking once more added, before or afterwards,
// whichever was less, is taken off.
func (g glance) until(ctx context.Context, packets uint64) (*Inside, error) {
	if g.series == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	after, err := g.t.heap(ctx)
	if err != nil {
		return nil, err
	}
	again, err := g.t.heap(ctx)
	if err != nil {
		return nil, err
	}
	series, err := metrics(ctx, g.t)
	if err != nil {
		return nil, err
	}
	used := after.less(g.heap).less(g.asking.smaller(again.less(after)))
	in := &Inside{
		Allocs: max(0, used.objects) / float64(max(1, packets)), Bytes: max(0, used.octets) / float64(max(1, packets)),
		GCs: used.collections, Drops: map[string]uint64{},
	}
	for name, n := range series {
		if reason, ok := dropOf(name); ok && n > g.series[name] {
			in.Drops[reason] += uint64(n - g.series[name])
		}
	}
	return in, nil
}

// dropOf is the reason that a series counts drops for.
func dropOf(series string) (reason string, ok bool) {
	name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	switch name {
	case "sallyport_core_refused_total":
		return "core_full", true
	case "sallyport_commit_failures_total":
		return "commit_failed", true
	case "sallyport_radius_drops_total":
		reason, ok = label(labels, "reason")
		return reason, ok
	case "sallyport_udp_total":
		event, _ := label(labels, "event")
		return event, slices.Contains([]string{"kernel_drops", "send_errors", "late_refused", "receive_errors", "panics", "truncated"}, event)
	}
	return "", false
}

// label is the value of one label of a series; ours hold no quotes and no commas.
func label(labels, name string) (string, bool) {
	for one := range strings.SplitSeq(labels, ",") {
		if value, ok := strings.CutPrefix(one, name+`="`); ok {
			return strings.TrimSuffix(value, `"`), true
		}
	}
	return "", false
}

// profileRate is samples a second of perf: often enough for a few seconds of run, and
// not in step with the kernel's tick.
const profileRate = "997"

// profile takes a CPU profile of the server while it is measured, if that was asked for:
// by perf, kernel included, where the file's name ends in .data; otherwise the server's
// own, from /debug/pprof/profile of its metrics listener. The end comes over the channel.
func (r *Runner) profile(ctx context.Context, t *Target, length time.Duration) <-chan error {
	end := make(chan error, 1)
	if r.Profile == "" {
		end <- nil
		return end
	}
	go func() {
		if filepath.Ext(r.Profile) == ".data" {
			end <- record(ctx, r.Profile, t.PID, length)
			return
		}
		end <- r.pprof(ctx, t, length)
	}()
	return end
}

func (r *Runner) pprof(ctx context.Context, t *Target, length time.Duration) error {
	const otherwise = "; a FILE that ends in .data is written by perf instead"
	if t.Metrics == "" {
		return fmt.Errorf("%s has no metrics listener to profile by%s", t.Name, otherwise)
	}
	seconds := max(1, int(length/time.Second))
	body, err := fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", t.Metrics, seconds))
	if err != nil {
		return fmt.Errorf("%s offers no CPU profile: %w%s", t.Name, err, otherwise)
	}
	defer body.Close()
	out, err := os.Create(r.Profile)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, body); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
