package dup

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// remembered is one request in the slow model.
type remembered struct {
	authenticator [16]byte
	reply         []byte
	at            time.Time // began, or answered
	token         int       // the number of the request
}

// model is the cache as a map without a bound on memory.
type model struct {
	keep     time.Duration
	requests map[string]*remembered
}

func (m *model) check(now time.Time, k string, authenticator [16]byte, number int) (Verdict, []byte) {
	r := m.requests[k]
	if r != nil && (r.reply == nil && now.Sub(r.at) >= workMax || r.reply != nil && now.Sub(r.at) >= m.keep) {
		r = nil
	}
	switch {
	case r != nil && r.authenticator == authenticator && r.reply != nil:
		return Replay, r.reply
	case r != nil && r.authenticator == authenticator:
		return InProgress, nil
	}
	m.requests[k] = &remembered{authenticator: authenticator, at: now, token: number}
	if r != nil && r.reply == nil {
		return Supersedes, nil
	}
	return New, nil
}

// TestAgainstModel: random requests, completions and pauses; the cache says what a map
// says. Its memory is large enough that nothing is thrown out early.
func TestAgainstModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	c := NewCache(Config{Entries: 2048, Keep: 7 * time.Second})
	m := &model{keep: 7 * time.Second, requests: map[string]*remembered{}}
	now := time.Now()
	tokens, keys := map[int]Token{}, map[int]string{}
	for number := range 200_000 {
		now = now.Add(time.Duration(rng.ExpFloat64() * float64(20*time.Millisecond)))
		if rng.IntN(3) > 0 {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(2))}), uint16(rng.IntN(2)))
			listener, identifier := rng.IntN(2), byte(rng.IntN(64))
			authenticator := [16]byte{byte(rng.IntN(3))}
			k := fmt.Sprint(from, listener, identifier)
			verdict, token, reply := c.Check(now, from, listener, identifier, &authenticator, nil)
			want, wantReply := m.check(now, k, authenticator, number)
			if verdict != want || !bytes.Equal(reply, wantReply) {
				t.Fatalf("seed %d step %d: %v %.20q, the model says %v %.20q", seed, number, verdict, reply, want, wantReply)
			}
			if verdict.Process() {
				tokens[number], keys[number] = token, k
			}
			continue
		}
		for n, token := range tokens { // any one
			r := m.requests[keys[n]]
			live := r != nil && r.token == n && r.reply == nil
			if live && now.Sub(r.at) >= workMax {
				break // whether it was cleared by now is the cache's business
			}
			delete(tokens, n)
			if rng.IntN(8) == 0 {
				token.Forget()
				if live {
					delete(m.requests, keys[n])
				}
				break
			}
			reply := bytes.Repeat([]byte{byte(rng.IntN(256))}, 1+rng.IntN(1000))
			if kept := token.Complete(now, reply); kept != live {
				t.Fatalf("seed %d step %d: completed %v, the model says %v", seed, number, kept, live)
			}
			if live {
				r.reply, r.at = reply, now
			}
			break
		}
	}
	if s := c.Stats(); s.Evicted != 0 || s.Replays == 0 || s.Supersedes == 0 || s.InProgress == 0 || s.Stale == 0 {
		t.Errorf("seed %d: the run did not come by everything: %+v", seed, s)
	}
	checkMemory(t, c)
}

// checkMemory counts that nothing leaked: every entry is free or in one list and in
// its hash chain, every block free or in one reply.
func checkMemory(t *testing.T, c *Cache) {
	t.Helper()
	free := 0
	for i := c.free; i != 0; i = c.entries[i-1].next {
		free++
	}
	if free+c.work.n+c.done.n != c.used {
		t.Errorf("%d free, %d in progress, %d answered of %d entries", free, c.work.n, c.done.n, c.used)
	}
	chained := 0
	for head, i := range c.heads {
		for ; i != 0; i = c.entries[i-1].hashNext {
			if chained++; int(c.entries[i-1].head) != head || c.entries[i-1].state == vacant {
				t.Errorf("entry %d does not belong into chain %d", i-1, head)
			}
		}
	}
	if chained != c.work.n+c.done.n {
		t.Errorf("%d entries in hash chains, want %d", chained, c.work.n+c.done.n)
	}
	held := 0
	for i := range c.entries[:c.used] {
		held += (int(c.entries[i].size) + blockSize - 1) / blockSize
	}
	if held+c.blocks.left != len(c.blocks.next) {
		t.Errorf("%d blocks held and %d free of %d", held, c.blocks.left, len(c.blocks.next))
	}
}

