// Package dup remembers requests and the replies they got, so that a retransmission is
// answered with the same octets and is not processed again (RFC 5080 section 2.2.2).
//
// A request is known by sender address and port, the listener that received it, and its
// identifier; the authenticator tells whether it is the same request again:
//
//	known  authenticator  reply            verdict
//	no     -              -                New
//	yes    same           yes, kept        Replay: the same octets again
//	yes    same           not yet          InProgress: silence
//	yes    same           not in 30 s      New
//	yes    same           out of date      Outdated: the same request, to be judged anew; see CheckAt
//	yes    another        yes              New: the NAS went on
//	yes    another        not yet          Supersedes: the same, and the older one is given up
//
// Only requests that passed their verification may be checked: a forged packet must
// not affect the cache. A reply may be completed late and from any goroutine.
//
// Memory is bounded and holds no pointers. When it is full the oldest reply is thrown
// out, then the oldest request in progress; a retransmission of it is then a New one,
// as it would be after a restart.
package dup

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Limits, times from RFC 5080.
const (
	// KeepMin and KeepMax bound how long a reply is kept (section 2.2.2).
	KeepMin, KeepMax = 5 * time.Second, 30 * time.Second
	// workMax is how long a request may be in progress: a NAS gives up after 30 s
	// (MRD, section 2.2.1), so a request older than that was forgotten by its owner.
	workMax = 30 * time.Second
	// EntriesDefault fits the 256 identifiers of 256 source ports.
	EntriesDefault = 65536
	// EntriesMax bounds a cache to some 0.5 GB.
	EntriesMax = 1 << 20
	// ReplyMax is the longest reply kept: the longest RADIUS packet.
	ReplyMax = 4096

	// Replies lie in chains of blocks: a bare reply with its authenticators takes one
	// or two, one with a redirect URL four.
	blockSize      = 128
	blocksPerEntry = 3
	blocksMin      = ReplyMax / blockSize

	// expirePerCheck is how many entries of each list a Check frees at most.
	expirePerCheck = 4
)

// A cache of the fewest entries holds the longest reply.
const _ = uint(blocksMin*blockSize - ReplyMax)

// Verdict says what to do with a request.
type Verdict uint8

// The verdicts. New, Supersedes and Outdated: process it, then Complete or Forget its token.
// Replay: send the reply that Check returned. InProgress: stay silent.
const (
	New Verdict = iota
	Supersedes
	Replay
	InProgress
	Outdated
)

// String is the name of the verdict, for logs and tests.
func (v Verdict) String() string {
	return [...]string{New: "new", Supersedes: "supersedes", Replay: "replay", InProgress: "in-progress", Outdated: "outdated"}[v]
}

// Process says whether the request is to be processed.
func (v Verdict) Process() bool { return v == New || v == Supersedes || v == Outdated }

// Config says how much a cache keeps and how long.
type Config struct {
	Entries int           // requests remembered; default EntriesDefault, at most EntriesMax
	Keep    time.Duration // of a reply; default KeepMin, at most KeepMax
}

// Cache is one duplicate cache, for one loop. A lock makes it safe for late replies;
// the loop takes it alone nearly always.
type Cache struct {
	keep int64 // nanoseconds
	seed maphash.Seed

	mu      sync.Mutex // guards the following
	base    time.Time  // of all nanoseconds here; keeps to the monotonic clock
	heads   []int32    // by hash: first entry, plus 1
	entries []entry
	used    int   // entries in use at some time; those above were never touched
	free    int32 // chain of entries given back, plus 1
	work    list  // in progress, oldest first
	done    list  // with a reply, oldest first
	blocks  blocks
	stats   Stats
}

// Stats counts since the cache was made.
type Stats struct {
	New, Supersedes, Replays, InProgress, Outdated uint64 // by verdict
	Evicted                                        uint64 // thrown out before their time
	Abandoned                                      uint64 // in progress for 30 s, neither completed nor forgotten
	Stale                                          uint64 // completed after it was thrown out or superseded
	Entries                                        int    // remembered now
}

// key is address, port, listener, identifier.
type key [16 + 2 + 1 + 1]byte

type entry struct {
	key           key
	authenticator [16]byte
	generation    uint32 // counts the requests that this entry stood for
	state         state
	at            int64  // began to be in progress, or got its reply
	judged        uint64 // in which state
	head          int32  // of the hash chain it is in
	hashNext      int32  // plus 1
	prev, next    int32  // in its list, plus 1; next is also the chain of free ones
	reply         int32  // first block, plus 1
	size          int32  // octets of the reply
}

type state uint8

const (
	vacant state = iota
	working
	answered
)

// Token stands for one request that is being processed. It is a small value; the zero
// Token belongs to no cache.
type Token struct {
	cache      *Cache
	index      int32
	generation uint32
}

