package sessions

import "sync"

// Filler fills a table that nobody else uses yet. One goroutine finds the sessions and
// writes their records, another sorts what the indexes are to hold by its shard. At the
// end the shards are built one after the other, each while it lies in the processor's
// cache: put in as the sessions come, every slot would be a wait for memory.
type Filler struct {
	t     *Table
	moves chan []move
	empty chan []move
	done  chan struct{}
	kept  [fillIndexes]sorted
}

// fillIndexes are all indexes but that of the ids, which the Filler itself reads.
const fillIndexes = 4

// move is one change of an index: entry n had the key from, and has the key to.
type move struct {
	x           *index
	from, to, n uint32
}

// sorted is what will be done to one index, by shard, in order: slots as they will be, and
// with leaves in place of further when the entry is to be taken out.
type sorted struct {
	x      *index
	shards [indexShards]pile
}

const leaves = further

// pile is a long row of words in chunks.
type pile struct {
	chunks [][]uint64
	n      int
}

const pileChunk = 512

// movesAhead is how many pieces of work wait for the second goroutine.
const movesAhead = 8

// Fill begins. Until Close nobody but the Filler writes, and sessions are found by their
// ids alone.
func (t *Table) Fill() *Filler {
	f := &Filler{t: t, moves: make(chan []move, movesAhead), empty: make(chan []move, movesAhead+2), done: make(chan struct{})}
	t.entries.memory.ahead = true // the slabs' as well
	for i, x := range t.sortable() {
		f.kept[i].x = x
	}
	for range movesAhead + 2 {
		f.empty <- nil
	}
	go f.sort()
	return f
}

func (t *Table) sortable() [fillIndexes]*index {
	return [fillIndexes]*index{t.acct, t.station, t.address, t.user}
}

// Apply is Table.Apply of updates that were prepared.
func (f *Filler) Apply(all []Update, ready []Prepared) {
	moves := (<-f.empty)[:0]
	f.t.later = &moves
	for len(all) > 0 {
		n := min(applyAhead, len(all))
		f.t.applySome(all[:n], ready[:n])
		all, ready = all[n:], ready[n:]
	}
	f.t.later = nil
	f.moves <- moves
}

// Close builds the indexes.
func (f *Filler) Close() {
	close(f.moves)
	f.t.entries.memory.stay()
	<-f.done
	var builders sync.WaitGroup
	for i := range f.kept {
		builders.Go(f.kept[i].build)
	}
	builders.Wait()
}

func (f *Filler) sort() {
	defer close(f.done)
	for moves := range f.moves {
		for _, m := range moves {
			f.of(m.x).move(m.from, m.to, m.n)
		}
		f.empty <- moves
	}
}

func (f *Filler) of(x *index) *sorted {
	for i := range f.kept {
		if f.kept[i].x == x {
			return &f.kept[i]
		}
	}
	return nil
}

func (s *sorted) move(from, to, n uint32) {
	if to != 0 {
		s.shards[to>>24].push(uint64(to)<<32 | uint64(n))
	}
	if from != 0 {
		s.shards[from>>24].push(uint64(from)<<32 | leaves | uint64(n))
	}
}

func (p *pile) push(w uint64) {
	at := p.n % pileChunk
	if at == 0 {
		p.chunks = append(p.chunks, make([]uint64, pileChunk))
	}
	p.chunks[len(p.chunks)-1][at] = w
	p.n++
}

// build puts everything into its place. A chunk is let go as soon as it has been read.
func (s *sorted) build() {
	for i := range s.shards {
		p := &s.shards[i]
		s.x.reserve(i, p.n)
		for c, chunk := range p.chunks {
			for _, w := range chunk[:min(pileChunk, p.n-c*pileChunk)] {
				key, n := uint32(w>>32), uint32(w)&^leaves
				if w&leaves != 0 {
					s.x.remove(key, n)
				} else {
					s.x.add(key, n)
				}
			}
			p.chunks[c] = nil
		}
		*p = pile{}
	}
}

// reserve makes room for so many slots in a shard.
func (x *index) reserve(shard, n int) {
	size := max(n*32/loadMax+1, slotsMin)
	if s := &x.shards[shard]; n > 0 && s.slots.Load() == nil {
		s.slots.Store(newSlotArray(x.memory, size))
	} else if n > 0 && uint64(size) > s.slots.Load().size {
		x.grow(s, uint64(size)) // it has got groups of crowded keys of other shards
	}
}
