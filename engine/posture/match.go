package posture

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"sallyport/engine/expr"
	"sallyport/netio/report"
)

// match is what one kind of endpoint must meet: the rules that apply to it, and the
// document that tells its agent. Endpoints that no rule can tell apart share one.
type match struct {
	requirements []*applied
	document     *report.Policy
	blocksUSB    bool // some requirement blocks USB storage
	errors       []string
}

// applied is one requirement of one rule.
type applied struct {
	*requirement
	rule *rule
}

// memoMax bounds the kinds of endpoint that are remembered. Most policies read the
// operating system alone and have three; one that reads the user has as many as users,
// and starts again when it is full.
const memoMax = 4096

// memo remembers matches by the values that the rules read.
type memo struct {
	mu    sync.RWMutex
	known map[string]*match // guarded by mu
}

// match finds what the endpoint must meet.
func (p *Policy) match(in *expr.Input) *match {
	var room [256]byte
	key := p.reads.AppendKey(room[:0], in)
	p.memo.mu.RLock()
	m, ok := p.memo.known[string(key)]
	p.memo.mu.RUnlock()
	if ok {
		return m
	}
	own := *in // in itself stays where its owner put it: on the stack
	m = p.evaluate(&own)
	p.memo.mu.Lock()
	defer p.memo.mu.Unlock()
	if len(p.memo.known) >= memoMax {
		clear(p.memo.known)
	}
	p.memo.known[string(key)] = m
	return m
}

// evaluate is match without the memory.
func (p *Policy) evaluate(in *expr.Input) *match {
	m := &match{}
	for i := range p.rules {
		r := &p.rules[i]
		if !r.os.has(in.OS) {
			continue
		}
		applies, err := p.holds(r, in)
		if err != nil {
			m.errors = append(m.errors, fmt.Sprintf("rule %q at %s: %v", r.name, r.pos, err))
		}
		if !applies {
			continue
		}
		for j := range r.requirements {
			if q := &r.requirements[j]; q.os.has(in.OS) {
				m.requirements = append(m.requirements, &applied{q, r})
				m.blocksUSB = m.blocksUSB || q.blocksUSB && q.enforcement != audit
			}
		}
	}
	m.document = p.documentOf(m, in)
	return m
}

// holds evaluates a rule's condition. One that cannot be evaluated applies. Where
// nobody told the system, it applies when it would for any.
func (p *Policy) holds(r *rule, in *expr.Input) (bool, error) {
	if len(r.groups) > 0 && !slices.ContainsFunc(in.Groups, func(g string) bool { return slices.Contains(r.groups, g) }) {
		return false, nil
	}
	if len(r.kinds) > 0 && in.AgentKind != "" && !slices.Contains(r.kinds, in.AgentKind) {
		return false, nil
	}
	if r.when == nil {
		return true, nil
	}
	holds, err := r.when.Eval(in)
	if err != nil {
		return true, err
	}
	if holds || in.OS != "" || !r.when.Reads().Has(expr.OS) {
		return holds, nil
	}
	for _, os := range allSystems {
		guess := *in
		guess.OS = os
		if holds, err = r.when.Eval(&guess); holds || err != nil {
			return true, err
		}
	}
	return false, nil
}

// Document is what the agent of the endpoint must collect and do. Its ETag names its
// content: two endpoints with the same have the same document.
func (p *Policy) Document(in *Input) *report.Policy { return p.match(&in.Session).document }

func (p *Policy) documentOf(m *match, in *expr.Input) *report.Policy {
	doc := &report.Policy{
		V: report.Version, Collect: []string{}, HeartbeatS: int(p.heartbeat / time.Second),
		Requirements: []report.Requirement{}, USB: p.control, Publishers: p.publishers,
	}
	for _, r := range m.requirements {
		for _, i := range r.conditions {
			p.ask(doc, &p.conditions[i], in.OS, m)
		}
		doc.Requirements = append(doc.Requirements, report.Requirement{
			Name: r.name, Enforcement: r.enforcement, Conditions: r.conditionNames, Remediation: r.remediation,
		})
	}
	slices.Sort(doc.Collect)
	if b, err := json.Marshal(doc); err == nil { // strings and numbers always encode
		sum := sha256.Sum256(b)
		doc.ETag = hex.EncodeToString(sum[:8])
	}
	return doc
}
