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
