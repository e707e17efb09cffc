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
//	SHA-256(random key of this process | short form of the stored hash | password)
//
// which nobody outside ever sees, so that a plain keyed hash does what an HMAC does, in
// one block instead of five,
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
	key      [16]byte
	recent   [recentMax]atomic.Pointer[remembered]
	hits     atomic.Uint64
	misses   atomic.Uint64
}

// recentMax is how many passwords stand before the cache, which notes every question in
// a buffer that it allocates anew for each 64.
const recentMax = 4096

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
	rand.Read(m.key[:])
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

// sealRoom holds the key, a short form and the longest password that RADIUS carries.
const sealRoom = 16 + 16 + passwordMax

// seal is what stands for a password. The message is made on the stack, since the
// password must not go to the heap.
func (m *Memory) seal(stored *[16]byte, password []byte) [sha256.Size]byte {
	var room [sealRoom]byte
	message := append(append(append(room[:0], m.key[:]...), stored[:]...), password...)
	sum := sha256.Sum256(message)
	clear(message)
	return sum
}

// slot is where the cache keeps a seal.
func slot(seal *[sha256.Size]byte) uint64 { return binary.BigEndian.Uint64(seal[:]) }

func (m *Memory) knows(stored *[16]byte, password []byte) bool {
	seal := m.seal(stored, password)
	place := &m.recent[slot(&seal)%recentMax]
	var until int64
	if found := place.Load(); found != nil && found.seal == seal {
		until = found.until
	} else {
		inCache, ok := m.cache.Get(slot(&seal))
		if !ok || subtle.ConstantTimeCompare(inCache.seal[:], seal[:]) != 1 {
			m.misses.Add(1)
			return false
		}
		until = inCache.until
		place.Store(&remembered{seal, until})
	}
	if m.clock.Now().UnixNano() >= until {
		m.misses.Add(1)
		return false
	}
	m.hits.Add(1)
	return true
}

// remember keeps a verified password. That the cache may drop it under load is
// harmless: the slow hash runs once more.
func (m *Memory) remember(stored *[16]byte, password []byte) {
	seal := m.seal(stored, password)
	until := m.clock.Now().Add(m.lifetime).UnixNano()
	m.cache.SetWithTTL(slot(&seal), remembered{seal, until}, 1, m.lifetime)
}
