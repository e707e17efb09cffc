package house

import (
	"bytes"
	"go/ast"
	"go/token"
	"strings"
)

// forbidden are words that say where the tree was written, or put work off. They are
// put together here so that this file does not hold them itself.
var forbidden = []struct{ word, why string }{
	{"TO" + "DO", "finish it, or open an issue"},
	{"FIX" + "ME", "finish it, or open an issue"},
	{"XX" + "X:", "finish it, or open an issue"},
	{"proxy.golang" + ".org", "a registry's host: the tools know their registry"},
	{"sum.golang" + ".org", "a registry's host: the tools know their registry"},
	{"registry.npmjs" + ".org", "a registry's host: the tools know their registry"},
	{"pypi" + ".org", "a registry's host: the tools know their registry"},
	{"deb.debian" + ".org", "a registry's host: the tools know their registry"},
	{"security.debian" + ".org", "a registry's host: the tools know their registry"},
	{"/wo" + "rk/", "a path of one machine"},
	{".." + "/shared/", "a path of one machine"},
}

func (c *checker) words(name string, text []byte) {
	for i, line := range bytes.Split(text, []byte("\n")) {
		for _, f := range forbidden {
			if bytes.Contains(line, []byte(f.word)) {
				c.add(name, i+1, "words", "%q may not appear: %s", f.word, f.why)
			}
		}
	}
}

// skips wants a reason wherever a test leaves itself out.
func (c *checker) skips(fset *token.FileSet, f *ast.File, name string) {
	if !strings.HasSuffix(name, "_test.go") {
		return
	}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) > 0 {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if ok && (sel.Sel.Name == "Skip" || sel.Sel.Name == "SkipNow") {
			c.add(name, fset.Position(call.Pos()).Line, "words", "a test is left out without a reason")
		}
		return true
	})
}
