package authn

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"sallyport/ops/clock"
)

// lifetimeDefault is how long a verified password is believed without hashing it again.
const lifetimeDefault = time.Hour

// Memory remembers which passwords were found right, so that the slow hash runs once for
// many logins. What it keeps is
//
//	HMAC-SHA256(random key of this process, stored hash | 0 | password)
//
// and the time until which it counts. No password is in it, and without the key of the
// process nothing can be tried against it. A stored hash that changes makes other
// values, so a new password counts at once and the old one never again; a user who is
// removed or disabled is refused before the memory is asked. Wrong passwords are never
// remembered: nobody can fill the memory who does not know one.
//
// One Memory serves all configurations of a process, one after the other.
type Memory struct {
	cache    *ristretto.Cache[uint64, remembered]
	clock    clock.Clock
	lifetime time.Duration
	inner    [sha256.BlockSize]byte // key xor ipad (RFC 2104)
	outer    [sha256.BlockSize]byte // key xor opad
	hits     atomic.Uint64
	misses   atomic.Uint64
}

type remembered struct {
	seal  [sha256.Size]byte
	until int64 // Unix nanoseconds
}

// MemoryOptions bound a Memory.
type MemoryOptions struct {
	Entries  int64         // most passwords remembered; 0: 65536
	Lifetime time.Duration // of each; 0: an hour
	Clock    clock.Clock   // nil: the machine's
}

// NewMemory remembers at most so many passwords, each for an hour.
func NewMemory(n int64) *Memory { return NewMemoryWith(MemoryOptions{Entries: n}) }

// NewMemoryWith makes a memory with a new random key. Close it.
func NewMemoryWith(o MemoryOptions) *Memory {
	if o.Entries <= 0 {
		o.Entries = 1 << 16
	}
	if o.Lifetime <= 0 {
		o.Lifetime = lifetimeDefault
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	m := &Memory{clock: o.Clock, lifetime: o.Lifetime}
	rand.Read(m.inner[:])
	m.outer = m.inner
	for i := range m.inner {
		m.inner[i] ^= 0x36
		m.outer[i] ^= 0x5c
	}
	var err error
	m.cache, err = ristretto.NewCache(&ristretto.Config[uint64, remembered]{
		NumCounters: max(4*o.Entries, 1024),
		MaxCost:     o.Entries, // each entry costs one
		BufferItems: 64,
		KeyToHash:   func(k uint64) (uint64, uint64) { return k, 0 },

		IgnoreInternalCost: true,
	})
	if err != nil {
		panic("authn: the cache refuses its own limits: " + err.Error()) // they are above zero
	}
	return m
}

// Wait returns when all that was remembered can be found.
func (m *Memory) Wait() { m.cache.Wait() }

// Close forgets everything and ends the memory's goroutines.
func (m *Memory) Close() { m.cache.Close() }

// Stats counts how often a password was remembered, and how often not.
func (m *Memory) Stats() (hits, misses uint64) { return m.hits.Load(), m.misses.Load() }

// sealRoom holds a block, a stored hash, a NUL and the longest password that RADIUS
// carries.
const sealRoom = sha256.BlockSize + hashLenMax + 1 + passwordMax

// seal is the HMAC. It is written out, since the password must not escape to the heap.
func (m *Memory) seal(stored string, password []byte) [sha256.Size]byte {
	var room [sealRoom]byte
	message := append(append(append(append(room[:0], m.inner[:]...), stored...), 0), password...)
	digest := sha256.Sum256(message)
	clear(message)
	var last [sha256.BlockSize + sha256.Size]byte
	copy(last[:], m.outer[:])
	copy(last[sha256.BlockSize:], digest[:])
	return sha256.Sum256(last[:])
}

// slot is where the cache keeps a seal.
func slot(seal *[sha256.Size]byte) uint64 { return binary.BigEndian.Uint64(seal[:]) }

func (m *Memory) knows(stored string, password []byte) bool {
	seal := m.seal(stored, password)
	found, ok := m.cache.Get(slot(&seal))
	if ok && subtle.ConstantTimeCompare(found.seal[:], seal[:]) == 1 && m.clock.Now().UnixNano() < found.until {
		m.hits.Add(1)
		return true
	}
	m.misses.Add(1)
	return false
}

// remember keeps a verified password. That the cache may drop it under load is
// harmless: the slow hash runs once more.
func (m *Memory) remember(stored string, password []byte) {
	seal := m.seal(stored, password)
	until := m.clock.Now().Add(m.lifetime).UnixNano()
	m.cache.SetWithTTL(slot(&seal), remembered{seal, until}, 1, m.lifetime)
}
