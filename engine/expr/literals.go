package expr

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"sallyport/ops/config"
)

// Literal is a value that an expression compares a variable with.
type Literal struct {
	Var   Var
	Value string // in the words of Var.Value; one group for session.groups
	Equal bool   // the comparison is for being equal or not: ==, != or in
	Named bool   // it stands in a condition with a name, which the expression uses
	Pos   config.Pos
}

// Literals are the values that the condition compares variables with, from left to right.
func (c *Condition) Literals() []Literal { return c.literals }

func literalsOf(tree *ast.AST, text config.Text) []Literal {
	f := &literalFinder{info: tree.SourceInfo(), text: text, loops: map[string]Var{}}
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(f.visit))
	return f.found
}

type literalFinder struct {
	info  *ast.SourceInfo
	text  config.Text
	loops map[string]Var // what a macro's own name stands for: one of the groups
	found []Literal
}

// visit sees a loop before what stands in it.
func (f *literalFinder) visit(e ast.Expr) {
	if e.Kind() == ast.ComprehensionKind {
		if c := e.AsComprehension(); c.IterRange().Kind() == ast.IdentKind {
			if v, ok := byName[c.IterRange().AsIdent()]; ok && (v == Groups || v == Failed) {
				f.loops[c.IterVar()] = v
			}
		}
		return
	}
	if e.Kind() != ast.CallKind {
		return
	}
	call := e.AsCall()
	operands := call.Args()
	if call.IsMemberFunction() {
		operands = append([]ast.Expr{call.Target()}, operands...)
	}
	if len(operands) != 2 {
		return
	}
	equal := slices.Contains([]string{operators.Equals, operators.NotEquals, operators.In}, call.FunctionName())
	for i := range operands {
		f.pair(operands[i], operands[1-i], equal)
	}
}

// pair notes the literals of other when e is a variable, as it is or in lower case.
func (f *literalFinder) pair(e, other ast.Expr, equal bool) {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "lowerAscii" {
		e = e.AsCall().Target()
	}
	if e.Kind() != ast.IdentKind {
		return
	}
	v, ok := byName[e.AsIdent()]
	if !ok {
		v, ok = f.loops[e.AsIdent()]
	}
	if !ok {
		return
	}
	items := []ast.Expr{other}
	if other.Kind() == ast.ListKind {
		items = other.AsList().Elements()
	}
	for _, item := range items {
		if item.Kind() != ast.LiteralKind {
			continue
		}
		at, _ := f.info.GetOffsetRange(item.ID())
		literal := Literal{Var: v, Equal: equal, Pos: f.text.At(int(at.Start))}
		switch value := item.AsLiteral().(type) {
		case types.String:
			literal.Value = string(value)
		case types.Int:
			if v != Hour && v != Weekday {
				continue // an index or a length
			}
			literal.Value = strconv.FormatInt(int64(value), 10)
		default:
			continue
		}
		f.found = append(f.found, literal)
	}
}

// wrongWords reports comparisons that can never hold: with a word, or an hour, that the
// variable never has. The empty text is fine: not known.
func (c *Condition) wrongWords(path string) config.Faults {
	var faults config.Faults
	for _, l := range c.literals {
		add := func(message, hint string) {
			faults = append(faults, config.Fault{Pos: l.Pos, Path: path, Message: message, Hint: hint})
		}
		switch words := l.Var.Words(); {
		case l.Var == Hour && outside(l.Value, 24):
			add("time.hour is from 0 to 23, never "+l.Value, "hours are UTC")
		case l.Var == Weekday && outside(l.Value, 7):
			add("time.weekday is from 0, Sunday, to 6, Saturday, never "+l.Value, "")
		case !l.Equal || len(words) == 0 || slices.Contains(words, l.Value):
		case l.Value == "" && l.Var.field(&Input{}) != nil:
		default:
			hint := config.DidYouMean(l.Value, words)
			if !strings.HasPrefix(hint, "valid") {
				hint += " valid here: " + strings.Join(words, ", ")
			}
			add(fmt.Sprintf("%s is never %q", l.Var, l.Value), hint)
		}
	}
	return faults
}

// outside says that a literal leaves no case to decide: one below 0 or above the number
// that follows the last value.
func outside(value string, values int) bool {
	n, err := strconv.Atoi(value)
	return err == nil && (n < 0 || n > values)
}
