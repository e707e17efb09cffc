package radius_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"sallyport/netio/radius"
	"sallyport/netio/radius/internal/lanes"
	"sallyport/netio/radius/radiustest"
)

// asked is one packet for a batch, and what Key makes of it.
type asked struct {
	key    *radius.Key
	view   radius.View
	hidden []byte
	why    radius.Why
	plain  []byte
	opened bool
	reply  []byte
}

var requestCodes = []radius.Code{radius.AccessRequest, radius.AccountingRequest, radius.StatusServer,
	radius.CoARequest, radius.DisconnectRequest}

var replyCodes = []radius.Code{radius.AccessAccept, radius.AccountingResponse, radius.AccessReject,
	radius.CoANAK, radius.AccessChallenge}

// randomRequest is a request of any kind; one in four is spoilt in one bit of its
// authenticator or its last attribute.
func randomRequest(t *testing.T, r *rand.Rand) (a asked) {
	a.key = newKey(t, octets(r, 1+r.IntN(80)))
	b := radius.BeginWith(nil, requestCodes[r.IntN(len(requestCodes))], byte(r.Uint32()), r.IntN(4) > 0)
	if r.IntN(8) == 0 {
		b.Bytes(radius.EAPMessage, octets(r, 5))
	}
	if b.Password(a.key, octets(r, r.IntN(radius.PasswordMax+1))); r.IntN(6) == 0 {
		b.Bytes(radius.State, octets(r, 1+r.IntN(200)))
	}
	for range r.IntN(14) {
		b.Bytes(radius.ProxyState, octets(r, 1+r.IntN(radius.ValueMax)))
	}
	pkt, err := a.key.SealRequest(&b)
	if err != nil {
		t.Fatal(err)
	}
	switch r.IntN(8) {
	case 0:
		pkt[4+r.IntN(16)] ^= 1 << r.IntN(8)
	case 1:
		pkt[len(pkt)-1] ^= 1 << r.IntN(8)
	}
	if a.view.Decode(pkt) != radius.Sound {
		t.Fatal("not decoded")
	}
	a.hidden, _ = a.view.Get(radius.UserPassword)
	if r.IntN(16) == 0 {
		a.hidden = octets(r, r.IntN(160))
	}
	a.why = a.key.VerifyRequest(&a.view)
	a.plain, a.opened = a.key.RevealPassword([]byte("kept "), a.hidden, a.view.Authenticator())
	return a
}

// randomReply begins the same reply whenever seed is the same.
func randomReply(seed uint64, v *radius.View) radius.Builder {
	r := rand.New(rand.NewPCG(seed, 1))
	b := radius.BeginWith([]byte("before")[:r.IntN(7)], replyCodes[r.IntN(len(replyCodes))], v.Identifier(), r.IntN(4) > 0)
	for range r.IntN(18) {
		b.Bytes(radius.Class, octets(r, r.IntN(radius.ValueMax+1)))
	}
	return b
}

// TestBatchIsKey compares batches of every size with the methods of Key, one by one,
// with all the vectors that this machine has, and without.
func TestBatchIsKey(t *testing.T) {
	for _, kind := range lanes.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			was := lanes.Use(kind)
			defer lanes.Use(was)
			batchIsKey(t, seeded(t))
		})
	}
}

