package config

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Raw is a value that a later stage understands, as JSON. It is empty when nothing was
// written.
type Raw struct {
	Pos  Pos
	JSON []byte
}

func decodeRaw(d *decoder, n ast.Node, v reflect.Value, path string, _ tag) {
	value, ok := d.plain(n, path, 0)
	if !ok {
		return
	}
	text, err := json.Marshal(value)
	if err != nil {
		d.fault(d.pos(n), path, "the value cannot be taken over: "+err.Error(), "")
		return
	}
	v.Set(reflect.ValueOf(Raw{Pos: d.pos(n), JSON: text}))
}

// rawDepth bounds the nesting of a raw value; aliases could make it endless.
const rawDepth = 32

// plain makes of a node what encoding/json would.
func (d *decoder) plain(n ast.Node, path string, depth int) (any, bool) {
	n = d.resolve(n)
	switch {
	case n == nil:
		return nil, false
	case depth > rawDepth:
		d.fault(d.pos(n), path, "the value is nested too deep", "")
		return nil, false
	case isMapping(n):
		out := map[string]any{}
		for _, kv := range pairs(n) {
			key := kv.Key.GetToken().Value
			one, ok := d.plain(kv.Value, join(path, key), depth+1)
			if !ok {
				return nil, false
			}
			out[key] = one
		}
		return out, true
	}
	if seq, ok := n.(*ast.SequenceNode); ok {
		out := make([]any, 0, len(seq.Values))
		for i, item := range seq.Values {
			one, ok := d.plain(item, path+"["+strconv.Itoa(i)+"]", depth+1)
			if !ok {
				return nil, false
			}
			out = append(out, one)
		}
		return out, true
	}
	return d.plainScalar(n, path)
}

func (d *decoder) plainScalar(n ast.Node, path string) (any, bool) {
	switch x := n.(type) {
	case *ast.NullNode:
		return nil, true
	case *ast.BoolNode:
		return x.Value, true
	case *ast.IntegerNode:
		return json.Number(strings.ReplaceAll(x.GetToken().Value, "_", "")), true
	}
	s, ok := d.text(n, path, "a value")
	return s, ok
}
