package sessions

import (
	"iter"
	"net/netip"
	"slices"
)

// findTries bounds how often a reader begins again because what it found was another's
// meanwhile. Each time the writer has to have deleted a session and made another.
const findTries = 8

// Load reads the session, live or ended, into a Scratch; nil when it is not known. Any
// goroutine. The writer may change what it gets and Put it.
func (t *Table) Load(id ID, into *Scratch) *Session {
	key := idHash(t.dict.seed, string(id))
	for range findTries {
		into.found = t.ids.all(key, into.found[:0])
		for _, n := range into.found {
			if s := t.loadEntry(n, into); s != nil && s.ID == id {
				return s
			}
		}
		if len(into.found) == 0 {
			return nil
		}
	}
	return nil
}

// loadEntry reads the session that entry n has, nil for none.
func (t *Table) loadEntry(n uint32, into *Scratch) *Session {
	record := t.read(n, into)
	if record == nil {
		return nil
	}
	s, err := into.Decode(record, t.dict)
	if err != nil {
		return nil
	}
	return s
}

// entryBy is the number of the entry of a session, 0 when it is not known. Writer only.
func (t *Table) entryBy(key uint32, id ID) uint32 {
	t.scratch.found = t.ids.all(key, t.scratch.found[:0])
	var room [IDMax]byte
	for _, n := range t.scratch.found {
		if got, ok := RecordID(room[:0], t.read(n, &t.scratch)); ok && string(got) == string(id) {
			return n
		}
	}
	return 0
}

func (t *Table) entryOf(id ID) uint32 { return t.entryBy(idHash(t.dict.seed, string(id)), id) }

// idOf is the id of the session of an entry. Writer only.
func (t *Table) idOf(n uint32) ID {
	var room [IDMax]byte
	id, ok := RecordID(room[:0], t.read(n, &t.scratch))
	if !ok {
		return ""
	}
	return ID(id)
}

// Get returns a copy of the session, live or ended, or nil.
func (t *Table) Get(id ID) *Session { return t.Load(id, new(Scratch)) }

// Scan walks the table, each session into the same Scratch. What changes meanwhile is
// seen before or after, what comes or goes may be seen or not. Any goroutine.
func (t *Table) Scan(into *Scratch) iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		t.scan(func() *Scratch { return into }, yield)
	}
}

// All is Scan with a copy of each session.
func (t *Table) All() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		t.scan(func() *Scratch { return new(Scratch) }, yield)
	}
}

func (t *Table) scan(room func() *Scratch, yield func(*Session) bool) {
	chunks := t.entries.chunks.Load()
	if chunks == nil {
		return
	}
	for n := uint32(1); int(n) < len(*chunks)<<entryShift; n++ {
		if !t.known(n) {
			continue
		}
		if s := t.loadEntry(n, room()); s != nil && !yield(s) {
			return
		}
	}
}

// FindAcct finds the session that the NAS at an address knows by its own number. A NAS
// that gives a number again, after a reboot say, means the newest session that has it.
// Any goroutine.
func (t *Table) FindAcct(nas netip.Addr, acctSessionID string, into *Scratch) *Session {
	if acctSessionID == "" {
		return nil
	}
	is := func(s *Session) bool { return s.NASAddress == nas && s.AcctSessionID == acctSessionID }
	for range findTries {
		into.found = t.acct.all(t.acctKey(nas, acctSessionID), into.found[:0])
		var best, last uint32
		var live bool
		var started int64
		for _, n := range into.found {
			s := t.loadEntry(n, into)
			last = n
			if s == nil || !is(s) {
				continue
			}
			if at := nanos(s.Started); best == 0 || s.Live() && !live || s.Live() == live && at > started {
				best, live, started = n, s.Live(), at
			}
		}
		if best == 0 {
			return nil
		}
		if best == last {
			return &into.session
		}
		if s := t.loadEntry(best, into); s != nil && is(s) {
			return s
		}
	}
	return nil
}

// ByAcctSessionID is FindAcct with a copy.
func (t *Table) ByAcctSessionID(nas netip.Addr, acctSessionID string) *Session {
	return t.FindAcct(nas, acctSessionID, new(Scratch))
}

// ByAddress returns the live sessions whose endpoint has the address.
func (t *Table) ByAddress(a netip.Addr) []*Session {
	a = a.Unmap()
	return t.collect(t.address, t.addressKey(a), func(s *Session) bool {
		return s.FramedIP.Unmap() == a || s.FramedIPv6.Unmap() == a
	})
}

// ByStation returns the live sessions with the Calling-Station-Id or endpoint MAC, in
// any usual spelling of a MAC.
func (t *Table) ByStation(station string) []*Session {
	want := CanonicalStation(station)
	return t.collect(t.station, t.stationKey(want), func(s *Session) bool {
		return s.CallingStationID != "" && CanonicalStation(s.CallingStationID) == want ||
			slices.ContainsFunc(s.MACs, func(m string) bool { return CanonicalStation(m) == want })
	})
}

// OfStation walks the live sessions with the Calling-Station-Id or endpoint MAC, in any usual
// spelling of a MAC, and the ended ones that another may rest on; each into the same
// Scratch. Any goroutine.
func (t *Table) OfStation(station string, into *Scratch) iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		var room [64]byte
		want := AppendCanonicalStation(room[:0], bytesOf(station))
		is := func(other string) bool {
			var room [64]byte
			return other != "" && string(AppendCanonicalStation(room[:0], bytesOf(other))) == string(want)
		}
		found := t.station.all(t.stationKey(textOf(want)), nil)
		slices.Sort(found)
		for _, n := range slices.Compact(found) {
			s := t.loadEntry(n, into)
			if s != nil && (is(s.CallingStationID) || slices.ContainsFunc(s.MACs, is)) && !yield(s) {
				return
			}
		}
	}
}

// ByUser returns the live sessions with the User-Name, exactly as the record has it.
func (t *Table) ByUser(name string) []*Session {
	return t.collect(t.user, t.textKey(name), func(s *Session) bool { return s.UserName == name })
}

// collect copies the live sessions of a key that is says are meant.
func (t *Table) collect(x *index, key uint32, is func(*Session) bool) []*Session {
	var out []*Session
	found := x.all(key, nil)
	slices.Sort(found)
	room := new(Scratch)
	for _, n := range slices.Compact(found) {
		if s := t.loadEntry(n, room); s != nil && s.Live() && is(s) {
			out = append(out, s)
			room = new(Scratch)
		}
	}
	return out
}
