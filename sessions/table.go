package sessions

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
)

// Table holds every session the appliance knows. Any goroutine reads, without a lock;
// one goroutine writes (the committer, after the journal has the record).
//
// A session is a record, the octets that the journal has too, in a slab; an entry of
// one cache line; and a slot of 8 octets in each index that finds it. None of it is a
// Go pointer, and the garbage collector sees none of it. Reading copies the record and
// takes it apart: what a reader holds is its own, and stays as it was.
//
// One writer and a counter for each entry were measured against immutable Go records
// behind atomic pointers: five million of those cost a full collection half a second
// and twice the memory, and every change an allocation of a kilobyte.
type Table struct {
	seed    maphash.Seed // of the indexes but ids
	salt    uint64
	dict    *Dictionary
	entries entries
	slabs   slabs

	ids, acct, station, address, user *index

	nas     nasLists
	wheel   *wheel
	scratch Scratch // the writer's, for what it reads of its own table
	record  []byte
	ahead   [applyAhead]Prepared
	later   *[]move // changes of indexes that somebody else makes; nil: they are made at once

	warmth uint64 // what was read only to have it near

	live, ended, changing atomic.Int64
	posture               [postureStatuses]atomic.Int64
}

// NewTable makes an empty table with a dictionary of its own.
func NewTable() *Table {
	t := &Table{seed: maphash.MakeSeed()}
	t.salt = maphash.String(t.seed, "salt")
	t.dict = NewDictionary(maphash.String(t.seed, "ids"))
	t.entries.memory = newMemory(t, true)
	t.slabs.memory = t.entries.memory
	t.ids = newIndex(newMemory(t, false))
	for _, x := range []**index{&t.acct, &t.station, &t.address, &t.user} {
		*x = newIndex(newMemory(t, false)) // of its own: a Filler builds them side by side
	}
	t.nas.numbers = map[netip.Addr]uint32{}
	t.wheel = newWheel()
	return t
}

// Adopt gives an empty table the dictionary of the journal whose records it will hold.
// Before anybody else knows the table.
func (t *Table) Adopt(dict *Dictionary) error {
	if t.Len() > 0 {
		return errors.New("the table holds records of another dictionary")
	}
	t.dict = dict
	return nil
}

// Dictionary is what the table's records are encoded with.
func (t *Table) Dictionary() *Dictionary { return t.dict }

// Len is the number of sessions, ended ones that are still kept included.
func (t *Table) Len() int { return int(t.live.Load() + t.ended.Load()) }

// Counts says how many sessions there are of a kind.
type Counts struct {
	Live, Ended int
	Changing    int                  // with a Change under way
	Posture     [postureStatuses]int // of the live ones, by PostureStatus
}

// Counts costs the same however many sessions there are. Numbers of one moment may
// differ by the change that is made in it.
func (t *Table) Counts() Counts {
	c := Counts{Live: int(t.live.Load()), Ended: int(t.ended.Load()), Changing: int(t.changing.Load())}
	for i := range c.Posture {
		c.Posture[i] = int(t.posture[i].Load())
	}
	return c
}

// Put publishes a record. Writer only. Nothing of s is kept.
func (t *Table) Put(s *Session) { t.PutRecord(s, nil) }

// PutRecord publishes s, whose encoding with the table's dictionary is record; without
// one it is made here. Writer only. Nothing of s or record is kept: both may be used
// again.
func (t *Table) PutRecord(s *Session, record []byte) {
	p := Prepared{idHash(t.dict.seed, string(s.ID)), t.keysOf(s)}
	t.publish(&p, s, record)
}

func (t *Table) publish(p *Prepared, s *Session, record []byte) {
	if len(record) == 0 {
		t.record = AppendRecord(t.record[:0], s, t.dict)
		record = t.record
	}
	idKey, keys := p.id, &p.keys
	n, known := t.entryBy(idKey, s.ID), true
	if n == 0 {
		known = false
		n, _ = t.entries.get()
	}
	e := t.entries.at(n)
	if known && e[4]>>32 != uint64(keys.rest) && e[4]>>32 != 0 {
		t.removeRest(n, e)
	}
	restIsNew := uint64(keys.rest) != e[4]>>32
	t.write(e, record)
	if !known {
		t.ids.add(idKey, n)
	}
	t.rekey(n, e, keys)
	if restIsNew {
		for _, k := range keys.stations[:keys.nStations] {
			t.rehome(t.station, 0, k, n)
		}
		if keys.address6 != 0 {
			t.rehome(t.address, 0, keys.address6, n)
		}
	}
	was, is := uint32(e[4]), flagsOf(s)
	e[4] = halves(keys.rest, is|t.nas.set(t, n, e, s)<<nasShift)
	t.count(was, -1)
	t.count(is, 1)
}

// Delete forgets a session. Writer only.
func (t *Table) Delete(id ID) {
	t.forget(idHash(t.dict.seed, string(id)), id)
}

func (t *Table) forget(idKey uint32, id ID) {
	n := t.entryBy(idKey, id)
	if n == 0 {
		return
	}
	e := t.entries.at(n)
	if high(e[4]) != 0 {
		t.removeRest(n, e)
	}
	t.rekey(n, e, &keySet{})
	t.count(uint32(e[4]), -1)
	t.nas.drop(t, n, e)
	if e[7] != 0 {
		t.unlink(e)
	}
	t.ids.remove(idKey, n)
	t.erase(e)
	t.entries.put(n, e)
}

// Flags of an entry, by which sessions are counted.
const (
	flagKnown    = 1 << 8
	flagLive     = 1 << 9
	flagChanging = 1 << 10
)

func flagsOf(s *Session) uint32 {
	f := uint32(flagKnown)
	if s.Live() {
		f |= flagLive | uint32(min(s.Posture.Status, postureStatuses-1))
	}
	if s.Change != nil {
		f |= flagChanging
	}
	return f
}

func (t *Table) count(flags uint32, by int64) {
	switch {
	case flags&flagKnown == 0:
		return
	case flags&flagLive != 0:
		t.live.Add(by)
		t.posture[flags&0xff].Add(by)
	default:
		t.ended.Add(by)
	}
	if flags&flagChanging != 0 {
		t.changing.Add(by)
	}
}
