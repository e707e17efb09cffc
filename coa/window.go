package coa

import (
	"time"

	"sallyport/netio/radius"
)

// Limits of a window. A NAS recognises duplicates by source port and identifier (RFC
// 5176 section 2.3), so each socket has its own 256. A quarter of them stays unused,
// which makes the way around the circle long: an identifier that comes back while an
// old reply is still on its way would make more work for the authenticator check.
const (
	identifiers = 256
	windowMax   = 192 // requests in flight for a NAS and socket
)

const _ = uint(identifiers - windowMax) // does not compile if more are in flight than there are

// slot holds a request in flight: the octets to send again, and what its reply must fit.
type slot struct {
	timer      timer // until the next transmission or the end
	errand     *errand
	track      *track
	peer       *peer
	window     *window
	identifier byte
	code       radius.Code
	asked      radius.Authenticator
	pkt        []byte
	attempts   int
	pause      time.Duration
	first      time.Time
	last       time.Time
	retry      Retransmission // towards this NAS
}

// past is what an identifier was last used for, so that an old reply is known as old.
type past struct {
	asked    radius.Authenticator
	key      *radius.Key // nil: never used
	answered bool
}

// window is the identifiers of one NAS on one socket.
type window struct {
	socket int
	slots  [identifiers]*slot
	before [identifiers]past
	next   byte // where the search for a free identifier begins: the one unused longest
	used   int
}

// take gives s the free identifier that was not used for the longest time. There must
// be room.
func (w *window) take(s *slot) {
	for w.slots[w.next] != nil {
		w.next++
	}
	s.window, s.identifier = w, w.next
	w.slots[w.next] = s
	w.next++
	w.used++
}

// giveBack frees the identifier of s, of which nothing was sent.
func (w *window) giveBack(s *slot) {
	w.slots[s.identifier] = nil
	w.used--
}

// release frees the identifier of s and remembers what it was used for.
func (w *window) release(s *slot, answered bool) {
	w.slots[s.identifier] = nil
	w.before[s.identifier] = past{asked: s.asked, key: s.errand.change.NAS.Key, answered: answered}
	w.used--
}

// old says whether v answers the previous request of its identifier, and if so whether
// that one had been answered before.
func (w *window) old(v *radius.View) (Drop, bool) {
	p := &w.before[v.Identifier()]
	if p.key == nil || p.key.VerifyResponse(v, p.asked) != radius.Sound {
		return 0, false
	}
	if p.answered {
		return DropDuplicate, true
	}
	return DropLate, true
}
