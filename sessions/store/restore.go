package store

import (
	"encoding/binary"
	"fmt"

	"sallyport/sessions"
)

// Restore fills an empty table with what the journal holds. each, unless it is nil, is
// called by the calling goroutine for every session that is put into the table, and is
// valid until it returns. A session that changed since its page was written comes more
// than once, the newest record last; one that was forgotten since comes too, and is not
// in the table at the end. A record that cannot be read stops it: no session is left
// out silently. Call it once, before the first Commit.
func (s *Store) Restore(t *sessions.Table, each func(*sessions.Session)) error {
	if err := s.restore(t, &s.pages, each); err != nil {
		return err
	}
	s.pages.table = t
	return nil
}

// Load calls f for every session of the journal, in no order; f may keep it.
func (s *Store) Load(f func(*sessions.Session) error) error {
	t := sessions.NewTable()
	if err := s.restore(t, &pager{}, nil); err != nil {
		return err
	}
	for one := range t.All() {
		if err := f(one); err != nil {
			return err
		}
	}
	return nil
}

// A restored piece is a number of sessions that were taken apart by one goroutine and
// are put into the table by another: decoding and waiting for memory take about as long.
const (
	pieceSessions = 128
	piecesAhead   = 8
)

type piece struct {
	records [][]byte // nil: the session of ids is forgotten
	ids     []sessions.ID
	read    []*sessions.Session
	scratch []sessions.Scratch
	octets  []byte // what the records are cut from
	err     error
}

// restorer reads the journal into pieces.
type restorer struct {
	s      *Store
	disk   *disk
	pages  *pager
	groups [sessions.Pages]uint64 // that a page holds
	full   chan *piece
	empty  chan *piece
	at     *piece
}

func (s *Store) restore(t *sessions.Table, pages *pager, each func(*sessions.Session)) error {
	if err := t.Adopt(s.dict); err != nil {
		return err
	}
	r := &restorer{s: s, disk: s.disk.Load(), pages: pages, full: make(chan *piece, piecesAhead),
		empty: make(chan *piece, piecesAhead)}
	for range piecesAhead {
		r.empty <- &piece{scratch: make([]sessions.Scratch, pieceSessions)}
	}
	go func() {
		defer close(r.full)
		err := r.all()
		if r.at == nil && err == nil {
			return
		}
		if r.at == nil {
			r.at = &piece{}
		}
		r.at.err = err
		r.full <- r.at
	}()
	for p := range r.full {
		for i, one := range p.read {
			if one == nil {
				t.Delete(p.ids[i])
				continue
			}
			t.PutRecord(one, p.records[i])
			if each != nil {
				each(one)
			}
		}
		if p.err != nil {
			return p.err
		}
		r.empty <- p
	}
	return nil
}

// all reads the pages, then the groups that are newer than them.
func (r *restorer) all() error {
	err := r.disk.each(prefixPage, func(key, value []byte) error {
		if len(key) != len(prefixPage)+2 {
			return errDamaged
		}
		return r.page(int(binary.BigEndian.Uint16(key[len(prefixPage):])), value)
	})
	if err != nil {
		return err
	}
	return r.disk.each(prefixGroup, func(key, value []byte) error {
		if len(key) != len(prefixGroup)+8 {
			return errDamaged
		}
		return r.group(binary.BigEndian.Uint64(key[len(prefixGroup):]), value)
	})
}

func (r *restorer) page(page int, value []byte) error {
	body, err := unseal(value)
	if err != nil {
		return err
	}
	if page >= sessions.Pages {
		return fmt.Errorf("%w: there are %d pages", errDamaged, sessions.Pages)
	}
	group, count, records, err := pageHead(body)
	if err != nil {
		return err
	}
	r.groups[page] = group
	return eachRecord(records, count, func(record []byte) error {
		one, err := r.add(record, false)
		if err != nil {
			return err
		}
		if got := r.s.dict.PageOf(one.ID); got != page {
			return fmt.Errorf("%w: session %s belongs to page %d", errDamaged, one.ID, got)
		}
		return nil
	})
}

func (r *restorer) group(number uint64, value []byte) error {
	body, err := unseal(value)
	if err != nil {
		return err
	}
	p := r.pages
	p.octets += int64(len(value))
	return eachItem(body, func(octets []byte, deleted bool) error {
		page := 0
		if deleted {
			page = r.s.dict.PageOf(sessions.ID(octets))
		} else if page = r.s.dict.PageOfRecord(octets); page < 0 {
			return fmt.Errorf("%w: an item without an id", errDamaged)
		}
		if number <= r.groups[page] {
			return nil
		}
		if p.since[page] == 0 {
			p.since[page] = number
		}
		_, err := r.add(octets, deleted)
		return err
	})
}

// add takes one record into the piece at hand.
func (r *restorer) add(octets []byte, deleted bool) (*sessions.Session, error) {
	if r.at != nil && len(r.at.read) == pieceSessions {
		r.full <- r.at
		r.at = nil
	}
	if r.at == nil {
		r.at = <-r.empty
		p := r.at
		p.records, p.ids, p.read, p.octets = p.records[:0], p.ids[:0], p.read[:0], p.octets[:0]
	}
	p := r.at
	if deleted {
		p.records, p.ids, p.read = append(p.records, nil), append(p.ids, sessions.ID(octets)), append(p.read, nil)
		return nil, nil
	}
	// Pebble's memory is its own; an array that grows leaves the records before it valid.
	begin := len(p.octets)
	p.octets = append(p.octets, octets...)
	record := p.octets[begin:len(p.octets):len(p.octets)]
	one, err := p.scratch[len(p.read)].Decode(record, r.s.dict)
	if err != nil {
		return nil, err
	}
	p.records, p.ids, p.read = append(p.records, record), append(p.ids, one.ID), append(p.read, one)
	return one, nil
}
