package posture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport/ops/config"
)

// node is one part of a compound condition. What cannot be told stays so through ! and
// decides nothing that the rest does not leave open: the logic of Kleene.
type node struct {
	join  byte // & | ! or 0 for a condition
	parts []*node
	at    int // in Policy.conditions, when join is 0
	name  string
}

func (n *node) judge(j *judgement) (verdict, string) {
	v := n.verdict(j)
	if v == pass {
		return pass, ""
	}
	return v, strings.Join(n.reasons(j, false, nil), "; ")
}

func (n *node) verdict(j *judgement) verdict {
	switch n.join {
	case 0:
		return j.condition(n.at).verdict
	case '!':
		return fail - n.parts[0].verdict(j)
	}
	result := n.parts[0].verdict(j)
	for _, p := range n.parts[1:] {
		if v := p.verdict(j); n.join == '&' {
			result = max(result, v)
		} else {
			result = min(result, v)
		}
	}
	return result
}

// reasons are those of the parts that keep the whole from passing; negated turns the
// sense of what follows.
func (n *node) reasons(j *judgement, negated bool, out []string) []string {
	if n.join == '!' {
		return n.parts[0].reasons(j, !negated, out)
	}
	for _, p := range n.parts {
		out = p.reasons(j, negated, out)
	}
	if n.join != 0 {
		return out
	}
	k := j.condition(n.at)
	switch {
	case !negated && k.verdict != pass, negated && k.verdict == cannotTell:
		return appendNew(out, k.reason)
	case negated && k.verdict == pass:
		return appendNew(out, n.name+" holds, and must not")
	}
	return out
}

// listed shows each condition of a compound, and what it compared.
func (n *node) listed(j *judgement, out []Part) []Part {
	if n.join == 0 {
		k := j.condition(n.at)
		out = append(out, Part{Of: n.name, What: "condition", Have: k.verdict.String(), Want: "pass", Result: k.verdict.String()})
		for _, p := range j.policy.conditions[n.at].parts(j) {
			if len(out) >= partsMax {
				break
			}
			p.Of = n.name + ", " + p.Of
			out = append(out, p)
		}
		return out
	}
	for _, p := range n.parts {
		out = p.listed(j, out)
	}
	return out
}

// compoundParser reads A & (B | !C). A name with other characters stands in quotes.
type compoundParser struct {
	text   config.Text
	at     int // octets
	c      *compiler
	path   string
	broken bool
}

func (p *compoundParser) fault(at int, message, hint string) *node {
	if !p.broken {
		p.c.fault(p.text.At(len([]rune(p.text.Value[:min(at, len(p.text.Value))]))), p.path, message, hint)
	}
	p.broken = true
	return nil
}

// compoundDepth bounds the brackets of one compound condition.
const compoundDepth = 32

// any reads alternatives: a | b.
func (p *compoundParser) any(depth int) *node { return p.chain('|', depth, p.all) }

// all reads what must hold together: a & b.
func (p *compoundParser) all(depth int) *node { return p.chain('&', depth, p.one) }

func (p *compoundParser) chain(join byte, depth int, part func(int) *node) *node {
	first := part(depth)
	n := &node{join: join, parts: []*node{first}}
	for !p.broken && p.peek() == join {
		p.at++
		if p.at < len(p.text.Value) && p.text.Value[p.at] == join { // && and || mean the same
			p.at++
		}
		n.parts = append(n.parts, part(depth))
	}
	if len(n.parts) == 1 {
		return first
	}
	return n
}

func (p *compoundParser) one(depth int) *node {
	if p.broken {
		return nil
	}
	if depth > compoundDepth {
		return p.fault(p.at, "the brackets are nested too deep", "give a part a name of its own")
	}
	switch p.peek() {
	case 0:
		return p.fault(p.at, "a condition is missing at the end", "such as A & (B | !C)")
	case '!':
		p.at++
		return &node{join: '!', parts: []*node{p.one(depth + 1)}}
	case '(':
		open := p.at
		p.at++
		n := p.any(depth + 1)
		if !p.broken && p.peek() != ')' {
			return p.fault(open, "the bracket opened here is not closed", "")
		}
		p.at++
		return n
	}
	return p.name()
}

