package config

import "reflect"

var reflectConfig = reflect.TypeFor[Config]()

// sampleValues is one zero value of every struct in the schema.
func sampleValues() []reflect.Value {
	var all []reflect.Value
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		if _, ok := custom[t]; ok {
			return
		}
		if m, ok := reflect.New(t).Interface().(mapping); ok {
			walk(m.sample())
			return
		}
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice:
			walk(t.Elem())
		case reflect.Struct:
			all = append(all, reflect.New(t).Elem())
			for _, f := range fieldsOf(t).list {
				walk(t.Field(f.index).Type)
			}
		}
	}
	walk(reflectConfig)
	return all
}
