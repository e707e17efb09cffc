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
