package sessions

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
)

// Dictionary holds what many records have in common, so that a record names it by a
// number: names of NASes, rules and groups, whole grants, and the form of verdicts. It
// only grows, to fixed limits; at them a record holds the text itself. The writer adds,
// any goroutine reads what a record it holds refers to.
//
// It also holds the seed by which ids are spread over the table and over the pages of
// the journal: the two things without which records cannot be read or found again.
type Dictionary struct {
	seed    uint64
	texts   list[string]
	grants  list[Grant]
	answers list[form]
	entries []entryRef // in the order they came; the writer's
	octets  int

	textNumber   map[string]uint32
	grantNumber  map[Grant]uint32
	answerNumber map[string]uint32
	lately       [latelySize]uint32 // numbers of texts, by a cheap hash
	latelyGrant  [16]uint32         // of grants, by their digest
	latelyForm   [16]uint32         // of forms, by the length of the answer
	doorkeeper   [doorSize]uint32   // hashes of what came once
	build        []byte
}

// Limits of a dictionary. What endpoints can make different, as texts of wide fields
// and forms of answers, is taken in only when it comes again, and never fills the last
// quarter, which is for what the configuration says.
const (
	textsMax   = 1 << 16
	grantsMax  = 1 << 12
	answersMax = 1 << 10
	textMax    = 256
	formMax    = 4096
	octetsMax  = 8 << 20
	latelySize = 1 << 10
	doorSize   = 1 << 12
)

type entryRef struct {
	kind   byte
	number uint32
}

// Kinds of entry, the first octet of its encoding.
const (
	entryText   = 't'
	entryGrant  = 'g'
	entryAnswer = 'a'
)

// list is append-only, in pieces that never move, for readers beside the writer.
type list[T any] struct {
	pieces [textsMax / pieceSize]atomic.Pointer[[pieceSize]T]
	n      uint32 // the writer's
}

const pieceSize = 256

func (l *list[T]) add(v T) uint32 {
	p := l.pieces[l.n/pieceSize].Load()
	if p == nil {
		p = new([pieceSize]T)
		l.pieces[l.n/pieceSize].Store(p)
	}
	p[l.n%pieceSize] = v
	l.n++
	return l.n - 1
}

// at returns nil for a number that was never given.
func (l *list[T]) at(n uint64) *T {
	if n >= textsMax {
		return nil
	}
	p := l.pieces[n/pieceSize].Load()
	if p == nil {
		return nil
	}
	return &p[n%pieceSize]
}

// NewDictionary makes an empty one. The seed is any number that others cannot guess,
// and the same for all the life of a journal.
func NewDictionary(seed uint64) *Dictionary {
	return &Dictionary{
		seed: seed, textNumber: map[string]uint32{}, grantNumber: map[Grant]uint32{}, answerNumber: map[string]uint32{},
	}
}

// Seed is what NewDictionary was given.
func (d *Dictionary) Seed() uint64 { return d.seed }

// Len is the number of entries. Writer only.
func (d *Dictionary) Len() int { return len(d.entries) }

// text returns the number of a text of a narrow field, one that the configuration or
// the appliance itself has written. Writer only.
func (d *Dictionary) text(s string) (uint32, bool) { return d.find(s, true) }

// wideText is text for what comes from outside.
func (d *Dictionary) wideText(s string) (uint32, bool) { return d.find(s, false) }

func (d *Dictionary) find(s string, narrow bool) (uint32, bool) {
	if len(s) < 2 || len(s) > textMax {
		return 0, false
	}
	h := cheapHash(s)
	slot := &d.lately[h%latelySize]
	if p := d.texts.at(uint64(*slot)); p != nil && *p == s {
		return *slot, true
	}
	n, ok := d.textNumber[s]
	if !ok {
		if !narrow && (d.texts.n > textsMax/4*3 || !d.again(h)) || d.texts.n >= textsMax || d.octets+len(s) > octetsMax {
			return 0, false
		}
		n = d.addText(string(append([]byte(nil), s...))) // not the caller's memory
	}
	*slot = n
	return n, true
}

