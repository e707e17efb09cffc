package authn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"sync"
	"time"

	"github.com/dgraph-io/ristretto/v2"
)

// rememberFor bounds how long a verified password is believed without the slow hash.
const rememberFor = time.Hour

// Memory remembers verified passwords. It lives longer than a configuration: what is
// remembered is bound to the stored hash, so a reload needs not forget anything.
type Memory struct {
	cache *ristretto.Cache[[]byte, struct{}]
	keyed sync.Pool // of *keyedHash
}

// keyedHash is one HMAC with the process's key and room for its sum.
type keyedHash struct {
	mac hash.Hash
	sum []byte
	in  []byte
}

// NewMemory makes a memory of at most n passwords.
func NewMemory(n int64) *Memory {
	key := make([]byte, sha256.Size)
	rand.Read(key)
	cache, err := ristretto.NewCache(&ristretto.Config[[]byte, struct{}]{
		NumCounters: n * 10, MaxCost: n, BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		panic("authn: the cache's own limits are wrong: " + err.Error()) // constants above, no input
	}
	m := &Memory{cache: cache}
	m.keyed.New = func() any {
		return &keyedHash{mac: hmac.New(sha256.New, key), sum: make([]byte, 0, sha256.Size)}
	}
	return m
}

// sum is the keyed hash of a stored hash and a password; the caller puts k back.
func (m *Memory) sum(stored string, password []byte) *keyedHash {
	k := m.keyed.Get().(*keyedHash)
	k.mac.Reset()
	k.in = append(append(k.in[:0], stored...), 0)
	k.in = append(k.in, password...)
	k.mac.Write(k.in)
	clear(k.in)
	k.sum = k.mac.Sum(k.sum[:0])
	return k
}

// knows says whether the password was verified against the stored hash lately.
func (m *Memory) knows(stored string, password []byte) bool {
	k := m.sum(stored, password)
	_, known := m.cache.Get(k.sum)
	m.keyed.Put(k)
	return known
}

// learn remembers a verified password. That it may be dropped under load is harmless:
// the slow hash runs once more.
func (m *Memory) learn(stored string, password []byte) {
	k := m.sum(stored, password)
	m.cache.SetWithTTL(append([]byte(nil), k.sum...), struct{}{}, 1, rememberFor)
	m.keyed.Put(k)
}

// Wait returns when all that was learned can be found.
func (m *Memory) Wait() { m.cache.Wait() }

// Close ends the cache's goroutines.
func (m *Memory) Close() { m.cache.Close() }
