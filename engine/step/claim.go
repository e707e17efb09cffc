package step

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"sallyport/netio/report"
	"sallyport/sessions"
)

// ClaimInput is an agent that wants to report for a session. The signature over the
// claim was verified with the key in it.
type ClaimInput struct {
	Claim        *report.Claim
	Peer         netip.Addr // where the connection comes from
	Key          []byte     // SubjectPublicKeyInfo
	TicketSerial uint32     // of a ticket whose seal is right for this session, else 0
	Nonce        string     // for the first report

	Device *report.Device // of the certificate that the authority made for Key; nil: none came
}

func problem(status int, code, format string, args ...any) *report.Problem {
	return &report.Problem{Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Claim binds the key to the session: by the newest ticket, once; by address and MAC
// together when no key is bound yet; or because the same key is bound already, which
// makes a repeated claim harmless. Knowing the audit-session-id gives nothing. What a
// device certificate adds is in device.go.
func Claim(now time.Time, old *sessions.Session, in *ClaimInput, r *Rules) (*sessions.Session, *report.Problem) {
	if !old.Live() {
		return old, problem(http.StatusGone, report.CodeSessionEnded, "the session ended: %s", old.EndCause)
	}
	b := &old.Posture.Binding
	strength, refused := claimStrength(now, old, in, r)
	if refused != nil {
		return old, refused
	}
	next := copyOf(old, now)
	next.LastSeen = now
	nb := &next.Posture.Binding
	if !bytes.Equal(b.Key, in.Key) {
		// Another device: what the one before said is not its word.
		nb.Key, nb.Seq, nb.ReportHash, nb.Answer = in.Key, 0, nil, nil
		next.Posture.Facts = sessions.Facts{}
	}
	nb.Assurance = raised(strength.Stronger(keptAssurance(b, in.Key)), old, in.Device, in.Peer)
	if in.TicketSerial != 0 && (strength == sessions.Ticket || strength == sessions.TicketElsewhere) {
		nb.TicketUsed = in.TicketSerial
	}
	nb.Nonce = in.Nonce
	told(next, &in.Claim.Agent, &in.Claim.System)
	return next, nil
}

// keptAssurance: a key that was bound by a ticket stays bound by it.
func keptAssurance(b *sessions.Binding, key []byte) sessions.Assurance {
	if len(b.Key) > 0 && bytes.Equal(b.Key, key) {
		return b.Assurance
	}
	return sessions.Unbound
}

func claimStrength(now time.Time, old *sessions.Session, in *ClaimInput, r *Rules) (sessions.Assurance, *report.Problem) {
	b := &old.Posture.Binding
	sameKey := len(b.Key) > 0 && bytes.Equal(b.Key, in.Key)
	switch {
	case in.TicketSerial != 0 && in.TicketSerial == b.TicketUsed && sameKey:
		return ticketStrength(old, in.Peer), nil // the answer to the first claim was lost
	case in.TicketSerial != 0 && in.TicketSerial <= b.TicketUsed:
		return 0, problem(http.StatusForbidden, report.CodeTicketUsed, "the ticket was redeemed before; ask the NAS for a new redirect")
	case in.TicketSerial != 0 && in.TicketSerial != b.TicketSerial:
		return 0, problem(http.StatusForbidden, report.CodeTicketUnknown, "the ticket was replaced by a newer one; ask the NAS for a new redirect")
	case in.TicketSerial != 0 && now.Sub(b.TicketMade) > r.TicketLifetime:
		return 0, problem(http.StatusForbidden, report.CodeTicketUnknown, "the ticket is older than %s; ask the NAS for a new redirect", r.TicketLifetime)
	case in.TicketSerial != 0:
		return ticketStrength(old, in.Peer), nil
	case in.Claim.Ticket != "":
		return 0, problem(http.StatusForbidden, report.CodeTicketUnknown, "this is not a ticket of the session")
	case sameKey:
		return b.Assurance, nil
	case len(b.Key) > 0:
		return 0, problem(http.StatusForbidden, report.CodeNotBound, "another device is bound to the session; follow the redirect to get a ticket")
	case !AddressAndMAC(old, in.Peer, in.Claim.MACs):
		return 0, problem(http.StatusForbidden, report.CodeAddressMismatch, "address and MAC do not agree with what the NAS says; follow the redirect to get a ticket")
	}
	return sessions.AddressMAC, nil
}

// ticketStrength: discovery begins in plain HTTP, where somebody on the way can hand a
// healthy endpoint's agent the redirect of a session of his own. Its reports then come
// from the healthy endpoint's address, not from the one that the NAS gave. A loopback
// address is that of a trial on one machine, and says nothing.
func ticketStrength(s *sessions.Session, peer netip.Addr) sessions.Assurance {
	peer = peer.Unmap()
	known := s.FramedIP.IsValid() && s.FramedIP.Is4() == peer.Is4() || s.FramedIPv6.IsValid() && peer.Is6()
	if known && !peer.IsLoopback() && peer != s.FramedIP && peer != s.FramedIPv6 {
		return sessions.TicketElsewhere
	}
	return sessions.Ticket
}

// AddressAndMAC says whether a connection from peer by an endpoint with the MACs is
// the endpoint of the session, as far as address and MAC can tell.
func AddressAndMAC(s *sessions.Session, peer netip.Addr, macs []string) bool {
	peer = peer.Unmap()
	if !peer.IsValid() || peer != s.FramedIP && peer != s.FramedIPv6 {
		return false
	}
	station := sessions.CanonicalStation(s.CallingStationID)
	return slices.ContainsFunc(macs, func(m string) bool {
		m = sessions.CanonicalStation(m)
		return m != "" && (m == station || slices.Contains(s.MACs, m))
	})
}

func agentName(a report.Agent) string {
	if a.Version == "" {
		return a.Name
	}
	return a.Name + " " + a.Version
}