func (p *compoundParser) peek() byte {
	for p.at < len(p.text.Value) && (p.text.Value[p.at] == ' ' || p.text.Value[p.at] == '\n') {
		p.at++
	}
	if p.at == len(p.text.Value) {
		return 0
	}
	return p.text.Value[p.at]
}

func (p *compoundParser) name() *node {
	begin, text := p.at, p.text.Value
	var name string
	if quote := text[p.at]; quote == '\'' || quote == '"' {
		end := strings.IndexByte(text[p.at+1:], quote)
		if end < 0 {
			return p.fault(begin, "the quote opened here is never closed", "")
		}
		name, p.at = text[p.at+1:p.at+1+end], p.at+end+2
	} else {
		for p.at < len(text) && !strings.ContainsRune(" \n&|!()'\"", rune(text[p.at])) {
			p.at++
		}
		name = text[begin:p.at]
	}
	if name == "" {
		return p.fault(begin, fmt.Sprintf("%q stands where a condition is expected", text[begin:begin+1]), "such as A & (B | !C)")
	}
	if word := strings.ToLower(name); (word == "and" || word == "or" || word == "not") && p.c.section.Conditions.Names() != nil {
		if _, ok := p.c.section.Conditions.Get(name); !ok {
			return p.fault(begin, strconv.Quote(name)+" is not an operator", "the operators are & | ! and brackets")
		}
	}
	p.c.used["condition "+name] = true
	if _, ok := p.c.section.Conditions.Get(name); !ok {
		p.c.fault(p.text.At(len([]rune(text[:begin]))), p.path, fmt.Sprintf("there is no condition %q", name), config.DidYouMean(name, p.c.section.Conditions.Names()))
		return &node{name: name, at: -1}
	}
	return &node{name: name, at: p.c.conditionAt[name]}
}

// compileCompound reads the text of a compound condition; nil with faults.
func (c *compiler) compileCompound(text config.Text, path string) *node {
	p := &compoundParser{text: text, c: c, path: path}
	n := p.any(0)
	if !p.broken && p.peek() != 0 {
		p.fault(p.at, fmt.Sprintf("%q is not expected here", text.Value[p.at:p.at+1]), "conditions are joined by & or |")
	}
	if p.broken || n.unknown() {
		return nil
	}
	return n
}

func (n *node) unknown() bool {
	return n.join == 0 && n.at < 0 || slices.ContainsFunc(n.parts, (*node).unknown)
}

// names are the conditions of a compound, in the order of the text.
func (n *node) names(out []int) []int {
	if n.join == 0 {
		return append(out, n.at)
	}
	for _, p := range n.parts {
		out = p.names(out)
	}
	return out
}

// order sees to it that no compound leads back to itself, and that what a compound looks
// at includes what its parts do.
func (c *compiler) order() {
	done := make([]int, len(c.policy.conditions)) // 1: under way, 2: done
	var visit func(i int) bool
	visit = func(i int) bool {
		if done[i] != 0 {
			return done[i] == 2
		}
		done[i] = 1
		x := &c.policy.conditions[i]
		for _, child := range x.children {
			if !visit(child) {
				c.fault(x.pos, "posture.conditions."+x.name+".compound", "the condition leads back to itself through "+c.policy.conditions[child].name, "remove one of them")
				x.children = nil
				break
			}
			for _, s := range c.policy.conditions[child].sources {
				if !slices.Contains(x.sources, s) {
					x.sources = append(x.sources, s)
				}
			}
			x.probes = append(x.probes, c.policy.conditions[child].probes...)
		}
		done[i] = 2
		return true
	}
	for i := range c.policy.conditions {
		visit(i)
	}
}
