package dup

// blocks is the memory of replies: fixed blocks in chains. Chains are numbered from 1,
// and 0 is the empty one.
type blocks struct {
	data []byte
	next []int32 // of each block: the block that follows, plus 1
	free int32   // chain of blocks given back
	used int     // blocks in use at some time
	left int     // blocks that are free
}

func newBlocks(n int) blocks {
	return blocks{data: make([]byte, n*blockSize), next: make([]int32, n), left: n}
}

// room is how many octets fit.
func (b *blocks) room() int { return b.left * blockSize }

// put copies p into a new chain; it must fit.
func (b *blocks) put(p []byte) (chain int32) {
	for at := &chain; len(p) > 0; {
		i := b.free
		if i != 0 {
			b.free = b.next[i-1]
		} else {
			b.used++
			i = int32(b.used)
		}
		b.left--
		b.next[i-1] = 0
		p = p[copy(b.data[int(i-1)*blockSize:][:blockSize], p):]
		*at = i
		at = &b.next[i-1]
	}
	return chain
}

// append appends the first n octets of a chain to p.
func (b *blocks) append(p []byte, chain int32, n int) []byte {
	for ; n > 0; n -= blockSize {
		p = append(p, b.data[int(chain-1)*blockSize:][:min(n, blockSize)]...)
		chain = b.next[chain-1]
	}
	return p
}

// release gives a chain back.
func (b *blocks) release(chain int32) {
	for chain != 0 {
		i := chain
		chain = b.next[i-1]
		b.next[i-1], b.free = b.free, i
		b.left++
	}
}
