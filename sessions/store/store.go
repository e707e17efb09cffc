// Package store is the journal below the session table: Pebble, and the order in
// which a change becomes true.
//
//	m/format                 format number, decimal text
//	s/<audit-session-id>     session record (numbered fields, see DecodeSession)
//	r/<8 octets, big endian> posture report record, JSON; the number is its time in
//	                         nanoseconds since 1970, made greater than the last one's
//
// The contract of a Commit, in this order:
//
//	order       one goroutine commits, and the sequence of its commits is the truth
//	durability  Commit returns nil only after the write-ahead log is on disk
//	visibility  the caller publishes and answers only after Commit returned nil
//
// So whatever was acknowledged is in the log, and whatever is not in the log was never
// seen by anybody.
package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"sallyport/sessions"
)

// Format is the number of the format that this package writes.
const Format = 1

// Errors of Open and Commit. ErrBroken wraps the fault that ended the journal's life.
var (
	ErrInUse  = errors.New("the state directory is in use by another process")
	ErrNewer  = errors.New("the state directory was written by a newer release")
	ErrFormat = errors.New("the state directory has no readable format number")
	ErrFull   = errors.New("the state directory has too little free space")
	ErrBroken = errors.New("the journal failed and takes no more changes")
)

const (
	keyFormat     = "m/format"
	prefixSession = "s/"
	prefixReport  = "r/"

	// A memtable of 64 MiB holds about 250,000 records, which bounds the replay of the
	// log at start to under a second.
	memTableBytes = 64 << 20
	cacheBytes    = 64 << 20

	// FreeMin is the free space below which nothing more is accepted: room for one
	// memtable flush and its log, so that Pebble itself never meets a full disk.
	FreeMin = 256 << 20
)

// Options are what a test or a small appliance changes. The zero value is for production.
type Options struct {
	FS      vfs.FS // nil: the machine's
	FreeMin uint64 // 0: FreeMin; octets
	Logger  *slog.Logger
}

// Store is an open journal. One goroutine commits; any goroutine reads.
type Store struct {
	db      *pebble.DB
	fs      vfs.FS
	dir     string
	freeMin atomic.Uint64
	broken  error
	last    uint64 // number of the newest report
}

// Open opens or creates the journal in dir. Errors: ErrInUse, ErrNewer, ErrFormat, or
// what the file system said.
func Open(dir string, opts Options) (*Store, error) {
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if opts.FreeMin == 0 {
		opts.FreeMin = FreeMin
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if err := opts.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory %s: %w", dir, err)
	}
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	db, err := pebble.Open(dir, &pebble.Options{
		FS: opts.FS, Cache: cache, MemTableSize: memTableBytes,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             logger{opts.Logger},
	})
	if err != nil {
		if isLocked(err) {
			return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
		}
		return nil, fmt.Errorf("state directory %s: %w", dir, err)
	}
	s := &Store{db: db, fs: opts.FS, dir: dir}
	s.freeMin.Store(opts.FreeMin)
	if err := errors.Join(s.checkFormat(), s.findLast()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func (s *Store) checkFormat() error {
	v, closer, err := s.db.Get([]byte(keyFormat))
	if errors.Is(err, pebble.ErrNotFound) {
		return s.db.Set([]byte(keyFormat), []byte(strconv.Itoa(Format)), pebble.Sync)
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	n, err := strconv.Atoi(string(v))
	switch {
	case err != nil || n < 1:
		return fmt.Errorf("%w: %s holds %q", ErrFormat, s.dir, v)
	case n > Format:
		return fmt.Errorf("%w: %s has format %d, this release reads up to %d", ErrNewer, s.dir, n, Format)
	}
	return nil
}

func (s *Store) findLast() error {
	it, err := s.db.NewIter(bounds(prefixReport))
	if err != nil {
		return err
	}
	if it.Last() {
		s.last = binary.BigEndian.Uint64(it.Key()[len(prefixReport):])
	}
	return it.Close()
}

func bounds(prefix string) *pebble.IterOptions {
	upper := []byte(prefix)
	upper[len(upper)-1]++
	return &pebble.IterOptions{LowerBound: []byte(prefix), UpperBound: upper}
}

// Load calls f for every session of the journal. It stops at the first record that
// cannot be read: a session is never silently left out.
func (s *Store) Load(f func(*sessions.Session) error) error {
	it, err := s.db.NewIter(bounds(prefixSession))
	if err != nil {
		return err
	}
	for it.First(); it.Valid(); it.Next() {
		session, err := DecodeSession(it.Value())
		if err == nil {
			err = f(session)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", it.Key(), err), it.Close())
		}
	}
	return errors.Join(it.Error(), it.Close())
}

// Restore fills an empty table with what the journal holds. each, unless it is nil, is
// called for every session when it is in the table, by the calling goroutine; the
// session is valid until it returns. Call it once, before the first Commit.
func (s *Store) Restore(t *sessions.Table, each func(*sessions.Session)) error {
	return s.Load(func(x *sessions.Session) error {
		t.Put(x)
		if each != nil {
			each(x)
		}
		return nil
	})
}

// Maintain does a bounded piece of what the journal needs from time to time. The
// committing goroutine calls it between groups, when the table holds exactly what was
// committed; at least at every tick, also when nothing happens.
func (s *Store) Maintain(t *sessions.Table, now time.Time) {}

// Batch is a set of changes that become durable together or not at all.
type Batch struct {
	b    *pebble.Batch
	buf  []byte
	ends []int // of the records in buf
	last uint64
}

// Begin starts a batch.
func (s *Store) Begin() *Batch { return &Batch{b: s.db.NewBatch(), last: s.last} }

// Put writes a session record.
func (b *Batch) Put(session *sessions.Session) error {
	begin := len(b.buf)
	b.buf = AppendSession(b.buf, session)
	b.ends = append(b.ends, len(b.buf))
	return b.b.Set(append([]byte(prefixSession), session.ID...), b.buf[begin:], nil)
}

// Record is the encoding of the i-th Put or Delete of the batch, counted from 0 in the
// order of the calls; nothing for a Delete. It is for sessions.Table.PutRecord and stays
// valid after Commit, until the next Begin.
func (b *Batch) Record(i int) []byte {
	begin := 0
	if i > 0 {
		begin = b.ends[i-1]
	}
	return b.buf[begin:b.ends[i]]
}

// Delete forgets a session.
func (b *Batch) Delete(id sessions.ID) error {
	b.ends = append(b.ends, len(b.buf))
	return b.b.Delete(append([]byte(prefixSession), id...), nil)
}

// AppendReport adds a posture report record (JSON) behind all others, also when the
// clock went back meanwhile.
func (b *Batch) AppendReport(at time.Time, record []byte) error {
	b.last = max(b.last+1, uint64(max(at.UnixNano(), 0)))
	return b.b.Set(reportKey(b.last), record, nil)
}

func reportKey(n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefixReport), n)
}

// Empty says whether there is nothing to commit.
func (b *Batch) Empty() bool { return b.b.Empty() }

// Discard gives the batch up.
func (b *Batch) Discard() { _ = b.b.Close() }

// Commit makes the batch durable. After an error nothing of it may be published:
// ErrFull goes away when there is space again, ErrBroken stays.
func (s *Store) Commit(b *Batch) (err error) {
	defer b.Discard()
	if s.broken != nil {
		return s.broken
	}
	if err := s.checkSpace(); err != nil {
		return err
	}
	// Pebble panics when its log cannot be written. The process lives on without the
	// journal: it still answers what needs no write, and says what happened.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
		if err != nil {
			s.broken = fmt.Errorf("%w: %w", ErrBroken, err)
			err = s.broken
		}
	}()
	if err := b.b.Commit(pebble.Sync); err != nil {
		return err
	}
	s.last = b.last
	return nil
}

