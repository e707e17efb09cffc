package engine

import (
	"net/netip"

	"sallyport/engine/record"
	"sallyport/sessions"
)

// looping puts into the live log that a person is redirected again and again, and why. The
// portal has made sure that the session is the one of the redirect.
func (a *PostureAPI) looping(peer netip.Addr, sessionID, cause, advice string) {
	s := a.e.session(sessionID)
	if s == nil {
		s = &sessions.Session{FramedIP: peer.Unmap()}
	}
	d := a.e.row(s, record.KindPosture, record.Failed, "Redirected again and again: "+cause)
	d.Reason = advice
	a.e.suppress.add(a.e.clock.Now(), d)
}
