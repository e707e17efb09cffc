package engine

import (
	"encoding/json"
	"strings"
	"sync"
	"time"

	"sallyport/engine/authn"
	"sallyport/engine/authz"
	"sallyport/engine/policy"
	"sallyport/engine/step"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// Snapshot is one configuration, compiled. Nothing in it changes but the cache of
// documents.
type Snapshot struct {
	*policy.Snapshot

	revoked   map[string]bool // devices by name
	counters  map[*policy.NAS]*nasCounters
	documents sync.Map  // posture policy documents that were given out, by ETag: []byte
	recalled  sync.Once // documents of sessions that were there before this snapshot were made
}

type snapshot = *Snapshot

func (e *Engine) snapshot() snapshot { return e.snap.Load() }

// loadSnapshot loads and compiles a configuration and runs its policy tests.
func loadSnapshot(path string) (snapshot, config.Warnings, error) {
	p, warnings, faults := policy.Load(path)
	if err := faults.Err(); err != nil {
		return nil, warnings, err
	}
	s := &Snapshot{Snapshot: p, revoked: map[string]bool{}}
	for _, d := range p.Config.Posture.Agent.Revoked {
		s.revoked[strings.ToLower(d.Value)] = true
	}
	return s, warnings, nil
}

// bind gives this snapshot the memories and counters that live longer than a
// configuration.
func (s *Snapshot) bind(passwords *authn.Memory, decisions *authz.Memo, all *counters) {
	s.counters = make(map[*policy.NAS]*nasCounters, len(s.NASes()))
	for _, n := range s.NASes() {
		s.counters[n] = all.of(n.Name)
	}
	s.Users.Remember(passwords)
	s.Authz.Remember(decisions)
}

// policyFor is the ETag of the posture policy for a session, and keeps the document
// for the agent that will ask for it. There are as many as combinations of rules.
func (s *Snapshot) policyFor(x *sessions.Session, now time.Time) string {
	d := step.PolicyDocument(x, now, &s.Rules)
	if _, ok := s.documents.Load(d.ETag); !ok {
		if b, err := json.Marshal(d); err == nil {
			s.documents.Store(d.ETag, b)
		}
	}
	return d.ETag
}

// policyDocument finds a document by ETag. Those that were given out before a restart
// are made again from the sessions that they may have been for, once: anybody may ask
// for documents that never were.
func (e *Engine) policyDocument(etag string) ([]byte, bool) {
	s, now := e.snapshot(), e.clock.Now()
	if b, ok := s.documents.Load(etag); ok {
		return b.([]byte), true
	}
	s.recalled.Do(func() {
		for x := range e.table.All() {
			if x.Live() {
				s.policyFor(x, now)
			}
		}
	})
	if b, ok := s.documents.Load(etag); ok {
		return b.([]byte), true
	}
	return nil, false
}
