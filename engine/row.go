package engine

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"sallyport/engine/record"
	"sallyport/sessions"
)

// row is a live log row with the columns that a session fills.
func (e *Engine) row(s *sessions.Session, kind record.Kind, status, details string) *record.Decision {
	snap := e.snapshot()
	ip := s.FramedIP
	if !ip.IsValid() {
		ip = s.FramedIPv6
	}
	d := &record.Decision{
		Time: e.clock.Now().UTC(), Kind: kind, Status: status, Details: details,
		Identity: s.UserName, EndpointID: s.EndpointID(), EndpointProfile: s.OS,
		IPAddress: record.Address(ip), NetworkDevice: s.NAS, DevicePort: s.NASPortID,
		IdentityGroup: strings.Join(s.Groups, ", "), Server: snap.Config.Appliance.Name.Value,
		SessionID: string(s.ID), Epoch: s.Epoch, Revision: snap.Revision,
		AuthorizationPolicy: s.Grant.Rule, AuthorizationProfile: s.Grant.Profile,
	}
	if s.Authenticated {
		d.PostureStatus = s.Posture.Status.String()
		d.AuthenticationPolicy = s.Method
	}
	return d
}

// Suppression of repeated failures.
const (
	// foldFor is how long repetitions of one failure are folded into its first row.
	foldFor = 5 * time.Minute
	// foldMax bounds the failures that are remembered; beyond it every row is shown.
	foldMax = 10000
)

// suppressor folds repeated failures of one endpoint into one row with a count: a row
// at the first, the second, then at every doubling and once a foldFor. Nothing is lost:
// the count says how many there were, and the counters count each.
type suppressor struct {
	ring *record.Ring

	mu   sync.Mutex // guards seen
	seen map[foldKey]*fold
}

type foldKey struct{ kind, identity, endpoint, nas, details, reason string }

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
	if f == nil || now.Sub(f.since) >= foldFor {
		if f == nil && len(p.seen) >= foldMax {
			p.sweep(now)
			if len(p.seen) >= foldMax {
				return 1
			}
		}
		p.seen[key] = &fold{since: now, count: 1, next: 2}
		return 1
	}
	f.count++
	if f.count < f.next {
		return 0
	}
	f.next *= 2
	return f.count
}

func (p *suppressor) sweep(now time.Time) {
	for k, f := range p.seen {
		if now.Sub(f.since) >= foldFor {
			delete(p.seen, k)
		}
	}
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
