package radius

import (
	"bytes"
	"testing"

	"sallyport/netio/radius/internal/lanes"
	"sallyport/ops/secret"
)

// TestBatchWipes: neither Reset nor growing leaves a secret, a password or a state made
// of them behind.
func TestBatchWipes(t *testing.T) {
	k, err := NewKey(secret.New([]byte("a secret to be found")))
	if err != nil {
		t.Fatal(err)
	}
	request := Begin(nil, AccessRequest, 1)
	request.Password(k, []byte("hunter2"))
	pkt, err := k.SealRequest(&request)
	var v View
	if err != nil || v.Decode(pkt) != Sound {
		t.Fatal(err)
	}
	hidden, _ := v.Get(UserPassword)
	var b Batch
	var arenas [][]byte
	var jobs [][]lanes.Job
	for range 300 {
		b.Verify(k, &v)
		b.Reveal(k, hidden, v.Authenticator())
		reply := Begin(nil, AccessAccept, 1)
		if _, err := b.Seal(k, &reply, v.Authenticator()); err != nil {
			t.Fatal(err)
		}
		arenas = append(arenas, b.arena)
		jobs = append(jobs, b.first, b.outer)
	}
	b.Run()
	jobs = append(jobs, b.first, b.outer, b.last)
	if plain, ok := b.Password(299, nil); !ok || string(plain) != "hunter2" || b.Why(299) != Sound {
		t.Fatal("not revealed")
	}
	if !bytes.Contains(b.arena, []byte("hunter2")) || !bytes.Contains(b.arena, []byte("a secret to be found")) {
		t.Fatal("this test looks in the wrong place")
	}
	b.Reset()
	for _, arena := range arenas {
		for _, octet := range arena[:cap(arena)] {
			if octet != 0 {
				t.Fatal("an arena was not wiped")
			}
		}
	}
	for _, some := range jobs {
		for _, j := range some[:cap(some)] {
			if j != (lanes.Job{}) {
				t.Fatal("a state was not wiped")
			}
		}
	}
	for _, s := range b.seals[:cap(b.seals)] {
		if s.key != nil || s.pkt != nil {
			t.Fatal("a seal is still held")
		}
	}
}
