package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/coa"
	"sallyport/engine/record"
)

// Storms are very many changes of authorization at once: another configuration, a start
// with many of them open, a NAS that was gone and had thousands of sessions.
const (
	// resendStep is how many open changes of the journal one event gives to the CoA engine: a
	// hundred thousand at once would hold up every login for half a second.
	resendStep = 64
	// stormLeast is how many open changes are a storm. A thousand reports a second, each with
	// a change, have some thirty open at a time.
	stormLeast = 1000
	// A storm is told of at its begin, then after stormRowMin, and ever less often: one at a
	// NAS that does not come back must not push everything else out of the live log.
	stormRowMin = 5 * time.Second
	stormRowMax = 5 * time.Minute
	// stormNames is how many NASes a row names.
	stormNames = 3
)

// resend gives some of the open changes to the CoA engine, and sees to it that the others
// follow, with what waits in the queue in between.
func (c *core) resend(now time.Time) {
	given := 0
	for id := range c.unsent {
		if s := c.table.Get(id); s == nil || s.Change == nil {
			delete(c.unsent, id)
		} else if !c.sendChange(now, s) {
			return // no room: the next tick tries again
		}
		if given++; given == resendStep {
			break
		}
	}
	if len(c.unsent) > 0 && !c.resending {
		c.resending = c.push(&resendEvent{})
	}
}

// resendEvent: more open changes may go to the CoA engine.
type resendEvent struct{}

func (ev *resendEvent) step(c *core, now time.Time) {}

func (ev *resendEvent) done(c *core, err error) {
	c.resending = false
	c.resend(c.published)
}

// storm is one that goes on.
type storm struct {
	began time.Time     // zero: there is none
	made  uint64        // changes made before it, less those that were open
	next  time.Time     // row
	pause time.Duration // after that
}

// look says in words how far a storm is, when it is time to: of so many changes that this
// run made so many are open.
func (s *storm) look(now time.Time, made uint64, open int) string {
	switch {
	case s.began.IsZero() && open < stormLeast:
		return ""
	case s.began.IsZero():
		*s = storm{began: now, made: made - uint64(open), next: now.Add(stormRowMin), pause: stormRowMin}
		return fmt.Sprintf("A storm of changes of authorization: %d are open", open)
	case open < stormLeast/10:
		all, took := made-s.made, now.Sub(s.began)
		*s = storm{}
		return fmt.Sprintf("The storm is over: %d changes of authorization within %s, %d are open", all, took.Round(time.Millisecond), open)
	case now.Before(s.next):
		return ""
	}
	s.pause = min(2*s.pause, stormRowMax)
	s.next = now.Add(s.pause)
	all := made - s.made // an unsigned number goes round and comes back: those open at a start were made by another run
	return fmt.Sprintf("The storm goes on: %d of %d changes of authorization are settled", all-uint64(open), all)
}

// peers is what the CoA engine can tell of its NASes; a simulation's cannot.
type peers interface{ Peers() []coa.PeerState }

// tellOfStorm adds a row when there is something to tell.
func (c *core) tellOfStorm(now time.Time) {
	words := c.storm.look(now, c.e.pushes.Load(), c.table.Counts().Changing)
	if words == "" {
		return
	}
	if p, ok := c.e.coa.(peers); ok {
		go func() { c.e.system(record.Session, words, busiest(p.Peers())) }() // the CoA engine answers between two of its steps
		return
	}
	c.e.system(record.Session, words, "")
}

// busiest names the NASes that most is open for.
func busiest(all []coa.PeerState) string {
	open := func(p *coa.PeerState) int { return p.Queued + p.InFlight }
	slices.SortStableFunc(all, func(a, b coa.PeerState) int { return open(&b) - open(&a) })
	var parts []string
	for i := range all {
		p := &all[i]
		if open(p) == 0 {
			break
		}
		if i == stormNames {
			parts = append(parts, "and others")
			break
		}
		part := fmt.Sprintf("%s at %s: %d wait, %d in flight", p.Name, p.Addr, p.Queued, p.InFlight)
		if p.Dead {
			part += ", it answers nothing"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}
