package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var rewriteReference = flag.Bool("rewrite-reference", false, "write ops/docs/CONFIGURATION.md anew")

const referencePath = "../docs/CONFIGURATION.md"

const referenceHead = `# Configuration reference

Made from the types in ops/config; a test fails when it is not what they say. YAML, one file or several
through ` + "`include: [FILE, ...]`" + `. Unknown keys are faults. Relative paths are relative to the file that names
them. A secret is ` + "`{file: PATH}` or `{env: NAME}`" + `. ` + "`NAME`" + ` in a path is a name of your choosing, ` + "`[]`" + ` a list.

| key | default | may be | meaning |
|---|---|---|---|
`

// TestReference holds ops/docs/CONFIGURATION.md against the types.
func TestReference(t *testing.T) {
	structs := map[string]*ast.StructType{}
	files := token.NewFileSet()
	names, err := filepath.Glob("types*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := parser.ParseFile(files, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					structs[spec.Name.Name] = s
				}
			}
			return true
		})
	}
	var out strings.Builder
	out.WriteString(referenceHead)
	describe(&out, structs, "Config", "")
	if *rewriteReference {
		if err := os.WriteFile(referencePath, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(referencePath)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != out.String() {
		t.Fatalf("%s is not what the types say: go test ./ops/config -run TestReference -rewrite-reference", referencePath)
	}
}

// describe writes a row for each key of a struct and goes into what is below it.
func describe(out *strings.Builder, structs map[string]*ast.StructType, name, path string) {
	for _, f := range structs[name].Fields.List {
		if f.Tag == nil {
			continue
		}
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
		key, required, _ := strings.Cut(tag.Get("key"), ",")
		if key == "-" || key == "" {
			continue
		}
		at := strings.TrimPrefix(path+"."+key, ".")
		below, suffix := elementType(f.Type)
		def := tag.Get("default")
		if required == "required" {
			def = "required"
		}
		comment := strings.TrimSpace(f.Comment.Text())
		if _, ok := structs[below]; !ok || comment != "" || def != "" {
			fmt.Fprintf(out, "| `%s%s` | %s | %s | %s |\n", at, suffix, def, strings.ReplaceAll(tag.Get("one")+tag.Get("range"), "|", ", "), comment)
		}
		if _, ok := structs[below]; ok {
			describe(out, structs, below, at+suffix)
		}
	}
}

// elementType is the type that a field's value, or its elements, have.
func elementType(e ast.Expr) (name, suffix string) {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name, ""
	case *ast.StarExpr:
		return elementType(e.X)
	case *ast.ArrayType:
		name, suffix = elementType(e.Elt)
		return name, "[]" + suffix
	case *ast.IndexExpr: // Map[T]
		name, suffix = elementType(e.Index)
		return name, ".NAME" + suffix
	}
	return "", ""
}
