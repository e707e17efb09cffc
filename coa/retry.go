package coa

import (
	"math/rand/v2"
	"time"
)

// Retransmission is how often and how long a request is sent again (RFC 5080 section
// 2.2.1). Zero fields take the RFC's defaults.
type Retransmission struct {
	Initial     time.Duration // IRT, 2 s
	Max         time.Duration // MRT, 16 s: the longest pause, jitter aside
	CountMax    int           // MRC, 5: transmissions in all
	DurationMax time.Duration // MRD, 30 s, which is also how long a NAS remembers duplicates
}

func (r Retransmission) withDefaults() Retransmission {
	if r.Initial == 0 {
		r.Initial = 2 * time.Second
	}
	if r.Max == 0 {
		r.Max = 16 * time.Second
	}
	if r.CountMax == 0 {
		r.CountMax = 5
	}
	if r.DurationMax == 0 {
		r.DurationMax = 30 * time.Second
	}
	return r
}

// of is the retransmission towards n: what n says, and for the rest r.
func (r Retransmission) of(n *NAS) Retransmission {
	own := n.Retry
	if own.Initial != 0 {
		r.Initial = own.Initial
	}
	if own.Max != 0 {
		r.Max = own.Max
	}
	if own.CountMax != 0 {
		r.CountMax = own.CountMax
	}
	if own.DurationMax != 0 {
		r.DurationMax = own.DurationMax
	}
	return r
}

// first is the pause after the first transmission: IRT and up to a tenth more or less.
func (r *Retransmission) first(random *rand.Rand) time.Duration {
	return jittered(r.Initial, 0, random)
}

// next is the pause after the following transmission: twice the previous one, Max at
// most, and up to a tenth of the previous one, or of Max, more or less.
func (r *Retransmission) next(previous time.Duration, random *rand.Rand) time.Duration {
	if rt := jittered(previous, previous, random); rt <= r.Max {
		return rt
	}
	return jittered(r.Max, 0, random)
}

// jittered is base + more, and up to a tenth of base more or less.
func jittered(base, more time.Duration, random *rand.Rand) time.Duration {
	return base + more + time.Duration((random.Float64()-0.5)*0.2*float64(base))
}
