package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/sessions"
	"sallyport/sessions/store"
)

// Measurement is what one process found. Seconds are of the whole filling or recovery.
type Measurement struct {
	What       string  `json:"what"`
	Sessions   int     `json:"sessions"`
	Seconds    float64 `json:"seconds"`
	Processor  float64 `json:"processor_s"`
	Opened     float64 `json:"opened_s,omitempty"`            // of it: until the journal was open
	Micros     float64 `json:"us_per_session,omitempty"`      // of processor time, of the filling
	Encode     float64 `json:"encode_us_each,omitempty"`      // wall time of Batch.Put
	Publish    float64 `json:"publish_us_each,omitempty"`     // wall time of Table.PutRecord
	Longest    float64 `json:"longest_maintain_ms,omitempty"` // one call of Maintain
	RSS        float64 `json:"rss_mb,omitempty"`              // resident, 10^6 octets
	Heap       float64 `json:"heap_mb,omitempty"`             // Go heap in use
	Records    float64 `json:"octets_per_record,omitempty"`
	GC         float64 `json:"gc_ms,omitempty"` // a full collection, median of five
	Journal    float64 `json:"journal_mb,omitempty"`
	Go         string  `json:"go"`
	Processors int     `json:"processors"`
}

const groupOf = 512

// doFill commits n sessions and stops.
func doFill(dir string, n int, out io.Writer) error {
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	t := sessions.NewTable()
	if err := s.Restore(t, nil); err != nil {
		return err
	}
	m := measurement("fill", n)
	maker := newMaker()
	began := time.Now()
	var encode, publish, longest time.Duration
	all := make([]*sessions.Session, 0, groupOf)
	updates := make([]sessions.Update, 0, groupOf)
	used := processorTime()
	for i := 0; i < n; {
		all = all[:0]
		for ; i < n && len(all) < groupOf; i++ {
			all = append(all, maker.session(i))
		}
		at := time.Now()
		b := s.Begin()
		for _, one := range all {
			if err := b.Put(one); err != nil {
				return err
			}
		}
		encode += time.Since(at)
		if err := s.Commit(b); err != nil {
			return err
		}
		at = time.Now()
		updates = updates[:0]
		for k, one := range all {
			updates = append(updates, sessions.Update{Session: one, Record: b.Record(k)})
		}
		t.Apply(updates)
		publish += time.Since(at)
		at = time.Now()
		s.Maintain(t, at)
		longest = max(longest, time.Since(at))
	}
	m.Seconds = time.Since(began).Seconds()
	m.Processor = processorTime().Seconds()
	m.Micros = (processorTime() - used).Seconds() * 1e6 / float64(n)
	m.Encode, m.Publish = encode.Seconds()*1e6/float64(n), publish.Seconds()*1e6/float64(n)
	m.Longest = longest.Seconds() * 1e3
	m.Records = float64(t.Octets()) / float64(t.Len())
	m.Journal = float64(size(dir)) / 1e6
	return json.NewEncoder(out).Encode(m) // and the process ends as in a crash
}

// doRecover restores what doFill left.
func doRecover(dir string, out io.Writer) error {
	m := measurement("recover", 0)
	began := time.Now()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	m.Opened = time.Since(began).Seconds()
	t := sessions.NewTable()
	t.Due(began)
	err = s.Restore(t, func(one *sessions.Session) { t.Schedule(one.ID, one.LastSeen.Add(5*24*time.Hour)) })
	if err != nil {
		return err
	}
	m.Seconds, m.Processor = time.Since(began).Seconds(), processorTime().Seconds()
	m.Sessions = t.Len()
	m.Records = float64(t.Octets()) / float64(t.Len())
	var gc []float64
	for range 5 {
		at := time.Now()
		runtime.GC()
		gc = append(gc, time.Since(at).Seconds()*1e3)
	}
	slices.Sort(gc)
	m.GC = gc[len(gc)/2]
	debug.FreeOSMemory()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	m.Heap, m.RSS = float64(mem.HeapInuse)/1e6, resident()
	m.Journal = float64(size(dir)) / 1e6
	if err := json.NewEncoder(out).Encode(m); err != nil {
		return err
	}
	return s.Close()
}

func measurement(what string, n int) Measurement {
	return Measurement{What: what, Sessions: n, Go: runtime.Version(), Processors: runtime.NumCPU()}
}

// resident is the memory of this process that is in the machine's, in 10^6 octets; 0 on
// systems without /proc.
func resident() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib * 1024 / 1e6
		}
	}
	return 0
}

func size(dir string) (n int64) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil {
			n += info.Size()
		}
	}
	return n
}
