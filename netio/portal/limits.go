package portal

import "time"

// Limits that configuration may change. Zero values mean the defaults.
type Limits struct {
	Connections     int // at once, over all
	ConnectionsPer  int // at once from one address, or one IPv6 /64
	Handshakes      int // at once, counted from the ClientHello to our answer
	RequestsPer     int // a second from one address, in the long run
	RequestsBurst   int // from one address at once
	DownloadsAtOnce int // of agents, over all
}

// Defaults of Limits, and why.
const (
	connectionsDefault   = 24576 // an agent keeps one or two; 16 KiB each while it waits (make bench-wait), 400 MiB when all are there
	perAddressDefault    = 64    // an agent and a browser need 8; small offices behind one address need the rest
	handshakesDefault    = 64    // a handshake is 1-4 ms of a core; more at once only queue for it
	requestsPerDefault   = 100   // an agent makes one request a minute, a page one in ten seconds
	requestBurstDefault  = 500   // an office that comes back from lunch behind one address
	downloadsDefault     = 256   // some MiB each; the network is full long before
	connectionsAtLeast   = 1     // configuration below these is a fault
	handshakeWaitTimeout = 2 * time.Second
)

// Limits that are the same everywhere.
const (
	handshakeTimeout  = 5 * time.Second  // three round trips on a bad line
	headerTimeout     = 5 * time.Second  // a header is one packet
	headerBytesMax    = 16 << 10         // ours need 1 KiB; browsers send cookies of others
	bodyTimeout       = 15 * time.Second // the largest report at 17 KiB/s
	idleTimeout       = 75 * time.Second // longer than a poll, so that the next one finds it open
	answerTimeout     = 20 * time.Second // of the appliance, for a claim or a report
	writeTimeout      = 30 * time.Second // for one answer, or one part of a download
	pollTimeout       = 50 * time.Second // of events; proxies and firewalls cut at 60
	pollsPerSession   = 4                // one agent has one; restarts leave some behind
	limiterKeysMax    = 1 << 17          // addresses or sessions that a limiter remembers in a period
	certificateEvery  = time.Minute      // looks at the certificate files
	acceptPauseMin    = 5 * time.Millisecond
	acceptPauseMax    = time.Second // when the system has no descriptors left
	downloadBytesMax  = 256 << 20   // an agent is 10 MiB
	filesMax          = 256         // in the agents directory
	refreshEvery      = 10          // seconds; a person waits so long at most after the verdict
	refreshesMax      = 180         // half an hour, then the page waits for a click
	loopHitsMax       = 3           // redirects of one session within loopWindow are usual
	loopWindow        = 30 * time.Second
	loopSessionsMax   = 1 << 14
	loopPaceSlack     = 3 * time.Second // of a browser that waits for refreshEvery
	loopToldEvery     = 5 * time.Minute // to the live log, for one visitor and cause
	loopTrustWindow   = 10 * time.Minute
	toldEvery         = 5 * time.Minute // between two lines about one address and reason
	resolveTimeout    = time.Second
	requestURIMax     = 2048 // a redirect URL has 234 octets (RADIUS), a poll 150
	ticketMax         = 128  // ours have 27
	acceptLanguageMax = 256  // longer ones are not read
)

// Rates: so many at once, then so many a second.
const (
	reportBurst = 20 // plugging in and pulling is four reports: five times as fast as hands can
	reportRate  = 1  // in the long run, also for an agent that runs wild
	claimBurst  = 50 // an office behind one address after a restart of its line
	claimRate   = 5
	forgedBurst = 20 // signatures that do not fit; each costs us a verification
	forgedRate  = 1
	toldBurst   = 20 // lines about refusals, over all addresses
	toldRate    = 1
)

// A poll must end before its connection would be idle for too long, and before the
// answer could not be written.
const _ = uint(idleTimeout - pollTimeout)

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v < connectionsAtLeast {
			*v = d
		}
	}
	set(&l.Connections, connectionsDefault)
	set(&l.ConnectionsPer, perAddressDefault)
	set(&l.Handshakes, handshakesDefault)
	set(&l.RequestsPer, requestsPerDefault)
	set(&l.RequestsBurst, requestBurstDefault)
	set(&l.DownloadsAtOnce, downloadsDefault)
	return l
}
