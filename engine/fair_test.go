package engine

import (
	"slices"
	"testing"
	"time"

	"sallyport/netio/udp"
)

// shares feeds a loop with what each NAS sends in a slice, for some slices, and returns
// what of it was admitted in the last one. Batches are full while packets wait, and a
// packet takes cost.
func shares(f *fairness, cost time.Duration, demands []int) []int {
	now := time.Unix(1e9, 0)
	admitted := make([]int, len(demands))
	for end := now.Add(fairSlice); end.Before(time.Unix(1e9, 0).Add(100 * fairSlice)); end = end.Add(fairSlice) {
		left := append([]int(nil), demands...)
		clear(admitted)
		for now.Before(end) {
			batch := burst(left, demands)
			if len(batch) == 0 {
				now = end // the loop rests
				break
			}
			f.begin(now, len(batch))
			for _, i := range batch {
				if f.admit(int32(i)) {
					admitted[i]++
					now = now.Add(cost)
				} else {
					now = now.Add(costOfDrop)
				}
			}
		}
	}
	return admitted
}

// burst is the next batch: of the one that sends most a burst, of each other a packet.
func burst(left, demands []int) (batch []int) {
	for progress := true; progress && len(batch) < udp.BatchMax; {
		progress = false
		for i := range left { // who sends more comes more often
			for n := min(left[i], 1+demands[i]/200, udp.BatchMax-len(batch)); n > 0; n-- {
				batch, left[i], progress = append(batch, i), left[i]-1, true
			}
		}
	}
	return batch
}

func TestFairness(t *testing.T) {
	const cost = 10 * time.Microsecond // 1000 packets a slice
	for _, c := range []struct {
		what    string
		demands []int
		least   []int
		most    []int
	}{
		{"no load", []int{10, 20, 30}, []int{10, 20, 30}, []int{10, 20, 30}},
		{"one in a storm, the others lose nothing", []int{20, 3000, 30, 25}, []int{20, 400, 30, 25}, []int{20, 1000, 30, 25}},
		{"one alone may have it all", []int{2000}, []int{900}, []int{2000}},
		{"two storms share what the quiet one leaves", []int{50, 2000, 2000}, []int{40, 200, 150}, []int{50, 600, 600}},
		{"busy ones wait their turn", []int{100, 400, 400, 400}, []int{50, 200, 200, 200}, []int{100, 400, 400, 400}},
		{"everybody's load is nobody's", []int{900, 900, 900}, []int{200, 200, 200}, []int{900, 900, 900}},
	} {
		var f fairness
		got := shares(&f, cost, c.demands)
		if busy := slices.Max(c.demands) < stormFactor*slices.Min(c.demands); busy && f.level != 0 {
			t.Errorf("%s: a level of %d", c.what, f.level)
		}
		for i, n := range got {
			if n < c.least[i] || n > c.most[i] {
				t.Errorf("%s: admitted %v of %v, want %v to %v", c.what, got, c.demands, c.least, c.most)
				break
			}
		}
	}
	var f fairness
	shares(&f, cost, []int{20, 3000})
	if n := testing.AllocsPerRun(100, func() { f.begin(time.Unix(1e9, 0), 64); f.admit(1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
