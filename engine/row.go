package engine

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// row is a live log row with the columns that a session fills, for what is rare.
func (e *Engine) row(s *sessions.Session, kind record.Kind, status, details string) *record.Decision {
	d := &record.Decision{}
	e.columns(d, s, kind, status, details)
	d.Time, d.IPAddress = e.clock.Now().UTC(), record.Address(shownAddress(s))
	d.IdentityGroup = strings.Join(s.Groups, ", ")
	return d
}

// fillRow is row in the memory of the request.
func (q *request) fillRow(e *Engine, now time.Time, s *sessions.Session, kind record.Kind, status, details string) *record.Decision {
	d := &q.row
	e.columns(d, s, kind, status, details)
	d.Time = now.UTC()
	if ip := shownAddress(s); ip.IsValid() {
		from := len(q.text)
		q.text = ip.AppendTo(q.text)
		d.IPAddress = alias(q.text[from:])
	}
	if len(s.Groups) > 0 {
		from := len(q.text)
		for i, g := range s.Groups {
			if i > 0 {
				q.text = append(q.text, ", "...)
			}
			q.text = append(q.text, g...)
		}
		d.IdentityGroup = alias(q.text[from:])
	}
	return d
}

// fillUnknown is a row about a request that belongs to no session.
func (q *request) fillUnknown(e *Engine, now time.Time, a *step.Attributes, kind record.Kind, status, details string) *record.Decision {
	s := sessions.Session{
		ID: a.ID, NAS: a.NAS, UserName: a.UserName, CallingStationID: a.CallingStationID,
		MACs: a.MACs, NASPortID: a.NASPortID, OS: a.OS, Server: a.Server,
	}
	return q.fillRow(e, now, &s, kind, status, details)
}

// addressText is words and an address, in the memory of the request.
func (q *request) addressText(words string, ip netip.Addr) string {
	from := len(q.text)
	q.text = ip.AppendTo(append(q.text, words...))
	return alias(q.text[from:])
}

func shownAddress(s *sessions.Session) netip.Addr {
	if s.FramedIP.IsValid() {
		return s.FramedIP
	}
	return s.FramedIPv6
}

func (e *Engine) columns(d *record.Decision, s *sessions.Session, kind record.Kind, status, details string) {
	snap := e.snapshot()
	*d = record.Decision{
		Kind: kind, Status: status, Details: details,
		Identity: s.UserName, EndpointID: s.EndpointID(), EndpointProfile: s.OS,
		NetworkDevice: s.NAS, DevicePort: s.NASPortID,
		Server:    snap.Config.Appliance.Name.Value,
		SessionID: string(s.ID), Epoch: s.Epoch, Revision: snap.Revision,
		AuthorizationPolicy: s.Grant.Rule, AuthorizationProfile: s.Grant.Profile,
	}
	if s.Authenticated {
		d.PostureStatus = s.Posture.Status.String()
		d.AuthenticationPolicy = s.Method
	}
}

// decisionID is the text of a decision's id, in the memory of the request.
func (q *request) decisionID(e *Engine, now time.Time, number uint64) string {
	from := len(q.text)
	q.text = record.AppendID(q.text, now, e.run, number)
	return alias(q.text[from:])
}

// position is the text of a place in the configuration, in the memory of the request.
func (q *request) position(p config.Pos) string {
	from := len(q.text)
	q.text = append(q.text, p.File...)
	if p.Line > 0 {
		q.text = strconv.AppendInt(append(q.text, ':'), int64(p.Line), 10)
		if p.Column > 0 {
			q.text = strconv.AppendInt(append(q.text, ':'), int64(p.Column), 10)
		}
	}
	return alias(q.text[from:])
}

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
// the count says how many there were, and the counters count each.
type suppressor struct {
	ring *record.Ring

	mu    sync.Mutex // guards all below
	seen  map[foldKey]*fold
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
	since time.Time
	count uint64
	next  uint64 // count at which the next row is shown
}

func newSuppressor(ring *record.Ring) *suppressor {
	return &suppressor{ring: ring, seen: map[foldKey]*fold{}}
}

func (p *suppressor) add(now time.Time, d *record.Decision) {
	if count := p.count(now, d); count > 0 {
		d.RepeatCount = count
		p.ring.Add(d)
	}
}

// count returns what the row shows, 0 when it is folded into an earlier one.
func (p *suppressor) count(now time.Time, d *record.Decision) uint64 {
	key := foldKey{string(d.Kind), d.Identity, d.EndpointID, d.NetworkDevice, d.Details, d.Reason}
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.seen[key]
	switch {
	case f == nil && len(p.seen) >= foldMax && !p.sweep(now):
		return 1
	case f == nil:
		p.seen[key.keep()] = &fold{since: now, count: 1, next: 2}
		return 1
	case now.Sub(f.since) >= foldFor:
		*f = fold{since: now, count: 1, next: 2}
		return 1
	}
	f.count++
	if f.count < f.next {
		return 0
	}
	f.next *= 2
	return f.count
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

// strangersMax bounds the unknown sources that are remembered by address; a flood from
// spoofed ones must cost nothing.
const strangersMax = 64

// strangers remembers the last sources that are no NAS of ours, for the operator who
// wonders why his new switch gets no answer.
type strangers struct {
	mu   sync.Mutex // guards byIP
	byIP map[netip.Addr]*Stranger
}

// Stranger is a source of packets that is no configured NAS.
type Stranger struct {
	Address netip.Addr `json:"address"`
	Packets uint64     `json:"packets"`
	Last    time.Time  `json:"last"`
}

// saw counts a packet, unless another goroutine is here: a count that is a few short
// is better than a loop that waits.
func (s *strangers) saw(now time.Time, from netip.Addr) {
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	if s.byIP == nil {
		s.byIP = map[netip.Addr]*Stranger{}
	}
	one := s.byIP[from]
	if one == nil {
		if len(s.byIP) >= strangersMax {
			return
		}
		one = &Stranger{Address: from}
		s.byIP[from] = one
	}
	one.Packets++
	one.Last = now
}

func (s *strangers) list() []Stranger {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Stranger, 0, len(s.byIP))
	for _, one := range s.byIP {
		out = append(out, *one)
	}
	return out
}
