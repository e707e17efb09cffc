package engine

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/engine/record"
)

// Suppression of repeated failures.
const (
	// foldFor is how long repetitions of one failure are folded into its first row.
	foldFor = 5 * time.Minute
	// foldMax bounds the failures that are remembered; beyond it every row is shown.
	foldMax = 10000
	// sweepEvery is how often a full memory is looked through for what is over.
	sweepEvery = time.Second
)

// suppressor folds repeated failures of one endpoint into one row with a count: a row
// at the first, the second, then at every doubling and once a foldFor. Nothing is lost:
// the count says how many there were, each is in the counters, and each is kept as a row in
// memory of its own, where those of one fold are found by its id.
type suppressor struct {
	ring   *record.Ring
	folded *record.Ring
	never  atomic.Pointer[[]string] // endpoints and identities that are not folded

	mu    sync.Mutex // guards all below
	seen  map[foldKey]*fold
	folds uint64
	swept time.Time
}

type foldKey struct{ kind, identity, endpoint, nas, details, reason string }

// keep is the key with text of its own, for rows lie in memory that is used again.
func (k foldKey) keep() foldKey {
	for _, t := range []*string{&k.kind, &k.identity, &k.endpoint, &k.nas, &k.details, &k.reason} {
		*t = strings.Clone(*t)
	}
	return k
}

type fold struct {
	id    string
	since time.Time
	count uint64
	next  uint64 // count at which the next row is shown
}

// newSuppressor keeps the last so many failures.
func newSuppressor(ring *record.Ring, folded int) *suppressor {
	p := &suppressor{ring: ring, folded: record.NewRing(folded), seen: map[foldKey]*fold{}}
	p.exempt(nil)
	return p
}

// exempt has every failure of these endpoints and identities shown.
func (p *suppressor) exempt(names []string) { p.never.Store(&names) }

func (p *suppressor) exempted(d *record.Decision) bool {
	for _, name := range *p.never.Load() {
		if strings.EqualFold(name, d.EndpointID) || strings.EqualFold(name, d.Identity) {
			return true
		}
	}
	return false
}

func (p *suppressor) add(now time.Time, d *record.Decision) {
	p.fold(now, d, foldKey{string(d.Kind), d.Identity, d.EndpointID, d.NetworkDevice, d.Details, d.Reason}, 0)
}

// manyFree is how many failures of one NAS for one reason are shown before they are folded.
const manyFree = 64

// many is add for what fails for a whole NAS when it fails: failures of all its endpoints
// for one reason are one fold, after the first manyFree of them. It says whether the row
// is shown.
func (p *suppressor) many(now time.Time, d *record.Decision) bool {
	return p.fold(now, d, foldKey{kind: string(d.Kind), nas: d.NetworkDevice, details: d.Details, reason: d.Reason}, manyFree)
}

func (p *suppressor) fold(now time.Time, d *record.Decision, key foldKey, free uint64) bool {
	show := p.count(now, d, key) || d.RepeatCount <= free
	if d.FoldID != "" {
		p.folded.Add(d)
	}
	if show = show || p.exempted(d); show {
		p.ring.Add(d)
	}
	return show
}

// count numbers the row within its fold, and says whether it is shown.
func (p *suppressor) count(now time.Time, d *record.Decision, key foldKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.seen[key]
	d.RepeatCount = 1
	switch {
	case f == nil && len(p.seen) >= foldMax && !p.sweep(now):
		return true
	case f == nil:
		f = &fold{}
		p.seen[key.keep()] = f
		fallthrough
	case now.Sub(f.since) >= foldFor:
		p.folds++
		*f = fold{id: strconv.FormatUint(p.folds, 10), since: now, next: 1}
	}
	f.count++
	d.FoldID, d.RepeatCount = f.id, f.count
	if f.count < f.next {
		return false
	}
	f.next *= 2
	return true
}

// open returns the rows of a fold that are kept, oldest first.
func (p *suppressor) open(id string) (out []*record.Decision) {
	rows, _, _ := p.folded.Since(0, 0)
	for _, d := range rows {
		if d.FoldID == id {
			out = append(out, d)
		}
	}
	return out
}

// sweep forgets what is over, and says whether there is room then. It looks at all of
// them, so it does not do so for every row.
func (p *suppressor) sweep(now time.Time) bool {
	if now.Sub(p.swept) < sweepEvery {
		return false
	}
	p.swept = now
	for k, f := range p.seen {
		if now.Sub(f.since) >= foldFor {
			delete(p.seen, k)
		}
	}
	return len(p.seen) < foldMax
}

// misconfigured counts endpoints that failed twice or more for one reason lately: the
// live log's counter Misconfigured Supplicants.
func (p *suppressor) misconfigured(now time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	endpoints := map[string]bool{}
	for k, f := range p.seen {
		if f.count >= 2 && now.Sub(f.since) < foldFor && k.kind == string(record.KindAuth) {
			endpoints[k.endpoint+"\x00"+k.identity] = true
		}
	}
	return len(endpoints)
}

// repeats is the live log's counter Repeat Counter: rows that were folded lately.
func (p *suppressor) repeats(now time.Time) (sum uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.seen {
		if now.Sub(f.since) < foldFor {
			sum += f.count - 1
		}
	}
	return sum
}
