package sessions

import (
	"hash/maphash"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// shardsMax is the number of shards. Growing one copies a 256th of the table, which
// keeps the writer's longest pause short.
const shardsMax = 256

// Table holds every session the appliance knows, sharded by audit-session-id. Any
// goroutine may read, without a lock; one goroutine writes (the committer, after the
// journal has the record).
type Table struct {
	seed    maphash.Seed
	shards  [shardsMax]*hashTable[ID, Session]
	acct    *multiIndex[acctKey]
	station *multiIndex[string]     // Calling-Station-Id and MACs, canonical
	address *multiIndex[netip.Addr] // Framed-IP-Address, v4 and v6
	user    *multiIndex[string]
	nas     *multiIndex[netip.Addr]
	timers  timers
}

// acctKey is unique per NAS only (RFC 2866 section 5.5): per address, since one entry of
// the configuration may stand for many devices.
type acctKey struct {
	nas           netip.Addr
	acctSessionID string
}

// NewTable makes an empty table.
func NewTable() *Table {
	t := &Table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i] = newHashTable[ID, Session](t.seed)
	}
	t.acct = newMultiIndex[acctKey](t.seed)
	t.station = newMultiIndex[string](t.seed)
	t.address = newMultiIndex[netip.Addr](t.seed)
	t.user = newMultiIndex[string](t.seed)
	t.nas = newMultiIndex[netip.Addr](t.seed)
	t.timers.entry = map[ID]time.Time{}
	return t
}

func (t *Table) shard(id ID) *hashTable[ID, Session] {
	// The top octet, since the low bits choose the slot within the shard.
	return t.shards[maphash.String(t.seed, string(id))>>56]
}

// Get returns the session, live or ended, or nil.
func (t *Table) Get(id ID) *Session { return t.shard(id).get(id) }

// Len is the number of sessions, ended ones that are still kept included.
func (t *Table) Len() int {
	n := 0
	for _, s := range t.shards {
		n += int(s.live.Load())
	}
	return n
}

