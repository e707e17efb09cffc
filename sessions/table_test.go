package sessions

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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
	if rng.IntN(5) == 0 {
		s.Ended = t0
	}
	return s
}

// TestTableAgainstModel runs the same random changes on the table and on a plain map,
// and asks both the same questions after every step.
func TestTableAgainstModel(t *testing.T) {
	rng := seeded(t)
	table, model := NewTable(), map[ID]*Session{}
	for step := uint64(1); step <= 20000; step++ {
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
		if got := table.Get(ask.ID); got != model[ask.ID] {
			t.Fatalf("step %d: Get(%s) = %v, want %v", step, ask.ID, got, model[ask.ID])
		}
		if step%50 == 0 {
			compareIndexes(t, table, model, ask)
		}
	}
}

func compareIndexes(t *testing.T, table *Table, model map[ID]*Session, ask *Session) {
	t.Helper()
	var acct []*Session
	var station, address []ID
	for _, s := range model {
		if s.NASAddress == ask.NASAddress && s.AcctSessionID == ask.AcctSessionID {
			acct = append(acct, s)
		}
		if s.Live() && s.CallingStationID == ask.CallingStationID {
			station = append(station, s.ID)
		}
		if s.Live() && ask.FramedIP.IsValid() && s.FramedIP == ask.FramedIP {
			address = append(address, s.ID)
		}
	}
	got := table.ByAcctSessionID(ask.NASAddress, ask.AcctSessionID)
	if (got == nil) != (len(acct) == 0) || got != nil && !slices.Contains(acct, got) {
		t.Fatalf("ByAcctSessionID(%s, %s) = %v of %d", ask.NASAddress, ask.AcctSessionID, got, len(acct))
	}
	sameIDs(t, "ByStation", table.ByStation(ask.CallingStationID), station)
	if ask.FramedIP.IsValid() {
		sameIDs(t, "ByAddress", table.ByAddress(ask.FramedIP), address)
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

func TestReaderDoesNotAllocate(t *testing.T) {
	table := NewTable()
	table.Put(&Session{ID: "0a3042ca0001d00056e2dce3", NASAddress: nasAddr, AcctSessionID: "63815AAF"})
	n := testing.AllocsPerRun(1000, func() {
		if table.Get("0a3042ca0001d00056e2dce3") == nil || table.ByAcctSessionID(nasAddr, "63815AAF") == nil {
			t.Fatal("not found")
		}
	})
	if n != 0 {
		t.Fatalf("%v allocations", n)
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
