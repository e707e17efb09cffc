package engine

import (
	"errors"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"sallyport/netio/udp"
	"sallyport/sessions"
)

// simTrouble is what is wrong with the disk.
type simTrouble int

const (
	simDiskGood simTrouble = iota
	simDiskFull
	simDiskWrites // cannot be written
	simDiskSyncs  // can be written, and says that it cannot sync
	simTroubles
)

// simDisk is the disk of one life of the appliance.
type simDisk struct {
	mem *vfs.MemFS
	fs  vfs.FS

	mu      sync.Mutex // Pebble's goroutines come here
	trouble simTrouble
	free    bool // the appliance that had it is gone
	armed   int  // it dies with this sync of the log
	percent int  // of what was not synced is there afterwards
	rng     *rand.Rand
	onDeath func()
	remains *vfs.MemFS // of a dead one
	lies    bool       // syncs are left out: a flaw
}

func newSimDisk(mem *vfs.MemFS) *simDisk {
	d := &simDisk{mem: mem}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 41})
	d.fs = errorfs.Wrap(mem, errorfs.InjectorFunc(d.fault))
	return d
}

// settled makes a directory that no crash takes away again.
func (d *simDisk) settled(dir string) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	must(d.mem.MkdirAll(dir, 0o700))
	for dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		parent, err := d.mem.OpenDir(dir)
		must(err)
		must(errors.Join(parent.Sync(), parent.Close()))
	}
}

func isSync(k errorfs.OpKind) bool {
	return k == errorfs.OpFileSync || k == errorfs.OpFileSyncData || k == errorfs.OpFileSyncTo
}

// fault is asked before each operation.
func (d *simDisk) fault(op errorfs.Op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.free {
		return nil
	}
	if d.armed > 0 && isSync(op.Kind) && strings.HasSuffix(op.Path, ".log") {
		if d.armed--; d.armed == 0 {
			d.remains = d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: d.percent, RNG: d.rng})
			d.onDeath()
		}
	}
	switch {
	case d.trouble == simDiskWrites && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose,
		d.trouble == simDiskSyncs && isSync(op.Kind):
		return errorfs.ErrInjected
	}
	return nil
}

func (d *simDisk) dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.remains != nil
}

// alive forgets a death that was planned for the life before.
func (d *simDisk) alive() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed, d.trouble = 0, simDiskGood
}

func (d *simDisk) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = true
}

func (d *simDisk) set(t simTrouble) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trouble = t
}

// break makes the disk fail, or mends it.
func (w *simWorld) breakDisk(t simTrouble) {
	if w.e == nil {
		return
	}
	w.disk.set(t)
	w.e.journal.SetFreeMin(1)
	if t == simDiskFull {
		w.e.journal.SetFreeMin(1 << 62)
	}
	if t == simDiskGood {
		w.mended = w.now
		if err := w.e.journal.Reopen(w.e.table); err != nil {
			w.failf("the disk is sound again and the journal does not open: %v", err)
		}
	}
	w.tracef("the disk: trouble %d", t)
}

// simCrash is when the appliance dies.
type simCrash int

const (
	simCrashIdle    simCrash = iota // between two groups
	simCrashSync                    // in a commit, before what it wrote is durable
	simCrashAnswers                 // after a commit, before anybody is answered
	simCrashes
)

// crash has the appliance die, at once or in a commit that comes soon.
func (w *simWorld) crash(how simCrash, percent int, rng *rand.Rand) {
	if w.e == nil {
		return
	}
	w.tracef("crash %d, %d%% of what is not synced stays", how, percent)
	d := w.disk
	switch how {
	case simCrashSync:
		d.mu.Lock()
		defer d.mu.Unlock()
		d.armed, d.percent, d.rng = 1+rng.IntN(3), percent, rng
		exact := percent == 0 && d.trouble == simDiskGood
		d.onDeath = func() { // whatever was sent before this moment was sent
			w.remember(exact)
			w.collect()
		}
		return
	case simCrashAnswers:
		w.serve()
		w.draw()
		w.e.core.group(w.e.core.fill(nil))
		w.out.Drain(func(udp.Late, []byte) {})
	}
	w.remember(d.trouble == simDiskGood)
	d.mu.Lock()
	d.remains = d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
	d.mu.Unlock()
	w.crashed()
}

// remember keeps what the table holds, which is to be there after the restart.
func (w *simWorld) remember(exact bool) {
	w.exact = exact
	w.before = map[sessions.ID]*sessions.Session{}
	for s := range w.e.table.All() {
		w.before[s.ID] = s
	}
}

// crashed is the end of a life, and plans the next.
func (w *simWorld) crashed() {
	remains := w.disk.remains
	asks := w.asks
	w.asks, w.inbox = nil, [2][]udp.Datagram{}
	w.end()
	for _, a := range asks {
		if a.lost != nil {
			w.after(5*time.Second, a.lost)
		}
	}
	w.disk = newSimDisk(remains)
	w.counts["crashes"]++
	w.after(time.Second+time.Duration(w.rng.IntN(9000))*time.Millisecond, w.start)
}

// found compares the table after a restart with the one before.
func (w *simWorld) found() {
	before := w.before
	w.before = nil
	if before == nil {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(before)) {
		was, is := before[id], w.e.table.Get(id)
		switch {
		case is == nil && w.exact:
			w.failf("the restart lost the session %s: %+v", id, was)
		case is != nil && is.Epoch < was.Epoch:
			w.failf("the restart set the epoch of %s back from %d to %d", id, was.Epoch, is.Epoch)
		case w.exact && !reflect.DeepEqual(was, is):
			w.failf("the restart changed the session %s\nfrom %+v\nto   %+v", id, was, is)
		}
	}
	if n := w.e.table.Len(); w.exact && n != len(before) {
		w.failf("after the restart there are %d sessions, before %d", n, len(before))
	}
}
