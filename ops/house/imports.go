package house

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// layer says what the packages below a directory may import: rooms of this module
// (each with everything below it), and for leaves the modules of others. Tests may
// import any module of others, and only the rooms their package may.
type layer struct {
	dir     string
	rooms   []string
	modules []string // nil: any; empty: the standard library alone
}

var (
	leaves  = []string{"ops/assert", "ops/clock", "ops/secret", "ops/metrics", "ops/usbfixture"}
	stdOnly = []string{}
)

// layers is the picture of the tree as data. The longest directory that fits counts.
var layers = []layer{
	{dir: "ops/assert", modules: stdOnly},
	{dir: "ops/clock", modules: stdOnly},
	{dir: "ops/secret", modules: stdOnly},
	{dir: "ops/usbfixture", modules: []string{"github.com/fsnotify/fsnotify"}},
	{dir: "ops/metrics", rooms: []string{"ops/assert", "ops/clock"}},
	{dir: "ops/house", modules: stdOnly},
	{dir: "ops/config", rooms: leaves, modules: []string{"github.com/goccy/go-yaml"}},
	{dir: "ops", rooms: []string{"ops"}},

	{dir: "netio/report", modules: stdOnly},
	{dir: "netio/radius", rooms: []string{"ops/secret", "ops/assert"}, modules: stdOnly},
	{dir: "netio/udp", rooms: []string{"netio/radius", "netio/report", "ops"}},
	{dir: "netio/dup", rooms: []string{"netio/radius", "netio/report", "ops"}},
	{dir: "netio/portal", rooms: []string{"netio/radius", "netio/report", "ops"}},
	{dir: "netio/console", rooms: []string{"netio/radius", "netio/report", "ops"}},

	{dir: "sessions", rooms: []string{"ops"}},
	{dir: "coa", rooms: []string{"sessions", "netio/radius", "ops"}},
	{dir: "engine", rooms: []string{"coa", "sessions", "netio", "ops"}},
	{dir: "bench", rooms: []string{"engine", "coa", "sessions", "netio", "ops"}},

	{dir: "cmd/sallyport-agent", rooms: append([]string{"netio/report"}, leaves...),
		modules: []string{"github.com/alecthomas/kong", "github.com/fsnotify/fsnotify", "github.com/godbus/dbus/v5", "github.com/google/go-tpm", "golang.org/x/sys", "howett.net/plist"}},
	{dir: "cmd/sallyport-bench", rooms: []string{"bench", "ops"}},
	{dir: "cmd", rooms: []string{"engine", "coa", "sessions", "netio", "ops"}},
}

// pureDirs take the time as a value and open nothing: explain, check, replay and the
// server run the same code.
var pureDirs = []string{"engine/authz", "engine/posture", "engine/expr", "sessions"}

// impureDirs are exempt although they lie below a pure one.
var impureDirs = []string{"sessions/store"}

func (c *checker) imports(fset *token.FileSet, f *ast.File, name, dir string, test bool) {
	l := layerOf(dir)
	for _, spec := range f.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has seen to it
		}
		line := fset.Position(spec.Pos()).Line
		room, ours := strings.CutPrefix(target, c.module+"/")
		switch {
		case l == nil:
			c.add(name, line, "imports", "%s has no place in the table of layers", dir)
			return
		case ours && !under(room, dir) && !under(room, l.dir) && !underAny(room, l.rooms):
			c.add(name, line, "imports", "%s may not import %s: imports point down", dir, room)
		case !ours && !test && l.modules != nil && strings.Contains(strings.SplitN(target, "/", 2)[0], ".") &&
			!underAny(target, l.modules):
			c.add(name, line, "imports", "%s may not use the module of %s", dir, target)
		}
	}
}

func layerOf(dir string) *layer {
	var best *layer
	for i := range layers {
		if l := &layers[i]; under(dir, l.dir) && (best == nil || len(l.dir) > len(best.dir)) {
			best = l
		}
	}
	return best
}

func under(dir, root string) bool { return dir == root || strings.HasPrefix(dir, root+"/") }

func underAny(dir string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return under(dir, root) })
}

// impure are what a pure package may not touch, by import path and name; an empty name
// is the whole package.
var impure = []struct{ path, name string }{
	{"os", ""}, {"net", ""}, {"net/http", ""}, {"math/rand", ""}, {"math/rand/v2", ""},
	{"time", "Now"}, {"time", "Since"}, {"time", "Until"}, {"time", "After"}, {"time", "AfterFunc"},
	{"time", "Sleep"}, {"time", "NewTimer"}, {"time", "NewTicker"}, {"time", "Tick"},
}

func (c *checker) pure(fset *token.FileSet, f *ast.File, name, dir string) {
	if !underAny(dir, pureDirs) || underAny(dir, impureDirs) {
		return
	}
	for _, spec := range f.Imports {
		target, _ := strconv.Unquote(spec.Path.Value)
		for _, i := range impure {
			if i.path == target && i.name == "" {
				c.add(name, fset.Position(spec.Pos()).Line, "pure", "%s may not import %s: it does no input or output", dir, target)
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := sel.X.(*ast.Ident)
		if !ok || pkg.Obj != nil {
			return true
		}
		for _, i := range impure {
			if i.name == sel.Sel.Name && i.path == pkg.Name {
				c.add(name, fset.Position(sel.Pos()).Line, "pure", "%s may not call %s.%s: time comes in as a value", dir, i.path, i.name)
			}
		}
		return true
	})
}
