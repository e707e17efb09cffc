package house

import (
	"go/ast"
	"go/token"
)

// docs wants a comment on every exported name that other packages can reach: methods
// of unexported types are left out. A group of constants may share the comment above
// it, or have one on each line.
func (c *checker) docs(fset *token.FileSet, f *ast.File, name string) {
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && reachable(d.Recv) {
				c.add(name, fset.Position(d.Pos()).Line, "docs", "exported %s has no comment", d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				c.specDocs(fset, d, spec, name)
			}
		}
	}
}

func (c *checker) specDocs(fset *token.FileSet, d *ast.GenDecl, spec ast.Spec, name string) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && (d.Doc == nil || len(d.Specs) > 1) {
			c.add(name, fset.Position(s.Pos()).Line, "docs", "exported type %s has no comment", s.Name.Name)
		}
	case *ast.ValueSpec:
		if s.Doc != nil || s.Comment != nil || d.Doc != nil {
			return
		}
		for _, n := range s.Names {
			if n.IsExported() {
				c.add(name, fset.Position(n.Pos()).Line, "docs", "exported %s has no comment", n.Name)
			}
		}
	}
}

// reachable says whether a method's receiver is an exported type. A function has none.
func reachable(recv *ast.FieldList) bool {
	if recv == nil || len(recv.List) == 0 {
		return true
	}
	t := recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}
