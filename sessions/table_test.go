package sessions

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/ops/assert"
)

var t0 = time.Date(2016, 3, 11, 14, 57, 39, 0, time.UTC)

func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

var nasAddr = netip.MustParseAddr("10.48.66.202")

func randomSession(rng *rand.Rand, version uint64) *Session {
	n := rng.IntN(300)
	s := &Session{
		ID: ID(fmt.Sprintf("0a3042ca%08x56e2dce3", n)), Version: version,
		NAS: "switches", NASAddress: netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.IntN(3))}), AcctSessionID: fmt.Sprintf("%08X", rng.IntN(200)),
		CallingStationID: fmt.Sprintf("10.229.16.%d", rng.IntN(4)),
		Started:          t0.Add(time.Duration(rng.IntN(1000)) * time.Second),
	}
	if rng.IntN(3) > 0 {
		s.MACs = []string{fmt.Sprintf("00:0c:29:c9:d9:%02x", rng.IntN(40))}
	}
	if rng.IntN(2) > 0 {
		s.FramedIP = netip.AddrFrom4([4]byte{10, 10, 10, byte(rng.IntN(100))})
	}
	if rng.IntN(4) == 0 {
		s.MACs = append(s.MACs, fmt.Sprintf("00:0c:29:c9:da:%02x", rng.IntN(3)), "00:0c:29:c9:d9:01")
		s.FramedIPv6 = netip.AddrFrom16([16]byte{0x20, 1, 15: byte(rng.IntN(3))})
	}
	if rng.IntN(5) == 0 {
		s.Ended = t0
	}
	if rng.IntN(5) == 0 {
		s.Change = &Change{Kind: ChangePush, Serial: version, Reason: strings.Repeat("x", rng.IntN(1500))}
	}
	s.UserName, s.Posture.Status = fmt.Sprintf("user%d", rng.IntN(30)), PostureStatus(rng.IntN(int(postureStatuses)))
	return s
}

// TestTableAgainstModel runs the same random changes on the table and on a plain map,
// and asks both the same questions after every step.
func TestTableAgainstModel(t *testing.T) {
	rng := seeded(t)
	table, model := NewTable(), map[ID]*Session{}
	for step := uint64(1); step <= 8000; step++ {
		s := randomSession(rng, step)
		if rng.IntN(4) == 0 {
			table.Delete(s.ID)
			delete(model, s.ID)
		} else {
			table.Put(s)
			model[s.ID] = s
		}
		if table.Len() != len(model) {
			t.Fatalf("step %d: %d sessions, want %d", step, table.Len(), len(model))
		}
		ask := randomSession(rng, 0)
		if got := table.Get(ask.ID); !reflect.DeepEqual(got, model[ask.ID]) {
			t.Fatalf("step %d: Get(%s) = %v, want %v", step, ask.ID, got, model[ask.ID])
		}
		if step%50 == 0 {
			compareIndexes(t, table, model, ask)
		}
	}
	for id := range model {
		table.Delete(id)
	}
	checkEmpty(t, table)
}

// checkEmpty: what is given back is all that was taken.
func checkEmpty(t *testing.T, table *Table) {
	t.Helper()
	for name, x := range map[string]*index{"ids": table.ids, "acct": table.acct, "station": table.station, "address": table.address, "user": table.user} {
		for i := range x.shards {
			if n := x.shards[i].used; n != 0 {
				t.Errorf("%s, shard %d: %d slots", name, i, n)
			}
		}
		if len(x.crowds)+len(x.places) != 0 {
			t.Errorf("%s: %d crowds, %d places", name, len(x.crowds), len(x.places))
		}
	}
	if table.slabs.used != 0 || table.Counts() != (Counts{}) {
		t.Errorf("%d words, %+v", table.slabs.used, table.Counts())
	}
	for _, head := range append(table.nas.heads, append(table.wheel.heads[0][:], table.wheel.heads[1][:]...)...) {
		if head != 0 {
			t.Errorf("a list has entry %d", head)
		}
	}
}

