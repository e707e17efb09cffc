package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"sallyport/ops/assert"
	"sallyport/sessions"
)

var t0 = time.Date(2026, 3, 11, 14, 57, 39, 0, time.UTC)

// committer does with a store what the core does: groups of changes, published when
// they are durable, and maintenance between them.
type committer struct {
	t     *testing.T
	rng   *rand.Rand
	s     *Store
	table *sessions.Table
	model map[sessions.ID]*sessions.Session // what was acknowledged
	now   time.Time
	n     uint64
}

func newCommitter(t *testing.T, s *Store, seed uint64) *committer {
	t.Helper()
	t.Logf("seed %d", seed)
	c := &committer{t: t, rng: rand.New(rand.NewPCG(seed, 3)), s: s, table: sessions.NewTable(), model: map[sessions.ID]*sessions.Session{}, now: t0}
	if err := s.Restore(c.table, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *committer) session() *sessions.Session {
	c.n++
	i := c.rng.IntN(300)
	return &sessions.Session{
		ID: sessions.ID(fmt.Sprintf("0a3042ca%08x56e2dce3", i)), Version: c.n, NAS: fmt.Sprintf("nas-%d", c.rng.IntN(9)),
		NASPortID: fmt.Sprintf("Gi1/0/%d", c.rng.IntN(4)), EndCause: strings.Repeat("x", c.rng.IntN(700)), Started: t0.Add(time.Duration(c.n)),
		Grant: sessions.Grant{Profile: fmt.Sprintf("p%d", c.rng.IntN(5))},
	}
}

// group commits some changes and publishes them.
func (c *committer) group() error {
	b := c.s.Begin()
	changes := map[sessions.ID]*sessions.Session{}
	var order []sessions.ID
	for range c.rng.IntN(20) + 1 {
		s := c.session()
		if _, ok := changes[s.ID]; ok {
			continue
		}
		order = append(order, s.ID)
		if c.rng.IntN(4) == 0 {
			changes[s.ID] = nil
			_ = b.Delete(s.ID)
		} else if changes[s.ID] = s; b.Put(s) != nil {
			c.t.Fatal("Put")
		}
	}
	if err := c.s.Commit(b); err != nil {
		return err
	}
	for i, id := range order {
		if s := changes[id]; s != nil {
			c.table.PutRecord(s, b.Record(i))
			c.model[id] = s
		} else {
			c.table.Delete(id)
			delete(c.model, id)
		}
	}
	return nil
}

// check compares what a journal holds with what was acknowledged.
func (c *committer) check(what string, s *Store) {
	c.t.Helper()
	table := sessions.NewTable()
	if err := s.Restore(table, nil); err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
	c.same(what, table)
}

func (c *committer) same(what string, table *sessions.Table) {
	c.t.Helper()
	if table.Len() != len(c.model) {
		c.t.Fatalf("%s: %d sessions, %d acknowledged", what, table.Len(), len(c.model))
	}
	for id, want := range c.model {
		if got := table.Get(id); !reflect.DeepEqual(got, want) {
			c.t.Fatalf("%s: %s is %+v, acknowledged %+v", what, id, got, want)
		}
	}
}

// TestCrashAmongPages takes crash clones while pages are written and groups deleted,
// with a random part of the unsynced octets, opens each twice over, and compares.
func TestCrashAmongPages(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s, err := Open("state", Options{FS: disk, Journal: 20 << 10})
	if err != nil {
		t.Fatal(err)
	}
	c := newCommitter(t, s, uint64(time.Now().UnixNano()))
	rounds := 0
	steps := 1500
	if assert.Enabled {
		steps = 400
	}
	for step := range steps {
		if err := c.group(); err != nil {
			t.Fatal(err)
		}
		running := s.pages.running
		for range c.rng.IntN(60) {
			s.Maintain(c.table, c.now)
		}
		if running && !s.pages.running {
			rounds++
		}
		if step%50 != 0 {
			continue
		}
		clone := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.rng.IntN(101), RNG: c.rng})
		after, err := Open("state", Options{FS: clone})
		if err != nil {
			t.Fatal(err)
		}
		c.check(fmt.Sprintf("after step %d", step), after)
		if after.group < s.group {
			t.Fatalf("the groups go back from %d to %d", s.group, after.group)
		}
		if err := after.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// The back hand is a goroutine of its own, which on a busy machine comes late.
	for late := time.Now().Add(20 * time.Second); rounds < steps/300 && time.Now().Before(late); runtime.Gosched() {
		if err := c.group(); err != nil {
			t.Fatal(err)
		}
		running := s.pages.running
		s.Maintain(c.table, c.now)
		if running && !s.pages.running {
			rounds++
		}
	}
	if rounds < steps/300 {
		t.Errorf("%d rounds of pages", rounds)
	}
	if s.pages.octets > 1<<20 {
		t.Errorf("%d octets of groups are kept", s.pages.octets)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// syncsFail lets everything be written and nothing be synced.
var syncsFail = errorfs.InjectorFunc(func(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		return errorfs.ErrInjected
	}
	return nil
})

// failingDisk opens a store on a disk that fails when the toggle is on.
func failingDisk(t *testing.T, injector errorfs.Injector) (*Store, *errorfs.Toggle, *vfs.MemFS) {
	t.Helper()
	failing := &errorfs.Toggle{Injector: injector}
	disk := vfs.NewCrashableMem()
	s, err := Open("state", Options{FS: errorfs.Wrap(disk, failing), Journal: 20 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return s, failing, disk
}

// TestJournalHeals: the disk fails in the midst, again and again and in every way; what
// was refused is nowhere, what was acknowledged is there, in the table and after a crash.
func TestJournalHeals(t *testing.T) {
	for name, ops := range map[string]errorfs.Injector{
		"writes": errorfs.ErrInjected.If(errorfs.Writes),
		"syncs":  syncsFail,
		"some":   errorfs.ErrInjected.If(errorfs.And(errorfs.Writes, errorfs.Randomly(0.3, 1))),
	} {
		t.Run(name, func(t *testing.T) {
			s, failing, disk := failingDisk(t, ops)
			c := newCommitter(t, s, uint64(time.Now().UnixNano()))
			for range 6 {
				for range 30 {
					if err := c.group(); err != nil {
						t.Fatal(err)
					}
					s.Maintain(c.table, c.now)
				}
				c.breakAndHeal(failing)
				c.same("the table", c.table)
			}
			after, err := Open("state", Options{FS: disk.CrashClone(vfs.CrashCloneCfg{})})
			if err != nil {
				t.Fatal(err)
			}
			c.check("after all that", after)
			if err := errors.Join(after.Close(), s.Close()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// breakAndHeal makes the disk fail until a commit is refused, lets the journal try in
// vain, mends the disk and waits until it takes changes again.
func (c *committer) breakAndHeal(failing *errorfs.Toggle) {
	c.t.Helper()
	failing.On()
	var err error
	for range 200 {
		if err = c.group(); err != nil {
			break
		}
		c.s.Maintain(c.table, c.now)
	}
	if !errors.Is(err, ErrBroken) {
		c.t.Fatalf("got %v, want ErrBroken", err)
	}
	for range 3 {
		c.now = c.now.Add(pauseMax)
		c.s.Maintain(c.table, c.now)
	}
	failing.Off()
	until := time.Now().Add(20 * time.Second)
	for c.s.fault() != nil {
		if time.Now().After(until) {
			c.t.Fatal("the journal did not open again")
		}
		c.now = c.now.Add(pauseMin / 100)
		c.s.Maintain(c.table, c.now)
		time.Sleep(time.Millisecond)
	}
	if err := c.group(); err != nil {
		c.t.Fatal(err)
	}
}

// TestFullDiskGetsNoPages: writing pages takes room before it gives some back.
func TestFullDiskGetsNoPages(t *testing.T) {
	disk := &smallDisk{vfs.NewMem(), 2 * FreeMin}
	s, err := Open("state", Options{FS: disk, Journal: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	c := newCommitter(t, s, 5)
	for range 20 {
		if err := c.group(); err != nil {
			t.Fatal(err)
		}
	}
	maintain := func() {
		for range 2000 {
			c.now = c.now.Add(spaceWait)
			s.Maintain(c.table, c.now)
			runtime.Gosched()
		}
	}
	disk.free = FreeMin - 1
	maintain()
	if err := c.group(); !errors.Is(err, ErrFull) || s.pages.next != 0 {
		t.Fatalf("%v, %d pages", err, s.pages.next)
	}
	disk.free = FreeMin
	// A goroutine writes the pages, in its own time.
	for until := time.Now().Add(20 * time.Second); s.pages.octets > 16<<10; {
		if maintain(); time.Now().After(until) {
			t.Fatalf("%d octets of groups are kept", s.pages.octets)
		}
	}
	if err := c.group(); err != nil {
		t.Fatal(err)
	}
	c.same("the table", c.table)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFailedCommitDoesNotComeBack: a commit whose sync failed may be on the disk. It was
// not acknowledged, and after the journal has healed it is gone.
func TestFailedCommitDoesNotComeBack(t *testing.T) {
	s, failing, disk := failingDisk(t, syncsFail)
	c := newCommitter(t, s, 1)
	failing.On()
	b := s.Begin()
	_ = b.Put(&sessions.Session{ID: "never", NAS: "nas"})
	if err := b.AppendReport(t0, []byte("never")); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(b); !errors.Is(err, ErrBroken) {
		t.Fatal(err)
	}
	if err := s.Commit(b); !errors.Is(err, ErrBroken) {
		t.Fatal(err)
	}
	failing.Off()
	if err := s.Reopen(c.table); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(b); !errors.Is(err, ErrBroken) {
		t.Fatalf("a batch of the life before: %v", err)
	}
	after, err := Open("state", Options{FS: disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: c.rng})})
	if err != nil {
		t.Fatal(err)
	}
	c.check("after", after)
	if err := after.Reports(t.Context(), func(Report) bool { t.Error("the report is there"); return true }); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(after.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestBatchAllocatesNothing of ours: Pebble's own commit takes some for every group.
func TestBatchAllocatesNothing(t *testing.T) {
	if assert.Enabled {
		t.Skip("the race detector allocates")
	}
	s := open(t, vfs.NewMem())
	one, two := &sessions.Session{ID: "0a3042ca0001d00056e2dce3", NAS: "asa", UserName: "cisco"}, sessions.ID("0a3042ca0001d00056e2dce4")
	if n := testing.AllocsPerRun(100, func() {
		b := s.Begin()
		if b.Put(one) != nil || b.Delete(two) != nil || len(b.Record(0)) == 0 || len(b.Record(1)) != 0 {
			t.Fatal("Put")
		}
		if err := b.seal(1); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Begin, Put and Delete: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		b := s.Begin()
		_ = b.Put(one)
		if err := s.Commit(b); err != nil {
			t.Fatal(err)
		}
	}); n > 3 {
		t.Errorf("a commit: %v allocations", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
