package sessions

// keySet is what a session is found by. An ended one keeps its Acct-Session-Id alone, so
// that a returning endpoint does not meet its own past.
type keySet struct {
	acct, user, calling, address uint32

	stations  [stationsMax]uint32 // of the MACs, those that differ
	nStations int
	address6  uint32
	rest      uint32 // stations and address6 together; 0: none
}

// stationsMax bounds the MACs of one endpoint by which it is found. A laptop has about
// five.
const stationsMax = 16

func (t *Table) keysOf(s *Session) (k keySet) {
	if s.AcctSessionID != "" {
		k.acct = t.acctKey(s.NASAddress, s.AcctSessionID)
	}
	if !s.Live() {
		if s.Lends() {
			if mac := s.MAC(); mac != "" {
				k.calling = t.stationKey(mac)
			}
		}
		return k
	}
	if s.UserName != "" {
		k.user = t.textKey(s.UserName)
	}
	if s.CallingStationID != "" {
		k.calling = t.stationKey(s.CallingStationID)
	}
	if s.FramedIP.IsValid() {
		k.address = t.addressKey(s.FramedIP)
	}
	if s.FramedIPv6.IsValid() {
		if k.address6 = t.addressKey(s.FramedIPv6); k.address6 == k.address {
			k.address6 = 0
		}
	}
	rest := uint64(k.address6)
	for _, m := range s.MACs {
		key := t.stationKey(m)
		if k.nStations == stationsMax || key == k.calling || containsKey(k.stations[:k.nStations], key) {
			continue
		}
		k.stations[k.nStations] = key
		k.nStations++
		rest = mix(rest^uint64(key), 0x9e3779b97f4a7c15)
	}
	if rest != 0 {
		k.rest = fold(rest)
	}
	return k
}

func containsKey(keys []uint32, key uint32) bool {
	for _, k := range keys {
		if k == key {
			return true
		}
	}
	return false
}

func (t *Table) stationKey(station string) uint32 {
	var room [64]byte
	return t.octetsKey(AppendCanonicalStation(room[:0], bytesOf(station)))
}

// rekey moves entry n in the indexes that its words 2 and 3 tell of. The new key is
// there before the old one goes.
func (t *Table) rekey(n uint32, e *entry, k *keySet) {
	t.rehome(t.acct, high(e[2]), k.acct, n)
	t.rehome(t.user, low(e[2]), k.user, n)
	t.rehome(t.station, high(e[3]), k.calling, n)
	t.rehome(t.address, low(e[3]), k.address, n)
	e[2], e[3] = halves(k.acct, k.user), halves(k.calling, k.address)
}

func (x *index) move(from, to, n uint32) {
	if from == to {
		return
	}
	if to != 0 {
		x.add(to, n)
	}
	if from != 0 {
		x.remove(from, n)
	}
}

// removeRest takes the keys out that the entry has no room for: they are read from the
// record, which is still the one before.
func (t *Table) removeRest(n uint32, e *entry) {
	record := t.read(n, &t.scratch)
	s, err := t.scratch.Decode(record, t.dict)
	if err != nil {
		return
	}
	k := t.keysOf(s)
	for _, key := range k.stations[:k.nStations] {
		t.rehome(t.station, key, 0, n)
	}
	if k.address6 != 0 {
		t.rehome(t.address, k.address6, 0, n)
	}
}
