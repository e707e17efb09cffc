package radius

import (
	"crypto/hmac"
	"crypto/md5"
	"math/rand/v2"
	"sync"
	"testing"

	"sallyport/ops/secret"
)

// TestDigestIsMD5: every length to three blocks, written in random pieces.
func TestDigestIsMD5(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for n := range 200 {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		d, want := newDigest(), md5.Sum(p)
		for rest := p; len(rest) > 0; {
			piece := 1 + r.IntN(len(rest))
			d.write(rest[:piece])
			rest = rest[piece:]
		}
		if got := d.sum(); got != want {
			t.Fatalf("seed %d, %d octets: %x, want %x", seed, n, got, want)
		}
	}
}

// TestSecretsOfAnyLength: a secret longer than a block is hashed first (RFC 2104).
func TestSecretsOfAnyLength(t *testing.T) {
	for n := 1; n < 200; n++ {
		shared := make([]byte, n)
		for i := range shared {
			shared[i] = byte(i * n)
		}
		k, err := NewKey(secret.New(shared))
		if err != nil {
			t.Fatal(err)
		}
		b := Begin(nil, AccessRequest, 1)
		pkt, err := k.SealRequest(&b)
		if err != nil {
			t.Fatal(err)
		}
		h := hmac.New(md5.New, shared)
		h.Write(pkt[:22])
		h.Write(zeros[:])
		if !same(Authenticator(h.Sum(nil)), pkt[22:38]) {
			t.Fatalf("%d octets of secret: another Message-Authenticator than crypto/hmac", n)
		}
	}
}

// TestKeyIsShared by goroutines; the race detector has the last word.
func TestKeyIsShared(t *testing.T) {
	k, err := NewKey(secret.New([]byte("shared")))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			var v View
			for range 200 {
				b := Begin(nil, CoARequest, byte(worker))
				b.AVPair("audit-session-id", "0a3042ca0001d00056e2dce3")
				pkt, err := k.SealRequest(&b)
				if err != nil || v.Decode(pkt) != Sound || k.VerifyRequest(&v) != Sound {
					t.Errorf("worker %d: %v", worker, err)
					return
				}
			}
		})
	}
	group.Wait()
}
