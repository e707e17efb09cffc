package config

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// parse reads a YAML file and returns the mapping at its top. An empty file is an
// empty mapping.
func (l *loader) parse(path string, from Pos, users bool) (ast.Node, bool) {
	text, _, ok := l.read(path, from, fileBytesMax)
	if !ok {
		return nil, false
	}
	l.source(path, text)
	return l.parseText(path, text, users)
}

// parseText is parse for the text of a file.
func (l *loader) parseText(path string, text []byte, users bool) (ast.Node, bool) {
	l.lines[path] = maskLines(strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"), users)
	if !utf8.Valid(text) {
		l.fault(Pos{File: path}, "", "the file is not UTF-8 text", "save it as UTF-8")
		return nil, false
	}
	tree, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		l.syntax(path, err)
		return nil, false
	}
	var body ast.Node
	for _, doc := range tree.Docs {
		switch {
		case doc.Body == nil:
		case body == nil:
			body = doc.Body
		default:
			l.fault(nodePos(path, doc.Body), "", "a second document begins here", "remove the line ---, or use include")
		}
	}
	return body, true
}

// syntax turns the parser's error into a fault. The parser stops at the first.
func (l *loader) syntax(path string, err error) {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil || at.GetToken().Position == nil {
		l.fault(Pos{File: path}, "", "not YAML: "+firstLine(err.Error()), "")
		return
	}
	p := at.GetToken().Position
	pos := Pos{File: path, Line: p.Line, Column: p.Column}
	message, hint := syntaxWords(at.GetMessage())
	l.fault(pos, "", message, hint)
}

// syntaxWords says what the parser's messages mean for somebody who writes a file.
func syntaxWords(message string) (words, hint string) {
	message = firstLine(message)
	switch {
	case strings.Contains(message, "mapping value is not allowed"):
		return "this value runs into a key", "the line below is indented too far, or the value contains \": \" and needs quotes"
	case strings.Contains(message, "value is not allowed in this context"):
		return "wrong indentation", "a key begins in the same column as the keys beside it"
	case strings.Contains(message, "\t"):
		return "a tab in the indentation", "YAML indents with spaces"
	case strings.Contains(message, "could not find end character"):
		return "the quote opened here is never closed", "add the closing quote, or double it inside single quotes"
	case strings.Contains(message, "',' or ']' must be specified"):
		return "the list opened by [ is not closed", "add ] or a comma"
	case strings.Contains(message, "',' or '}' must be specified"):
		return "the mapping opened by { is not closed", "add } or a comma"
	case strings.Contains(message, "unexpected key name"), strings.Contains(message, "non-map value is specified"):
		return "a key without a colon", "write key: value"
	case strings.Contains(message, "reserved character"), strings.Contains(message, "unexpected directive"):
		return message, "put the value in quotes"
	}
	return message, ""
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// nodePos is where a person would point at for a node: the first key of a block
// mapping, the indicator of a block text.
func nodePos(file string, n ast.Node) Pos {
	switch x := n.(type) {
	case *ast.MappingNode:
		if !x.IsFlowStyle && len(x.Values) > 0 {
			return nodePos(file, x.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return nodePos(file, x.Key)
	case *ast.LiteralNode:
		if x.Start != nil {
			return Pos{File: file, Line: x.Start.Position.Line, Column: x.Start.Position.Column}
		}
	}
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		return Pos{File: file, Line: tk.Position.Line, Column: tk.Position.Column}
	}
	return Pos{File: file}
}
