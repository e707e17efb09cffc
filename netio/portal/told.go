package portal

import (
	"net/netip"
	"sync"
	"time"

	"sallyport/netio/report"
)

// teller tells the operator what was refused here and never came before Posture, which
// tells of its own. What comes over and over is one line and a count, and a flood from many
// addresses cannot fill the log: a line for each address and reason in toldEvery, and
// toldBurst at once over all.
type teller struct {
	tell func(peer netip.Addr, sessionID, reason, advice string)

	pace *limiter[struct{}]
	mu   sync.Mutex
	last map[toldKey]time.Time
}

type toldKey struct {
	from netip.Addr
	why  why
}

func newTeller(tell func(netip.Addr, string, string, string)) *teller {
	return &teller{tell: tell, pace: newLimiter[struct{}](toldBurst, toldRate)}
}

// advices are what a line says of a reason, for somebody who did not write this program.
// Reasons without one are told of elsewhere, or are what any scanner does.
var advices = [whys]string{
	whyConnections:       "the portal has as many connections as portal.limits.connections allows; agents and people have to wait",
	whyConnectionsPer:    "this address holds as many connections as one may (portal.limits.connections-per-address): an attack, or an office behind one address",
	whyHandshakesFull:    "more TLS handshakes at once than portal.limits.handshakes: a flood",
	whySlowHandshake:     "connections that are opened and say nothing, or not enough: an attack, or a line that loses packets",
	whyTLSVersion:        "it speaks no TLS 1.3: a program that is too old, or somebody on the way who holds it to less",
	whyCertificate:       "a program there refuses the appliance's certificate: its issuer has to be known to that computer, or the agent be told with --ca or --pin",
	whyHeader:            "requests that do not come to an end, or are none: an attack, or a proxy on the way",
	whyRequestsPer:       "more requests than one address may make (portal.limits.requests-per-address): an attack, or an office behind one address",
	whyTooLarge:          "a document that is larger than any agent's",
	whySlowBody:          "a document that came too slowly: an attack, or a bad line",
	whyMalformed:         "a document that no agent makes",
	whyVersion:           "an agent that speaks another version of the protocol",
	whyUnknownSession:    "it asks for a session that no device is bound to: an agent that has to claim anew, or guessed ids",
	whySignature:         "requests that the device of the session has not signed: another device, or somebody who guesses",
	whyDeviceCertificate: "a device certificate that is forged, over, or of another device; the agent has to enrol anew",
	whyClaimRate:         "more claims than one address may make: an attack, or many agents behind one address",
	whyReportRate:        "an agent that reports without end; it is slowed down and nothing of it is lost",
}

// refused tells of a refusal, unless that was told of a short while ago.
func (t *teller) refused(from netip.Addr, sessionID string, w why, at time.Time) {
	if advices[w] == "" {
		return
	}
	key := toldKey{origin(from), w}
	t.mu.Lock()
	last, known := t.last[key]
	if known && at.Sub(last) < toldEvery {
		t.mu.Unlock()
		return
	}
	if _, ok := t.pace.take(struct{}{}, at); !ok {
		t.mu.Unlock()
		return // and told when it happens again
	}
	if t.last == nil || len(t.last) >= loopSessionsMax {
		t.last = map[toldKey]time.Time{}
	}
	t.last[key] = at
	t.mu.Unlock()
	t.tell(from.Unmap(), sessionID, whyNames[w], advices[w])
}

// tellRefused writes the line.
func (s *Server) tellRefused(peer netip.Addr, sessionID, reason, advice string) {
	s.log.Warn("portal: refused", "reason", reason, "peer", peer, "session", sessionID, "advice", advice)
	if s.cfg.Refused != nil {
		s.cfg.Refused(peer, sessionID, reason, advice)
	}
}

// asks are the reasons of what Posture refuses, by the code of its Problem.
var asks = map[string]why{
	report.CodeTicketUnknown: whyTicketUnknown, report.CodeTicketUsed: whyTicketUsed, report.CodeNotBound: whyNotBound,
	report.CodeAddressMismatch: whyAddress, report.CodeStaleNonce: whyStaleNonce, report.CodeReplay: whyReplay,
	report.CodeUnknownSession: whyUnknownSession, report.CodeSessionEnded: whySessionEnded, report.CodeBusy: whyBusy,
	report.CodeStorage: whyStorage, report.CodeRevoked: whyRevoked,
}
