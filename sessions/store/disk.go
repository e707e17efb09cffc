package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is one life of the journal: Pebble from one opening to its closing or failure.
//
// Pebble ends the process when its log cannot be written: it panics, or calls Fatalf and
// expects not to come back, in whatever goroutine it is. Here every write is made by a
// hand, a goroutine of ours; one that fails is given up where it stands, the fence keeps
// what is left of it off the files, and the store opens another life.
type disk struct {
	db      *pebble.DB
	fence   *fence
	readers sync.RWMutex // held for reading while an iterator is open

	front, back *hand // the committer's; that of checkpoints

	once   sync.Once
	failed chan struct{} // closed when this life is over
	fault  error         // why; set before failed is closed
}

const (
	// Groups are written to the log once and mostly deleted before they are compacted, so
	// that memory for writing buys little: two of these are in use at a time.
	memTableBytes = 8 << 20
	// Blocks are read at start, and for posture reports.
	cacheBytes = 4 << 20
	// stallMax is how long one write may take before the disk counts as failed. NASes have
	// gone elsewhere long before.
	stallMax = 10 * time.Second
)

var errStalled = fmt.Errorf("a write did not end within %s", stallMax)

// hand makes one write at a time for somebody who waits, or asks later.
type hand struct {
	work chan write
	done chan error
}

type write struct {
	batch *pebble.Batch
	sync  bool
}

func newHand(d *disk) *hand {
	h := &hand{work: make(chan write), done: make(chan error, 1)}
	go func() {
		for {
			select {
			case w := <-h.work:
				h.done <- apply(w)
			case <-d.failed:
				return
			}
		}
	}()
	return h
}

func apply(w write) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	if w.sync {
		return w.batch.Commit(pebble.Sync)
	}
	return w.batch.Commit(pebble.NoSync)
}

// openDisk opens Pebble in dir. It does not take the directory's lock.
func openDisk(fs vfs.FS, dir string, log *slog.Logger) (*disk, error) {
	d := &disk{fence: &fence{FS: fs}, failed: make(chan struct{})}
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	opts := &pebble.Options{
		FS: d.fence, Cache: cache, MemTableSize: memTableBytes,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             logger{log, d},
	}
	// Records are packed as they are. Only reports grow old enough for the last level.
	compression := pebble.DBCompressionNone
	compression.Levels[len(compression.Levels)-1] = block.FastestCompression
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return compression })
	opened := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				opened <- fmt.Errorf("%v", r)
			}
		}()
		db, err := pebble.Open(dir, opts)
		d.db = db
		opened <- err
	}()
	select {
	case err := <-opened:
		if err != nil {
			d.fail(err)
			return nil, err
		}
	case <-d.failed:
		return nil, d.fault
	}
	d.front, d.back = newHand(d), newHand(d)
	return d, nil
}

// fail ends this life. The first reason counts.
func (d *disk) fail(err error) {
	d.once.Do(func() {
		d.fault = err
		d.fence.shut.Store(true)
		close(d.failed)
	})
}

// begin hands a write over.
func (d *disk) begin(h *hand, w write) error {
	select {
	case h.work <- w:
		return nil
	case <-d.failed:
		return d.fault
	}
}

// do makes a write and waits for it, no longer than stallMax. The timer is the caller's.
func (d *disk) do(h *hand, w write, timer *time.Timer) error {
	if err := d.begin(h, w); err != nil {
		return err
	}
	timer.Reset(stallMax)
	defer timer.Stop()
	var err error
	select {
	case err = <-h.done:
	case <-d.failed:
		return d.fault
	case <-timer.C:
		err = errStalled
	}
	if err != nil {
		d.fail(err)
	}
	return err
}

// close ends a life that has not failed: what is in memory is flushed, so that the next
// one replays nothing. One that has failed is left alone.
func (d *disk) close() error {
	select {
	case <-d.failed:
		return nil
	default:
	}
	d.readers.Lock()
	defer d.readers.Unlock()
	err := guarded(d, func() error { return errors.Join(d.db.Flush(), d.db.Close()) })
	d.fail(errClosed)
	return err
}

// abandon gives back what can be had of a life that has failed. Pebble may be stuck in
// its own locks: then this goroutine stays with it.
func (d *disk) abandon() {
	defer func() { _ = recover() }()
	d.readers.Lock()
	defer d.readers.Unlock()
	_ = d.db.Close()
}

var errClosed = errors.New("the journal is closed")

// guarded runs f where a failure of Pebble does no harm.
func guarded(d *disk, f func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("%v", r)
			}
		}()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case <-d.failed:
		return d.fault
	}
}

// logger passes Pebble's messages on. Its Fatalf must not return: the goroutine ends,
// with whatever it holds.
type logger struct {
	to *slog.Logger
	d  *disk
}

func (l logger) Infof(format string, args ...any) {
	if l.to.Enabled(context.Background(), slog.LevelDebug) {
		l.to.Debug("journal", "say", fmt.Sprintf(format, args...))
	}
}

func (l logger) Errorf(format string, args ...any) {
	l.to.Error("journal", "say", fmt.Sprintf(format, args...))
}

func (l logger) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.to.Error("journal failed", "say", text)
	l.d.fail(errors.New(text))
	runtime.Goexit()
}
