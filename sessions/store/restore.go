package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"sallyport/sessions"
)

// Restore fills an empty table with what the journal holds. each, unless it is nil, is
// called by the calling goroutine for every session that is put into the table, and is
// valid until it returns. A session that changed since its page was written comes more
// than once, the newest record last; one that was forgotten since comes too, and is not
// in the table at the end. While it runs sessions are found by their ids alone. A record that cannot be read stops it: no session is left
// out silently. Call it once, before the first Commit.
func (s *Store) Restore(t *sessions.Table, each func(*sessions.Session)) error {
	if err := s.restore(t, &s.pages, false, each); err != nil {
		return err
	}
	s.pages.table = t
	return nil
}

// Load calls f for every session of the journal, in no order; f may keep it.
func (s *Store) Load(f func(*sessions.Session) error) error {
	return s.load(false, f)
}

func (s *Store) load(lenient bool, f func(*sessions.Session) error) error {
	t := sessions.NewTable()
	if err := s.restore(t, &pager{}, lenient, nil); err != nil {
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

	expectPages = 8
	recordMin   = 12 // octets of the shortest record

	// expectMax bounds the room that is made before a session is seen.
	expectMax = 16 << 20
)

type piece struct {
	updates []sessions.Update
	ready   []sessions.Prepared // of updates
	scratch []sessions.Scratch
	octets  []byte // what the records are cut from
	err     error
}

// restorer reads the journal into pieces.
type restorer struct {
	s      *Store
	t      *sessions.Table
	disk   *disk
	pages  *pager
	skip   bool                   // what cannot be read, instead of stopping at it
	groups [sessions.Pages]uint64 // that a page holds
	full   chan *piece
	empty  chan *piece
	at     *piece
}

func (s *Store) restore(t *sessions.Table, pages *pager, skip bool, each func(*sessions.Session)) error {
	if err := t.Adopt(s.dict); err != nil {
		return err
	}
	r := &restorer{s: s, t: t, disk: s.disk.Load(), pages: pages, skip: skip, full: make(chan *piece, piecesAhead),
		empty: make(chan *piece, piecesAhead)}
	t.Expect(r.expected())
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
	fill := t.Fill()
	defer fill.Close()
	for p := range r.full {
		fill.Apply(p.updates, p.ready)
		for i := range p.updates {
			if one := p.updates[i].Session; one != nil && each != nil {
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

// expected is how many sessions there were before the newest group, or else are in all
// pages if some tell for all. Whatever is wrong here is met again, and told, when all is
// read.
func (r *restorer) expected() (n int) {
	it, err := r.disk.db.NewIter(&pebble.IterOptions{LowerBound: []byte(prefixGroup), UpperBound: []byte(prefixReport)})
	if err != nil {
		return 0
	}
	defer it.Close()
	if it.SeekLT(numberKey(nil, prefixGroup, math.MaxUint64)) && bytes.HasPrefix(it.Key(), []byte(prefixGroup)) {
		if body, err := unseal(it.Value()); err == nil && len(body) >= 4 {
			n = int(binary.LittleEndian.Uint32(body))
		}
	}
	some := 0
	for i := range expectPages {
		if it.SeekGE(pageKey(nil, i*(sessions.Pages/expectPages))) && len(it.Value()) >= pageHeadLen {
			some += min(int(binary.LittleEndian.Uint32(it.Value()[pageHeadLen-4:])), len(it.Value())/recordMin)
		}
	}
	return min(max(n, some*(sessions.Pages/expectPages)), expectMax)
}

// all reads the pages, then the groups that are newer than them.
func (r *restorer) all() error {
	err := r.disk.each(prefixPage, func(key, value []byte) error {
		if len(key) != len(prefixPage)+2 {
			return r.unless(errDamaged)
		}
		return r.page(int(binary.BigEndian.Uint16(key[len(prefixPage):])), value)
	})
	if err != nil {
		return err
	}
	return r.disk.each(prefixGroup, func(key, value []byte) error {
		if len(key) != len(prefixGroup)+8 {
			return r.unless(errDamaged)
		}
		return r.group(binary.BigEndian.Uint64(key[len(prefixGroup):]), value)
	})
}

// unless is err, or nil when what cannot be read is skipped.
func (r *restorer) unless(err error) error {
	if r.skip {
		return nil
	}
	return err
}

func (r *restorer) page(page int, value []byte) error {
	body, err := unseal(value)
	if err == nil && page >= sessions.Pages {
		err = fmt.Errorf("%w: there are %d pages", errDamaged, sessions.Pages)
	}
	if err != nil {
		return r.unless(err)
	}
	group, count, records, err := pageHead(body)
	if err != nil {
		return r.unless(err)
	}
	r.groups[page] = group
	return r.unless(eachRecord(records, count, func(record []byte) error {
		if got := r.s.dict.PageOfRecord(record); got != page {
			return r.unless(fmt.Errorf("%w: a record of page %d", errDamaged, got))
		}
		return r.unless(r.add(record, false))
	}))
}

func (r *restorer) group(number uint64, value []byte) error {
	p := r.pages
	p.octets += int64(len(value))
	body, err := unseal(value)
	if err != nil {
		return r.unless(err)
	}
	return r.unless(eachItem(body, func(octets []byte, deleted bool) error {
		page := 0
		if deleted {
			page = r.s.dict.PageOf(sessions.ID(octets))
		} else if page = r.s.dict.PageOfRecord(octets); page < 0 {
			return r.unless(fmt.Errorf("%w: an item without an id", errDamaged))
		}
		if number <= r.groups[page] {
			return nil
		}
		if p.since[page] == 0 {
			p.since[page] = number
		}
		return r.unless(r.add(octets, deleted))
	}))
}

// add takes one record into the piece at hand.
func (r *restorer) add(octets []byte, deleted bool) error {
	if r.at != nil && len(r.at.updates) == pieceSessions {
		r.full <- r.at
		r.at = nil
	}
	if r.at == nil {
		r.at = <-r.empty
		p := r.at
		p.updates, p.ready, p.octets = p.updates[:0], p.ready[:0], p.octets[:0]
	}
	p := r.at
	if deleted {
		r.take(sessions.Update{ID: sessions.ID(octets)})
		return nil
	}
	// Pebble's memory is its own; an array that grows leaves the records before it valid.
	begin := len(p.octets)
	p.octets = append(p.octets, octets...)
	record := p.octets[begin:len(p.octets):len(p.octets)]
	one, err := p.scratch[len(p.updates)].Decode(record, r.s.dict)
	if err != nil {
		return err
	}
	r.take(sessions.Update{Session: one, Record: record})
	return nil
}

func (r *restorer) take(u sessions.Update) {
	r.at.ready = append(r.at.ready, r.t.Prepare(&u))
	r.at.updates = append(r.at.updates, u)
}