// again says whether what has the hash came before, as far as is remembered.
func (d *Dictionary) again(h uint64) bool {
	slot, mark := &d.doorkeeper[h>>20%doorSize], uint32(h>>32)|1
	if *slot == mark {
		return true
	}
	*slot = mark
	return false
}

// cheapHash looks at both ends of s. It chooses a slot of a cache, no more.
func cheapHash(s string) uint64 {
	const k = 0x9e3779b97f4a7c15
	h := uint64(len(s))
	if len(s) >= 8 {
		h = (h ^ load64(s, 0)) * k
		h ^= h >> 32
		return (h ^ load64(s, len(s)-8)) * k >> 8
	}
	for i := 0; i < len(s); i++ {
		h = h<<8 | uint64(s[i])
	}
	return h * k >> 8
}

// load64 is the eight octets of s from i on, little endian.
func load64(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func (d *Dictionary) addText(s string) uint32 {
	n := d.texts.add(s)
	d.textNumber[s] = n
	d.added(entryText, n, len(s))
	return n
}

func (d *Dictionary) added(kind byte, n uint32, octets int) {
	d.entries = append(d.entries, entryRef{kind, n})
	d.octets += octets
}

// grant returns the number of a grant. Writer only.
func (d *Dictionary) grant(g *Grant) (uint32, bool) {
	slot := &d.latelyGrant[g.Digest%uint64(len(d.latelyGrant))]
	if p := d.grants.at(uint64(*slot)); p != nil && *p == *g {
		return *slot, true
	}
	n, ok := d.grantNumber[*g]
	if !ok {
		if d.grants.n >= grantsMax || len(g.Profile)+len(g.Rule)+len(g.Text) > formMax || d.octets > octetsMax {
			return 0, false
		}
		n = d.addGrant(Grant{Profile: clone(g.Profile), Rule: clone(g.Rule), Digest: g.Digest, Text: clone(g.Text)})
	}
	*slot = n
	return n, true
}

func (d *Dictionary) addGrant(g Grant) uint32 {
	n := d.grants.add(g)
	d.grantNumber[g] = n
	d.added(entryGrant, n, len(g.Profile)+len(g.Rule)+len(g.Text))
	return n
}

func clone(s string) string { return string([]byte(s)) }

// AppendEntry appends the encoding of the n-th entry, counted from 0: its kind, then a
// text or the form of an answer as it is, or a grant as its digest (8 octets, little
// endian) and profile, rule and text each after their length. Writer only.
func (d *Dictionary) AppendEntry(b []byte, n int) []byte {
	ref := d.entries[n]
	b = append(b, ref.kind)
	switch ref.kind {
	case entryText:
		return append(b, *d.texts.at(uint64(ref.number))...)
	case entryAnswer:
		return append(b, d.answers.at(uint64(ref.number)).text...)
	}
	g := d.grants.at(uint64(ref.number))
	b = binary.LittleEndian.AppendUint64(b, g.Digest)
	for _, s := range []string{g.Profile, g.Rule, g.Text} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

var errEntry = errors.New("no entry of a dictionary")

// AddEntry adds an entry that AppendEntry encoded, in the same order. Writer only.
func (d *Dictionary) AddEntry(entry []byte) error {
	if len(entry) == 0 {
		return errEntry
	}
	body := entry[1:]
	switch {
	case entry[0] == entryText && d.texts.n < textsMax:
		d.addText(string(body))
	case entry[0] == entryAnswer && d.answers.n < answersMax:
		d.addForm(string(body))
	case entry[0] == entryGrant && d.grants.n < grantsMax:
		r := reader{b: body}
		g := Grant{Digest: r.fixed64()}
		for _, at := range []*string{&g.Profile, &g.Rule, &g.Text} {
			*at = string(r.octets(r.uvarint()))
		}
		if r.bad || len(r.b) != r.at {
			return errEntry
		}
		d.addGrant(g)
	default:
		return fmt.Errorf("%w: kind %q", errEntry, entry[0])
	}
	return nil
}
