package config

import (
	"reflect"
	"strconv"
	"strings"
)

// finish walks what was decoded, puts defaults where nothing was written and reports
// what is required and missing. at is where the value around v was opened.
func (d *decoder) finish(v reflect.Value, path string, at Pos) {
	if opened, ok := d.opened[path]; ok {
		at = opened
	}
	for _, f := range fieldsOf(v.Type()).list {
		d.finishField(v.Field(f.index), f, join(path, f.key), at)
	}
}

func (d *decoder) finishField(v reflect.Value, f field, path string, at Pos) {
	written := d.written(v, path)
	if f.tag.required && !written {
		if d.meant[path] {
			return // it is there, misspelt, and that was said
		}
		if empty, ok := d.empty[path]; ok {
			d.fault(empty, path, "the key "+f.key+" has no value", f.missingHint())
		} else {
			d.fault(at, path, "the key "+f.key+" is missing", f.missingHint())
		}
		return
	}
	if f.tag.fallback != "" && !written {
		setDefault(v, f.tag)
		return
	}
	d.finishValue(v, path, at)
}

// finishValue goes down into structs, lists and maps.
func (d *decoder) finishValue(v reflect.Value, path string, at Pos) {
	if _, ok := custom[v.Type()]; ok {
		return
	}
	if m, ok := v.Addr().Interface().(mapping); ok {
		for i := 0; ; i++ {
			name, value, ok := m.entry(i)
			if !ok {
				return
			}
			d.finishValue(reflect.ValueOf(value).Elem(), joinName(path, name.Value), name.Pos)
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			d.finishValue(v.Elem(), path, at)
		}
	case reflect.Slice:
		for i := range v.Len() {
			d.finishValue(v.Index(i), path+"["+strconv.Itoa(i)+"]", at)
		}
	case reflect.Struct:
		if _, wrong := d.given[path]; !wrong { // something else stands where the struct should
			d.finish(v, path, at)
		}
	}
}

// written says whether the file gave v. Lists and maps are not noted as given: one
// that is empty counts when somebody wrote it.
func (d *decoder) written(v reflect.Value, path string) bool {
	if _, ok := d.given[path]; ok {
		return true
	}
	if _, ok := d.opened[path]; ok {
		return true
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Pointer, reflect.Map:
		return !v.IsNil()
	}
	return false
}

// setDefault puts a tag's default in place, written as in the file; a list of
// addresses has blanks between them.
func setDefault(v reflect.Value, t tag) {
	switch p := v.Addr().Interface().(type) {
	case *Text:
		p.Value = t.fallback
	case *Path:
		p.Value = t.fallback
	case *Address:
		p.Value = t.fallback
	case *[]Address:
		for one := range strings.FieldsSeq(t.fallback) {
			*p = append(*p, Address{Value: one})
		}
	default:
		if err := setScalar(v, t.fallback, t); err != nil {
			panic("config: the schema's own default is wrong: " + t.fallback + ": " + err.Message)
		}
	}
}

func (f field) missingHint() string {
	if len(f.tag.words) > 0 {
		return "one of " + strings.Join(f.tag.words, ", ")
	}
	return ""
}
