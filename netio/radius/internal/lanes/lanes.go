// Package lanes is MD5 (RFC 1321) over many messages at once.
package lanes

// Start is the state that MD5 begins with.
var Start = [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}

// Job is one message in an arena: whole blocks of 64 octets, padded by the caller.
type Job struct {
	State  [4]uint32 // before Run what the blocks start from, afterwards what they lead to
	At     uint32    // offset of the first block in the arena
	Blocks uint32    // how many there are
}

// Run takes every job's blocks into its state. A job that lies outside the arena
// panics, as an index does.
func Run(arena []byte, jobs []Job) {
	for i := range jobs {
		runOne(arena, &jobs[i])
	}
}

func runOne(arena []byte, j *Job) {
	Blocks(&j.State, arena[j.At:][:64*int(j.Blocks)])
}
