package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sallyport/sessions"
	"sallyport/sessions/store"
)

// TestFillAndRecover: what one process committed the other has, as far as can be seen in
// one process.
func TestFillAndRecover(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(sessions.NewTable(), nil); err != nil {
		t.Fatal(err)
	}
	m := newMaker()
	b := s.Begin()
	for i := range 100 {
		if err := b.Put(m.session(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Commit(b); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := doRecover(dir, &out); err != nil {
		t.Fatal(err)
	}
	var got Measurement
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Sessions != 100 || got.Seconds <= 0 || got.GC <= 0 {
		t.Fatalf("%s %v", out.Bytes(), err)
	}
}

// TestSessionsDiffer: every session has an id, a number and an address of its own, and
// comes back from its record as it was.
func TestSessionsDiffer(t *testing.T) {
	m, dict := newMaker(), sessions.NewDictionary(1)
	seen := map[string]int{}
	for i := range 5000 {
		s := m.session(i)
		for _, key := range []string{string(s.ID), s.NASAddress.String() + s.AcctSessionID, s.FramedIP.String()} {
			if before, ok := seen[key]; ok {
				t.Fatalf("sessions %d and %d have the same %s", before, i, key)
			}
			seen[key] = i
		}
		got, err := new(sessions.Scratch).Decode(sessions.AppendRecord(nil, s, dict), dict)
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("%+v\n%+v %v", got, s, err)
		}
	}
}

func TestFigures(t *testing.T) {
	var out strings.Builder
	if figures(&out, target{suffix: "1m", rss: 400, recovered: 1.5}, &Measurement{RSS: 400, Seconds: 1.6}) {
		t.Error("a figure that is missed is not told")
	}
	want := "FIGURE rss_1m_mb 400.000 mb <= 400 ok\nFIGURE recovery_1m_s 1.600 s <= 1.5 MISSED\n"
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

func TestMedians(t *testing.T) {
	got := medians([]Measurement{{RSS: 3, GC: 10, Seconds: 1}, {RSS: 1, GC: 30, Seconds: 9}, {RSS: 2, GC: 20, Seconds: 8}})
	if want := (Measurement{RSS: 2, GC: 20, Seconds: 8}); *got != want {
		t.Errorf("got %+v", got)
	}
}
