// Package store is the journal below the session table: Pebble, and the order in
// which a change becomes true.
//
//	m/format   format number, decimal text
//	m/seed     8 octets: by what ids are spread over pages
//	m/group    8 octets: number of a group that was there when pages were written last
//	d/<4>      entry of the dictionary that records refer to
//	j/<8>      group: the session changes of one commit, see group.go
//	p/<2>      page: one part of the table, as of one group
//	r/<8>      posture report record, JSON; the number is its time in nanoseconds since
//	           1970, made greater than the last one's
//
// Numbers in keys are big endian. The contract of a Commit, in this order:
//
//	order       one goroutine commits, and the numbers of its groups are the truth
//	durability  Commit returns nil only after the write-ahead log is on disk
//	visibility  the caller publishes and answers only after Commit returned nil
//
// So whatever was acknowledged is in the log, and whatever is not in the log was never
// seen by anybody.
//
// Pebble is the log and not a table of rows: a commit is one key. What keeps the log
// from growing are pages, each the records of a 4096th of the table: those that changed
// are copied from the table a few at a time, between commits, and written behind the
// commits without a sync of their own. A group is deleted when every page it changed
// was written since. The deletion stands behind the pages in Pebble's log, so a crash
// can lose both or the deletion alone, and never the pages alone. What is there after a
// crash is each page, and on it the groups that are newer than the page.
package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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

// Format is the number of the format that this package writes. Format 1, a row for each
// session, is made into this one when it is opened. Format 2 had records without the
// second set of bits; they are read as they are, and an older release must not take a
// directory that may hold others.
const (
	Format     = 3
	formatRows = 1 // the last one that has to be rewritten
)

// Errors of Open and Commit. ErrBroken wraps the fault that ended one life of the
// journal; Maintain begins another.
var (
	ErrInUse  = errors.New("the state directory is in use by another process")
	ErrNewer  = errors.New("the state directory was written by a newer release")
	ErrOlder  = errors.New("the state directory was written by an older release, and is brought to this format when the appliance starts")
	ErrFormat = errors.New("the state directory has no readable format number")
	ErrFull   = errors.New("the state directory has too little free space")
	ErrBroken = errors.New("the journal failed and takes no change until it is opened again")
)

const (
	keyFormat    = "m/format"
	keySeed      = "m/seed"
	keyGroup     = "m/group"
	prefixWord   = "d/"
	prefixGroup  = "j/"
	prefixPage   = "p/"
	prefixReport = "r/"

	// FreeMin is the free space below which nothing more is accepted: room for flushes and
	// their logs, so that Pebble itself never meets a full disk.
	FreeMin = 256 << 20
)

// Options are what a test or a small appliance changes. The zero value is for production.
type Options struct {
	FS      vfs.FS // nil: the machine's
	FreeMin uint64 // 0: FreeMin; octets
	Logger  *slog.Logger
	Journal int64 // octets of groups from which on pages are written; 0: 64 MiB
	Look    bool  // only to look: a format that cannot be read as it is is refused with ErrOlder, and none is brought to this one
}

// Store is an open journal. One goroutine commits and maintains, the committer; any
// goroutine reads reports.
type Store struct {
	fs      vfs.FS
	dir     string
	lock    io.Closer
	log     *slog.Logger
	freeMin atomic.Uint64
	disk    atomic.Pointer[disk]
	last    atomic.Uint64 // number of the newest report

	// The committer's:
	dict     *sessions.Dictionary
	words    int    // entries of the dictionary that are in the journal
	group    uint64 // number of the newest group
	batch    Batch
	timer    *time.Timer
	space    int       // octets until free space is looked at again
	spaceMin uint64    // what was wanted then
	looked   time.Time // when free space was looked at last
	pages    pager
	healing  healing
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
	if opts.Journal == 0 {
		opts.Journal = journalMin
	}
	if err := opts.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory %s: %w", dir, err)
	}
	// The name is Pebble's, so that releases exclude each other.
	lock, err := opts.FS.Lock(opts.FS.PathJoin(dir, "LOCK"))
	if err != nil {
		if isLocked(err) {
			return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
		}
		return nil, fmt.Errorf("state directory %s: %w", dir, err)
	}
	d, err := openDisk(opts.FS, dir, opts.Logger)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("state directory %s: %w", dir, err), lock.Close())
	}
	s := &Store{fs: opts.FS, dir: dir, lock: lock, log: opts.Logger, timer: time.NewTimer(time.Hour)}
	s.timer.Stop()
	s.freeMin.Store(opts.FreeMin)
	s.pages.journalMin = opts.Journal
	s.disk.Store(d)
	if err := s.read(d, opts.Look); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// read learns what must be known before the first commit.