// TestSmallCacheUnderPressure: a cache far too small never breaks, and never gives a
// reply that was not completed for the same request.
func TestSmallCacheUnderPressure(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 1))
	c := NewCache(Config{Entries: 50})
	now := time.Now()
	var open []Token
	var names []string
	for range 50_000 {
		now = now.Add(time.Millisecond)
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(4))}), 1)
		identifier, authenticator := byte(rng.IntN(64)), [16]byte{byte(rng.IntN(4))}
		name := fmt.Sprint(from, identifier, authenticator)
		verdict, token, reply := c.Check(now, from, 0, identifier, &authenticator, nil)
		switch {
		case verdict == Replay && !bytes.HasPrefix(reply, []byte(name)):
			t.Fatalf("seed %d: %s was answered with %.60q", seed, name, reply)
		case verdict.Process():
			open, names = append(open, token), append(names, name)
		}
		if len(open) > rng.IntN(80) {
			i := rng.IntN(len(open))
			open[i].Complete(now, append([]byte(names[i]), make([]byte, rng.IntN(2)*rng.IntN(ReplyMax-100))...))
			open[i], names[i] = open[len(open)-1], names[len(names)-1]
			open, names = open[:len(open)-1], names[:len(names)-1]
		}
	}
	if c.Stats().Evicted == 0 {
		t.Errorf("seed %d: no pressure", seed)
	}
	checkMemory(t, c)
}

// TestLateCompletions: the loop checks while other goroutines complete and forget.
func TestLateCompletions(t *testing.T) {
	c := NewCache(Config{Entries: 300})
	now := time.Now()
	type job struct {
		token Token
		name  byte
	}
	jobs := make(chan job, 64)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for j := range jobs {
				if j.name%7 == 0 {
					j.token.Forget()
				} else {
					j.token.Complete(now, bytes.Repeat([]byte{j.name}, 200))
				}
			}
		})
	}
	from := netip.MustParseAddrPort("192.0.2.1:1024")
	buf := make([]byte, 0, ReplyMax)
	for i := range 40_000 {
		identifier := byte(i * 7)
		verdict, token, reply := c.Check(now, from, 0, identifier, &[16]byte{identifier, byte(i / 1000)}, buf)
		switch {
		case verdict == Replay && !bytes.Equal(reply, bytes.Repeat([]byte{identifier}, 200)):
			t.Fatalf("a mixed reply: %x", reply)
		case verdict.Process():
			jobs <- job{token, identifier}
		}
	}
	close(jobs)
	workers.Wait()
	checkMemory(t, c)
	if s := c.Stats(); s.Replays == 0 {
		t.Errorf("nothing was answered again: %+v", s)
	}
}

// TestNoAllocation pins every path: new, replay, in progress, superseded, completed,
// forgotten, thrown out.
func TestNoAllocation(t *testing.T) {
	c := NewCache(Config{Entries: 100})
	now, from := time.Now(), netip.MustParseAddrPort("[2001:db8::1]:1024")
	reply, buf, i := make([]byte, 400), make([]byte, 0, ReplyMax), 0
	if n := testing.AllocsPerRun(2000, func() {
		i++
		now = now.Add(time.Millisecond)
		a := [16]byte{byte(i), byte(i >> 8)}
		_, token, _ := c.Check(now, from, 0, byte(i), &a, buf)
		c.Check(now, from, 0, byte(i), &a, buf)
		switch i % 3 {
		case 0:
			token.Complete(now, reply)
			c.Check(now, from, 0, byte(i), &a, buf)
		case 1:
			token.Forget()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestZeroToken: a token of no cache does nothing.
func TestZeroToken(t *testing.T) {
	var none Token
	none.Forget()
	if none.Complete(time.Now(), []byte("x")) {
		t.Error("kept by nobody")
	}
}

func BenchmarkCheck(b *testing.B) {
	c := NewCache(Config{})
	now, from := time.Now(), netip.MustParseAddrPort("192.0.2.1:1024")
	reply, buf := make([]byte, 200), make([]byte, 0, ReplyMax)
	b.Run("new+complete", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			a := [16]byte{byte(i), byte(i >> 8), byte(i >> 16)}
			_, token, _ := c.Check(now, netip.AddrPortFrom(from.Addr(), uint16(i>>8)), 0, byte(i), &a, buf)
			token.Complete(now, reply)
		}
	})
	b.Run("replay", func(b *testing.B) {
		a := [16]byte{1}
		_, token, _ := c.Check(now, from, 0, 1, &a, buf)
		token.Complete(now, reply)
		for b.Loop() {
			c.Check(now, from, 0, 1, &a, buf)
		}
	})
}
