package expr

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"sallyport/ops/config"
)

func fault(text config.Text, offset int, path, message, hint string) config.Fault {
	return config.Fault{Pos: text.At(offset), Path: path, Message: message, Hint: hint}
}

// check parses and type-checks. CEL stops at the first unknown name of a chain and does
// not know what was meant, so names are looked at here first.
func (s *Scope) check(text config.Text, path string) (*cel.Ast, config.Faults) {
	parsed, issues := s.env.Parse(text.Value)
	if issues.Err() != nil {
		return nil, syntaxFaults(text, path, issues.Errors())
	}
	names := &nameChecker{scope: s, text: text, path: path, info: parsed.NativeRep().SourceInfo()}
	names.expr(parsed.NativeRep().Expr(), nil)
	checked, issues := s.env.Check(parsed)
	faults := names.faults
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			if len(names.faults) > 0 && strings.HasPrefix(e.Message, "undeclared reference") {
				continue // told already, and with the name that was meant
			}
			at := offsetOf(text.Value, e.Location.Line(), e.Location.Column())
			message, hint := plain(e.Message)
			faults = append(faults, fault(text, at, path, message, hint))
		}
	}
	if len(faults) == 0 && !checked.OutputType().IsExactType(cel.BoolType) {
		message := "a condition must be true or false, this is " + typeWord(cel.FormatCELType(checked.OutputType()))
		faults = append(faults, fault(text, 0, path, message, "compare it with something, such as "+example(checked.OutputType())))
	}
	return checked, faults
}

func example(t *cel.Type) string {
	switch {
	case t.IsExactType(cel.StringType):
		return `session.user == "name"`
	case t.IsExactType(cel.ListType(cel.StringType)):
		return `"employees" in session.groups`
	}
	return "time.hour >= 8"
}

var wordOperator = regexp.MustCompile(`(?i)\s(and|or)\s|^\s*not\s|[^=!<>]=[^=]`)

// syntaxFaults reports the first fault of syntax; those behind it follow from it.
func syntaxFaults(text config.Text, path string, errors []*cel.Error) config.Faults {
	e := errors[0]
	message, _, _ := strings.Cut(e.Message, " expecting {")
	message, _, _ = strings.Cut(message, " expecting ")
	message = strings.TrimPrefix(message, "Syntax error: ")
	message = strings.ReplaceAll(message, "'<EOF>'", "the end")
	hint := ""
	if wordOperator.MatchString(text.Value) {
		hint = "the operators are == != && || ! and in"
	}
	at := offsetOf(text.Value, e.Location.Line(), e.Location.Column())
	return config.Faults{fault(text, at, path, "the expression does not parse: "+message, hint)}
}

// offsetOf makes a character offset of CEL's line, from 1, and column, from 0.
func offsetOf(text string, line, column int) int {
	offset := 0
	for _, l := range strings.SplitAfter(text, "\n") {
		if line--; line <= 0 {
			break
		}
		offset += len([]rune(l))
	}
	return offset + max(column, 0)
}

