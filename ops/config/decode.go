package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// decoder fills typed values from syntax trees. One decoder may take several files
// into the same value: lists and maps grow, everything else may be given once.
type decoder struct {
	*loader
	file    string // the one in hand
	anchors map[string]ast.Node
	given   map[string]Pos  // scalars, by path
	opened  map[string]Pos  // structs, by path
	named   map[string]Pos  // entries of maps, by path
	empty   map[string]Pos  // keys without a value, by path
	meant   map[string]bool // keys that somebody misspelt, by path
	schema  map[string][]string
}

// enter makes path the file in hand.
func (d *decoder) enter(path string, root ast.Node) {
	d.file, d.anchors = path, map[string]ast.Node{}
	if root != nil {
		ast.Walk(anchorCollector(d.anchors), root)
	}
}

type anchorCollector map[string]ast.Node

// Visit notes an anchor and goes on.
func (a anchorCollector) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok && anchor.Name != nil {
		a[anchor.Name.String()] = anchor.Value
	}
	return a
}

// includes takes the key include out of a file's top level. Every file has its own,
// so that this needs a decoder of its own.
func (l *loader) includes(path string, root ast.Node) []Path {
	if root == nil {
		return nil
	}
	d := l.decoder()
	d.enter(path, root)
	for _, kv := range pairs(d.resolve(root)) {
		if kv.Key.GetToken().Value == "include" {
			var names []Path
			d.value(kv.Value, reflect.ValueOf(&names).Elem(), "include", tag{})
			return names
		}
	}
	return nil
}

// root decodes a file's top level into v, a struct or a Map.
func (d *decoder) root(n ast.Node, v reflect.Value) {
	if n = d.resolve(n); n == nil || n.Type() == ast.NullType {
		return
	}
	d.value(n, v, "", tag{})
}

// resolve follows anchors, aliases and tags to the value itself.
func (d *decoder) resolve(n ast.Node) ast.Node {
	const hopsMax = 16 // an alias may point at an alias, but not for ever
	for range hopsMax {
		switch x := n.(type) {
		case *ast.AnchorNode:
			n = x.Value
		case *ast.TagNode:
			n = x.Value
		case *ast.AliasNode:
			name := x.Value.String()
			target, ok := d.anchors[name]
			if !ok {
				d.fault(d.pos(x), "", "the alias *"+name+" has no anchor", "write &"+name+" where the value is")
				return nil
			}
			n = target
		default:
			return n
		}
	}
	return nil
}

func (d *decoder) pos(n ast.Node) Pos { return nodePos(d.file, n) }

// pairs lists the entries of a mapping, nil for anything else.
func pairs(n ast.Node) []*ast.MappingValueNode {
	switch x := n.(type) {
	case *ast.MappingNode:
		return x.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{x}
	}
	return nil
}

func isMapping(n ast.Node) bool {
	return n.Type() == ast.MappingType || n.Type() == ast.MappingValueType
}

// value decodes n into v. A null counts as not written.
func (d *decoder) value(n ast.Node, v reflect.Value, path string, t tag) {
	n = d.resolve(n)
	if n == nil {
		return
	}
	if n.Type() == ast.NullType {
		d.empty[path] = d.pos(n)
		return
	}
	if decode, ok := custom[v.Type()]; ok {
		if d.once(n, path) {
			decode(d, n, v, path, t)
		}
		return
	}
	if m, ok := v.Addr().Interface().(mapping); ok {
		d.mapping(n, m, path, t)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path, t)
	case reflect.Slice:
		d.list(n, v, path, t)
	case reflect.Struct:
		d.fields(n, v, path)
	default:
		if d.once(n, path) {
			d.scalar(n, v, path, t)
		}
	}
}

// once refuses a second value for the same path, which two files can give.
func (d *decoder) once(n ast.Node, path string) bool {
	if first, ok := d.given[path]; ok {
		d.fault(d.pos(n), path, "given a second time", "first at "+first.String())
		return false
	}
	d.given[path] = d.pos(n)
	return true
}

