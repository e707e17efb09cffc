package step

import (
	"net/netip"
	"slices"

	"sallyport/netio/report"
	"sallyport/sessions"
)

// A device certificate says that its key proved to be an endpoint's before, in another
// session. It raises a binding to sessions.Key when both tell of the same endpoint:
//
//	proved   the key was bound by a ticket, and asked for the certificate from the very
//	         address that the NAS gave the endpoint
//	earlier  in another session: what a ticket gave, the same ticket cannot better
//	same     by a MAC that the NAS tells; where it tells none, by user and address
//	here     the claim does not come from another address than the session's
//
// So a stolen ticket binds the thief's key and no more: a certificate that he asks for with
// it says nothing of the endpoint, and the one of his own device tells of another.

// Prove is what a certificate for the bound key of s may say of the endpoint, when the
// connection that asks for it comes from peer. False: nothing.
func Prove(s *sessions.Session, peer netip.Addr) (report.Proof, bool) {
	if !s.Live() || s.Posture.Binding.Assurance != sessions.Ticket && s.Posture.Binding.Assurance != sessions.Key || !atHome(s, peer) {
		return report.Proof{}, false
	}
	p := report.Proof{Session: string(s.ID)}
	if macs := toldMACs(s); len(macs) > 0 {
		p.MAC = macs[0]
	} else {
		p.User = s.UserName
	}
	return p, p.MAC != "" || p.User != ""
}

// proved says whether a device is the endpoint of s by what its certificate says.
func proved(s *sessions.Session, d *report.Device, peer netip.Addr) bool {
	if d == nil || ticketStrength(s, peer) != sessions.Ticket {
		return false
	}
	macs := toldMACs(s)
	return slices.ContainsFunc(d.Proofs, func(p report.Proof) bool {
		switch {
		case p.Session == string(s.ID):
			return false
		case len(macs) > 0:
			return slices.Contains(macs, p.MAC)
		}
		return p.User != "" && p.User == s.UserName && atHome(s, peer)
	})
}

// raised is a binding's strength with what the device's certificate adds.
func raised(a sessions.Assurance, s *sessions.Session, d *report.Device, peer netip.Addr) sessions.Assurance {
	if (a == sessions.Ticket || a == sessions.AddressMAC) && proved(s, d, peer) {
		return sessions.Key
	}
	return a
}

// atHome: a connection comes from the address that the NAS gave the endpoint.
func atHome(s *sessions.Session, peer netip.Addr) bool {
	peer = peer.Unmap()
	return peer.IsValid() && (peer == s.FramedIP || peer == s.FramedIPv6)
}

// toldMACs are the endpoint's as the NAS tells them.
func toldMACs(s *sessions.Session) []string {
	macs := s.MACs
	if station := sessions.MACStation(s.CallingStationID); station != "" && !slices.Contains(macs, station) {
		macs = append(slices.Clone(macs), station)
	}
	return macs
}
