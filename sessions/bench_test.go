package sessions

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// bigTable is a mix of VPN and MAB sessions.
func bigTable(n int) *Table {
	table := NewTable()
	for i := range n {
		if i%2 == 0 {
			table.Put(vpnSession(i))
		} else {
			table.Put(mabSession(i))
		}
	}
	return table
}

func BenchmarkTable(b *testing.B) {
	const n = 1 << 18
	table := bigTable(n)
	ids := make([]ID, n/2)
	for i := range ids {
		ids[i] = ID(fmt.Sprintf("0a3042ca%08x56e2dce3", 2*i))
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var x Scratch
	b.Run("Load", func(b *testing.B) {
		for b.Loop() {
			if table.Load(ids[rng.IntN(len(ids))], &x) == nil {
				b.Fatal("not found")
			}
		}
	})
	b.Run("FindAcct", func(b *testing.B) {
		for b.Loop() {
			if table.FindAcct(nasAddr, fmt.Sprintf("%08X", 2*rng.IntN(len(ids))), &x) == nil {
				b.Fatal("not found")
			}
		}
	})
	b.Run("LoadPut", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s := table.Load(ids[rng.IntN(len(ids))], &x)
			s.Version++
			s.Accounting.InOctets++
			table.Put(s)
		}
	})
	b.Run("PutRecord", func(b *testing.B) {
		s := table.Load(ids[7], &x)
		record := AppendRecord(nil, s, table.dict)
		for b.Loop() {
			table.PutRecord(s, record)
		}
	})
}