// fields decodes a mapping into a struct.
func (d *decoder) fields(n ast.Node, v reflect.Value, path string) {
	if !isMapping(n) {
		d.mismatch(n, path, "keys and values")
		if keys := fieldsOf(v.Type()).list; len(keys) > 0 && keys[0].tag.required && n.Type() == ast.StringType {
			d.faults[len(d.faults)-1].Hint = "write {" + keys[0].key + ": ...}"
		}
		return
	}
	if _, ok := d.opened[path]; !ok {
		d.opened[path] = d.pos(n)
		if f := v.FieldByName("Pos"); f.IsValid() && f.IsZero() {
			f.Set(reflect.ValueOf(d.pos(n)))
		}
	}
	known := fieldsOf(v.Type())
	here := map[string]Pos{}
	for _, kv := range pairs(n) {
		key, at := kv.Key.GetToken().Value, d.pos(kv.Key)
		if path == "" && key == "include" && v.Type() == reflect.TypeFor[Config]() {
			continue
		}
		if first, ok := here[key]; ok {
			d.fault(at, join(path, key), `the key "`+key+`" is here twice`, "first at "+first.String())
			continue
		}
		here[key] = at
		f, ok := known.byKey[key]
		if !ok {
			d.fault(at, join(path, key), `unknown key "`+key+`"`, d.unknownHint(key, path, known.keys))
			continue
		}
		d.value(kv.Value, v.Field(f.index), join(path, key), f.tag)
	}
}

// mapping decodes names of the author's choosing.
func (d *decoder) mapping(n ast.Node, m mapping, path string, t tag) {
	if !isMapping(n) {
		d.mismatch(n, path, "names, each with its value")
		return
	}
	for _, kv := range pairs(n) {
		name := Text{Pos: d.pos(kv.Key), Value: kv.Key.GetToken().Value}
		at := joinName(path, name.Value)
		if first, ok := d.named[at]; ok {
			d.fault(name.Pos, at, `the name "`+name.Value+`" is here twice`, "first at "+first.String())
			continue
		}
		d.named[at] = name.Pos
		entry := reflect.ValueOf(m.add(name)).Elem()
		if entry.Kind() == reflect.Struct {
			if f := entry.FieldByName("Pos"); f.IsValid() {
				f.Set(reflect.ValueOf(name.Pos))
			}
		}
		d.value(kv.Value, entry, at, t)
	}
}

// list decodes a sequence, adding to what is there.
func (d *decoder) list(n ast.Node, v reflect.Value, path string, t tag) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.mismatch(n, path, "a list")
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeSlice(v.Type(), 0, len(seq.Values)))
	}
	for _, item := range seq.Values {
		at := path + "[" + strconv.Itoa(v.Len()) + "]"
		if item == nil || d.resolve(item) == nil || d.resolve(item).Type() == ast.NullType {
			where := d.pos(seq)
			if item != nil {
				where = d.pos(item)
			}
			d.fault(where, at, "an empty entry in a list", "write a value after the hyphen, or remove it")
			continue
		}
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		d.value(item, v.Index(v.Len()-1), at, t)
	}
}

// mismatch says that something of another kind was wanted.
func (d *decoder) mismatch(n ast.Node, path, want string) {
	hint := ""
	if _, scalar := n.(ast.ScalarNode); scalar && want == "a list" {
		hint = "put the value in brackets: [ ]"
	}
	d.given[path] = d.pos(n) // it is wrong, and not missing
	d.fault(d.pos(n), path, "expected "+want+", got "+kindOf(n), hint)
}

// kindOf names a node for people. It never shows a value: it may be a secret.
func kindOf(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "keys and values"
	case ast.SequenceType:
		return "a list"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		return "a number"
	case ast.BoolType:
		return "true or false"
	case ast.NullType:
		return "nothing"
	}
	return "a text"
}

// unknownHint finds what was meant: a near key here, the same key elsewhere, or the
// list of what is valid.
func (d *decoder) unknownHint(key, path string, valid []string) string {
	if near := Nearest(key, valid); near != "" {
		d.meant[join(path, near)], d.meant[path] = true, true
		return `did you mean "` + near + `"?`
	}
	if d.schema == nil {
		d.schema = schemaOf(reflect.TypeFor[Config]())
	}
	if places := d.schema[key]; len(places) > 0 {
		return fmt.Sprintf("%q belongs to %s: check the indentation", key, strings.Join(places, ", "))
	}
	return DidYouMean(key, valid)
}

// relative makes a name in the file in hand usable from the working directory.
func (d *decoder) relative(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(d.file), name)
}

// joinName is join for a name of the author's choosing, quoted when its dots would be
// taken for ours.
func joinName(path, name string) string {
	if strings.ContainsAny(name, ".[]\" ") {
		return path + "[" + strconv.Quote(name) + "]"
	}
	return join(path, name)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