// SetFreeMin changes how much free space there must be. A test makes a disk full by it.
func (s *Store) SetFreeMin(octets uint64) { s.freeMin.Store(octets) }

func (s *Store) checkSpace() error {
	usage, err := s.fs.GetDiskUsage(s.dir)
	if err != nil {
		return nil // a file system that cannot tell is not a reason to stop
	}
	if want := s.freeMin.Load(); usage.AvailBytes < want {
		return fmt.Errorf("%w: %d MiB free in %s, %d MiB wanted", ErrFull, usage.AvailBytes>>20, s.dir, want>>20)
	}
	return nil
}

// Report is one stored posture report record.
type Report struct {
	Number uint64
	JSON   []byte // valid until the callback returns
}

// Reports calls f for the stored reports, newest first, until it returns false.
func (s *Store) Reports(ctx context.Context, f func(Report) bool) error {
	it, err := s.db.NewIter(bounds(prefixReport))
	if err != nil {
		return err
	}
	for it.Last(); it.Valid() && ctx.Err() == nil; it.Prev() {
		r := Report{Number: binary.BigEndian.Uint64(it.Key()[len(prefixReport):]), JSON: it.Value()}
		if !f(r) {
			break
		}
	}
	return errors.Join(it.Error(), it.Close(), ctx.Err())
}

// DropReports forgets the reports from before t.
func (s *Store) DropReports(t time.Time) error {
	return s.db.DeleteRange(reportKey(0), reportKey(uint64(max(t.UnixNano(), 0))), pebble.NoSync)
}

// Close flushes what is in memory, so that the next Open replays nothing, and closes.
func (s *Store) Close() error {
	if s.broken == nil {
		if err := s.db.Flush(); err != nil {
			return errors.Join(err, s.db.Close())
		}
	}
	return s.db.Close()
}

// logger passes Pebble's messages on. Its Fatalf must not return; a panic is caught
// by Commit, where the log is written.
type logger struct{ to *slog.Logger }

func (l logger) Infof(format string, args ...any) {
	if l.to.Enabled(context.Background(), slog.LevelDebug) {
		l.to.Debug("journal", "say", fmt.Sprintf(format, args...))
	}
}

func (l logger) Errorf(format string, args ...any) {
	l.to.Error("journal", "say", fmt.Sprintf(format, args...))
}

func (l logger) Fatalf(format string, args ...any) {
	l.to.Error("journal failed", "say", fmt.Sprintf(format, args...))
	panic(fmt.Sprintf(format, args...))
}

// isLocked knows a taken directory lock: Pebble has words for its own process only,
// and passes on what fcntl says of another.
func isLocked(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) ||
		strings.Contains(err.Error(), "lock held by current process")
}
