package store

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"sallyport/sessions"
)

// oldRow is a row as the release with format 1 wrote it.
type oldRow struct {
	session sessions.Session
	row     []byte
}

func oldRows(t testing.TB) (rows []oldRow) {
	t.Helper()
	f, err := os.Open("testdata/format1.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var r oldRow
		if err := json.Unmarshal(lines.Bytes(), &r.session); err != nil {
			t.Fatal(err)
		}
		r.session.Posture.Imply()
		lines.Scan()
		if r.row, err = hex.DecodeString(lines.Text()); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		t.Fatal("no rows")
	}
	return rows
}

// oldDirectory makes a journal of format 1: the rows of the file, and more of the last.
func oldDirectory(t *testing.T, fs vfs.FS, more int) map[sessions.ID]*sessions.Session {
	t.Helper()
	db, err := pebble.Open("state", &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	want := map[sessions.ID]*sessions.Session{}
	set := func(key string, value []byte) {
		if err := db.Set([]byte(key), value, pebble.Sync); err != nil {
			t.Fatal(err)
		}
	}
	set(keyFormat, []byte("1"))
	set(string(numberKey(nil, prefixReport, 5)), []byte("{}"))
	rows := oldRows(t)
	for _, r := range rows {
		set(prefixSession+string(r.session.ID), r.row)
		want[r.session.ID] = &r.session
	}
	last := rows[len(rows)-1]
	for i := range more {
		s := last.session
		s.ID = sessions.ID(fmt.Sprintf("%024d", i))
		// The id is field 1, the first of the row.
		row := append([]byte{0x0a, 24}, s.ID...)
		set(prefixSession+string(s.ID), append(row, last.row[2+len(last.session.ID):]...))
		want[s.ID] = &s
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return want
}

// TestFormatOneIsMigrated: every session of an old journal is there, also when the
// machine stops in the midst of it, and reports stay.
func TestFormatOneIsMigrated(t *testing.T) {
	disk := vfs.NewCrashableMem()
	want := oldDirectory(t, disk, 3*migrateRows)
	compare := func(fs vfs.FS) {
		t.Helper()
		s := open(t, fs)
		got := loaded(t, s)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%d sessions, want %d", len(got), len(want))
		}
		if n := len(listReports(t, s)); n != 1 {
			t.Fatalf("%d reports", n)
		}
		if v, err := s.disk.Load().get(keyFormat); err != nil || string(v) != strconv.Itoa(Format) {
			t.Fatalf("format %q %v", v, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for groups := range 3 {
		clone := disk.CrashClone(vfs.CrashCloneCfg{})
		s := open(t, vfs.NewMem())
		d, err := openDisk(clone, "state", s.log)
		if err != nil {
			t.Fatal(err)
		}
		// So far it comes before it is stopped.
		broken := &Store{fs: clone, dir: "state", log: s.log, timer: s.timer}
		broken.disk.Store(d)
		broken.dict = sessions.NewDictionary(7)
		b := d.db.NewBatch()
		if err := setMarks(b, 7, 0); err != nil {
			t.Fatal(err)
		}
		if err := d.write(broken, b, true); err != nil {
			t.Fatal(err)
		}
		for range groups {
			if n, err := broken.migrateSome(d, newRow()); err != nil || n != migrateRows {
				t.Fatal(n, err)
			}
		}
		compare(clone.CrashClone(vfs.CrashCloneCfg{}))
	}
	compare(disk)
	compare(disk)
}

// TestFormatTwoIsTakenOver: its records are read as they are, looked at without a change,
// and the first start leaves a directory that an older release refuses.
func TestFormatTwoIsTakenOver(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s := open(t, disk)
	want := map[sessions.ID]*sessions.Session{}
	for _, r := range oldRows(t) {
		want[r.session.ID] = &r.session
		if err := commit(t, s, func(b *Batch) error { return b.Put(&r.session) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.disk.Load().db.Set([]byte(keyFormat), []byte("2"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, look := range []bool{true, false, true} {
		s, err := Open("state", Options{FS: disk, Look: look})
		if err != nil {
			t.Fatal(err)
		}
		if got := loaded(t, s); !reflect.DeepEqual(got, want) {
			t.Fatalf("look %v: %d sessions, want %d", look, len(got), len(want))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	after := open(t, disk.CrashClone(vfs.CrashCloneCfg{}))
	if v, err := after.disk.Load().get(keyFormat); err != nil || string(v) != strconv.Itoa(Format) {
		t.Fatalf("format %q %v", v, err)
	}
}

// TestDamagedRowStopsTheMigration, and names the row.
func TestDamagedRowStopsTheMigration(t *testing.T) {
	disk := vfs.NewMem()
	oldDirectory(t, disk, 0)
	db, err := pebble.Open("state", &pebble.Options{FS: disk, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Set([]byte("s/bad"), []byte{0x0a, 0x09, 'x'}, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("state", Options{FS: disk}); err == nil || !strings.Contains(err.Error(), "s/bad") {
		t.Fatalf("%v", err)
	}
}

func FuzzReadRow(f *testing.F) {
	for _, r := range oldRows(f) {
		f.Add(r.row)
	}
	dict := sessions.NewDictionary(1)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := newRow().read(b)
		if err != nil {
			return
		}
		if _, err := new(sessions.Scratch).Decode(sessions.AppendRecord(nil, s, dict), dict); err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
	})
}
