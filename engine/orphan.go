package engine

import (
	"time"

	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/sessions"
)

// An orphan is a session of a NAS that gives its sessions no names, whose login was
// answered and of which no accounting ever came: the answer was lost, and the NAS asked
// again, which began another session. Nothing that we could send tells the two apart, so
// that a change of the orphan would reach the one that the NAS has. When there is such a
// one, of the same user and station at the same port and with accounting, the orphan is
// over.

// orphan says whether s is one.
func (c *core) orphan(s *sessions.Session) bool {
	if !s.Minted || !s.Live() || s.AcctSessionID != "" || s.CallingStationID == "" || !s.Accounting.LastEvent.IsZero() {
		return false
	}
	for other := range c.table.OfStation(s.CallingStationID, &c.earlier) {
		if other.ID != s.ID && other.Live() && other.NASAddress == s.NASAddress && other.UserName == s.UserName && other.NASPort == s.NASPort &&
			other.Started.After(s.Started) && !other.Accounting.LastEvent.IsZero() {
			return true
		}
	}
	return false
}

// orphanEvent ends an orphan.
type orphanEvent struct {
	id    sessions.ID
	ended *sessions.Session
}

func (ev *orphanEvent) step(c *core, now time.Time) {
	switch s := c.get(ev.id); {
	case s == nil:
	case c.orphan(s):
		ev.ended = step.End(now, now, s, "the NAS began another session for this login; no accounting came of this one")
		c.put(s, ev.ended)
	case s.Change != nil: // something came of it meanwhile
		c.unsent[ev.id] = struct{}{}
	}
}

func (ev *orphanEvent) done(c *core, err error) {
	if err != nil {
		c.unsent[ev.id] = struct{}{} // its change is still open, and is looked at again
		return
	}
	if ev.ended != nil {
		d := c.e.row(ev.ended, record.KindSession, record.Session, "Session ended")
		d.Reason = ev.ended.EndCause
		c.e.livelog.Add(d)
	}
}
