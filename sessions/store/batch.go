package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"sallyport/sessions"
)

// Batch is a set of changes that become durable together or not at all. There is one at
// a time.
type Batch struct {
	s     *Store
	disk  *disk
	b     *pebble.Batch
	group []byte
	items []item
	last  uint64 // number of the newest report
	key   []byte
	value []byte
}

type item struct {
	begin, end int // in group; of a deletion the same
	page       uint16
}

// Begin starts a batch, and ends the one before.
func (s *Store) Begin() *Batch {
	b := &s.batch
	if d := s.disk.Load(); b.disk != d {
		// One that a life of the journal failed with is not touched again.
		b.disk, b.b = d, d.db.NewBatch(pebble.WithMaxRetainedSizeBytes(4<<20))
	} else {
		b.b.Reset()
	}
	b.s, b.last = s, s.last.Load()
	b.group, b.items = append(b.group[:0], make([]byte, groupHeadLen)...), b.items[:0]
	return b
}

// Put writes a session record. The error is for one that is longer than any can be.
func (b *Batch) Put(session *sessions.Session) error {
	head := len(b.group)
	b.group = sessions.AppendRecord(append(b.group, 0, 0, 0, 0), session, b.s.dict)
	begin, end := head+itemHeadLen, len(b.group)
	if end-begin > sessions.RecordMax {
		b.group = b.group[:head]
		return fmt.Errorf("the record of session %s has %d octets, at most %d can be kept", session.ID, end-begin, sessions.RecordMax)
	}
	binary.LittleEndian.PutUint32(b.group[head:], uint32(end-begin)<<1)
	b.items = append(b.items, item{begin, end, uint16(b.s.dict.PageOf(session.ID))})
	return nil
}

// Record is the encoding of the i-th Put or Delete of the batch, counted from 0 in the
// order of the calls; nothing for a Delete. It is for sessions.Table.PutRecord and stays
// valid after Commit, until the next Begin.
func (b *Batch) Record(i int) []byte { return b.group[b.items[i].begin:b.items[i].end] }

// Delete forgets a session.
func (b *Batch) Delete(id sessions.ID) error {
	b.group = binary.LittleEndian.AppendUint32(b.group, uint32(len(id))<<1|1)
	b.group = append(b.group, id...)
	b.items = append(b.items, item{len(b.group), len(b.group), uint16(b.s.dict.PageOf(id))})
	return nil
}

// AppendReport adds a posture report record (JSON) behind all others, also when the
// clock went back meanwhile.
func (b *Batch) AppendReport(at time.Time, record []byte) error {
	b.last = max(b.last+1, uint64(max(at.UnixNano(), 0)))
	b.key = numberKey(b.key[:0], prefixReport, b.last)
	return b.b.Set(b.key, record, nil)
}

// Empty says whether there is nothing to commit.
func (b *Batch) Empty() bool { return len(b.items) == 0 && b.b.Empty() }

// Discard gives the batch up.
func (b *Batch) Discard() {}

// Commit makes the batch durable. After an error nothing of it may be published:
// ErrFull goes away when there is space again, ErrBroken when Maintain has opened the
// journal again.
func (s *Store) Commit(b *Batch) error {
	if err := s.fault(); err != nil {
		return err
	}
	if b.disk != s.disk.Load() {
		return fmt.Errorf("%w: the batch was begun before", ErrBroken)
	}
	if err := s.checkSpace(len(b.group)); err != nil {
		return err
	}
	if err := b.seal(s.group + 1); err != nil {
		return err
	}
	if err := b.disk.do(b.disk.front, write{b.b, true}, s.timer); err != nil {
		return s.fault()
	}
	s.last.Store(b.last)
	s.words = s.dict.Len()
	if len(b.items) > 0 {
		s.group++
		s.pages.changed(s.group, b)
	}
	return nil
}

// seal adds the group and what its records refer to for the first time.
func (b *Batch) seal(number uint64) error {
	for n := b.s.words; n < b.s.dict.Len(); n++ {
		b.key, b.value = wordKey(b.key[:0], n), b.s.dict.AppendEntry(b.value[:0], n)
		if err := b.b.Set(b.key, b.value, nil); err != nil {
			return err
		}
	}
	if len(b.items) == 0 {
		return nil
	}
	if t := b.s.pages.table; t != nil {
		binary.LittleEndian.PutUint32(b.group[headLen:], uint32(t.Len()))
	}
	seal(b.group)
	b.key = numberKey(b.key[:0], prefixGroup, number)
	return b.b.Set(b.key, b.group, nil)
}

// fault is why nothing can be committed, nil when it can.
func (s *Store) fault() error {
	d := s.disk.Load()
	select {
	case <-d.failed:
		return fmt.Errorf("%w: %w", ErrBroken, d.fault)
	default:
		return nil
	}
}

// spaceEvery is how many octets are written between two looks at the free space, which
// is a hundred times more than this.
const spaceEvery = 1 << 20

// spaceWait is how long what was seen of the free space is believed: others write too.
const spaceWait = 250 * time.Millisecond

func (s *Store) checkSpace(octets int) error {
	want := s.freeMin.Load()
	if s.space -= octets; s.space > 0 && s.spaceMin == want {
		return nil
	}
	s.space, s.spaceMin = 0, want
	usage, err := s.fs.GetDiskUsage(s.dir)
	if err != nil {
		return nil // a file system that cannot tell is not a reason to stop
	}
	if usage.AvailBytes < want {
		return fmt.Errorf("%w: %d MiB free in %s, %d MiB wanted", ErrFull, usage.AvailBytes>>20, s.dir, want>>20)
	}
	s.space = spaceEvery
	return nil
}
