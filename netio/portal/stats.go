package portal

import (
	"sync/atomic"
	"time"
)

// why is the reason for a refusal.
type why uint8

// In the order of the doors.
const (
	whyAccept why = iota
	whyConnections
	whyConnectionsPer
	whyPlainHTTP
	whyHandshakesFull
	whySlowHandshake
	whyTLSVersion
	whyHandshake
	whyCertificate // the peer refuses ours
	whyNoRequest   // a connection on which none ever began
	whyHeader
	whyRequestsPer
	whyNotFound
	whyMethod
	whyMediaType
	whyTooLarge
	whySlowBody
	whyBrokenBody
	whyMalformed
	whyVersion
	whyUnknownSession
	whySignature
	whyDeviceCertificate
	whyClaimRate
	whyReportRate
	whyDownloads
	whyAgentFile
	// What Posture refuses, by the code of its Problem.
	whyTicketUnknown
	whyTicketUsed
	whyNotBound
	whyAddress
	whyRevoked
	whyStaleNonce
	whyReplay
	whySessionEnded
	whyBusy
	whyStorage
	whyPosture // any other
	whyInternal
	whys // the number of them
)

var whyNames = [whys]string{
	"accept", "connections", "connections-per-address", "plain-http", "handshakes-full", "handshake-slow", "tls-version", "handshake", "certificate",
	"no-request", "header", "requests-per-address", "not-found", "method", "media-type", "too-large", "slow-body",
	"broken-body", "malformed", "version", "unknown-session", "signature", "device-certificate", "claim-rate", "report-rate",
	"downloads", "agent-file", "ticket-unknown", "ticket-used", "not-bound", "address-mismatch", "revoked", "stale-nonce", "replay", "session-end", "busy", "storage", "posture", "internal",
}

// endpoint is what a request is for.
type endpoint uint8

const (
	epGateway endpoint = iota
	epAgent
	epDiscovery
	epSession
	epEnroll
	epPolicy
	epReport
	epEvents
	epUpdate
	epHealth
	epOther
	endpoints // the number of them
)

var endpointNames = [endpoints]string{"gateway", "agent", "discovery", "session", "enroll", "policy", "report", "events", "update", "healthz", "other"}

// EndpointStats counts requests to one endpoint and the time they took together. That
// of events is mostly waiting.
type EndpointStats struct {
	Requests uint64
	Elapsed  time.Duration
}

// Stats are the counters since the start, and what is open now.
type Stats struct {
	Requests    map[string]EndpointStats // by endpoint: gateway, agent, discovery, session, enroll, policy, report, events, update, healthz, other
	Refused     map[string]uint64        // by reason, in the order of the doors of the package comment
	Loops       map[string]uint64        // people who are redirected again and again, by cause
	Accepted    uint64                   // connections
	Connections int                      // open now
	Polls       int                      // waiting now
}

// counters are the numbers behind Stats.
type counters struct {
	refused  [whys]atomic.Uint64
	requests [endpoints]atomic.Uint64
	elapsed  [endpoints]atomic.Int64 // nanoseconds
	loops    [causes]atomic.Uint64
	accepted atomic.Uint64
	polls    atomic.Int64
}

func (c *counters) refuse(w why) { c.refused[w].Add(1) }

// Stats returns the counters as they are now.
func (s *Server) Stats() Stats {
	out := Stats{
		Requests: map[string]EndpointStats{}, Refused: map[string]uint64{}, Loops: map[string]uint64{},
		Accepted: s.count.accepted.Load(), Connections: s.listener.open(), Polls: int(s.count.polls.Load()),
	}
	for i, name := range endpointNames {
		out.Requests[name] = EndpointStats{s.count.requests[i].Load(), time.Duration(s.count.elapsed[i].Load())}
	}
	for i, name := range whyNames {
		out.Refused[name] = s.count.refused[i].Load()
	}
	for i, name := range causeNames[1:] {
		out.Loops[name] = s.count.loops[i+1].Load()
	}
	return out
}