func batchIsKey(t *testing.T, r *rand.Rand) {
	var b radius.Batch
	for round, size := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 31, 32, 33, 48, 64, 65, 300, 100, 12, 1, 2} {
		all := make([]asked, size)
		var checks, passwords []int
		replies := make([][]byte, len(all))
		for i := range all {
			a := &all[i]
			*a = randomRequest(t, r)
			checks = append(checks, b.Verify(a.key, &a.view))
			passwords = append(passwords, b.Reveal(a.key, a.hidden, a.view.Authenticator()))
			seed := r.Uint64()
			one, other := randomReply(seed, &a.view), randomReply(seed, &a.view)
			var errOne, errOther error
			a.reply, errOne = a.key.SealReply(&one, a.view.Authenticator())
			replies[i], errOther = b.Seal(a.key, &other, a.view.Authenticator())
			if fmt.Sprint(errOne) != fmt.Sprint(errOther) {
				t.Fatalf("reply refused by one: %v, by a batch: %v", errOne, errOther)
			}
			if round%3 == 0 && i == size/2 {
				b.Run() // and again below, with the rest
			}
		}
		b.Run()
		for i, a := range all {
			if got := b.Why(checks[i]); got != a.why {
				t.Fatalf("%d of %d: %s, want %s", i, size, got, a.why)
			}
			plain, opened := b.Password(passwords[i], []byte("kept "))
			if opened != a.opened || !bytes.Equal(plain, a.plain) {
				t.Fatalf("%d of %d: password %q %v, want %q %v", i, size, plain, opened, a.plain, a.opened)
			}
			if !bytes.Equal(replies[i], a.reply) {
				t.Fatalf("%d of %d: reply\n%x, want\n%x", i, size, replies[i], a.reply)
			}
		}
		b.Reset()
	}
}

// FuzzBatch: whatever can be decoded is judged by a batch as by Key, beside packets that
// are sound.
func FuzzBatch(f *testing.F) {
	seeds(f)
	k := radiustest.Key(f, "secret")
	sound := view(f, asaRequest(f, k))
	f.Fuzz(func(t *testing.T, pkt []byte) {
		var v radius.View
		if v.Decode(pkt) != radius.Sound {
			return
		}
		before := bytes.Clone(pkt)
		hidden, _ := v.Get(radius.UserPassword)
		want, wantOK := k.RevealPassword(nil, hidden, v.Authenticator())
		for _, kind := range lanes.Kinds() {
			was := lanes.Use(kind)
			var b radius.Batch
			b.Verify(k, sound)
			check, password := b.Verify(k, &v), b.Reveal(k, hidden, v.Authenticator())
			b.Verify(k, sound)
			b.Run()
			lanes.Use(was)
			plain, ok := b.Password(password, nil)
			if b.Why(0) != radius.Sound || b.Why(2) != radius.Sound || b.Why(check) != k.VerifyRequest(&v) {
				t.Fatalf("%s: %s, want %s", kind, b.Why(check), k.VerifyRequest(&v))
			}
			if ok != wantOK || !bytes.Equal(plain, want) || !bytes.Equal(before, pkt) {
				t.Fatalf("%s: password %x %v, want %x %v; packet %x", kind, plain, ok, want, wantOK, pkt)
			}
		}
	})
}

// TestBatchBeforeRun: nothing is sound and nothing revealed that was not computed.
func TestBatchBeforeRun(t *testing.T) {
	k := radiustest.Key(t, "secret")
	v := view(t, asaRequest(t, k))
	hidden, _ := v.Get(radius.UserPassword)
	var b radius.Batch
	check, password := b.Verify(k, v), b.Reveal(k, hidden, v.Authenticator())
	if _, ok := b.Password(password, nil); ok || b.Why(check) == radius.Sound {
		t.Error("results before Run")
	}
	b.Run()
	plain, ok := b.Password(password, nil)
	if !ok || string(plain) != "cisco" || b.Why(check) != radius.Sound {
		t.Errorf("%q %v %s", plain, ok, b.Why(check))
	}
	var empty radius.View
	if got, want := b.Why(b.Verify(k, &empty)), k.VerifyRequest(&empty); got != want {
		t.Errorf("an empty View: %s, want %s", got, want)
	}
}