func compareIndexes(t *testing.T, table *Table, model map[ID]*Session, ask *Session) {
	t.Helper()
	var acct []ID
	found := map[string][]ID{}
	var counts Counts
	for _, s := range model {
		if s.NASAddress == ask.NASAddress && s.AcctSessionID == ask.AcctSessionID {
			acct = append(acct, s.ID)
		}
		if s.Change != nil {
			counts.Changing++
		}
		if !s.Live() {
			counts.Ended++
			continue
		}
		counts.Live++
		counts.Posture[s.Posture.Status]++
		for what, is := range map[string]bool{
			"station": s.CallingStationID == ask.CallingStationID, "mac": len(ask.MACs) > 0 && slices.Contains(s.MACs, ask.MACs[0]),
			"address": s.FramedIP == ask.FramedIP, "address6": s.FramedIPv6 == ask.FramedIPv6,
			"user": s.UserName == ask.UserName, "nas": s.NASAddress == ask.NASAddress,
		} {
			if is {
				found[what] = append(found[what], s.ID)
			}
		}
	}
	got := table.ByAcctSessionID(ask.NASAddress, ask.AcctSessionID)
	if (got == nil) != (len(acct) == 0) || got != nil && !slices.Contains(acct, got.ID) {
		t.Fatalf("ByAcctSessionID(%s, %s) = %v of %d", ask.NASAddress, ask.AcctSessionID, got, len(acct))
	}
	for _, id := range acct {
		if s := model[id]; s.Live() && !got.Live() || s.Live() == got.Live() && s.Started.After(got.Started) {
			t.Fatalf("ByAcctSessionID found %+v, and %+v is newer", got, s)
		}
	}
	sameIDs(t, "ByStation", table.ByStation(ask.CallingStationID), found["station"])
	if len(ask.MACs) > 0 {
		sameIDs(t, "ByStation of a MAC", table.ByStation(ask.MACs[0]), found["mac"])
	}
	if ask.FramedIP.IsValid() {
		sameIDs(t, "ByAddress", table.ByAddress(ask.FramedIP), found["address"])
	}
	if ask.FramedIPv6.IsValid() {
		sameIDs(t, "ByAddress, v6", table.ByAddress(ask.FramedIPv6), found["address6"])
	}
	sameIDs(t, "ByUser", table.ByUser(ask.UserName), found["user"])
	if got, want := slices.Sorted(table.OfNAS(ask.NASAddress)), slices.Sorted(slices.Values(found["nas"])); !slices.Equal(got, want) {
		t.Fatalf("OfNAS: %v, want %v", got, want)
	}
	if got := table.Counts(); got != counts {
		t.Fatalf("counts %+v, want %+v", got, counts)
	}
	if len(model)%8 == 0 {
		comparePages(t, table, model)
	}
}

func comparePages(t *testing.T, table *Table, model map[ID]*Session) {
	t.Helper()
	n := 0
	var b []byte
	var x Scratch
	for page := range Pages {
		var count int
		b, count = table.AppendPage(b[:0], page, &x)
		n += count
		r := reader{b: b}
		for r.at < len(b) {
			record := r.octets(r.uvarint())
			s, err := new(Scratch).Decode(record, table.Dictionary())
			if err != nil || !reflect.DeepEqual(s, model[s.ID]) || table.Dictionary().PageOf(s.ID) != page || table.Dictionary().PageOfRecord(record) != page {
				t.Fatalf("page %d has %+v (%v), want %+v", page, s, err, model[s.ID])
			}
		}
	}
	if n != len(model) {
		t.Fatalf("%d sessions in pages, want %d", n, len(model))
	}
}

func sameIDs(t *testing.T, what string, got []*Session, want []ID) {
	t.Helper()
	var ids []ID
	for _, s := range got {
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	slices.Sort(want)
	if !slices.Equal(ids, want) {
		t.Fatalf("%s: got %v, want %v", what, ids, want)
	}
}

// TestReadersNeverMissASession: while the table grows and shrinks around them, sessions
// that are always there are always found.
func TestReadersNeverMissASession(t *testing.T) {
	rng := seeded(t)
	table := NewTable()
	var stay []ID
	for i := range 500 {
		s := &Session{ID: ID(fmt.Sprintf("stay-%d", i)), AcctSessionID: fmt.Sprint(i), NASAddress: nasAddr}
		table.Put(s)
		stay = append(stay, s.ID)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				id := stay[i%len(stay)]
				if s := table.Get(id); s == nil || s.ID != id {
					t.Errorf("%s not found", id)
					return
				}
				if s := table.ByAcctSessionID(nasAddr, fmt.Sprint(i%len(stay))); s == nil {
					t.Errorf("acct %d not found", i%len(stay))
					return
				}
			}
		})
	}
	for i := range 30000 {
		id := ID(fmt.Sprintf("come-%d", rng.IntN(20000)))
		if i%3 == 0 {
			table.Delete(id)
		} else {
			table.Put(&Session{ID: id, Version: uint64(i)})
		}
		if i%10 == 0 {
			k := rng.IntN(len(stay))
			table.Put(&Session{ID: stay[k], AcctSessionID: fmt.Sprint(k), NASAddress: nasAddr, Version: uint64(i)})
		}
	}
	stop.Store(true)
	wg.Wait()
}

