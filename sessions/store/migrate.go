package store

import (
	"errors"
	"fmt"
)

// migrateRows is how many rows of format 1 become one group.
const migrateRows = 512

// migrate makes a new journal, one of format 2, or what is left of format 1, into this format. First the
// number of the format, so that an older release does not take half of the sessions for
// all of them; then the rows, each group in the same commit with the deletion of its
// rows: whenever it is broken off, the next Open goes on where it was.
func (s *Store) migrate(d *disk, format int) error {
	if format < Format {
		b := d.db.NewBatch()
		if err := setMarks(b, s.dict.Seed(), s.group); err != nil {
			return err
		}
		if err := d.write(s, b, true); err != nil {
			return err
		}
	}
	moved, r := 0, newRow()
	for {
		n, err := s.migrateSome(d, r)
		if err != nil {
			return fmt.Errorf("state directory %s, from format %d to %d: %w", s.dir, formatRows, Format, err)
		}
		if n == 0 {
			break
		}
		moved += n
	}
	if moved > 0 {
		s.log.Info("the journal was brought from an older format to this one", "from", formatRows, "to", Format, "sessions", moved)
	}
	return nil
}

func (s *Store) migrateSome(d *disk, r *row) (n int, err error) {
	it, err := d.db.NewIter(bounds(prefixSession))
	if err != nil {
		return 0, err
	}
	b := s.Begin()
	end := []byte(prefixSession)
	for it.First(); it.Valid() && n < migrateRows; it.Next() {
		session, err := r.read(it.Value())
		if err == nil {
			err = b.Put(session)
		}
		if err != nil {
			return 0, errors.Join(fmt.Errorf("%s: %w", it.Key(), err), it.Close())
		}
		end = append(append(end[:0], it.Key()...), 0)
		n++
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil || n == 0 {
		return 0, err
	}
	if err := b.b.DeleteRange([]byte(prefixSession), end, nil); err != nil {
		return 0, err
	}
	return n, s.Commit(b)
}
