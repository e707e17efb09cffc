// Package expr is the language of rules: conditions in CEL over what is known of one
// session. Authorization, posture and provisioning rules all use it, so a name means the
// same everywhere.
//
//	session.authenticated  bool          session.calling_station_id  string
//	session.posture        string        session.called_station_id   string
//	session.user           string        session.tunnel_group        string
//	session.groups         list(string)  session.nas_port_type       string
//	session.nas            string        session.service_type        string
//	session.nas_group      string        session.framed_ip           string
//	session.method         string        endpoint.os                 string
//	session.assurance      string        endpoint.mac                string
//	session.nas_ip         string        endpoint.agent              string
//	session.nas_identifier string        endpoint.agent_kind         string
//	session.nas_port_id    string        endpoint.os_version         string
//	session.failed         list(string)  endpoint.hostname           string
//	session.in_grace       bool          endpoint.domain             string
//	fact.usb_storage       string        fact.encryption             string
//	fact.firewall          string        fact.updates                string
//	fact.antimalware       string        time.hour                   int
//	                                     time.weekday                int
//
// Hours are 0 to 23 and weekdays 0, Sunday, to 6, in UTC. session.failed holds the names
// of the posture conditions that the last report did not pass; fact.* what it said.
//
// session.groups holds each group once, in the order of the alphabet, so that the order
// in which a store tells them changes nothing. What is not known is the empty string.
//
// A Scope holds conditions with names of their own; others then read condition.NAME.
//
// Compile checks everything that can be checked before the first packet: syntax, names,
// types, words that a variable never holds, and the cost of the worst case. What is left
// to fail at run time is an index out of range, a number that is none, and the like.
//
// A Condition says which variables it reads (Vars), and Vars makes a key of exactly
// their values: equal keys, equal results. That is what memoising rests on.
package expr

import (
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"sallyport/ops/config"
	"sallyport/sessions"
)

// Input is what rules may read of one session at one moment. Unknown text is empty.
// Nothing in it is changed here.
type Input struct {
	Authenticated    bool
	Posture          sessions.PostureStatus
	User             string
	Groups           []string // in any order
	NAS, NASGroup    string   // names in the configuration
	Method           string   // pap, mab, authorize-only
	Assurance        sessions.Assurance
	CallingStationID string
	CalledStationID  string
	TunnelGroup      string
	NASPortType      string // name of the value, such as Ethernet
	ServiceType      string // name of the value, such as Framed
	FramedIP         string
	OS, MAC, Agent   string // of the endpoint
	AgentKind        string // agent, temporal
	OSVersion        string
	Hostname, Domain string
	NASIP            string
	NASIdentifier    string
	NASPortID        string
	Failed           []string // conditions that the last report did not pass, in any order
	InGrace          bool     // not compliant, and let be for a while
	Facts            Facts
	Time             time.Time
}

// Facts is what the last report said, in a word each: what is worth deciding by when no
// report is at hand. Nobody told what is empty; "unknown" is what the agent could not tell.
type Facts struct {
	Storage     string // USB storage: none, blocked, in-use, unknown
	Firewall    string // on, off, unknown
	AntiMalware string // on, off, unknown
	Encryption  string // of the internal disks: encrypted, partly, none, unknown
	Updates     string // that mend security: current, missing, unknown
}

// Limits of one expression.
const (
	textMax  = 4096  // characters
	nodesMax = 512   // of the syntax tree, macros unfolded
	depthMax = 64    // of nesting
	regexMax = 512   // instructions of a regular expression's program
	costMax  = 20000 // of the worst case, in CEL's units: about a millisecond
	wordMax  = 253   // octets of a text variable: no RADIUS attribute holds more
	groupMax = 64    // groups of a user that the cost estimate reckons with
)

// Condition is one compiled expression. The zero Condition, and one compiled from no
// text, always holds. Any number of goroutines may use it.
type Condition struct {
	text     config.Text
	tree     *ast.AST
	program  cel.Program // nil: always holds
	traced   cel.Program // the same, evaluating every part and keeping its value
	reads    Vars
	literals []Literal
	normal   string
	scope    *Scope // whose names it may use
}

// environment is the language: the standard library, the variables, and lowerAscii.
var environment = newEnvironment()