// TestBatchAllocatesNothing once its memory has grown.
func TestBatchAllocatesNothing(t *testing.T) {
	k := radiustest.Key(t, "a secret of some length")
	v := view(t, asaRequest(t, k))
	hidden, _ := v.Get(radius.UserPassword)
	var b radius.Batch
	replies, plain := make([]byte, 64*radius.PacketMax), make([]byte, 0, radius.PasswordMax)
	run := func() {
		b.Reset()
		for i := range 64 {
			b.Verify(k, v)
			b.Reveal(k, hidden, v.Authenticator())
			reply := radius.Begin(replies[i*radius.PacketMax:][:0:radius.PacketMax], radius.AccessAccept, v.Identifier())
			reply.Text(radius.UserName, "cisco")
			reply.AVPair("url-redirect-acl", "ACL_WEBAUTH_REDIRECT")
			if _, err := b.Seal(k, &reply, v.Authenticator()); err != nil {
				t.Fatal(err)
			}
		}
		b.Run()
		for i := range 64 {
			if got, _ := b.Password(i, plain); b.Why(i) != radius.Sound || string(got) != "cisco" {
				t.Fatal("not verified")
			}
		}
	}
	run()
	if n := testing.AllocsPerRun(50, run); n != 0 {
		t.Errorf("a batch allocates %v times", n)
	}
}

// benchBatch measures queueing and Run for each packet, in batches of the usual sizes.
func benchBatch(b *testing.B, one func(i int), queue func(batch *radius.Batch, i int)) {
	b.Run("one_by_one", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			one(i % 64)
		}
	})
	for _, size := range []int{1, 2, 4, 8, 16, 64} {
		b.Run(fmt.Sprint("batch_", size), func(b *testing.B) {
			var batch radius.Batch
			b.ReportAllocs()
			for b.Loop() {
				batch.Reset()
				for i := range size {
					queue(&batch, i)
				}
				batch.Run()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/packet")
		})
	}
}

// BenchmarkBatchVerify is the check of PAP requests of about 200 octets.
func BenchmarkBatchVerify(b *testing.B) {
	k := radiustest.Key(b, "a secret of some length")
	views := make([]radius.View, 64)
	for i := range views {
		request := radius.Begin(nil, radius.AccessRequest, byte(i))
		request.Text(radius.UserName, "alice@example.com")
		request.Password(k, []byte("correct horse"))
		request.Text(radius.CallingStationID, "10.62.145.44")
		request.AVPair("audit-session-id", "0a3042ca0001d000", "56e2dce3")
		request.Bytes(radius.State, make([]byte, 200-request.Len()-2))
		pkt, err := k.SealRequest(&request)
		if err != nil || len(pkt) != 200 || views[i].Decode(pkt) != radius.Sound {
			b.Fatal(err, len(pkt))
		}
	}
	b.Run("verify", func(b *testing.B) {
		benchBatch(b, func(i int) { k.VerifyRequest(&views[i]) }, func(batch *radius.Batch, i int) { batch.Verify(k, &views[i]) })
	})
	plain := make([]byte, 0, radius.PasswordMax)
	b.Run("verify_reveal", func(b *testing.B) {
		benchBatch(b, func(i int) {
			k.VerifyRequest(&views[i])
			hidden, _ := views[i].Get(radius.UserPassword)
			k.RevealPassword(plain, hidden, views[i].Authenticator())
		}, func(batch *radius.Batch, i int) {
			batch.Verify(k, &views[i])
			hidden, _ := views[i].Get(radius.UserPassword)
			batch.Reveal(k, hidden, views[i].Authenticator())
		})
	})
}

// BenchmarkBatchSeal is the seal of replies of 320 octets.
func BenchmarkBatchSeal(b *testing.B) {
	k := radiustest.Key(b, "a secret of some length")
	replies := make([]radius.Builder, 64)
	for i := range replies {
		replies[i] = radius.Begin(nil, radius.AccessAccept, byte(i))
		replies[i].Bytes(radius.ReplyMessage, make([]byte, 200))
		replies[i].Bytes(radius.Class, make([]byte, 320-replies[i].Len()-2))
	}
	var a radius.Authenticator
	benchBatch(b, func(i int) { k.SealReply(&replies[i], a) }, func(batch *radius.Batch, i int) { batch.Seal(k, &replies[i], a) })
}