const versionedSessions = 64

// versioned is a session that carries its version in many of its parts.
func versioned(i int, v uint64) *Session {
	s := vpnSession(i)
	s.Version, s.Epoch, s.Accounting.InOctets, s.NASPort = v, v, v*v, uint32(v)
	s.EndCause = strings.Repeat("e", int(v*37%300))
	s.Posture.Binding.Seq = v
	return s
}

// whole says whether s is one version of session i, and none before the one seen last.
func whole(s *Session, i int, seen *[versionedSessions]uint64) bool {
	v, before := s.Version, seen[i]
	seen[i] = v
	return s.UserName == fmt.Sprintf("user%06d", i) && s.Epoch == v && s.Accounting.InOctets == v*v && s.NASPort == uint32(v) &&
		len(s.EndCause) == int(v*37%300) && strings.Trim(s.EndCause, "e") == "" && s.Posture.Binding.Seq == v && v >= before
}

// TestReadersSeeWhatWasPublished: sessions are changed, deleted and made again while
// readers come by every way. What they get is one version as it was put.
func TestReadersSeeWhatWasPublished(t *testing.T) {
	rng := seeded(t)
	table := NewTable()
	for i := range versionedSessions {
		table.Put(versioned(i, 1))
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for r := range uint64(2) {
		wg.Go(func() {
			var x Scratch
			var seen [versionedSessions]uint64
			rng := rand.New(rand.NewPCG(r, 5))
			for !stop.Load() && !t.Failed() {
				i := rng.IntN(versionedSessions)
				s := anyWay(table, vpnSession(i), rng.IntN(4), &x)
				if s == nil && i%4 != 0 || s != nil && !whole(s, i, &seen) {
					t.Errorf("session %d is %+v", i, s)
				}
			}
		})
	}
	for v := uint64(2); v < 4000; v++ {
		i := rng.IntN(versionedSessions)
		if i%4 == 0 && rng.IntN(3) == 0 {
			table.Delete(vpnSession(i).ID)
			continue
		}
		table.Put(versioned(i, v))
		if other := mabSession(rng.IntN(500)); table.Get(other.ID) != nil { // in the same slabs and entries
			table.Delete(other.ID)
		} else {
			table.Put(other)
		}
	}
	stop.Store(true)
	wg.Wait()
}

func anyWay(table *Table, s *Session, way int, x *Scratch) *Session {
	switch way {
	case 0:
		return table.FindAcct(s.NASAddress, s.AcctSessionID, x)
	case 1:
		if all := table.ByUser(s.UserName); len(all) > 0 {
			return all[0]
		}
		return nil
	}
	return table.Load(s.ID, x)
}

// TestManyShareAKey: a change costs the same however many sessions share an address.
func TestManyShareAKey(t *testing.T) {
	table := NewTable()
	const n = 20000
	for i := range n {
		table.Put(&Session{ID: ID(fmt.Sprint(i)), CallingStationID: "127.0.0.1"})
	}
	if got := len(table.ByStation("127.0.0.1")); got != n {
		t.Fatalf("%d of %d", got, n)
	}
	for i := range n - 1 {
		table.Delete(ID(fmt.Sprint(i)))
	}
	sameIDs(t, "the last", table.ByStation("127.0.0.1"), []ID{ID(fmt.Sprint(n - 1))})
}

// TestNothingIsAllocated pins what the committer and the readers beside it do for every
// packet.
func TestNothingIsAllocated(t *testing.T) {
	if assert.Enabled {
		t.Skip("the race detector allocates")
	}
	table := NewTable()
	var into, other Scratch
	for i := range 1000 {
		table.Put(vpnSession(i))
		table.Put(mabSession(i))
	}
	version := uint64(100)
	var dst []byte
	at := t0
	for name, f := range map[string]func(){
		"Load and Put": func() {
			s := table.Load("0a3042ca0000000556e2dce3", &into)
			s.Version, s.Accounting.InOctets = version, version<<20
			s.MACs = append(s.MACs[:0], "00:0c:29:c9:d9:01")
			version++
			table.Put(s)
		},
		"FindAcct": func() { _ = table.FindAcct(nasAddr, "00000007", &other).ID },
		"PutRecord": func() {
			s := table.Load("0a3042ca0000000956e2dce3", &into)
			table.PutRecord(s, AppendRecord(dst[:0], s, table.dict))
		},
		"Schedule": func() { at = at.Add(-time.Hour); table.Schedule("0a3042ca0000000956e2dce3", at) },
		"canonical": func() {
			var room [64]byte
			AppendCanonicalStation(room[:0], []byte("00-0C-29-C9-D9-37"))
			if _, ok := AppendCanonicalID(room[:0], []byte("0A3042CA0001D00056E2DCE3")); !ok {
				t.Fatal("id")
			}
		},
	} {
		dst = make([]byte, 0, 1000)
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestCanonicalStation(t *testing.T) {
	for raw, want := range map[string]string{
		"00-0C-29-C9-D9-37":  "00:0c:29:c9:d9:37",
		"000c29c9d937":       "00:0c:29:c9:d9:37",
		"000c.29c9.d937":     "00:0c:29:c9:d9:37",
		"000C29-C9D937":      "00:0c:29:c9:d9:37",
		" 00:0C:29:C9:D9:37": "00:0c:29:c9:d9:37",
		"192.168.100.100":    "192.168.100.100",
		"10.229.16.34":       "10.229.16.34",
		"00:0c:29:c9:d9":     "00:0c:29:c9:d9",
		"00:0c-29:c9:d9-3g":  "00:0c-29:c9:d9-3g",
		"Tunnel-7":           "tunnel-7",
		"":                   "",
	} {
		if got := CanonicalStation(raw); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestCanonicalID(t *testing.T) {
	for raw, want := range map[string]string{
		"0a3042ca0001d00056e2dce3": "0a3042ca0001d00056e2dce3",
		"0A3042CA0001D00056E2DCE3": "0a3042ca0001d00056e2dce3",
		"":                         "", "a b": "", "a/b": "", "a\x00": "", string(make([]byte, 65)): "",
	} {
		id, ok := CanonicalID(raw)
		if string(id) != want || ok != (want != "") {
			t.Errorf("%q: %q %v", raw, id, ok)
		}
	}
}

// TestScratchTimersAndUsers: the ways in that the committer uses.
func TestScratchTimersAndUsers(t *testing.T) {
	table := NewTable()
	var into Scratch
	for i := range 3 {
		s := &Session{ID: ID(fmt.Sprint(i)), UserName: "cisco", NASAddress: nasAddr, Change: &Change{Serial: 1}}
		table.PutRecord(s, nil)
	}
	s := table.Load("1", &into)
	if s == nil || s.Change.Serial != 1 || table.Load("9", &into) != nil {
		t.Fatal("Load")
	}
	sameIDs(t, "ByUser", table.ByUser("cisco"), []ID{"0", "1", "2"})
	if got := slices.Sorted(table.OfNAS(nasAddr)); !slices.Equal(got, []ID{"0", "1", "2"}) {
		t.Fatal(got)
	}
	table.Schedule("0", t0.Add(2*time.Second))
	table.Schedule("1", t0.Add(time.Second))
	table.Schedule("0", t0.Add(time.Hour))
	if id, ok := table.Due(t0.Add(time.Second)); !ok || id != "1" {
		t.Fatal(id, ok)
	}
	if id, ok := table.Due(t0.Add(time.Second)); ok {
		t.Fatal(id)
	}
	if id, ok := table.Due(t0.Add(2 * time.Second)); !ok || id != "0" {
		t.Fatal(id, ok)
	}
}
