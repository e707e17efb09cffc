// Package lanes is MD5 (RFC 1321) over many messages at once. One MD5 cannot be made
// faster, for each of its 64 steps waits for the step before; but messages that have
// nothing to do with each other go side by side, each in its lane of a vector register.
//
//	               lane 0  1  2  3  4 .. 15
//	blocks 1 .. 3       #  #  #  #  #     #     run to the end of the shortest,
//	       4 .. 5       #  #  #                 take out who is done, run on;
//	            6       #                       the last few go one by one
//
// Jobs are sorted by length, so that lanes that run together mostly end together. Which
// registers there are is asked once: 16 lanes of AVX-512, or two sets of 8 of AVX2, or
// none, and then Blocks takes one message after the other.
package lanes

//go:generate go run ./gen

// Start is the state that MD5 begins with.
var Start = [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}

// Job is one message in an arena: whole blocks of 64 octets, padded by the caller.
type Job struct {
	State  [4]uint32 // before Run what the blocks start from, afterwards what they lead to
	At     uint32    // offset of the first block in the arena
	Blocks uint32    // how many there are
}

// Kind says what the lanes are made of.
type Kind uint8

// The kinds, the slower ones first.
const (
	Single Kind = iota // no vectors: one message after the other
	AVX2
	AVX512
)

// String is the name for benchmarks and tests.
func (k Kind) String() string { return [...]string{"single", "avx2", "avx512"}[k] }

var kind = best()

// Kinds are all that this machine has, Single first. Run uses the last one.
func Kinds() (all []Kind) {
	for k := range best() + 1 {
		all = append(all, k)
	}
	return all
}

// Use makes Run use k, one of Kinds, and returns what it used so far. It is for tests
// and benchmarks: nothing may run at the same time.
func Use(k Kind) (was Kind) {
	was, kind = kind, min(k, best())
	return was
}

// Run takes every job's blocks into its state. A job that is not within the arena
// panics, as an index does.
func Run(arena []byte, jobs []Job) {
	if kind == Single {
		runSingle(arena, jobs)
	} else {
		runWide(arena, jobs)
	}
}

func runSingle(arena []byte, jobs []Job) {
	for i := range jobs {
		jobs[i].finish(arena, 0)
	}
}

// finish does alone what is left of a job after done blocks.
func (j *Job) finish(arena []byte, done uint32) {
	Blocks(&j.State, j.octets(arena)[64*int(done):])
}

// octets is the message.
func (j *Job) octets(arena []byte) []byte {
	return arena[j.At : int(j.At)+64*int(j.Blocks) : len(arena)]
}
