package engine

import (
	"net/netip"

	"sallyport/engine/record"
	"sallyport/sessions"
)

// looping puts into the live log that a person is redirected again and again, and why. The
// portal has made sure that the session is the one of the redirect.
func (a *PostureAPI) looping(peer netip.Addr, sessionID, cause, advice string) {
	s := a.about(peer, sessionID)
	d := a.e.row(s, record.KindPosture, record.Failed, "Redirected again and again: "+cause)
	d.Reason = advice
	a.e.suppress.add(a.e.clock.Now(), d)
}

// refusedAtDoor puts into the live log what the portal refused by itself. Nothing proves that
// it came from the endpoint of the session, so the address stands beside it.
func (a *PostureAPI) refusedAtDoor(peer netip.Addr, sessionID, reason, advice string) {
	s := a.about(peer, sessionID)
	d := a.e.row(s, record.KindPosture, record.Failed, "Refused by the portal: "+reason)
	d.Reason = advice + from(s, peer)
	a.e.suppress.add(a.e.clock.Now(), d)
}

// about is the session of a row, or one that has nothing but the address.
func (a *PostureAPI) about(peer netip.Addr, sessionID string) *sessions.Session {
	if s := a.e.session(sessionID); s != nil {
		return s
	}
	return &sessions.Session{FramedIP: peer.Unmap()}
}

// from says where something came from when the row's address does not.
func from(s *sessions.Session, peer netip.Addr) string {
	if peer = peer.Unmap(); peer == s.FramedIP || peer == s.FramedIPv6 || !peer.IsValid() {
		return ""
	}
	return " (from " + peer.String() + ")"
}
