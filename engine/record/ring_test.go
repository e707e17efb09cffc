package record

import (
	"context"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

func TestSince(t *testing.T) {
	r := NewRing(4)
	if rows, _, missed := r.Since(0, 0); len(rows) != 0 || missed != 0 {
		t.Fatal("an empty ring has rows")
	}
	for range 6 {
		r.Add(&Decision{})
	}
	for _, c := range []struct {
		after  uint64
		limit  int
		first  uint64
		n      int
		missed uint64
	}{{0, 0, 3, 4, 2}, {2, 0, 3, 4, 0}, {4, 0, 5, 2, 0}, {6, 0, 0, 0, 0}, {0, 2, 3, 2, 2}, {9, 0, 0, 0, 0}} {
		rows, _, missed := r.Since(c.after, c.limit)
		if len(rows) != c.n || missed != c.missed || c.n > 0 && rows[0].Number != c.first {
			t.Errorf("Since(%d, %d): %d rows, %d missed", c.after, c.limit, len(rows), missed)
		}
	}
}

// TestFollowersSeeEveryRowOrCountIt: with writers racing and a small ring, a reader's
// rows and its missed ones add up to all.
func TestFollowersSeeEveryRowOrCountIt(t *testing.T) {
	const writers, each = 4, 2000
	r := NewRing(64)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				r.Add(&Decision{})
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var after, total uint64
	for total < writers*each {
		if err := r.Wait(ctx, after); err != nil {
			t.Fatalf("%d of %d rows: %v", total, writers*each, err)
		}
		rows, upTo, missed := r.Since(after, 0)
		for _, d := range rows {
			if d.Number <= after || d.Number > upTo {
				t.Fatalf("row %d between %d and %d", d.Number, after, upTo)
			}
		}
		after = upTo
		total += uint64(len(rows)) + missed
	}
	wg.Wait()
	if total != writers*each || r.Last() != writers*each {
		t.Fatalf("%d rows seen or missed of %d, last %d", total, writers*each, r.Last())
	}
}

func TestIDsSortAsTheyWereMade(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a, b := NewID(at, 7, 1), NewID(at.Add(time.Millisecond), 7, 2)
	if a >= b || a == NewID(at, 7, 2) {
		t.Fatal(a, b)
	}
}

// TestRowsAreCopies: what a row was made of may be used again at once, and what a
// reader got stays what it was when the ring has gone round.
func TestRowsAreCopies(t *testing.T) {
	r := NewRing(2)
	name := []byte("cisco")
	row := Decision{Identity: unsafe.String(&name[0], len(name)), Details: "in"}
	r.Add(&row)
	copy(name, "XXXXX")
	rows, _, _ := r.Since(0, 0)
	for range 5 {
		r.Add(&Decision{Identity: "somebody else", Details: "out"})
	}
	if rows[0].Identity != "cisco" || rows[0].Details != "in" {
		t.Errorf("%+v", rows[0])
	}
}

// TestEveryColumnIsKept: a row comes back as it went in, with each column that there is
// or will be, and also when it is too long for its room.
func TestEveryColumnIsKept(t *testing.T) {
	for _, length := range []int{1, 20, 300, 70000} {
		var row Decision
		v := reflect.ValueOf(&row).Elem()
		for i := range v.NumField() {
			switch f := v.Field(i); f.Interface().(type) {
			case time.Time:
				f.Set(reflect.ValueOf(time.Unix(1e9, 1).UTC()))
			case time.Duration:
				f.SetInt(int64(i) * 1e9)
			case uint64:
				f.SetUint(uint64(i) + 1)
			case float64:
			default:
				f.SetString(strings.Repeat(string(rune('a'+i)), length))
			}
		}
		r := NewRing(1)
		r.Add(&Decision{Details: strings.Repeat("a longer one before", 100)})
		r.Add(&row)
		rows, _, _ := r.Since(1, 0)
		row.Number, row.ElapsedSeconds = 2, row.Elapsed.Seconds()
		if length > math.MaxUint16 {
			for _, text := range row.texts() {
				*text = (*text)[:math.MaxUint16]
			}
		}
		if len(rows) != 1 || !reflect.DeepEqual(*rows[0], row) {
			t.Errorf("texts of %d octets: %d rows, or another one", length, len(rows))
		}
		if r.Add(&Decision{}); len(r.long) != 0 {
			t.Error("the memory of a long row is kept")
		}
	}
}

func TestAddAllocatesNothing(t *testing.T) {
	r := NewRing(8)
	row := Decision{Identity: "cisco", Details: "Authentication succeeded", SessionID: "0a30426f00009000587f8d3b", Reason: "because"}
	for range 16 {
		r.Add(&row)
	}
	if n := testing.AllocsPerRun(1000, func() { r.Add(&row) }); n != 0 {
		t.Errorf("%v allocations a row", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	r := NewRing(10000)
	row := Decision{Identity: "cisco", Details: "Authentication succeeded", SessionID: "0a30426f00009000587f8d3b",
		Server: "posture-1.example.com", NetworkDevice: "BSNS-ASA5515-11", AuthorizationPolicy: "Compliant_Devices_Access", AuthorizationProfile: "PermitAccess"}
	b.ReportAllocs()
	for b.Loop() {
		r.Add(&row)
	}
}
