package config

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// tag is what a field's struct tags say.
type tag struct {
	required bool
	fallback string   // default
	from, to string   // range
	words    []string // one
}

type field struct {
	index int
	key   string
	tag   tag
}

type fieldSet struct {
	list  []field
	keys  []string
	byKey map[string]field
}

var fieldSets sync.Map // reflect.Type -> *fieldSet

// fieldsOf reads the tags of a struct once.
func fieldsOf(t reflect.Type) *fieldSet {
	if known, ok := fieldSets.Load(t); ok {
		return known.(*fieldSet)
	}
	set := &fieldSet{byKey: map[string]field{}}
	for i := range t.NumField() {
		sf := t.Field(i)
		key, options, _ := strings.Cut(sf.Tag.Get("key"), ",")
		if key == "" || key == "-" {
			continue
		}
		f := field{index: i, key: key, tag: tag{required: options == "required", fallback: sf.Tag.Get("default")}}
		f.tag.from, f.tag.to, _ = strings.Cut(sf.Tag.Get("range"), "..")
		if words := sf.Tag.Get("one"); words != "" {
			f.tag.words = strings.Split(words, "|")
		}
		set.list = append(set.list, f)
		set.keys = append(set.keys, key)
		set.byKey[key] = f
	}
	fieldSets.Store(t, set)
	return set
}

// mapping is what every Map can do; it is how the decoder knows one.
type mapping interface {
	add(name Text) any // pointer to the new entry's value, good until the next add
	entry(i int) (name Text, value any, ok bool)
	sample() reflect.Type
}

func (m *Map[T]) add(name Text) any {
	*m = append(*m, Named[T]{Name: name})
	return &(*m)[len(*m)-1].Value
}

func (m *Map[T]) entry(i int) (Text, any, bool) {
	if i >= len(*m) {
		return Text{}, nil, false
	}
	return (*m)[i].Name, &(*m)[i].Value, true
}

func (m *Map[T]) sample() reflect.Type { return reflect.TypeFor[T]() }

// schemaOf lists where each key of the whole schema belongs.
func schemaOf(t reflect.Type) map[string][]string {
	places := map[string][]string{}
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		if _, ok := custom[t]; ok {
			return
		}
		if m, ok := reflect.New(t).Interface().(mapping); ok {
			walk(m.sample(), join(path, "NAME"))
			return
		}
		switch t.Kind() {
		case reflect.Pointer:
			walk(t.Elem(), path)
		case reflect.Slice:
			walk(t.Elem(), path+"[]")
		case reflect.Struct:
			for _, f := range fieldsOf(t).list {
				where := path
				if where == "" {
					where = "the top level"
				}
				if !slices.Contains(places[f.key], where) {
					places[f.key] = append(places[f.key], where)
				}
				walk(t.Field(f.index).Type, join(path, f.key))
			}
		}
	}
	walk(t, "")
	return places
}
