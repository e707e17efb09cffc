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
	begun, end int64
	inTime     uint64 // answers that came before the end of sending
	first      uint64 // answers to requests that were sent once
	octets     uint64 // of all replies
	lastReply  int64
	latency    *hdrhistogram.Histogram // microseconds
	series     series
}

func newTally(begun, end int64) *tally {
	return &tally{begun: begun, end: end, latency: newHistogram(), series: newSeries(begun, end)}
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, latencyMax/int64(time.Microsecond), 3)
}

// replyOctets is how long replies are on average.
func (t *tally) replyOctets() int { return int(t.octets / max(1, t.Received)) }

// issue counts a request that was due at due and is sent now.
func (t *tally) issue(due int64) {
	t.Requests++
	t.series.at(due).Due++
}

// unsent counts a request that was due and never sent.
func (t *tally) unsent(due int64) {
	t.Unsent++
	t.series.at(due).Due++
}

// answer counts the request of a slot as answered now.
func (t *tally) answer(now int64, s *slot) {
	t.Answered++
	t.lastReply = now
	if now <= t.end {
		t.inTime++
	}
	if s.tries == 1 {
		t.first++
	}
	latency := min(max(now-s.due, int64(time.Microsecond)), latencyMax) / int64(time.Microsecond)
	if t.latency.RecordValue(latency) != nil {
		t.latency.RecordValue(latencyMax / int64(time.Microsecond))
	}
	t.series.answer(now, s.due, latency)
}
