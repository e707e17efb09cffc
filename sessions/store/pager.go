package store

import (
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"sallyport/sessions"
)

// pager decides which pages are written when. It is the committer's, but for the page
// that the back hand is writing.
type pager struct {
	table      *sessions.Table // what was restored; nil: nothing is written
	journalMin int64
	octets     int64                  // of the groups that are kept
	since      [sessions.Pages]uint64 // group by which a page changed first since it was written; 0: it did not
	oldest     uint64                 // the oldest group that is kept, at the most

	running bool // a round is under way
	next    int  // page that comes next in it
	began   time.Time
	size    int64 // octets of groups when it began

	batch   *pebble.Batch
	disk    *disk
	value   []byte
	scratch sessions.Scratch
	written []written // pages that the back hand is writing
	cut     uint64    // groups before this are being deleted by it; 0: none
}

type written struct {
	page  int
	since uint64
}

const (
	// Groups are kept up to this much, or to the size of the table if that is more: so
	// that what start has to read again is at most as long as the pages, and writing pages
	// costs at most as much as writing groups.
	journalMin = 64 << 20
	// After roundEvery pages are also written for less, if there is something to win.
	roundEvery = 10 * time.Minute
	roundMin   = 4 << 20
	// pieceOctets is how much one call of Maintain copies, and pieceMax how many pages.
	pieceOctets = 64 << 10
	pieceMax    = 16
)

// changed notes which pages a committed group changed.
func (p *pager) changed(group uint64, b *Batch) {
	for i := range b.items {
		if at := &p.since[b.items[i].page]; *at == 0 {
			*at = group
		}
	}
	p.octets += int64(len(b.group))
}

// Maintain does a bounded piece of what the journal needs from time to time: it copies
// some pages of the table, no more than 64 KiB or one page, and lets them be written; it
// deletes groups that are not needed any more; and it opens the journal again after it
// has failed. The committer calls it between groups, when the table holds exactly what
// was committed, and at every tick also when nothing happens. It never waits for the
// disk.
func (s *Store) Maintain(t *sessions.Table, now time.Time) {
	if since := now.Sub(s.looked); since >= spaceWait || since < 0 {
		s.space, s.looked = 0, now
	}
	if s.fault() != nil {
		s.heal(t, now)
		return
	}
	p := &s.pages
	if p.table == nil || p.table != t || !p.settle(s) {
		return
	}
	if !p.running {
		limit := max(p.journalMin, int64(t.Octets()))
		late := p.octets > roundMin && now.Sub(p.began) >= roundEvery
		if p.octets <= limit && !late {
			return
		}
		p.running, p.next, p.began, p.size = true, 0, now, p.octets
	}
	switch {
	case p.next == sessions.Pages:
		p.trim(s)
	case s.checkSpace(0) == nil: // pages need room before the groups give some back
		p.writePages(s, t)
	}
}

// settle takes the result of the back hand. False while it is still writing.
func (p *pager) settle(s *Store) bool {
	if len(p.written) == 0 && p.cut == 0 {
		return true
	}
	select {
	case err := <-p.disk.back.done:
		if err != nil {
			p.disk.fail(err)
			return false
		}
	default:
		return false
	}
	if p.cut != 0 {
		p.octets, p.running, p.cut = max(p.octets-p.size, 0), false, 0
	}
	p.written = p.written[:0]
	return true
}

// begin readies the batch of the pager.
func (p *pager) begin(s *Store) {
	if d := s.disk.Load(); p.disk != d {
		p.disk, p.batch = d, d.db.NewBatch(pebble.WithMaxRetainedSizeBytes(1<<20))
		return
	}
	p.batch.Reset()
}

// writePages copies the next pages that changed and hands them over.
func (p *pager) writePages(s *Store, t *sessions.Table) {
	p.begin(s)
	for octets := 0; p.next < sessions.Pages && octets < pieceOctets && len(p.written) < pieceMax; p.next++ {
		since := p.since[p.next]
		if since == 0 {
			continue
		}
		p.value = appendPage(p.value[:0], t, p.next, s.group, &p.scratch)
		var key [len(prefixPage) + 2]byte
		if p.batch.Set(pageKey(key[:0], p.next), p.value, nil) != nil {
			break
		}
		octets += len(p.value)
		p.written = append(p.written, written{p.next, since})
		p.since[p.next] = 0
	}
	if len(p.written) > 0 {
		p.handOver(s)
	}
}

// appendPage makes the value of a page as the table holds it.
func appendPage(b []byte, t *sessions.Table, page int, group uint64, x *sessions.Scratch) []byte {
	b = append(b, make([]byte, headLen)...)
	b = binary.LittleEndian.AppendUint64(b, group)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b, n := t.AppendPage(b, page, x)
	binary.LittleEndian.PutUint32(b[pageHeadLen-4:], uint32(n))
	seal(b)
	return b
}

// trim deletes the groups that no page needs. All pages that were written in this round
// stand before it in Pebble's log.
func (p *pager) trim(s *Store) {
	p.cut = s.group + 1
	for _, since := range p.since {
		if since != 0 {
			p.cut = min(p.cut, since)
		}
	}
	p.begin(s)
	var from, to [len(prefixGroup) + 8]byte
	if p.batch.Set([]byte(keyGroup), binary.LittleEndian.AppendUint64(nil, s.group), nil) != nil ||
		p.batch.DeleteRange(numberKey(from[:0], prefixGroup, 0), numberKey(to[:0], prefixGroup, p.cut), nil) != nil {
		p.cut = 0
		return
	}
	p.handOver(s)
}

func (p *pager) handOver(s *Store) {
	if p.disk.begin(p.disk.back, write{p.batch, false}) != nil {
		return // the life is over, and healing writes all pages anew
	}
}
