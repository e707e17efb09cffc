package engine

import (
	"time"

	"sallyport/engine/step"
	"sallyport/sessions"
)

// lease finds what the newest earlier session of the same endpoint and user tells of it.
// The endpoint is known by its MAC: a public address is many endpoints'. Nothing is looked
// for without a lease in the configuration. Returned are the ended sessions that are kept
// for their assessment alone, which a session that begins takes over.
func (c *core) lease(now time.Time, in *step.LoginInput, old *sessions.Session, rules *step.Rules) (ended []sessions.ID) {
	span := rules.Posture.Lease()
	if span <= 0 || old != nil && old.Live() {
		return nil
	}
	mac := (&sessions.Session{MACs: in.MACs, CallingStationID: in.CallingStationID}).MAC()
	if mac == "" {
		return nil
	}
	look := func(s *sessions.Session) {
		one := step.Last(s)
		if s.UserName != in.UserName || one.At.After(now) || !one.At.Add(span).After(now) {
			return
		}
		if !s.Live() && s.ID != in.ID {
			ended = append(ended, keep(s.ID))
		}
		if one.At.After(in.Last.At) {
			in.Last = one
		}
	}
	for s := range c.table.OfStation(mac, &c.earlier) {
		if v, changed := c.pending[s.ID]; !changed {
			look(s)
		} else if v.next != nil {
			look(v.next)
		}
	}
	return ended
}

// handOver lets go of the sessions whose assessment another one rests on now.
func (c *core) handOver(now time.Time, ended []sessions.ID) {
	for _, id := range ended {
		if s := c.get(id); s != nil {
			c.put(s, step.HandOver(now, s))
		}
	}
}
