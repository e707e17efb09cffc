// Package house holds the rules of the house, run by go test over the whole tree.
//
//	imports   point down, by the table in imports.go; leaves name the modules they use
//	pure      state machines and judges take the time as a value and open nothing
//	docs      one comment per package, a comment on every exported name
//	size      a file has fewer than 500 lines, a function at most 70
//	format    gofmt has nothing to change
//	words     nothing put off, no skip without a reason, nothing about where the tree was written
//
// A file marked "Code generated ... DO NOT EDIT." is exempt from size and docs only.
// Directories named testdata are not looked at.
package house

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Limits on size. A reader keeps a function of 70 lines on one screen, and finds his
// way in a file of 500.
const (
	fileLinesMax = 499
	funcLinesMax = 70
)

// Finding is one broken rule.
type Finding struct {
	File    string // relative to the root of the tree, with slashes
	Line    int
	Rule    string // imports, pure, docs, size, format, words
	Message string
}

// String is file:line: rule: message.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Rule, f.Message)
}

// Check reads the tree below fsys, whose import paths begin with module, and returns
// every broken rule in the order of files and lines.
func Check(fsys fs.FS, module string) ([]Finding, error) {
	c := &checker{module: module, packages: map[string][]packageComment{}}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipped(name) {
				return fs.SkipDir
			}
			return nil
		}
		if !readable(name) {
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		c.file(name, text)
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.packageComments()
	slices.SortFunc(c.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Message, b.Message))
	})
	return c.found, nil
}

// skipped names the directories that hold nothing of ours to judge.
func skipped(dir string) bool {
	base := path.Base(dir)
	return base == ".git" || base == "testdata" || base == "vendor" || dir == "bin" || dir == "dist"
}

// readable tells source and prose from binaries and downloads by name.
func readable(name string) bool {
	switch path.Ext(name) {
	case ".go", ".md", ".yaml", ".yml", ".sh", ".service", ".html", ".txt", ".conf", ".json":
		return true
	}
	return path.Base(name) == "Makefile" || strings.HasPrefix(name, ".ci/")
}

type packageComment struct {
	file string
	line int  // of the package clause
	has  bool // a comment stands above it
}

type checker struct {
	module   string
	found    []Finding
	packages map[string][]packageComment // by directory, test files left out
}

func (c *checker) add(file string, line int, rule, format string, args ...any) {
	c.found = append(c.found, Finding{file, line, rule, fmt.Sprintf(format, args...)})
}

func (c *checker) file(name string, text []byte) {
	c.words(name, text)
	if path.Ext(name) != ".go" {
		return
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		c.add(name, 1, "format", "does not parse: %v", err)
		return
	}
	if formatted, err := format.Source(text); err != nil || !bytes.Equal(formatted, text) {
		c.add(name, firstDifference(text, formatted), "format", "gofmt would change this file")
	}
	dir, test := path.Dir(name), strings.HasSuffix(name, "_test.go")
	c.imports(fset, f, name, dir, test)
	c.skips(fset, f, name)
	if !test {
		c.packages[dir] = append(c.packages[dir], packageComment{name, fset.Position(f.Package).Line, f.Doc != nil})
		c.pure(fset, f, name, dir)
	}
	if ast.IsGenerated(f) {
		return
	}
	c.size(fset, f, name, text)
	if !test {
		c.docs(fset, f, name)
	}
}

// firstDifference is the first line that gofmt changes.
func firstDifference(a, b []byte) int {
	line := 1
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			break
		}
		if a[i] == '\n' {
			line++
		}
	}
	return line
}

func (c *checker) size(fset *token.FileSet, f *ast.File, name string, text []byte) {
	if lines := bytes.Count(text, []byte("\n")); lines > fileLinesMax {
		c.add(name, fileLinesMax+1, "size", "the file has %d lines, at most %d", lines, fileLinesMax)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		fn, ok := n.(*ast.FuncDecl)
		if !ok {
			return true
		}
		first, last := fset.Position(fn.Pos()).Line, fset.Position(fn.End()).Line
		if lines := last - first + 1; lines > funcLinesMax {
			c.add(name, first, "size", "%s has %d lines, at most %d", fn.Name.Name, lines, funcLinesMax)
		}
		return true
	})
}

// packageComments runs when all files are known: one comment a package, no more.
func (c *checker) packageComments() {
	for _, files := range c.packages {
		var with []packageComment
		for _, f := range files {
			if f.has {
				with = append(with, f)
			}
		}
		switch {
		case len(with) == 0:
			c.add(files[0].file, files[0].line, "docs", "no package comment in %s", path.Dir(files[0].file))
		case len(with) > 1:
			for _, f := range with[1:] {
				c.add(f.file, f.line, "docs", "a second package comment; %s has one", with[0].file)
			}
		}
	}
}
