package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"sallyport/sessions"
)

func open(t *testing.T, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open("state", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func commit(t *testing.T, s *Store, change func(*Batch) error) error {
	t.Helper()
	b := s.Begin()
	if err := change(b); err != nil {
		t.Fatal(err)
	}
	return s.Commit(b)
}

func loaded(t *testing.T, s *Store) map[sessions.ID]*sessions.Session {
	t.Helper()
	m := map[sessions.ID]*sessions.Session{}
	if err := s.Load(func(x *sessions.Session) error { m[x.ID] = x; return nil }); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAcknowledgedSurvivesACrash takes crash clones of the file system at random
// moments, with a random part of the unsynced octets, and asks each for all that
// Commit had returned nil for.
func TestAcknowledgedSurvivesACrash(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	disk := vfs.NewCrashableMem()
	s := open(t, disk)
	acknowledged := map[sessions.ID]uint64{}
	for step := uint64(1); step <= 300; step++ {
		id := sessions.ID(fmt.Sprintf("s%d", rng.IntN(40)))
		if err := commit(t, s, func(b *Batch) error { return b.Put(&sessions.Session{ID: id, Version: step}) }); err != nil {
			t.Fatal(err)
		}
		acknowledged[id] = step
		if step%30 != 0 {
			continue
		}
		after := open(t, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}))
		got := loaded(t, after)
		if len(got) != len(acknowledged) {
			t.Fatalf("step %d: %d sessions, %d acknowledged", step, len(got), len(acknowledged))
		}
		for id, version := range acknowledged {
			if got[id] == nil || got[id].Version != version {
				t.Fatalf("step %d: %s is %+v, acknowledged version %d", step, id, got[id], version)
			}
		}
		if err := after.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDiskErrorIsNeverAcknowledged: the log cannot be synced, so Commit says no, says
// it again, and nothing panics.
func TestDiskErrorIsNeverAcknowledged(t *testing.T) {
	var failing errorfs.Toggle
	failing.Injector = errorfs.ErrInjected.If(errorfs.Writes)
	s, err := Open("state", Options{FS: errorfs.Wrap(vfs.NewMem(), &failing)})
	if err != nil {
		t.Fatal(err)
	}
	put := func(b *Batch) error { return b.Put(&sessions.Session{ID: "a"}) }
	if err := commit(t, s, put); err != nil {
		t.Fatal(err)
	}
	failing.On()
	for range 3 {
		if err := commit(t, s, put); !errors.Is(err, ErrBroken) {
			t.Fatalf("got %v, want ErrBroken", err)
		}
	}
}

type smallDisk struct {
	vfs.FS
	free uint64
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.free}, nil
}

// TestFullDiskStopsAndRecovers: below FreeMin nothing is accepted, above it again.
func TestFullDiskStopsAndRecovers(t *testing.T) {
	disk := &smallDisk{vfs.NewMem(), FreeMin - 1}
	s := open(t, disk)
	put := func(b *Batch) error { return b.Put(&sessions.Session{ID: "a"}) }
	if err := commit(t, s, put); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	disk.free = FreeMin
	if err := commit(t, s, put); err != nil {
		t.Fatal(err)
	}
	if len(loaded(t, s)) != 1 {
		t.Fatal("the second commit is not there")
	}
}

func TestDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v, want ErrInUse", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	for value, want := range map[string]error{strconv.Itoa(Format + 1): ErrNewer, "x": ErrFormat, "0": ErrFormat} {
		disk := vfs.NewMem()
		s := open(t, disk)
		if err := s.disk.Load().db.Set([]byte(keyFormat), []byte(value), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open("state", Options{FS: disk}); !errors.Is(err, want) {
			t.Errorf("format %q: got %v, want %v", value, err, want)
		}
	}
}

// TestReports: newest first, numbered on when the clock goes back, dropped by age.
func TestReports(t *testing.T) {
	disk := vfs.NewMem()
	s := open(t, disk)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	add := func(at time.Time, text string) {
		if err := commit(t, s, func(b *Batch) error { return b.AppendReport(at, []byte(text)) }); err != nil {
			t.Fatal(err)
		}
	}
	add(at, "one")
	add(at.Add(time.Hour), "two")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, disk)
	add(at, "three, after the clock went back")
	list := func() []string { return listReports(t, s) }
	if got := list(); !reflect.DeepEqual(got, []string{"three, after the clock went back", "two", "one"}) {
		t.Fatal(got)
	}
	if err := s.DropReports(at.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := list(); len(got) != 2 {
		t.Fatal(got)
	}
}

func listReports(t *testing.T, s *Store) (out []string) {
	t.Helper()
	if err := s.Reports(context.Background(), func(r Report) bool { out = append(out, string(r.JSON)); return true }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRoomIsMadeBeforeAStart: the journal knows how many sessions it will bring back,
// before they are read.
func TestRoomIsMadeBeforeAStart(t *testing.T) {
	s, table := open(t, vfs.NewMem()), sessions.NewTable()
	if err := s.Restore(table, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		one := &sessions.Session{ID: sessions.ID(fmt.Sprintf("s%d", i))}
		if err := commit(t, s, func(b *Batch) error { return b.Put(one) }); err != nil {
			t.Fatal(err)
		}
		table.Put(one)
	}
	r := restorer{s: s, disk: s.disk.Load()}
	if n := r.expected(); n != 49 {
		t.Errorf("%d sessions are expected, 49 were there before the newest", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