func (s *Store) read(d *disk, look bool) error {
	format, err := s.readFormat(d)
	if err != nil {
		return err
	}
	if look && format <= formatRows {
		return fmt.Errorf("%w: %s has format %d", ErrOlder, s.dir, format)
	}
	seed, err := s.readSeed(d)
	if err != nil {
		return err
	}
	s.dict = sessions.NewDictionary(seed)
	err = d.each(prefixWord, func(key, value []byte) error {
		if n := int(binary.BigEndian.Uint32(key[len(prefixWord):])); n != s.dict.Len() {
			return fmt.Errorf("%w: entry %d of the dictionary is missing", errDamaged, s.dict.Len())
		}
		return s.dict.AddEntry(value)
	})
	if err != nil {
		return err
	}
	s.words = s.dict.Len()
	if s.group, err = s.readGroup(d); err != nil {
		return err
	}
	last, err := d.lastNumber(prefixReport)
	if err != nil {
		return err
	}
	s.last.Store(last)
	if look {
		return nil
	}
	return s.migrate(d, format)
}

func (s *Store) readFormat(d *disk) (int, error) {
	v, err := d.get(keyFormat)
	if err != nil || v == nil {
		return 0, err
	}
	n, err := strconv.Atoi(string(v))
	switch {
	case err != nil || n < 1:
		return 0, fmt.Errorf("%w: %s holds %q", ErrFormat, s.dir, v)
	case n > Format:
		return 0, fmt.Errorf("%w: %s has format %d, this release reads up to %d", ErrNewer, s.dir, n, Format)
	}
	return n, nil
}

func (s *Store) readSeed(d *disk) (uint64, error) {
	v, err := d.get(keySeed)
	switch {
	case err != nil:
		return 0, err
	case len(v) == 8:
		return binary.LittleEndian.Uint64(v), nil
	case v != nil:
		return 0, fmt.Errorf("%w: %s of %d octets", errDamaged, keySeed, len(v))
	}
	v = make([]byte, 8)
	rand.Read(v)
	return binary.LittleEndian.Uint64(v), nil
}

// readGroup finds the number of the newest group.
func (s *Store) readGroup(d *disk) (uint64, error) {
	n, err := d.lastNumber(prefixGroup)
	if err != nil {
		return 0, err
	}
	v, err := d.get(keyGroup)
	if len(v) >= 8 {
		n = max(n, binary.LittleEndian.Uint64(v))
	}
	return n, err
}

// Dictionary is what the records of this journal are encoded with.
func (s *Store) Dictionary() *sessions.Dictionary { return s.dict }

// SetFreeMin changes how much free space there must be. A test makes a disk full by it.
func (s *Store) SetFreeMin(octets uint64) { s.freeMin.Store(octets) }

// Close flushes what is in memory, so that the next Open replays nothing, and closes.
// Nobody commits any more.
func (s *Store) Close() error {
	s.healing.wait()
	err := s.disk.Load().close()
	return errors.Join(err, s.lock.Close())
}

// get returns a copy of the value, nil when there is none.
func (d *disk) get(key string) ([]byte, error) {
	v, closer, err := d.db.Get([]byte(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v = append([]byte{}, v...)
	return v, closer.Close()
}

// each calls f for the keys that begin with prefix, in their order.
func (d *disk) each(prefix string, f func(key, value []byte) error) error {
	d.readers.RLock()
	defer d.readers.RUnlock()
	it, err := d.db.NewIter(bounds(prefix))
	if err != nil {
		return err
	}
	for it.First(); it.Valid(); it.Next() {
		if err := f(it.Key(), it.Value()); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", keyName(it.Key()), err), it.Close())
		}
	}
	return errors.Join(it.Error(), it.Close())
}

// lastNumber is the number in the last key that begins with prefix, 0 when there is none.
func (d *disk) lastNumber(prefix string) (n uint64, err error) {
	it, err := d.db.NewIter(bounds(prefix))
	if err != nil {
		return 0, err
	}
	if it.Last() && len(it.Key()) == len(prefix)+8 {
		n = binary.BigEndian.Uint64(it.Key()[len(prefix):])
	}
	return n, errors.Join(it.Error(), it.Close())
}

func bounds(prefix string) *pebble.IterOptions {
	upper := []byte(prefix)
	upper[len(upper)-1]++
	return &pebble.IterOptions{LowerBound: []byte(prefix), UpperBound: upper}
}

// keyName writes a key for people: its prefix and its number, or what it is.
func keyName(key []byte) string {
	prefix, rest := string(key[:min(2, len(key))]), key[min(2, len(key)):]
	var n uint64
	for _, c := range rest {
		n = n<<8 | uint64(c)
	}
	switch {
	case prefix == prefixWord && len(rest) == 4, prefix == prefixGroup && len(rest) == 8,
		prefix == prefixPage && len(rest) == 2, prefix == prefixReport && len(rest) == 8:
		return fmt.Sprintf("%s%d", prefix, n)
	}
	return fmt.Sprintf("%q", key)
}

func numberKey(b []byte, prefix string, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, prefix...), n)
}

func pageKey(b []byte, page int) []byte {
	return binary.BigEndian.AppendUint16(append(b, prefixPage...), uint16(page))
}

func wordKey(b []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(append(b, prefixWord...), uint32(n))
}

// isLocked knows a taken directory lock: there are words for our own process only, and
// for another what fcntl says.
func isLocked(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) ||
		strings.Contains(err.Error(), "lock held by current process")
}
