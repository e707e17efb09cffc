package authz

import (
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/dgraph-io/ristretto/v2"
)

// Memo remembers decisions by the values they depend on. One Memo serves one
// configuration after the other: a key begins with the policy it belongs to, and what
// belongs to a policy of the past is forgotten when the next one comes.
//
// The cache finds an entry by a keyed 64-bit hash; the entry carries the whole key, and
// a different key with the same hash is a miss. An entry that the cache refuses or drops
// costs an evaluation and nothing else.
//
// The cache itself notes what is asked for in buffers of 64, and makes a new buffer each
// time it takes one. So what was asked for last stands before it in recent, by hash, and
// most look-ups go no further.
type Memo struct {
	cache  *ristretto.Cache[uint64, *memoEntry]
	recent [recentMax]atomic.Pointer[memoEntry]
	seed   maphash.Seed
	hits   atomic.Uint64
	misses atomic.Uint64

	mu   sync.Mutex // guards all below
	held []uint64   // hashes of what was put since a policy came, as far as there is room
	most int        // of held
}

// recentMax is how many decisions stand before the cache.
const recentMax = 4096

type memoEntry struct {
	key      string
	decision Decision
}

// memoOctetsMin is the least a Memo is of use with: some hundred decisions.
const memoOctetsMin = 64 << 10

// NewMemo makes a memory of at most so many octets. Close it.
func NewMemo(octets int64) (*Memo, error) {
	if octets < memoOctetsMin {
		return nil, errors.New("authz: a memory for decisions needs 64 KiB at least")
	}
	const entry = 512 // octets of one, about
	cache, err := ristretto.NewCache(&ristretto.Config[uint64, *memoEntry]{
		NumCounters:        max(octets/entry*10, 1000), // ten for each entry that fits, as the cache asks for
		MaxCost:            octets,
		BufferItems:        64,
		KeyToHash:          func(sum uint64) (uint64, uint64) { return sum, 0 },
		IgnoreInternalCost: true, // cost below counts it
	})
	if err != nil {
		return nil, err
	}
	return &Memo{cache: cache, seed: maphash.MakeSeed(), most: int(octets / entry)}, nil
}

// Close ends the memory's goroutines. Policies that still use it evaluate every time.
func (m *Memo) Close() { m.cache.Close() }

// turn forgets what earlier policies decided: an entry holds on to the profile that it
// names, and with it to the policy's own memory. What does not fit into held is left to be
// driven out.
func (m *Memo) turn() {
	m.mu.Lock()
	old := m.held
	m.held = nil
	m.mu.Unlock()
	for _, sum := range old {
		m.cache.Del(sum)
	}
	for i := range m.recent {
		m.recent[i].Store(nil)
	}
}

// Stats counts decisions that were remembered and that were evaluated.
func (m *Memo) Stats() (hits, misses uint64) { return m.hits.Load(), m.misses.Load() }

func (m *Memo) sum(key []byte) uint64 { return maphash.Bytes(m.seed, key) }

// get returns the decision for key, nil when it is not known.
func (m *Memo) get(sum uint64, key []byte) *Decision {
	place := &m.recent[sum%recentMax]
	e := place.Load()
	if e == nil || e.key != string(key) {
		var ok bool
		if e, ok = m.cache.Get(sum); !ok || e.key != string(key) {
			m.misses.Add(1)
			return nil
		}
		place.Store(e)
	}
	m.hits.Add(1)
	return &e.decision
}

func (m *Memo) put(sum uint64, key []byte, d *Decision) {
	if len(key) > keyMax {
		return
	}
	e := &memoEntry{key: string(key), decision: *d}
	const bookkeeping = 128 // of the cache: two map entries and their slack
	cost := int64(len(key)) + int64(unsafe.Sizeof(*e)) + bookkeeping
	for _, one := range d.Errors {
		cost += int64(unsafe.Sizeof(one)) + int64(len(one.Message))
	}
	m.cache.Set(sum, e, cost)
	m.mu.Lock()
	if len(m.held) < m.most {
		m.held = append(m.held, sum)
	}
	m.mu.Unlock()
}