// NewCache makes an empty cache. All of its memory is reserved now and touched as it
// is used.
func NewCache(c Config) *Cache {
	if c.Entries <= 0 {
		c.Entries = EntriesDefault
	}
	c.Entries = min(c.Entries, EntriesMax)
	if c.Keep <= 0 {
		c.Keep = KeepMin
	}
	heads := 1
	for heads < c.Entries {
		heads *= 2
	}
	return &Cache{
		keep: int64(min(c.Keep, KeepMax)), seed: maphash.MakeSeed(),
		heads: make([]int32, heads), entries: make([]entry, c.Entries),
		blocks: newBlocks(max(c.Entries*blocksPerEntry, blocksMin)),
	}
}

// Check judges a verified request that was received on the given listener. With
// Replay, the reply is appended to reply and returned; else reply is returned as it
// is. With New, Supersedes and Outdated the token stands for the request until it is completed,
// forgotten, or superseded. now must not go back.
func (c *Cache) Check(now time.Time, from netip.AddrPort, listener int, identifier byte, authenticator *[16]byte, reply []byte) (Verdict, Token, []byte) {
	return c.CheckAt(now, from, listener, identifier, authenticator, 0, reply)
}

// CheckAt is Check where replies depend on something that changes, and state counts its
// changes. A reply that was judged in another state is not sent again: an Access-Accept
// must not reach the NAS after the CoA-Request that took back what it grants.
func (c *Cache) CheckAt(now time.Time, from netip.AddrPort, listener int, identifier byte, authenticator *[16]byte, state uint64, reply []byte) (Verdict, Token, []byte) {
	k := makeKey(from, listener, identifier)
	hash := maphash.Bytes(c.seed, k[:])
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.since(now)
	c.expire(t)
	head := int32(hash & uint64(len(c.heads)-1))
	i := c.find(head, &k)
	if i < 0 {
		c.stats.New++
		return New, c.begin(c.take(head, &k), authenticator, state, t), reply
	}
	e := &c.entries[i]
	switch {
	case c.over(e, t): // expire did not come to it yet
		if e.state == working {
			c.stats.Abandoned++
		}
		c.stats.New++
		return New, c.begin(i, authenticator, state, t), reply
	case e.authenticator != *authenticator && e.state == working:
		c.stats.Supersedes++
		return Supersedes, c.begin(i, authenticator, state, t), reply
	case e.authenticator != *authenticator:
		c.stats.New++
		return New, c.begin(i, authenticator, state, t), reply
	case e.state == working:
		c.stats.InProgress++
		return InProgress, Token{}, reply
	case e.judged != state:
		c.stats.Outdated++
		return Outdated, c.begin(i, authenticator, state, t), reply
	}
	c.stats.Replays++
	return Replay, Token{}, c.blocks.append(reply, e.reply, int(e.size))
}

// Complete keeps a copy of the reply that the request got; from now on duplicates get
// it again. Any goroutine may call it, before or after sending. False means that it is
// not kept: the request was superseded or thrown out, or reply is empty or longer than
// ReplyMax.
func (t Token) Complete(now time.Time, reply []byte) bool {
	c := t.cache
	if c == nil || len(reply) == 0 || len(reply) > ReplyMax {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.owned(t)
	if e == nil {
		c.stats.Stale++
		return false
	}
	c.work.remove(c.entries, t.index)
	for c.blocks.room() < len(reply) {
		c.evict(&c.done) // in-progress entries hold no blocks
	}
	e.reply, e.size = c.blocks.put(reply), int32(len(reply))
	e.state, e.at = answered, c.since(now)
	c.done.push(c.entries, t.index)
	return true
}

// Forget says that the request got no reply and may be tried again. Any goroutine may
// call it; after Complete it does nothing.
func (t Token) Forget() {
	c := t.cache
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owned(t) != nil {
		c.drop(&c.work, t.index)
	}
}

// Stats returns the counters.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Entries = c.work.n + c.done.n
	return s
}

func makeKey(from netip.AddrPort, listener int, identifier byte) (k key) {
	a := from.Addr().As16()
	copy(k[:], a[:])
	k[16], k[17] = byte(from.Port()>>8), byte(from.Port())
	k[18], k[19] = byte(listener), identifier
	return k
}

// owned is the entry that t stands for, nil when that is over.
func (c *Cache) owned(t Token) *entry {
	e := &c.entries[t.index]
	if e.generation != t.generation || e.state != working {
		return nil
	}
	return e
}

// since turns a time into nanoseconds since the first.
func (c *Cache) since(now time.Time) int64 {
	if c.base.IsZero() {
		c.base = now
	}
	return int64(now.Sub(c.base))
}
