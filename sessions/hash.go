package sessions

import (
	"hash/maphash"
	"math/bits"
	"net/netip"
)

// idHash spreads ids over the table and over the pages of the journal: the same for all
// the life of a journal, since pages are found by it again, and not to be guessed.
func idHash(seed uint64, id string) uint32 {
	const k1, k2 = 0x9e3779b97f4a7c15, 0xe7037ed1a0b428db
	h := seed ^ uint64(len(id))*k1
	i := 0
	for ; i+8 <= len(id); i += 8 {
		h = mix(h^load64(id, i), k2^seed)
	}
	var last uint64
	for ; i < len(id); i++ {
		last = last<<8 | uint64(id[i])
	}
	return fold(mix(h^last, k1))
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// fold makes a key of an index of a hash: never 0, which is no key.
func fold(h uint64) uint32 {
	if k := uint32(h ^ h>>32); k != 0 {
		return k
	}
	return 1
}

func (t *Table) textKey(s string) uint32 { return fold(maphash.String(t.seed, s)) }

func (t *Table) octetsKey(b []byte) uint32 { return fold(maphash.Bytes(t.seed, b)) }

func addressHash(a netip.Addr) uint64 {
	o := a.As16()
	return mix(load64(textOf(o[:]), 0)^0x9e3779b97f4a7c15, load64(textOf(o[:]), 8)^0xe7037ed1a0b428db)
}

func (t *Table) addressKey(a netip.Addr) uint32 {
	return fold(mix(addressHash(a)^t.salt, 0xa0761d6478bd642f^t.salt))
}

func (t *Table) acctKey(nas netip.Addr, acctSessionID string) uint32 {
	return fold(mix(maphash.String(t.seed, acctSessionID)^addressHash(nas), 0x8ebc6af09c88c6e3))
}
