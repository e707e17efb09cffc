package sessions

// Scratch is room for one session that was read: Load, FindAcct and Decode fill it, and
// the session they return is valid until the next use of the same Scratch. The zero
// value is ready. One goroutine uses it at a time; keep one for each and use it again,
// which is what spares the allocations.
type Scratch struct {
	session Session
	change  Change
	text    []byte   // what had to be spelled
	lists   []string // groups, MACs, failed conditions
	words   []uint64 // the record
	found   []uint32 // entries that may be what is looked for
}

// room is n words of the Scratch.
func (x *Scratch) room(n int) []uint64 {
	if n > cap(x.words) {
		x.words = make([]uint64, n, n+n/4+8)
	}
	x.words = x.words[:n]
	return x.words
}
