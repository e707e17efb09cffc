package sessions

import (
	"math/bits"
	"sync/atomic"
)

// slabs hold the records: pieces of equal length for each class of lengths, a word
// apart for what sessions mostly are, then an eighth apart. A piece that is given back
// is linked into the free list of its class by its own first word. The writer takes and
// gives; any goroutine reads a place it was told, and finds out by the entry's counter
// when that is not a record of its session any more.
type slabs struct {
	memory  *memory
	classes [slabClasses]slabClass
	used    int // words of the pieces that hold a record
}

type slabClass struct {
	chunks atomic.Pointer[[][]uint64] // replaced when it grows
	next   uint64                     // piece that was never used
	free   uint64                     // number+1 of a free piece, 0: none
}

// place is where a record is: its class and the number of the piece.
type place uint64

const (
	slabFine    = 96 // classes of 1..96 words, one each
	slabClasses = slabFine + 8*16
	chunkWords  = 8 << 10
	placeBits   = 40
)

// RecordMax is the longest record that is kept, in octets. What a session is made of is
// bounded far below it.
const RecordMax = 4 << 20

// classOf is the class of records of n words, n > 0.
func classOf(n int) int {
	if n <= slabFine {
		return n - 1
	}
	// Eighths: 2^k words, 9/8 of it, and so on.
	k := bits.Len(uint(n-1)) - 1
	return slabFine + (k-6)*8 + (n-1)>>(k-3) - 8
}

// classWords is the length of the pieces of a class, classShift the log2 of how many
// of them a chunk has.
var classWords, classShift = func() (words [slabClasses]int, shift [slabClasses]uint8) {
	for class := range slabClasses {
		words[class] = class + 1
		if class >= slabFine {
			k := (class-slabFine)/8 + 6
			words[class] = ((class-slabFine)%8 + 9) << (k - 3)
		}
		shift[class] = uint8(max(bits.Len(uint(chunkWords/words[class]))-1, 0))
	}
	return words, shift
}()

// at is the piece, nil when there is none such.
func (s *slabs) at(p place) []uint64 {
	class := int(p >> placeBits)
	if class >= slabClasses {
		return nil
	}
	chunks := s.classes[class].chunks.Load()
	if chunks == nil {
		return nil
	}
	n, shift, words := uint64(p)&(1<<placeBits-1), classShift[class], classWords[class]
	if n>>shift >= uint64(len(*chunks)) {
		return nil
	}
	from := int(n&(1<<shift-1)) * words
	return (*chunks)[n>>shift][from : from+words : from+words]
}

// get takes a piece for n words.
func (s *slabs) get(n int) (place, []uint64) {
	class := classOf(n)
	c := &s.classes[class]
	s.used += classWords[class]
	if c.free != 0 {
		p := place(class)<<placeBits | place(c.free-1)
		piece := s.at(p)
		c.free = atomic.LoadUint64(&piece[0])
		return p, piece
	}
	p := place(class)<<placeBits | place(c.next)
	if s.at(p) == nil {
		s.grow(class)
	}
	c.next++
	return p, s.at(p)
}

func (s *slabs) grow(class int) {
	c := &s.classes[class]
	var chunks [][]uint64
	if old := c.chunks.Load(); old != nil {
		chunks = *old
	}
	// Readers of the old slice see its own length; the room behind it is the writer's.
	chunks = append(chunks, s.memory.get(classWords[class]<<classShift[class]))
	c.chunks.Store(&chunks)
}

// put gives a piece back.
func (s *slabs) put(p place) {
	class := int(p >> placeBits)
	c := &s.classes[class]
	s.used -= classWords[class]
	atomic.StoreUint64(&s.at(p)[0], c.free)
	c.free = uint64(p)&(1<<placeBits-1) + 1
}
