package portal

import (
	"math"
	"net/netip"
	"sync"
	"time"
)

// limiter allows burst at once and rate a second for each key. A bucket that nobody
// touched for a whole period is full again, so two maps that change places every period
// forget exactly what need not be remembered.
type limiter[K comparable] struct {
	burst  float64
	rate   float64 // a second
	period time.Duration

	mu       sync.Mutex // guards all below
	rotated  time.Time
	now, old map[K]bucket
}

type bucket struct {
	left float64
	at   time.Time
}

func newLimiter[K comparable](burst, rate int) *limiter[K] {
	return &limiter[K]{
		burst: float64(burst), rate: float64(rate),
		period: time.Duration(math.Ceil(float64(burst) / float64(rate) * float64(time.Second))),
		now:    map[K]bucket{}, old: map[K]bucket{},
	}
}

// take takes one of the key's bucket; when there is none it returns how long until there is.
func (l *limiter[K]) take(key K, at time.Time) (wait time.Duration, ok bool) {
	return l.use(key, at, 1)
}

// check says whether take would succeed, and takes nothing.
func (l *limiter[K]) check(key K, at time.Time) (wait time.Duration, ok bool) {
	return l.use(key, at, 0)
}

func (l *limiter[K]) use(key K, at time.Time, n float64) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rotate(at)
	b, known := l.now[key]
	if !known {
		if b, known = l.old[key]; !known {
			b = bucket{left: l.burst, at: at}
		}
	}
	if !known && len(l.now) >= limiterKeysMax {
		return l.period, false
	}
	if passed := at.Sub(b.at); passed > 0 {
		b.left, b.at = min(l.burst, b.left+passed.Seconds()*l.rate), at
	}
	if b.left < 1 {
		return time.Duration(math.Ceil((1 - b.left) / l.rate * float64(time.Second))), false
	}
	if n > 0 {
		b.left -= n
		l.now[key] = b
	}
	return 0, true
}

func (l *limiter[K]) rotate(at time.Time) {
	switch passed := at.Sub(l.rotated); {
	case passed < l.period:
		return
	case passed < 2*l.period:
		l.old, l.now = l.now, map[K]bucket{}
	default:
		l.old, l.now = map[K]bucket{}, map[K]bucket{}
	}
	l.rotated = at
}

// origin is what a limit per address counts: an IPv4 address, or the IPv6 /64 that one
// endpoint may use as it likes.
func origin(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
