package portal

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// TestLimiterAgainstBuckets: forgetting by periods changes nothing that a bucket kept
// forever would say.
func TestLimiterAgainstBuckets(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	const burst, rate = 5, 2
	l, slow := newLimiter[int](burst, rate), map[int]*bucket{}
	now := testTime
	for i := range 20_000 {
		now = now.Add(time.Duration(rng.IntN(900)) * time.Millisecond)
		if rng.IntN(500) == 0 {
			now = now.Add(time.Minute)
		}
		key := rng.IntN(4)
		b := slow[key]
		if b == nil {
			b = &bucket{burst, now}
			slow[key] = b
		}
		b.left, b.at = min(burst, b.left+now.Sub(b.at).Seconds()*rate), now
		want := b.left >= 1
		if rng.IntN(4) == 0 {
			if _, ok := l.check(key, now); ok != want {
				t.Fatalf("seed %d, step %d: check says %v with %v left", seed, i, ok, b.left)
			}
			continue
		}
		if want {
			b.left--
		}
		wait, ok := l.take(key, now)
		if ok != want {
			t.Fatalf("seed %d, step %d: take says %v with %v left", seed, i, ok, b.left)
		}
		if !ok && (wait <= 0 || wait > time.Second/rate) {
			t.Fatalf("seed %d, step %d: wait %s", seed, i, wait)
		}
	}
	if len(l.now)+len(l.old) > 8 {
		t.Errorf("%d keys are remembered", len(l.now)+len(l.old))
	}
}

// TestLimiterIsBounded: it never remembers more keys than it may.
func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter[int](5, 1)
	for key := range limiterKeysMax {
		if _, ok := l.take(key, testTime); !ok {
			t.Fatalf("key %d refused", key)
		}
	}
	if wait, ok := l.take(-1, testTime); ok || wait <= 0 {
		t.Error("one key too many was let in")
	}
	if _, ok := l.take(3, testTime); !ok {
		t.Error("a known key was refused")
	}
	if _, ok := l.take(-1, testTime.Add(5*time.Second)); !ok {
		t.Error("refused after a period")
	}
}

func TestOrigin(t *testing.T) {
	for _, test := range []struct{ addr, want string }{
		{"192.0.2.7", "192.0.2.7"},
		{"::ffff:192.0.2.7", "192.0.2.7"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
		{"fe80::1%eth0", "fe80::"},
	} {
		if got := origin(netip.MustParseAddr(test.addr)); got.String() != test.want {
			t.Errorf("%s: %s, want %s", test.addr, got, test.want)
		}
	}
}
