package store

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"sallyport/sessions"
)

// healing begins another life of the journal after one has failed. It runs beside the
// committer, whose table stands still meanwhile: nothing can be committed, so nothing
// is published.
//
// What the failed life left on the disk is not believed. Acknowledged is what the table
// holds, so all of it is written again: every page, the dictionary, and no group. A
// group that reached the disk although its commit failed was not acknowledged, and goes
// with the others. Reports are not in the table; those of such a group go too.
type healing struct {
	running bool
	healed  chan *disk // nil when it did not work
	tried   time.Time
	pause   time.Duration // until the next try
}

// The pause between two tries begins short and doubles: what is left of a life that
// failed may keep some memory for ever.
const (
	pauseMin = time.Second
	pauseMax = time.Minute
)

func (h *healing) wait() {
	if h.running {
		if d := <-h.healed; d != nil {
			_ = d.close()
		}
		h.running = false
	}
}

func (s *Store) heal(t *sessions.Table, now time.Time) {
	h := &s.healing
	if h.running {
		select {
		case d := <-h.healed:
			h.running = false
			if d != nil {
				s.resume(d)
			} else {
				h.pause = min(2*h.pause, pauseMax)
			}
		default:
		}
		return
	}
	if wait := now.Sub(h.tried); wait >= 0 && wait < h.pause || s.pages.table != t {
		return
	}
	h.running, h.tried, h.pause, h.healed = true, now, max(h.pause, pauseMin), make(chan *disk, 1)
	go func() {
		d, err := s.reopen(t)
		if err != nil {
			s.log.Error("the journal could not be opened again", "error", err)
			d = nil
		}
		h.healed <- d
	}()
}

// resume goes on with a new life.
func (s *Store) resume(d *disk) {
	go s.disk.Swap(d).abandon()
	s.healing.pause = 0
	s.words = s.dict.Len()
	p := &s.pages
	p.since, p.octets, p.running, p.written, p.cut = [sessions.Pages]uint64{}, 0, false, p.written[:0], 0
	s.log.Info("the journal is open again", "directory", s.dir)
}

// Reopen begins another life of the journal after it has failed, and waits for it: what
// Maintain does in the background. The committer's.
func (s *Store) Reopen(t *sessions.Table) error {
	if s.fault() == nil {
		return nil
	}
	s.healing.wait()
	d, err := s.reopen(t)
	if err != nil {
		return err
	}
	s.resume(d)
	return nil
}

func (s *Store) reopen(t *sessions.Table) (*disk, error) {
	if s.pages.table != t || t == nil {
		return nil, fmt.Errorf("%w: nothing was restored from it", ErrBroken)
	}
	old := s.disk.Load()
	old.fence.shut.Store(true)
	d, err := openDisk(s.fs, s.dir, s.log)
	if err != nil {
		return nil, err
	}
	if err := s.rewrite(d, t); err != nil {
		d.fail(err)
		go d.abandon()
		return nil, err
	}
	return d, nil
}

// rewrite makes the disk what the table is. The groups are deleted last, by the write
// that makes all of it durable.
func (s *Store) rewrite(d *disk, t *sessions.Table) error {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	b := d.db.NewBatch()
	put := func(sync bool) error {
		if err := d.do(d.front, write{b, sync}, timer); err != nil {
			return err
		}
		b = d.db.NewBatch()
		return nil
	}
	var value []byte
	var x sessions.Scratch
	for page := range sessions.Pages {
		value = appendPage(value[:0], t, page, s.group, &x)
		if err := b.Set(pageKey(nil, page), value, nil); err != nil {
			return err
		}
		if b.Len() > memTableBytes/4 {
			if err := put(false); err != nil {
				return err
			}
		}
	}
	for n := range s.dict.Len() {
		if err := b.Set(wordKey(nil, n), s.dict.AppendEntry(nil, n), nil); err != nil {
			return err
		}
	}
	if err := setMarks(b, s.dict.Seed(), s.group); err != nil {
		return err
	}
	const all = 1<<64 - 1
	if err := b.DeleteRange(numberKey(nil, prefixGroup, 0), numberKey(nil, prefixGroup, all), nil); err != nil {
		return err
	}
	if err := b.DeleteRange(numberKey(nil, prefixReport, s.last.Load()+1), numberKey(nil, prefixReport, all), nil); err != nil {
		return err
	}
	return put(true)
}

// setMarks writes what a reader has to know first.
func setMarks(b *pebble.Batch, seed, group uint64) error {
	for key, value := range map[string][]byte{
		keyFormat: []byte(strconv.Itoa(Format)),
		keySeed:   binary.LittleEndian.AppendUint64(nil, seed),
		keyGroup:  binary.LittleEndian.AppendUint64(nil, group),
	} {
		if err := b.Set([]byte(key), value, nil); err != nil {
			return err
		}
	}
	return nil
}
