package coa

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"sallyport/coa/recipe"
	"sallyport/netio/radius"
	"sallyport/sessions"
)

// errand is one change on its way: the change, and what was tried so far. It may take
// several requests, each with an identifier of its own; its settlement is one.
type errand struct {
	change    Change
	kind      recipe.Kind // of the next request: the change's own, or the fallback
	fallen    bool        // the kind is the fallback
	cancelled bool        // nothing follows its answer
	tries     int         // requests
	sent      int         // transmissions of all of them
	local     netip.AddrPort
	first     time.Time // of the first request
	last      time.Time
	outcome   Outcome // of the last request, while it waits for another try
	cause     uint32
}

// track is one session: what is in flight, what comes next, what is expected.
type track struct {
	session sessions.ID
	newest  order // of all changes taken
	flying  *slot // nil: nothing is in flight
	next    *errand
	behind  *errand   // a posture change that waits for the end of an operator's disconnect
	after   time.Time // next does not leave before
	timer   timer     // until then
	peer    *peer     // in whose queue it stands
	queued  bool
	bulk    bool      // in the queue for bulk
	ticket  uint64    // of its place in the queue
	idle    time.Time // since when it has nothing
	listed  int       // its places in the list of idle tracks
	expects expectation
}

func (t *track) busy() bool {
	return t.flying != nil || t.next != nil || t.behind != nil || t.expects.open
}

// gone says that the change ended the session at the NAS, so that what waits behind it is
// about nothing.
func (e *errand) gone(o Outcome, cause uint32) bool {
	return e.kind == recipe.Disconnect && (o == ACK || o == NAK && ActionFor(NAK, cause) == CloseSession)
}

// request makes the errand's next request a packet in buf, sent for the first time at
// now. The Event-Timestamp stays when it is sent again (RFC 5176 section 6.3). The packet
// is finished when the batch has run.
func (e *errand) request(batch *radius.Batch, buf []byte, identifier byte, now time.Time) ([]byte, error) {
	c := &e.change
	r := c.NAS.Recipe
	if missing := r.Missing(e.kind, &c.Ident); missing != "" {
		return nil, fmt.Errorf("%w: %s", ErrNoIdentity, missing)
	}
	c.Ident.EventTime = now
	b := radius.Begin(buf, r.Change(e.kind), identifier)
	r.AppendChange(&b, e.kind, &c.Ident, c.Grant)
	// A request of CoA is signed like a reply to a request whose authenticator is zeros (RFC
	// 5176 section 2.3, RFC 2866 section 3).
	return batch.Seal(c.NAS.Key, &b, radius.Authenticator{})
}

func (m *machine) track(id sessions.ID) (t *track, known bool) {
	if t = m.tracks[id]; t != nil {
		return t, true
	}
	if n := len(m.spareTracks); n > 0 {
		t, m.spareTracks = m.spareTracks[n-1], m.spareTracks[:n-1]
	} else {
		t = &track{}
	}
	t.session = id
	t.timer.track, t.expects.timer.track = t, t
	t.expects.timer.late = true
	m.tracks[id] = t
	return t, false
}

func (m *machine) newErrand(c *Change) *errand {
	var e *errand
	if n := len(m.spareErrands); n > 0 {
		e, m.spareErrands = m.spareErrands[n-1], m.spareErrands[:n-1]
	} else {
		e = &errand{}
	}
	e.change, e.kind = *c, c.Kind
	return e
}

// recycle takes back an errand that is settled.
func (m *machine) recycle(e *errand) {
	*e = errand{}
	if len(m.spareErrands) < spareErrandsMax {
		m.spareErrands = append(m.spareErrands, e)
	}
}

// trim gives back the memory of a storm that is over.
func (m *machine) trim() {
	if len(m.spareErrands) > spareErrands {
		m.spareErrands = slices.Clone(m.spareErrands[:spareErrands])
	}
}

// rest remembers an idle track for a while, so that older news that comes late is known
// to be old.
func (m *machine) rest(now time.Time, t *track) {
	if t.busy() {
		return
	}
	t.idle = now
	t.listed++
	m.idle = append(m.idle, t)
}

// forget drops tracks that were idle for long enough. A track that was busy in between
// stands in the list more than once; its last place decides.
func (m *machine) forget(now time.Time) {
	for m.idleHead < len(m.idle) {
		t := m.idle[m.idleHead]
		if t.listed == 1 && !t.busy() {
			if now.Sub(t.idle) < trackKept {
				break
			}
			delete(m.tracks, t.session)
			m.timers.stop(&t.timer)
			if *t = (track{ticket: t.ticket}); len(m.spareTracks) < spareTracksMax {
				m.spareTracks = append(m.spareTracks, t)
			}
		} else {
			t.listed--
		}
		m.idle[m.idleHead] = nil
		m.idleHead++
	}
	if m.idleHead > len(m.idle)/2 {
		n := copy(m.idle, m.idle[m.idleHead:])
		clear(m.idle[n:])
		m.idle, m.idleHead = m.idle[:n], 0
	}
}
