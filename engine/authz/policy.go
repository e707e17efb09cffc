// Package authz decides what an identity with a posture may do: ordered rules over the
// values of a session, the first that matches gives its profile.
//
//	exceptions   tried first, in the order of the file
//	rules        then these
//	default      when nothing matched
//
// Conditions are CEL (package expr). The compiled policy knows which variables its
// conditions read; a decision is remembered by exactly their values, so that the packet
// path evaluates an expression once for the same inputs. A condition that fails at run
// time counts as not matching and is reported with the decision.
//
// A profile is what the answer says, checked down to the octet when the configuration
// is loaded. Nothing here reads a clock, a socket or a disk.
package authz

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"sallyport/engine/expr"
	"sallyport/ops/config"
)

// Input is what the rules read of a session.
type Input = expr.Input

// Policy is the compiled rules and profiles of one configuration.
type Policy struct {
	serial   uint64 // tells this policy's memory from another's
	rules    []rule // exceptions, then rules, then the default, which always matches
	reads    expr.Vars
	profiles []*Profile
	byName   map[string]*Profile
	dacls    map[string]*DACL // by full name
	versions map[string]*DACL // by the full name without its version
	memo     *Memo            // nil: every decision is evaluated
}

type rule struct {
	name      string
	pos       config.Pos
	path      string
	limits    []limit // all of them, and when
	when      *expr.Condition
	profile   *Profile
	exception bool
}

// Decision is the outcome for one session, and where it comes from.
type Decision struct {
	Rule      string     // name; "Default" when none matched
	Index     int        // place in the order of trying, exceptions first; -1: the default
	Pos       config.Pos // of the rule
	Profile   *Profile
	Exception bool
	Default   bool
	Errors    []RuleError // conditions before it that could not be evaluated
}

// RuleError is a condition that failed at run time. The rule counts as not matching.
type RuleError struct {
	Rule    string     `json:"rule"`
	Pos     config.Pos `json:"pos"`
	Message string     `json:"message"`
}

// Error is place, rule and message in one line.
func (e RuleError) Error() string { return fmt.Sprintf("%s: rule %q: %s", e.Pos, e.Rule, e.Message) }

// defaultRule is how the default is called where rules are named.
const defaultRule = "Default"

// keyRoom is what a key may take without allocating; keyMax is the longest that is
// remembered. A key holds the values the policy reads, each at most 253 octets.
const (
	keyRoom = 512
	keyMax  = 8192
)

var serials atomic.Uint64

// Remember makes the policy keep its decisions in m, which forgets those of the policy before
// it. It is to be called before the first Decide, or not at all.
func (p *Policy) Remember(m *Memo) {
	m.turn()
	p.memo = m
}

// Reads are the variables that decide; no other can change a decision.
func (p *Policy) Reads() expr.Vars { return p.reads }

// Decide finds the first rule that matches. A decision made before for the same values
// costs no evaluation and no allocation of ours. Any number of goroutines may call it.
func (p *Policy) Decide(in *Input) Decision {
	if p.memo == nil {
		own := *in // in itself stays where its owner put it
		return p.evaluate(&own)
	}
	var room [keyRoom]byte
	key := p.reads.AppendKey(binary.BigEndian.AppendUint64(room[:0], p.serial), in)
	sum := p.memo.sum(key)
	if d := p.memo.get(sum, key); d != nil {
		return *d
	}
	own := *in
	d := p.evaluate(&own)
	p.memo.put(sum, key, &d)
	return d
}

// evaluate tries every rule in order.
func (p *Policy) evaluate(in *Input) Decision {
	var errors []RuleError
	for i := range p.rules {
		r := &p.rules[i]
		matched, err := r.holds(in)
		if err != nil {
			errors = append(errors, RuleError{r.name, r.pos, err.Error()})
		}
		if matched {
			return p.decision(i, errors)
		}
	}
	return p.decision(len(p.rules)-1, errors)
}

// decision is the outcome when rule i matched; the last rule is the default.
func (p *Policy) decision(i int, errors []RuleError) Decision {
	r := &p.rules[i]
	d := Decision{Rule: r.name, Index: i, Pos: r.pos, Profile: r.profile, Exception: r.exception, Errors: errors}
	if i == len(p.rules)-1 {
		d.Index, d.Default = -1, true
	}
	return d
}

// Profile finds a profile by name, nil when there is none.
func (p *Policy) Profile(name string) *Profile { return p.byName[name] }

// Profiles are all profiles in the order of the file, built-in ones that were not
// written anew at the end.
func (p *Policy) Profiles() []*Profile { return p.profiles }

// DACL finds a downloadable ACL by its full name, which says its version.
func (p *Policy) DACL(fullName string) (*DACL, bool) {
	d, ok := p.dacls[fullName]
	return d, ok
}

// NewerDACL finds the ACL that fullName is another version of, an older one as a rule.
// False when there is no ACL of that name at all, or when fullName is the version of now.
func (p *Policy) NewerDACL(fullName string) (*DACL, bool) {
	base, version := splitVersion(fullName)
	d, ok := p.versions[base]
	return d, ok && version != "" && d.FullName != fullName
}
