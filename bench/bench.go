// Package bench puts load on a RADIUS server over real UDP sockets of loopback, as NASes
// do, and says what came back.
//
//	scenario  what to send, how much, and what must hold: a YAML file
//	  maker   the packet of request number n
//	  port    one source port: 256 identifiers, the oldest freed is taken first
//	  load    which request goes when, what a reply settles, what is sent again
//	          (no sockets, no clock: time and datagrams come in as values)
//	  wire    the sockets: recvmmsg and sendmmsg, a socket for each source port
//	result    counts, histograms and series: table, JSON, a page with plots (page, chart)
//
// Beside the load, or instead of it:
//
//	flood     requests made beforehand, far more than anybody can answer; a retry storm
//	knee      open loops at rising rates; overload: ten times the knee
//	day       whole sessions: gateway (RADIUS, CoA) and agent (claims and reports, HTTPS)
//	contest   servers in turn (compare, contests), what they come to (report, figure)
//	inside    what an appliance says of itself; micro: parts of it without sockets
//
// Two kinds of load. The closed loop keeps a window of requests outstanding at each
// source port, and so shows what a server can do at most. The open loop has a request due
// at each tick of a constant rate, whether the server keeps up or not, and measures
// latency from the moment the request was due: a server that stalls is charged for every
// request that it made wait (no coordinated omission).
//
// A reply settles its request only if the Response Authenticator verifies; of many replies
// the Message-Authenticator too (verifier). Whatever else arrives is counted by
// what it is: of a request that was given up, a second reply, a forgery, unasked.
//
// Compare runs servers in turn on the same core with the same generator, and prints
// medians of paired ratios.
package bench

import "time"

// Limits of one run. A generator that somebody forgets must end by itself.
const (
	countMax   = 100_000_000      // requests
	timeMax    = 10 * time.Minute // of sending
	portsMax   = 512              // source ports; some 160 octets of every slot's buffer are used
	nasesMax   = 15               // emulated NASes, see nasSource; a storm comes from one more
	rateMax    = 5_000_000        // requests a second, beyond what loopback carries
	madeMax    = 64               // requests kept for each identifier of a port
	requestMax = 512              // octets of an emulated request
	replyMax   = 4096             // RFC 2865 section 3
)

// identifiers is how many requests one source port can have outstanding: the field has
// one octet (RFC 2865 section 3).
const identifiers = 256
