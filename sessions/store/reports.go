package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Report is one stored posture report record.
type Report struct {
	Number uint64
	JSON   []byte // valid until the callback returns
}

// Reports calls f for the stored reports, newest first, until it returns false. Any
// goroutine.
func (s *Store) Reports(ctx context.Context, f func(Report) bool) error {
	d := s.disk.Load()
	d.readers.RLock()
	defer d.readers.RUnlock()
	select {
	case <-d.failed:
		return fmt.Errorf("%w: %w", ErrBroken, d.fault)
	default:
	}
	it, err := d.db.NewIter(bounds(prefixReport))
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

// DropReports forgets the reports from before t. The committer's.
func (s *Store) DropReports(t time.Time) error {
	if err := s.fault(); err != nil {
		return err
	}
	d := s.disk.Load()
	b := d.db.NewBatch()
	to := numberKey(nil, prefixReport, uint64(max(t.UnixNano(), 0)))
	if err := b.DeleteRange(numberKey(nil, prefixReport, 0), to, nil); err != nil {
		return err
	}
	return d.write(s, b, false)
}

// write makes a batch durable, or as good as the next one that is.
func (d *disk) write(s *Store, b *pebble.Batch, sync bool) error {
	return d.do(d.front, write{b, sync}, s.timer)
}
