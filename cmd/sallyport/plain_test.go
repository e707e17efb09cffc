package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"sallyport/netio/report"
)

// hostile is a row as a record that nobody cleaned would make it: terminal escapes as
// escapes and as they are, a second row, writing that is turned round.
const hostile = "{\"identity\":\"a\\u001b[2Jb\",\"reason\":\"x\\nsession ended\\ty\",\"list\":[\"\u009b31mred\",\"exe.\u202egpj\"],\"n\":12345678901234567890,\"plain\":\"Zo\u00eb \\\"q\\\" \\\\\"}"

func TestRowsAreFitForATerminal(t *testing.T) {
	line, err := plain([]byte(hostile))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"identity":"a?[2Jb","reason":"x session ended y","list":["?31mred","exe.?gpj"],"n":12345678901234567890,"plain":"Zoë \"q\" \\"}`
	if string(line) != want {
		t.Errorf("got  %s\nwant %s", line, want)
	}
	var out strings.Builder
	show := (&table{out: &out, columns: []column{{"IDENTITY", "identity", 10}, {"REASON", "reason", 0}, {"LIST", "list", 0}}}).row
	if err := show([]byte(hostile)); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsFunc(strings.ReplaceAll(out.String(), "\n", ""), report.Deceiving) || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("the table shows %q", out.String())
	}
	for _, bad := range []string{"", "{", `{"a":"`, "no JSON", `{"a":1} x`} {
		if _, err := plain([]byte(bad)); err == nil {
			t.Errorf("%q is taken for JSON", bad)
		}
	}
}

// TestLinesForProgramsLoseNothing: the same values, and nothing that a terminal obeys.
func TestLinesForProgramsLoseNothing(t *testing.T) {
	line := escaped([]byte(hostile))
	var got, want map[string]any
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(hostile), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) || strings.ContainsFunc(string(line), report.Deceiving) {
		t.Errorf("%q", line)
	}
}

func FuzzPlain(f *testing.F) {
	f.Add(hostile)
	f.Add(`"\ud800\u001b"`)
	f.Add(`{"n":1e234567890}`) // a number, and none of Go's
	f.Fuzz(func(t *testing.T, line string) {
		out, err := plain([]byte(line))
		if err != nil {
			return
		}
		var v any
		d := json.NewDecoder(bytes.NewReader(out))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%q became %q: %v", line, out, err)
		}
		check(t, v)
	})
}

func check(t *testing.T, v any) {
	switch v := v.(type) {
	case string:
		if strings.ContainsFunc(v, report.Deceiving) {
			t.Fatalf("%q", v)
		}
	case []any:
		for _, one := range v {
			check(t, one)
		}
	case map[string]any:
		for key, one := range v {
			check(t, key)
			check(t, one)
		}
	}
}
