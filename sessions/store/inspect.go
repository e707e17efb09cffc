package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"sallyport/sessions"
)

// Damage is one thing that Inspect found wrong.
type Damage struct {
	Key      string // of the journal, as "p/12"
	What     string
	Sessions int  // that are lost with it, as far as is known
	Dropped  bool // by repair
}

// String is one line for people.
func (d Damage) String() string {
	text := fmt.Sprintf("%s: %s", d.Key, d.What)
	if d.Sessions > 0 {
		text += fmt.Sprintf(" (%d sessions)", d.Sessions)
	}
	if d.Dropped {
		text += ", dropped"
	}
	return text
}

// Inspection is what is in a journal.
type Inspection struct {
	Pages   int // that hold a session
	Groups  int
	Words   int // of the dictionary
	Octets  int // of pages and groups
	Newest  uint64
	Damages []Damage
}

// Inspect reads all of a journal and checks every page, group and record by itself and
// against the dictionary. f, unless it is nil, is called for every session that could
// be read, and may keep it.
//
// With repair, and only then, it drops what it found damaged: a page or a group as a
// whole when its checksum is wrong, since which of its records are right cannot be told,
// else single records. Nothing else is changed, and what is dropped is named. The error
// is for what cannot be read at all.
func (s *Store) Inspect(repair bool, f func(*sessions.Session) error) (*Inspection, error) {
	in := &inspector{s: s, repair: repair}
	in.Words = s.dict.Len()
	for _, step := range []struct {
		prefix string
		look   func(key, value []byte) error
	}{{prefixPage, in.page}, {prefixGroup, in.group}} {
		if err := s.disk.Load().each(step.prefix, step.look); err != nil {
			return &in.Inspection, err
		}
	}
	if repair {
		if err := in.write(); err != nil {
			return &in.Inspection, err
		}
	}
	if f == nil {
		return &in.Inspection, nil
	}
	return &in.Inspection, s.load(true, f)
}

type inspector struct {
	Inspection
	s       *Store
	repair  bool
	scratch sessions.Scratch
	mended  []mended
}

// mended is a key with what remains of its value; nil: nothing does.
type mended struct{ key, value []byte }

func (in *inspector) damaged(key []byte, lost int, err error) {
	in.Damages = append(in.Damages, Damage{keyName(key), err.Error(), lost, in.repair})
}

func (in *inspector) mend(key, value []byte) {
	in.mended = append(in.mended, mended{append([]byte(nil), key...), value})
}

// record reads one record and says what is wrong with it.
func (in *inspector) record(record []byte, page int) error {
	one, err := in.scratch.Decode(record, in.s.dict)
	if err != nil {
		return err
	}
	if got := in.s.dict.PageOf(one.ID); page >= 0 && got != page {
		return fmt.Errorf("%w: session %s belongs to page %d", errDamaged, one.ID, got)
	}
	return nil
}

func (in *inspector) page(key, value []byte) error {
	in.Octets += len(value)
	page := -2
	if len(key) == len(prefixPage)+2 {
		page = int(binary.BigEndian.Uint16(key[len(prefixPage):]))
	}
	body, err := unseal(value)
	var group uint64
	var count uint32
	var records []byte
	if err == nil {
		group, count, records, err = pageHead(body)
	}
	if err != nil {
		lost := 0
		if len(value) >= pageHeadLen {
			lost = int(binary.LittleEndian.Uint32(value[pageHeadLen-4:]))
		}
		in.damaged(key, min(lost, len(value)), err)
		in.mend(key, nil)
		return nil
	}
	if count > 0 {
		in.Pages++
	}
	in.Newest = max(in.Newest, group)
	kept, n, lost := append([]byte(nil), value[:pageHeadLen]...), uint32(0), 0
	err = eachRecord(records, count, func(record []byte) error {
		if err := in.record(record, page); err != nil {
			lost++
			in.damaged(key, 1, err)
			return nil
		}
		n++
		kept = append(binary.AppendUvarint(kept, uint64(len(record))), record...)
		return nil
	})
	if err != nil {
		lost++
		in.damaged(key, int(count-n), err)
	}
	if lost > 0 {
		binary.LittleEndian.PutUint32(kept[pageHeadLen-4:], n)
		seal(kept)
		in.mend(key, kept)
	}
	return nil
}

func (in *inspector) group(key, value []byte) error {
	in.Octets += len(value)
	in.Groups++
	if len(key) == len(prefixGroup)+8 {
		in.Newest = max(in.Newest, binary.BigEndian.Uint64(key[len(prefixGroup):]))
	}
	body, err := unseal(value)
	if err != nil {
		in.damaged(key, 0, err)
		in.mend(key, nil)
		return nil
	}
	kept, lost := append([]byte(nil), value[:min(groupHeadLen, len(value))]...), 0
	err = eachItem(body, func(octets []byte, deleted bool) error {
		if !deleted {
			if err := in.record(octets, -1); err != nil {
				lost++
				in.damaged(key, 1, err)
				return nil
			}
		}
		head := uint32(len(octets)) << 1
		if deleted {
			head |= 1
		}
		kept = append(binary.LittleEndian.AppendUint32(kept, head), octets...)
		return nil
	})
	if err != nil {
		lost++
		in.damaged(key, 0, err)
	}
	if lost > 0 {
		seal(kept)
		in.mend(key, kept)
	}
	return nil
}

// write puts in place what remains.
func (in *inspector) write() error {
	d := in.s.disk.Load()
	b := d.db.NewBatch()
	for _, m := range in.mended {
		var err error
		if m.value == nil {
			err = b.Delete(m.key, nil)
		} else {
			err = b.Set(m.key, m.value, nil)
		}
		if err != nil {
			return errors.Join(err, b.Close())
		}
	}
	return d.write(in.s, b, true)
}
