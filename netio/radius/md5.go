package radius

import (
	"encoding/binary"

	"sallyport/netio/radius/internal/lanes"
)

// digest is MD5 (RFC 1321) with its state in the open: an HMAC key's state is computed
// once and copied, parts of a packet are hashed where they lie, and nothing escapes to
// the heap. crypto/md5 is faster for a block, but needs two blocks more and the packet
// copied behind the pad, and its hash.Hash escapes (BenchmarkMessageAuthenticator).
type digest struct {
	state [4]uint32
	block [64]byte
	used  int    // octets of block
	total uint64 // octets written
}

func newDigest() digest {
	return digest{state: lanes.Start}
}

func (d *digest) write(p []byte) {
	d.total += uint64(len(p))
	if d.used > 0 {
		n := copy(d.block[d.used:], p)
		d.used += n
		p = p[n:]
		if d.used < len(d.block) {
			return
		}
		lanes.Blocks(&d.state, d.block[:])
		d.used = 0
	}
	whole := len(p) &^ 63
	lanes.Blocks(&d.state, p[:whole])
	d.used = copy(d.block[:], p[whole:])
}

func (d *digest) sum() (out Authenticator) {
	bitLength := d.total << 3
	d.block[d.used] = 0x80
	clear(d.block[d.used+1:])
	if d.used >= 56 {
		lanes.Blocks(&d.state, d.block[:])
		clear(d.block[:])
	}
	binary.LittleEndian.PutUint64(d.block[56:], bitLength)
	lanes.Blocks(&d.state, d.block[:])
	for i, word := range d.state {
		binary.LittleEndian.PutUint32(out[4*i:], word)
	}
	return out
}