func newEnvironment() *cel.Env {
	options := []cel.EnvOption{
		cel.EnableMacroCallTracking(),
		cel.ParserExpressionSizeLimit(textMax),
		cel.ExpressionNodeLimit(nodesMax),
		cel.ParserRecursionLimit(depthMax),
		cel.RegexProgramSizeLimit(regexMax),
		cel.ASTValidators(cel.ValidateRegexLiterals()),
		cel.Function("lowerAscii", cel.MemberOverload("string_lower_ascii", []*cel.Type{cel.StringType}, cel.StringType,
			cel.UnaryBinding(lowerASCII))),
	}
	for v := range vars {
		options = append(options, cel.Variable(v.String(), v.celType()))
	}
	e, err := cel.NewEnv(options...)
	if err != nil {
		panic("expr: the declarations contradict each other: " + err.Error())
	}
	return e
}

func lowerASCII(v ref.Val) ref.Val {
	s, ok := v.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	return types.String(strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, string(s)))
}

// Compile makes a condition of text, whose place in the configuration is path. Every
// fault points at the word it is about. Text that is empty or blank makes a condition
// that always holds. The condition is nil when there are faults.
func Compile(text config.Text, path string) (*Condition, config.Faults) {
	return NewScope().Compile(text, path)
}

// Compile is the package's Compile for text that may use the names of the scope.
func (s *Scope) Compile(text config.Text, path string) (*Condition, config.Faults) {
	c := &Condition{text: text, scope: s}
	if strings.TrimSpace(text.Value) == "" {
		return c, nil
	}
	checked, faults := s.check(text, path)
	if len(faults) > 0 {
		return nil, faults
	}
	c.tree = checked.NativeRep()
	c.reads, c.literals = s.readsOf(c.tree), literalsOf(c.tree, text)
	faults = append(c.wrongWords(path), c.tooDear(checked, path)...)
	if len(faults) > 0 {
		return nil, faults
	}
	c.literals = append(c.literals, s.literalsOf(c.tree)...)
	var err error
	if c.normal, err = cel.AstToString(checked); err != nil {
		c.normal = text.Value
	}
	c.program, err = s.env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(costMax))
	if err == nil {
		c.traced, err = s.env.Program(checked, cel.EvalOptions(cel.OptExhaustiveEval))
	}
	if err != nil {
		return nil, config.Faults{fault(text, 0, path, "the expression cannot be used: "+err.Error(), "")}
	}
	return c, nil
}

func (c *Condition) tooDear(checked *cel.Ast, path string) config.Faults {
	estimate, err := c.scope.env.EstimateCost(checked, sizes{})
	if err != nil || estimate.Max <= costMax {
		return nil
	}
	message := fmt.Sprintf("the expression may cost %d steps, at most %d are allowed", estimate.Max, uint64(costMax))
	return config.Faults{fault(c.text, 0, path, message, "split it into several rules, or use fewer nested loops and regular expressions")}
}

// sizes bounds the variables for the estimate of cost.
type sizes struct{}

// EstimateSize knows a list of groups by its name; what else has a name is a text.
func (sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	path := n.Path()
	if len(path) == 0 {
		return nil
	}
	if len(path) == 1 && (path[0] == Groups.String() || path[0] == Failed.String()) {
		return &cost.SizeEstimate{Min: 0, Max: groupMax}
	}
	return &cost.SizeEstimate{Min: 0, Max: wordMax}
}

// EstimateCallCost leaves calls to CEL.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// Eval says whether the condition holds for in. An error means that it cannot be told:
// the caller takes it as false and reports it.
func (c *Condition) Eval(in *Input) (bool, error) {
	if c.program == nil {
		return true, nil
	}
	out, _, err := c.program.Eval(&activation{in, c.scope})
	if err != nil {
		return false, err
	}
	return out == types.True, nil
}

// Reads are the variables whose values decide the result; no other can change it.
func (c *Condition) Reads() Vars { return c.reads }

// Text is the expression as written, with its place.
func (c *Condition) Text() config.Text { return c.text }

// Normal is the expression with the spacing and parentheses of all: two conditions with
// the same Normal say the same. It is empty when the condition always holds.
func (c *Condition) Normal() string { return c.normal }

// activation gives CEL the variables of one input.
type activation struct {
	in    *Input
	scope *Scope
}

// ResolveName finds a variable's value.
func (a *activation) ResolveName(name string) (any, bool) {
	v, ok := byName[name]
	if !ok {
		return a.scope.value(name, a.in)
	}
	return v.value(a.in), true
}

// Parent is none.
func (a *activation) Parent() cel.Activation { return nil }
