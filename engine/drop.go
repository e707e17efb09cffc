package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"sallyport/netio/radius"
)

// dropReason is why a packet got no answer: first the codec's own reasons, then ours.
// Its text is the label of a metric and is never renamed.
type dropReason uint8

const (
	dropUnknownNAS dropReason = dropReason(radius.Whys) + iota
	dropOversize
	dropProxyState
	dropNoCredentials
	dropInProgress
	dropPoolFull
	dropCoreFull
	dropStorage
	dropACLDownload
	dropReply
	dropTableFull
	dropNASShare
	dropOver
	dropReasons // the number of them
)

var dropNames = [dropReasons - dropUnknownNAS]string{
	"unknown_nas",                   // the source address is not a configured NAS
	"oversize",                      // a datagram longer than 4096 octets
	"proxy_state_unauthentic",       // Proxy-State and no Message-Authenticator, where that is forbidden
	"no_credentials",                // neither password nor EAP nor Message-Authenticator (RFC 3579 section 3.2)
	"in_progress",                   // a retransmission of a request that is being worked on
	"pool_full",                     // the password hashing pool has no room
	"core_full",                     // the queue to the committer has no room
	"storage",                       // the record could not be made durable
	"acl_download_unauthentic",      // an ACL download without a valid Message-Authenticator
	"reply_too_long_or_unencodable", // the reply did not fit; a record says which attribute
	"table_full",                    // an accounting record of a new session beyond sessions.max or the NAS's share of it
	"nas_share",                     // a NAS sends more than its share while others wait
	"session_over",                  // a retransmission of a login whose session has ended since
}

func (d dropReason) String() string {
	if d < dropUnknownNAS {
		return radius.Why(d).String()
	}
	if d < dropReasons {
		return dropNames[d-dropUnknownNAS]
	}
	return "unknown"
}

// NASCounters counts what one NAS sent and what became of it.
type nasCounters struct {
	index      int32 // of the NAS among all that ever were
	requests   atomic.Uint64
	accepts    atomic.Uint64
	rejects    atomic.Uint64
	challenges atomic.Uint64
	accounting atomic.Uint64
	duplicates atomic.Uint64
	drops      [dropReasons]atomic.Uint64
	queued     atomic.Int64 // requests that the core has not finished
	lastBad    atomic.Int64 // Unix seconds of the last drop that speaks of a misconfigured NAS
}

// misconfigured are the reasons that mean a wrong secret or a broken NAS.
var misconfigured = [dropReasons]bool{
	radius.WhyBadMessageAuthenticator: true, radius.WhyBadAuthenticator: true, radius.WhyNoMessageAuthenticator: true,
	radius.WhyMessageAuthenticatorForm: true, radius.WhyAttributeLength: true, radius.WhyAttributeOverrun: true,
	dropProxyState: true, dropACLDownload: true,
}

// counters are the appliance's own, for all NASes that ever sent something. A NAS
// keeps its counters through a reload.
type counters struct {
	mu     sync.RWMutex // guards byNAS
	byNAS  map[string]*nasCounters
	none   nasCounters // what came from nowhere we know
	core   atomic.Uint64
	failed atomic.Uint64 // commits
}

func newCounters() *counters { return &counters{byNAS: map[string]*nasCounters{}} }

// of returns the counters of a NAS by name; "" is for unknown sources.
func (c *counters) of(nas string) *nasCounters {
	if nas == "" {
		return &c.none
	}
	c.mu.RLock()
	n := c.byNAS[nas]
	c.mu.RUnlock()
	if n != nil {
		return n
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n = c.byNAS[nas]; n == nil {
		n = &nasCounters{index: int32(len(c.byNAS))}
		c.byNAS[nas] = n
	}
	return n
}

// each calls f for every NAS that has counters, "" first.
func (c *counters) each(f func(nas string, n *nasCounters)) {
	f("", &c.none)
	c.mu.RLock()
	defer c.mu.RUnlock()
	for name, n := range c.byNAS {
		f(name, n)
	}
}

func (n *nasCounters) drop(now time.Time, why dropReason) {
	n.drops[why].Add(1)
	if misconfigured[why] {
		n.lastBad.Store(now.Unix())
	}
}

// totalDrops is the live log's counter RADIUS Drops.
func (c *counters) totalDrops() (sum uint64) {
	c.each(func(_ string, n *nasCounters) {
		for i := range n.drops {
			sum += n.drops[i].Load()
		}
	})
	return sum
}

// misconfiguredSince counts the NASes with a tell-tale drop after t.
func (c *counters) misconfiguredSince(t time.Time) (count int) {
	c.each(func(name string, n *nasCounters) {
		if name != "" && n.lastBad.Load() >= t.Unix() {
			count++
		}
	})
	return count
}
