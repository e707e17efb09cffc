package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencyMax is the longest latency that a histogram tells from a longer one.
const latencyMax = int64(2 * time.Minute)

// Counts is what was sent and what came back. Replies that verify and settle a request
// are Answered; all others are told apart by what they are.
type Counts struct {
	Requests      uint64 `json:"requests"`      // issued, each once
	Datagrams     uint64 `json:"datagrams"`     // sent for them, retransmissions and copies included
	Retransmitted uint64 `json:"retransmitted"` // by RFC 5080 section 2.2.1
	Garbage       uint64 `json:"garbage"`       // malformed datagrams sent
	Unsent        uint64 `json:"unsent"`        // due, and no identifier was free before the end

	Received  uint64 `json:"received"`  // datagrams
	Answered  uint64 `json:"answered"`  // requests
	Rejected  uint64 `json:"rejected"`  // of them by Access-Reject
	GivenUp   uint64 `json:"given_up"`  // requests
	Late      uint64 `json:"late"`      // replies to requests given up
	Surplus   uint64 `json:"surplus"`   // further replies to requests answered
	Wrong     uint64 `json:"wrong"`     // replies whose authenticators or codes do not fit
	Malformed uint64 `json:"malformed"` // replies that are no RADIUS packet
	Stray     uint64 `json:"stray"`     // replies to what nobody asked, to garbage in particular

	Repeated   uint64 `json:"repeated"`   // answers to requests sent again on purpose
	Differs    uint64 `json:"differs"`    // of them with other octets than the first answer
	Unrepeated uint64 `json:"unrepeated"` // requests sent again on purpose and not answered again

	Refused uint64 `json:"refused"` // datagrams that the system did not take or told an ICMP error about
}

// tally is what one phase counted.
type tally struct {
	Counts
	inTime    uint64 // answers that came before the end of sending
	lastReply int64
	latency   *hdrhistogram.Histogram // microseconds
}

func newTally() *tally {
	return &tally{latency: hdrhistogram.New(1, latencyMax/int64(time.Microsecond), 3)}
}

// answer counts a request answered at now that was due at due.
func (t *tally) answer(now, begun, end, due int64) {
	t.Answered++
	t.lastReply = now
	if now <= end {
		t.inTime++
	}
	latency := min(max(now-due, int64(time.Microsecond)), latencyMax)
	if t.latency.RecordValue(latency/int64(time.Microsecond)) != nil {
		t.latency.RecordValue(latencyMax / int64(time.Microsecond))
	}
}