var overload = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '(.*)'$`)

// plain turns CEL's words for a type fault into ours.
func plain(message string) (words, hint string) {
	m := overload.FindStringSubmatch(message)
	if message == "invalid matches argument" {
		return "this is not a regular expression (RE2 syntax)", ""
	}
	if m == nil {
		if strings.Contains(message, "expected type 'bool'") {
			hint = "compare it with something, or join only what is true or false"
		}
		message = strings.TrimPrefix(message, "type ")
		message = strings.ReplaceAll(message, "'bool'", "true or false")
		return strings.ReplaceAll(strings.ReplaceAll(message, "'string'", "a text"), "'int'", "a number"), hint
	}
	function, args := m[1], m[2]
	if symbol, ok := operators.FindReverse(function); ok && symbol != "" {
		function = symbol
	}
	target, args, member := strings.Cut(args, ".(")
	if !member {
		args = strings.TrimPrefix(target, "(")
	}
	kinds := strings.Split(strings.TrimSuffix(args, ")"), ", ")
	if slices.Contains(kinds, "list(string)") {
		hint = `to look for a group: "name" in session.groups`
	}
	if slices.Contains(kinds, "int") && slices.Contains(kinds, "string") {
		hint = "a number stands without quotes, a text in quotes"
	}
	for i := range kinds {
		kinds[i] = typeWord(kinds[i])
	}
	if member {
		return fmt.Sprintf("%s of %s cannot take (%s)", function, typeWord(target), strings.Join(kinds, ", ")), hint
	}
	return fmt.Sprintf("%s cannot be applied to %s", function, strings.Join(kinds, " and ")), hint
}

func typeWord(celType string) string {
	switch celType {
	case "string":
		return "a text"
	case "bool":
		return "true or false"
	case "int", "uint", "double":
		return "a number"
	case "list(string)":
		return "a list of texts"
	}
	return celType
}

// nameChecker looks for names that nobody declared, in the tree as parsed.
type nameChecker struct {
	scope  *Scope
	text   config.Text
	path   string
	info   *ast.SourceInfo
	faults config.Faults
}

// namesMax bounds what is reported of one expression: a person reads no more.
const namesMax = 10

// celTypes are names that CEL itself declares.
var celTypes = []string{"bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "type", "uint"}

// expr walks down; scope are the names that macros such as exists declare.
func (n *nameChecker) expr(e ast.Expr, scope []string) {
	if len(n.faults) >= namesMax {
		return
	}
	switch e.Kind() {
	case ast.IdentKind, ast.SelectKind:
		n.chain(e, scope)
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			n.expr(call.Target(), scope)
		}
		n.function(e)
		for _, arg := range call.Args() {
			n.expr(arg, scope)
		}
	case ast.ListKind:
		for _, one := range e.AsList().Elements() {
			n.expr(one, scope)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			n.expr(entry.AsMapEntry().Key(), scope)
			n.expr(entry.AsMapEntry().Value(), scope)
		}
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		n.expr(c.IterRange(), scope)
		n.expr(c.AccuInit(), scope)
		inner := append(slices.Clone(scope), c.IterVar(), c.IterVar2(), c.AccuVar())
		n.expr(c.LoopCondition(), inner)
		n.expr(c.LoopStep(), inner)
		n.expr(c.Result(), inner)
	}
}

// chain looks at a name with dots: some beginning of it must be a variable.
func (n *nameChecker) chain(e ast.Expr, scope []string) {
	var fields []string
	root := e
	for root.Kind() == ast.SelectKind {
		fields = append(fields, root.AsSelect().FieldName())
		root = root.AsSelect().Operand()
	}
	if e.Kind() == ast.SelectKind && e.AsSelect().IsTestOnly() {
		n.add(root.ID(), "has() is not needed here: every variable has a value", `what is not known is the empty text ""`)
		return
	}
	if root.Kind() != ast.IdentKind {
		n.expr(root, scope)
		return
	}
	name := root.AsIdent()
	if slices.Contains(scope, name) || slices.Contains(celTypes, name) {
		return
	}
	for _, f := range slices.Backward(fields) {
		name += "." + f
		if _, ok := byName[name]; ok {
			return
		}
		if _, ok := n.scope.byName[name]; ok {
			return
		}
	}
	if short, ok := strings.CutPrefix(name, namedPrefix); ok {
		n.add(root.ID(), "there is no condition "+strconv.Quote(short)+" before this place", config.DidYouMean(short, n.scope.names))
		return
	}
	n.add(root.ID(), "there is no "+name+" in expressions", nearestName(name))
}

// nearestName looks for the name that was meant: one like it, or one with the same last
// part.
func nearestName(name string) string {
	var members []string
	for _, full := range Names() {
		if strings.HasPrefix(full, name+".") {
			members = append(members, full)
		}
	}
	if len(members) > 0 {
		return "one of " + strings.Join(members, ", ")
	}
	if near := config.Nearest(name, Names()); near != "" {
		return `did you mean ` + near + `?`
	}
	var lasts []string
	for _, full := range Names() {
		lasts = append(lasts, full[strings.IndexByte(full, '.')+1:])
	}
	parts := strings.Split(name, ".")
	for _, near := range append(parts, config.Nearest(parts[len(parts)-1], lasts)) {
		if at := slices.Index(lasts, near); at >= 0 {
			return `did you mean ` + Names()[at] + `?`
		}
	}
	if prefix, _, _ := strings.Cut(name, "."); prefix == name {
		return "a text stands in quotes: " + strconv.Quote(name)
	}
	return "valid here: " + strings.Join(Names(), ", ")
}

func (n *nameChecker) function(e ast.Expr) {
	name := e.AsCall().FunctionName()
	if environment.HasFunction(name) || strings.HasPrefix(name, "@") {
		return
	}
	at, _ := n.info.GetOffsetRange(e.ID()) // of the parenthesis behind the name
	start := int(at.Start) - len([]rune(name))
	if text := []rune(n.text.Value); start < 0 || string(text[start:min(int(at.Start), len(text))]) != name {
		start = int(at.Start)
	}
	n.faults = append(n.faults, fault(n.text, start, n.path, "there is no function "+name, config.DidYouMean(name, functionNames)))
}

// functionNames are those worth proposing.
var functionNames = []string{"startsWith", "endsWith", "contains", "matches", "lowerAscii", "size", "exists", "all", "exists_one", "filter", "map", "has", "int", "string"}

func (n *nameChecker) add(node int64, message, hint string) {
	at, _ := n.info.GetOffsetRange(node)
	n.faults = append(n.faults, fault(n.text, int(at.Start), n.path, message, hint))
}
