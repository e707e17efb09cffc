package sessions

import "testing"

// TestFillAgainstModel: a table that was filled answers as a plain map does, with records
// that came more than once, that were forgotten, and with crowded keys; and it can be
// changed afterwards.
func TestFillAgainstModel(t *testing.T) {
	rng := seeded(t)
	for range 5 {
		table, model := NewTable(), map[ID]*Session{}
		table.Expect(300)
		fill := table.Fill()
		version := uint64(0)
		for range 1 + rng.IntN(30) {
			var updates []Update
			var ready []Prepared
			for range rng.IntN(200) {
				version++
				s := randomSession(rng, version)
				u := Update{Session: s}
				if model[s.ID] = s; rng.IntN(6) == 0 {
					u = Update{ID: s.ID}
					delete(model, s.ID)
				}
				ready = append(ready, table.Prepare(&u))
				updates = append(updates, u)
			}
			fill.Apply(updates, ready)
		}
		fill.Close()
		for range 20 {
			compareIndexes(t, table, model, randomSession(rng, 0))
		}
		comparePages(t, table, model)
		for n := range 300 {
			version++
			s := randomSession(rng, version)
			table.Put(s)
			if model[s.ID] = s; n%20 == 0 {
				compareIndexes(t, table, model, s)
			}
		}
		for id := range model {
			table.Delete(id)
		}
		checkEmpty(t, table)
	}
}

// TestMemoryAhead: regions that are made while another is used are zeros, nobody else's,
// and known; what was made for nothing is given back, and more can be had afterwards.
func TestMemoryAhead(t *testing.T) {
	m := newMemory(t, true)
	m.ahead = true
	const piece = regionWords / 4
	var all [][]uint64
	take := func() {
		w := m.get(piece)
		for _, at := range []int{0, 1, piece / 2, piece - 1} {
			if w[at] != 0 {
				t.Fatalf("word %d of piece %d is another's: %#x", at, len(all), w[at])
			}
			w[at] = uint64(len(all)+1)<<32 | uint64(at)
		}
		all = append(all, w)
	}
	for range 11 {
		take()
	}
	if mapped := len(m.regions.all) > 0; mapped && m.next == nil {
		t.Error("with three quarters of a region used the next one was not begun")
	}
	m.stay()
	if m.ahead || m.next != nil {
		t.Error("still ahead")
	}
	for range 5 {
		take()
	}
	if mapped := len(m.regions.all) > 0; mapped && (len(m.regions.all) != 4 || m.next != nil) {
		t.Errorf("%d regions for four, next %v", len(m.regions.all), m.next != nil)
	}
	for n, w := range all {
		for _, at := range []int{0, 1, piece / 2, piece - 1} {
			if w[at] != uint64(n+1)<<32|uint64(at) {
				t.Fatalf("word %d of piece %d was overwritten: %#x", at, n, w[at])
			}
		}
	}
}