// All walks the table shard by shard. What changes meanwhile is seen before or after.
func (t *Table) All() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		for _, shard := range t.shards {
			for s := range shard.all() {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// ByAcctSessionID finds the session that the NAS at an address knows by its own number. A NAS that gives a
// number again, after a reboot say, means the newest session that has it.
func (t *Table) ByAcctSessionID(nas netip.Addr, acctSessionID string) *Session {
	key := acctKey{nas, acctSessionID}
	var found *Session
	for n := uint32(0); n < t.acct.count(key); n++ {
		s := t.at(t.acct, key, n)
		if s != nil && acctKeyOf(s) == key && (found == nil || newer(s, found)) {
			found = s
		}
	}
	return found
}

func (t *Table) at(x *multiIndex[acctKey], key acctKey, n uint32) *Session {
	if id := x.members.get(numbered[acctKey]{key, n}); id != nil {
		return t.Get(*id)
	}
	return nil
}

// ByAddress returns the live sessions whose endpoint has the address.
func (t *Table) ByAddress(a netip.Addr) []*Session {
	a = a.Unmap()
	var out []*Session
	t.address.each(a, func(id ID) bool {
		if s := t.Get(id); s != nil && s.Live() && slices.Contains(addressKeys(s), a) {
			out = append(out, s)
		}
		return true
	})
	return out
}

// ByStation returns the live sessions with the Calling-Station-Id or endpoint MAC, in
// any usual spelling of a MAC.
func (t *Table) ByStation(station string) []*Session {
	key := CanonicalStation(station)
	var out []*Session
	t.station.each(key, func(id ID) bool {
		if s := t.Get(id); s != nil && s.Live() && slices.Contains(stationKeys(s), key) {
			out = append(out, s)
		}
		return true
	})
	return out
}

// Put publishes a record. Writer only. The record must not be changed afterwards.
func (t *Table) Put(s *Session) {
	old := t.Get(s.ID)
	t.shard(s.ID).put(s.ID, s)
	t.reindex(s.ID, old, s)
}

// Delete forgets a session. Writer only.
func (t *Table) Delete(id ID) {
	old := t.Get(id)
	if old == nil {
		return
	}
	t.shard(id).del(id)
	t.reindex(id, old, nil)
	delete(t.timers.entry, id)
}

func (t *Table) reindex(id ID, old, s *Session) {
	diff(acctKeys(old), acctKeys(s), func(k acctKey) { t.acct.remove(k, id) }, func(k acctKey) { t.acct.add(k, id) })
	diff(stationKeys(old), stationKeys(s), func(k string) { t.station.remove(k, id) }, func(k string) { t.station.add(k, id) })
	diff(addressKeys(old), addressKeys(s), func(k netip.Addr) { t.address.remove(k, id) }, func(k netip.Addr) { t.address.add(k, id) })
	diff(userKeys(old), userKeys(s), func(k string) { t.user.remove(k, id) }, func(k string) { t.user.add(k, id) })
	diff(nasKeys(old), nasKeys(s), func(k netip.Addr) { t.nas.remove(k, id) }, func(k netip.Addr) { t.nas.add(k, id) })
}

func userKeys(s *Session) []string {
	if s == nil || !s.Live() || s.UserName == "" {
		return nil
	}
	return []string{s.UserName}
}

func nasKeys(s *Session) []netip.Addr {
	if s == nil || !s.Live() || !s.NASAddress.IsValid() {
		return nil
	}
	return []netip.Addr{s.NASAddress.Unmap()}
}

// ByUser returns the live sessions with the User-Name, exactly as the record has it.
func (t *Table) ByUser(name string) []*Session {
	var out []*Session
	t.user.each(name, func(id ID) bool {
		if s := t.Get(id); s != nil && s.Live() && s.UserName == name {
			out = append(out, s)
		}
		return true
	})
	return out
}

// OfNAS walks the live sessions of the NAS at an address. Writer only; the walk may be
// left and taken up again (iter.Pull), and sessions may change between its steps: each
// that was there from its begin to its end comes up once.
func (t *Table) OfNAS(nas netip.Addr) iter.Seq[ID] {
	return func(yield func(ID) bool) {
		var all []ID
		t.nas.each(nas.Unmap(), func(id ID) bool { all = append(all, id); return true })
		for _, id := range all {
			if s := t.Get(id); s != nil && s.Live() && !yield(id) {
				return
			}
		}
	}
}

// newer prefers the living, then the one that began later.
func newer(s, than *Session) bool {
	if s.Live() != than.Live() {
		return s.Live()
	}
	return s.Started.After(than.Started)
}

func diff[K comparable](was, is []K, gone, come func(K)) {
	for _, k := range was {
		if !slices.Contains(is, k) {
			gone(k)
		}
	}
	for _, k := range is {
		if !slices.Contains(was, k) {
			come(k)
		}
	}
}

func acctKeyOf(s *Session) acctKey {
	if s == nil || s.AcctSessionID == "" {
		return acctKey{}
	}
	return acctKey{s.NASAddress, s.AcctSessionID}
}

func acctKeys(s *Session) []acctKey {
	if k := acctKeyOf(s); k != (acctKey{}) {
		return []acctKey{k}
	}
	return nil
}

// stationKeys are the names of the endpoint; an ended session has none, so that
// a returning endpoint does not meet its own past.
func stationKeys(s *Session) []string {
	if s == nil || !s.Live() {
		return nil
	}
	var keys []string
	if s.CallingStationID != "" {
		keys = append(keys, CanonicalStation(s.CallingStationID))
	}
	for _, m := range s.MACs {
		if k := CanonicalStation(m); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

func addressKeys(s *Session) []netip.Addr {
	if s == nil || !s.Live() {
		return nil
	}
	var keys []netip.Addr
	if s.FramedIP.IsValid() {
		keys = append(keys, s.FramedIP)
	}
	if s.FramedIPv6.IsValid() {
		keys = append(keys, s.FramedIPv6)
	}
	return keys
}

// stationForms are the usual spellings of a MAC: its length, what separates, and after
// how many digits. An IPv4 address never has one of these shapes.
var stationForms = []struct {
	length, group int
	separators    string
}{{12, 12, ""}, {17, 2, ":-"}, {14, 4, "."}, {13, 6, "-:"}}

// CanonicalStation spells a MAC as aa:bb:cc:dd:ee:ff whatever separators and case it
// came with, and leaves anything else (a public address, a number) in lower case.
func CanonicalStation(raw string) string {
	raw = strings.ToLower(strings.TrimSpace(raw))
	for _, form := range stationForms {
		if len(raw) != form.length {
			continue
		}
		if hex, ok := macDigits(raw, form.group, form.separators); ok {
			return hex[0:2] + ":" + hex[2:4] + ":" + hex[4:6] + ":" + hex[6:8] + ":" + hex[8:10] + ":" + hex[10:12]
		}
	}
	return raw
}

func macDigits(raw string, group int, separators string) (string, bool) {
	var hex [12]byte
	n := 0
	for i := 0; i < len(raw); i++ {
		if i%(group+1) == group {
			if strings.IndexByte(separators, raw[i]) < 0 {
				return "", false
			}
			continue
		}
		if strings.IndexByte("0123456789abcdef", raw[i]) < 0 || n == len(hex) {
			return "", false
		}
		hex[n] = raw[i]
		n++
	}
	return string(hex[:n]), n == len(hex)
}

// AppendCanonicalStation is CanonicalStation without an allocation: it appends the
// canonical form of raw to dst.
func AppendCanonicalStation(dst, raw []byte) []byte {
	return append(dst, CanonicalStation(string(raw))...)
}

// AppendCanonicalID is CanonicalID without an allocation: it appends the canonical form
// of raw to dst, or returns dst as it was and false.
func AppendCanonicalID(dst, raw []byte) ([]byte, bool) {
	id, ok := CanonicalID(string(raw))
	return append(dst, id...), ok
}
