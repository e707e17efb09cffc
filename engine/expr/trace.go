package expr

import (
	"fmt"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/parser"
)

// Part is one comparison of a condition, with what came of it and what it read.
type Part struct {
	Text  string   `json:"text"`            // session.posture == "Compliant"
	Value string   `json:"value"`           // true, false, or an error in words
	Depth int      `json:"depth,omitempty"` // of nesting below && || and !
	Read  []Actual `json:"read,omitempty"`
}

// Actual is the value that a variable had.
type Actual struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Trace is a condition evaluated in all its parts, those included that could not change
// the result any more.
type Trace struct {
	Holds bool   `json:"holds"`
	Error string `json:"error,omitempty"`
	Parts []Part `json:"parts,omitempty"`
}

// Trace evaluates the condition and keeps what every comparison in it gave.
func (c *Condition) Trace(in *Input) Trace {
	if c.program == nil {
		return Trace{Holds: true}
	}
	out, details, err := c.traced.Eval(&activation{in, c.scope})
	t := Trace{Holds: err == nil && out == types.True}
	if err != nil {
		t.Error = err.Error()
	}
	value := func(id int64) (ref.Val, bool) { return nil, false }
	if details != nil && details.State() != nil {
		value = details.State().Value
	}
	w := tracer{c: c, in: in, value: value}
	w.walk(c.tree.Expr(), 0)
	t.Parts = w.parts
	return t
}

type tracer struct {
	c     *Condition
	in    *Input
	value func(int64) (ref.Val, bool)
	parts []Part
}

// walk goes down through && || and !, to what they join. A chain of the same operator
// is one level.
func (w *tracer) walk(e ast.Expr, depth int) {
	switch operator := joins(e); operator {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional:
		for _, arg := range e.AsCall().Args() {
			if operator != operators.LogicalNot && joins(arg) == operator {
				w.walk(arg, depth)
			} else {
				w.walk(arg, depth+1)
			}
		}
		return
	}
	part := Part{Depth: depth, Value: "not evaluated"}
	var err error
	if part.Text, err = parser.Unparse(e, w.c.tree.SourceInfo()); err != nil {
		part.Text = w.c.text.Value
	}
	if v, ok := w.value(e.ID()); ok {
		part.Value = words(v)
	}
	for v := range readsBelow(e).All() {
		part.Read = append(part.Read, Actual{v.String(), v.Quoted(w.in)})
	}
	w.parts = append(w.parts, part)
	for _, named := range w.c.scope.usedBy(e) {
		for _, below := range named.Trace(w.in).Parts {
			below.Depth += depth + 1
			w.parts = append(w.parts, below)
		}
	}
}

// joins is the function that e calls, "" when it is no call.
func joins(e ast.Expr) string {
	if e.Kind() != ast.CallKind {
		return ""
	}
	return e.AsCall().FunctionName()
}

// readsBelow are the variables in one part of a checked tree.
func readsBelow(e ast.Expr) Vars {
	var reads Vars
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.IdentKind {
			return
		}
		if v, ok := byName[e.AsIdent()]; ok {
			reads |= 1 << v
		}
	}))
	return reads
}

func words(v ref.Val) string {
	switch v := v.(type) {
	case *types.Err:
		return "error: " + v.String()
	case types.String:
		return strconv.Quote(string(v))
	}
	return fmt.Sprint(v.Value())
}

// Quoted is Value as it would stand in an expression.
func (v Var) Quoted(in *Input) string {
	switch value := v.value(in).(type) {
	case string:
		return strconv.Quote(value)
	case []string:
		quoted := make([]string, len(value))
		for i, one := range value {
			quoted[i] = strconv.Quote(one)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	default:
		return fmt.Sprint(value)
	}
}
