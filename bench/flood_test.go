package bench

import (
	"bytes"
	"testing"
	"time"

	"sallyport/netio/radius"
)

// TestFloodPaces: bursts leave at the rate, port after port, and every request is
// another one with its port's next identifier.
func TestFloodPaces(t *testing.T) {
	key := keyOf(t)
	s := &Scenario{Kind: KindAuth, Users: 10, Sessions: 100, NASes: 2}
	f, err := newFlood(s, verifierOf(t), 4, 4*2*identifiers, false)
	if err != nil {
		t.Fatal(err)
	}
	const rate = 64_000
	f.start(second, 2*second, rate)
	seen := map[radius.Authenticator]bool{}
	perPort := make([]int, 4)
	for now := int64(0); now < 3*second; now += int64(time.Millisecond) {
		for at, octets := f.next(now); octets != nil; at, octets = f.next(now) {
			if now < second {
				t.Fatal("sent before its begin")
			}
			for one := octets; len(one) > 0; one = one[f.size:] {
				var v radius.View
				if why := v.Decode(one[:f.size]); why != radius.Sound || key.VerifyRequest(&v) != radius.Sound {
					t.Fatal(why)
				}
				if seen[v.Authenticator()] || int(v.Identifier()) != perPort[at]%identifiers {
					t.Fatalf("port %d, request %d: identifier %d, seen %v", at, perPort[at], v.Identifier(), seen[v.Authenticator()])
				}
				seen[v.Authenticator()] = true
				perPort[at]++
			}
		}
		if now >= second && now < second+second/40 { // until all 2,048 were sent
			want := uint64((now-second)*rate/second/floodBurst+1) * floodBurst
			if f.sent < want-floodBurst || f.sent > want {
				t.Fatalf("%d sent after %s, want %d", f.sent, time.Duration(now-second), want)
			}
		}
	}
	if len(seen) != 2048 || f.sent != 2048 {
		t.Fatalf("%d requests, %d sent", len(seen), f.sent)
	}
}

// TestFloodCounts: an answer counts once; the request before the last one of an
// identifier still counts, older ones do not.
func TestFloodCounts(t *testing.T) {
	key := keyOf(t)
	f, err := newFlood(&Scenario{Kind: KindAuth, Users: 10, Sessions: 100, NASes: 1}, verifierOf(t), 1, 3*identifiers, false)
	if err != nil {
		t.Fatal(err)
	}
	f.start(0, second, 1e6)
	var all []byte
	for now := int64(0); now < second; now += second / 100 {
		if _, octets := f.next(now); octets != nil {
			all = append(all, octets...)
		}
	}
	answer := func(n int) { f.receive(second/2, 0, reply(t, key, all[n*f.size:(n+1)*f.size])) }
	answer(3 * identifiers / 3 * 2) // identifier 0, the last
	answer(identifiers)             // identifier 0, the one before
	answer(identifiers)             // again
	answer(0)                       // and long gone
	f.receive(0, 0, []byte("nonsense"))
	got := f.flooded()
	if got.Sent != 768 || got.Answered != 2 || got.Again != 1 || got.Wrong != 2 {
		t.Fatalf("%+v", got)
	}
}

// TestStormGoesRound: a storm repeats the octets of its few requests, as one NAS that is
// none of the others and has sessions of its own.
func TestStormGoesRound(t *testing.T) {
	f, err := newFlood(&Scenario{Kind: KindAuth, Users: 10, Sessions: 100, NASes: 2}, verifierOf(t), 1, identifiers, true)
	if err != nil {
		t.Fatal(err)
	}
	f.start(0, second, 1e6)
	var all []byte
	for range 8 {
		_, octets := f.next(second / 2)
		all = append(all, octets...)
	}
	if half := len(all) / 2; !bytes.Equal(all[:half], all[half:]) || f.sent != 2*identifiers {
		t.Fatal("the second round differs from the first")
	}
	var v radius.View
	v.Decode(all)
	if port, _ := v.U32(radius.NASPort); port < 100 || f.ports[0].nas != 2 {
		t.Fatalf("session %d of NAS %d", port, f.ports[0].nas)
	}
}
