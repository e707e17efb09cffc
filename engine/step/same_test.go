package step

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"sallyport/sessions"
)

// TestSameSeesEveryField changes each field of a record in turn, also those that are
// added one day: a change that same does not see is a change that is lost.
func TestSameSeesEveryField(t *testing.T) {
	ignored := map[string]bool{"Version": true, "Changed": true, "LastSeen": true}
	var walk func(path string, index []int, typ reflect.Type)
	checked := 0
	walk = func(path string, index []int, typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			at, name := append(append([]int(nil), index...), i), path+f.Name
			if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[time.Time]() && f.Type != reflect.TypeFor[netip.Addr]() {
				walk(name+".", at, f.Type)
				continue
			}
			var a, b sessions.Session
			change(t, reflect.ValueOf(&b).Elem().FieldByIndex(at), name)
			checked++
			if got := same(&a, &b); got != ignored[name] {
				t.Errorf("a change of %s: same says %v", name, got)
			}
		}
	}
	walk("", nil, reflect.TypeFor[sessions.Session]())
	if checked < 60 {
		t.Errorf("only %d fields", checked)
	}
}

func change(t *testing.T, v reflect.Value, name string) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1, 0)))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.1")))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	default:
		t.Fatalf("%s: a kind of field that the test does not know", name)
	}
}
