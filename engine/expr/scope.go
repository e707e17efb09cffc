package expr

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"

	"sallyport/ops/config"
)

// Scope is a set of conditions that others may use by name. A condition may use those
// that were added before it, so that none leads back to itself.
type Scope struct {
	env    *cel.Env
	names  []string
	byName map[string]*Condition // by condition.NAME
}

// namedPrefix stands before the name of a condition in expressions.
const namedPrefix = "condition."

// namedMax bounds a scope: each makes the language a little larger.
const namedMax = 500

// NewScope makes a scope without names.
func NewScope() *Scope { return &Scope{env: environment} }

// Define compiles the conditions of a section in their order and names them. Faults are
// those of all of them.
func (s *Scope) Define(named config.Map[config.Text], path string) (faults config.Faults) {
	s.byName = make(map[string]*Condition, len(named))
	for i := range named {
		name, text := named[i].Name, named[i].Value
		at := path + "." + name.Value
		switch {
		case !isIdentifier(name.Value):
			faults = append(faults, fault(name, 0, at, fmt.Sprintf("%q cannot be the name of a condition", name.Value), "letters, digits and _ may stand in it, and no digit at its beginning"))
			continue
		case len(s.names) == namedMax:
			return append(faults, fault(name, 0, at, fmt.Sprintf("more than %d conditions with names", namedMax), ""))
		}
		c, f := s.Compile(text, at)
		faults = append(faults, f...)
		if c == nil {
			c = &Condition{text: text, scope: s} // wrong, and known: its users are not wrong for that
		}
		full := namedPrefix + name.Value
		s.names, s.byName[full] = append(s.names, name.Value), c
		next, err := s.env.Extend(cel.Variable(full, cel.BoolType))
		if err != nil {
			return append(faults, fault(name, 0, at, "the name cannot be used: "+err.Error(), ""))
		}
		s.env = next
	}
	return faults
}

func isIdentifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// Named finds a condition by the name that Define gave it.
func (s *Scope) Named(name string) (*Condition, bool) {
	c, ok := s.byName[namedPrefix+name]
	return c, ok
}

// Names lists the conditions in the order in which they were defined.
func (s *Scope) Names() []string { return s.names }

// value evaluates a condition by name, for CEL.
func (s *Scope) value(name string, in *Input) (any, bool) {
	c, ok := s.byName[name]
	if !ok {
		return nil, false
	}
	holds, err := c.Eval(in)
	if err != nil {
		return types.NewErr("%s: %v", name, err), true
	}
	return holds, true
}

// readsOf collects the variables of a checked tree, those of the conditions it names
// included.
func (s *Scope) readsOf(tree *ast.AST) Vars {
	var reads Vars
	for _, r := range tree.ReferenceMap() {
		if v, ok := byName[r.Name]; ok {
			reads |= 1 << v
		}
		if c, ok := s.byName[r.Name]; ok {
			reads |= c.reads
		}
	}
	return reads
}

// usedBy are the conditions with names in a part of a tree, each once.
func (s *Scope) usedBy(e ast.Expr) (used []*Condition) {
	if len(s.byName) == 0 {
		return nil
	}
	seen := map[*Condition]bool{}
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.IdentKind {
			return
		}
		if c, ok := s.byName[e.AsIdent()]; ok && !seen[c] {
			seen[c] = true
			used = append(used, c)
		}
	}))
	return used
}

// literalsOf are the literals of the conditions that a tree names.
func (s *Scope) literalsOf(tree *ast.AST) (out []Literal) {
	for _, c := range s.usedBy(tree.Expr()) {
		for _, l := range c.literals {
			l.Named = true
			out = append(out, l)
		}
	}
	return out
}

// Uses are the names of the conditions that c names itself.
func (c *Condition) Uses() (names []string) {
	if c.tree == nil {
		return nil
	}
	for _, used := range c.scope.usedBy(c.tree.Expr()) {
		for _, name := range c.scope.names {
			if c.scope.byName[namedPrefix+name] == used {
				names = append(names, name)
			}
		}
	}
	return names
}

// Conjuncts are the parts that must all hold, each in the spelling of Normal: the whole
// condition when it is not joined by &&, none when it always holds.
func (c *Condition) Conjuncts() (out []string) {
	if c.tree == nil {
		return nil
	}
	var walk func(e ast.Expr)
	walk = func(e ast.Expr) {
		if joins(e) == operators.LogicalAnd {
			for _, arg := range e.AsCall().Args() {
				walk(arg)
			}
			return
		}
		text, err := parser.Unparse(e, c.tree.SourceInfo())
		if err != nil {
			text = c.normal
		}
		out = append(out, text)
	}
	walk(c.tree.Expr())
	return out
}
