package lanes

const (
	width = 16 // lanes that run together

	// sortMax jobs are sorted at a time; their order has to fit into octets.
	sortMax = 256

	// lengths in blocks that are sorted: those of all packets with their secrets. What
	// is longer goes alone.
	lengths = 80

	// fewest jobs that go side by side. Two are faster so than one after the other, with
	// AVX-512 and AVX2 alike (BenchmarkRun).
	fewest = 2
)

// runWide puts the longest jobs first and runs them by sixteen.
func runWide(arena []byte, jobs []Job) {
	var order [sortMax]uint8
	for len(jobs) > 0 {
		some := jobs[:min(sortMax, len(jobs))]
		n := sortByBlocks(&order, some)
		for at := 0; at < n; at += width {
			runGroup(arena, some, order[at:min(at+width, n)])
		}
		for i := range some {
			if some[i].Blocks >= lengths {
				some[i].finish(arena, 0)
			}
		}
		jobs = jobs[len(some):]
	}
}

// inOrder is the order of jobs that need no sorting.
var inOrder = func() (order [sortMax]uint8) {
	for i := range order {
		order[i] = uint8(i)
	}
	return order
}()

// sorted says whether the longest jobs come first and none has no block or too many; as
// a rule all have the same length.
func sorted(jobs []Job) bool {
	most := uint32(lengths - 1)
	for i := range jobs {
		blocks := jobs[i].Blocks
		if blocks > most {
			return false
		}
		most = blocks
	}
	return most > 0
}

// sortByBlocks puts the numbers of the jobs into order, the longest first, and returns
// how many there are without those that have no block or too many.
func sortByBlocks(order *[sortMax]uint8, jobs []Job) (n int) {
	if sorted(jobs) {
		*order = inOrder
		return len(jobs)
	}
	var next [lengths]int // where the next job of a length goes
	for i := range jobs {
		if blocks := jobs[i].Blocks; blocks < lengths {
			next[blocks]++
		}
	}
	for blocks := lengths - 1; blocks > 0; blocks-- {
		next[blocks], n = n, n+next[blocks]
	}
	for i := range jobs {
		if blocks := jobs[i].Blocks; blocks > 0 && blocks < lengths {
			order[next[blocks]] = uint8(i)
			next[blocks]++
		}
	}
	return n
}

// group is what the block functions work on: word v of lane l is state[v][l].
type group struct {
	state   [4][width]uint32
	offsets [width]uint32
}

// runGroup runs the jobs that members names, the longest first: all as far as the
// shortest of them goes, then the rest. Lanes without a job hash along with lane 0.
func runGroup(arena []byte, jobs []Job, members []uint8) {
	var g group
	for l, i := range members {
		j := &jobs[i]
		j.octets(arena) // panics where the block functions would read on
		g.state[0][l], g.state[1][l], g.state[2][l], g.state[3][l] = j.State[0], j.State[1], j.State[2], j.State[3]
		g.offsets[l] = j.At
	}
	for l := len(members); l < width; l++ {
		g.offsets[l] = g.offsets[0]
	}
	done := uint32(0)
	for len(members) >= fewest {
		end := jobs[members[len(members)-1]].Blocks
		g.run(&arena[64*int(done)], int(end-done), len(members))
		done = end
		for l := len(members) - 1; l >= 0 && jobs[members[l]].Blocks == done; l-- {
			jobs[members[l]].State = g.lane(l)
			g.offsets[l] = g.offsets[0]
			members = members[:l]
		}
	}
	for l, i := range members {
		jobs[i].State = g.lane(l)
		jobs[i].finish(arena, done)
	}
}

func (g *group) lane(l int) [4]uint32 {
	return [4]uint32{g.state[0][l], g.state[1][l], g.state[2][l], g.state[3][l]}
}

// run takes blocks blocks of every lane, of which the first live matter.
func (g *group) run(base *byte, blocks, live int) {
	switch {
	case kind == AVX512:
		avx512x16(&g.state, base, &g.offsets, blocks)
	case live > width/2:
		avx2x16(&g.state, base, &g.offsets, blocks)
	default:
		avx2x8(&g.state, base, &g.offsets, blocks)
	}
}

// The block functions, in md5_amd64.s. Lane l reads 64*blocks octets from offsets[l]
// behind base; blocks is at least 1. avx2x8 has the first eight lanes only.

//go:noescape
func avx512x16(state *[4][width]uint32, base *byte, offsets *[width]uint32, blocks int)

//go:noescape
func avx2x16(state *[4][width]uint32, base *byte, offsets *[width]uint32, blocks int)

//go:noescape
func avx2x8(state *[4][width]uint32, base *byte, offsets *[width]uint32, blocks int)
