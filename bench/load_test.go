package bench

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"sallyport/netio/radius"
	"sallyport/ops/secret"
)

const second = int64(time.Second)

// table is a load without sockets: the test is the network, the server and the clock.
type table struct {
	t   *testing.T
	l   *load
	key *radius.Key
	now int64
}

// sent is a datagram that the load sent.
type sent struct {
	at   int64
	port int
	data []byte
}

func newTable(t *testing.T, s *Scenario) *table {
	t.Helper()
	s.Name = "test"
	set(&s.Kind, KindAuth)
	s.fill()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	set(&s.Seed, 1)
	v := verifierOf(t)
	return &table{t: t, l: newLoad(s, v, s.Seed), key: v.key}
}

func (b *table) begin() {
	s := b.l.scenario
	b.l.begin(b.now, s.Count, s.Time, s.Rate, s.Window)
}

// step lets the load act and returns what it sent.
func (b *table) step() (out []sent) {
	b.t.Helper()
	for more := true; more; more = b.l.more {
		if err := b.l.step(b.now); err != nil {
			b.t.Fatal(err)
		}
		for at, p := range b.l.ports {
			for _, identifier := range p.pending {
				s := &p.slots[identifier]
				out = append(out, sent{b.now, at, bytes.Clone(s.request[:s.octets])})
			}
			p.pending = p.pending[:0]
		}
	}
	return out
}

// reply is a right answer to a request.
func reply(t testing.TB, key *radius.Key, request []byte) []byte {
	t.Helper()
	var v radius.View
	if why := v.Decode(request); why != radius.Sound {
		t.Fatal(why)
	}
	code := radius.AccessAccept
	if v.Code() == radius.AccountingRequest {
		code = radius.AccountingResponse
	}
	b := radius.Begin(nil, code, v.Identifier())
	out, err := key.SealReply(&b, v.Authenticator())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (b *table) answer(one sent) {
	b.t.Helper()
	b.l.receive(b.now, one.port, reply(b.t, b.key, one.data))
}

func (b *table) counts(want Counts) {
	b.t.Helper()
	if got := b.l.tally.Counts; got != want {
		b.t.Fatalf("counted\n%+v, want\n%+v", got, want)
	}
}

// TestIdentifiersAreFIFO: the identifier that has been free for longest is taken, and
// none is taken while it is outstanding, in whatever order replies come.
func TestIdentifiersAreFIFO(t *testing.T) {
	const seed = 7
	rng := rand.New(rand.NewPCG(seed, 0))
	p := newPort(0, 200)
	var held, freed []byte
	for i := range identifiers {
		freed = append(freed, byte(200+i))
	}
	for step := range 20000 {
		if len(held) > 0 && (len(freed) == 0 || rng.IntN(2) == 0) {
			i := rng.IntN(len(held))
			p.end(held[i], false)
			freed = append(freed, held[i])
			held = append(held[:i], held[i+1:]...)
			continue
		}
		got, _, ok := p.begin()
		if !ok || got != freed[0] || bytes.IndexByte(held, got) >= 0 {
			t.Fatalf("seed %d, step %d: identifier %d (%v), want %d; outstanding %d", seed, step, got, ok, freed[0], held)
		}
		freed, held = freed[1:], append(held, got)
		if p.outstanding != len(held) {
			t.Fatalf("outstanding %d, want %d", p.outstanding, len(held))
		}
	}
	for p.outstanding < identifiers {
		if _, _, ok := p.begin(); !ok {
			t.Fatal("fewer than 256 identifiers")
		}
	}
	if _, _, ok := p.begin(); ok {
		t.Fatal("a 257th identifier")
	}
}

// TestWindow: the closed loop keeps exactly its window at each port, and a request
// follows a reply at once.
func TestWindow(t *testing.T) {
	b := newTable(t, &Scenario{Ports: 3, Window: 4, Time: 10 * time.Minute, Sessions: 1000})
	b.begin()
	first := b.step()
	perPort := map[int]int{}
	for _, one := range first {
		perPort[one.port]++
	}
	if len(first) != 12 || perPort[0] != 4 || perPort[1] != 4 || perPort[2] != 4 {
		t.Fatalf("%v outstanding at the ports", perPort)
	}
	if more := b.step(); len(more) != 0 {
		t.Fatalf("%d requests beyond the window", len(more))
	}
	b.now++
	b.answer(first[5])
	if next := b.step(); len(next) != 1 || next[0].port != first[5].port || next[0].data[1] == first[5].data[1] {
		t.Fatalf("after a reply: %v", next)
	}
	for range 10000 {
		b.now += second / 1000
		for _, one := range b.step() {
			b.answer(one)
		}
	}
	for _, p := range b.l.ports {
		if p.most > 4 {
			t.Fatalf("%d outstanding at one time", p.most)
		}
	}
}

// TestRetransmission follows RFC 5080 section 2.2.1 through silence: the waits, the same
// octets each time, the end after five transmissions, and a reply that comes too late.
func TestRetransmission(t *testing.T) {
	b := newTable(t, &Scenario{Count: 1, Time: 10 * time.Minute})
	b.begin()
	all := b.step()
	for b.now < 60*second && !b.l.done() {
		b.now += scanEvery
		all = append(all, b.step()...)
	}
	if len(all) != 5 {
		t.Fatalf("sent %d times, want 5", len(all))
	}
	wait := 2 * float64(second)
	for i, one := range all[1:] {
		if !bytes.Equal(one.data, all[0].data) {
			t.Fatalf("transmission %d has other octets", i+2)
		}
		got := float64(one.at - all[i].at)
		if got < wait*0.9 || got > wait*1.1+float64(2*scanEvery) {
			t.Fatalf("wait %d is %.2f s, want %.2f within a tenth", i+1, got/float64(second), wait/float64(second))
		}
		wait = 2 * got
	}
	b.answer(all[0])
	b.counts(Counts{Requests: 1, Datagrams: 5, Retransmitted: 4, GivenUp: 1, Received: 1, Late: 1})
}

// TestLoss: a request whose first transmission is lost is answered by its second, and
// its latency counts from when it was due.
func TestLoss(t *testing.T) {
	b := newTable(t, &Scenario{Count: 1, Time: 10 * time.Minute})
	b.begin()
	b.step() // lost
	var again []sent
	for len(again) == 0 {
		b.now += scanEvery
		again = b.step()
	}
	b.answer(again[0])
	b.answer(again[0]) // and the reply is doubled by the network
	b.counts(Counts{Requests: 1, Datagrams: 2, Retransmitted: 1, Received: 2, Answered: 1, Surplus: 1})
	if got := b.l.tally.latency.Max(); got < 1_800_000 || got > 2_300_000 {
		t.Fatalf("latency %d us, want that of a retransmission after 2 s", got)
	}
	if !b.l.done() {
		t.Fatal("not done")
	}
}

// TestRepliesAreVerified: what does not verify is counted by what it is, and settles
// nothing.
func TestRepliesAreVerified(t *testing.T) {
	other, err := radius.NewKey(secret.New([]byte("not the secret")))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, request, right []byte) []byte
		want  Counts
	}{
		{"response authenticator", func(_ *testing.T, _, r []byte) []byte { r[7] ^= 1; return r }, Counts{Wrong: 1}},
		{"wrong secret", func(t *testing.T, q, _ []byte) []byte { return reply(t, other, q) }, Counts{Wrong: 1}},
		{"accounting code", func(t *testing.T, q, _ []byte) []byte {
			b := radius.Begin(nil, radius.AccountingResponse, q[1])
			out, err := keyOf(t).SealReply(&b, radius.Authenticator(q[4:20]))
			if err != nil {
				t.Fatal(err)
			}
			return out
		}, Counts{Wrong: 1}},
		{"identifier of nobody", func(_ *testing.T, _, r []byte) []byte { r[1]++; return r }, Counts{Stray: 1}},
		{"short", func(_ *testing.T, _, r []byte) []byte { return r[:19] }, Counts{Malformed: 1}},
		{"length", func(_ *testing.T, _, r []byte) []byte { r[3] = 3; return r }, Counts{Malformed: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newTable(t, &Scenario{Count: 1, Time: 10 * time.Minute})
			b.begin()
			one := b.step()[0]
			b.l.receive(b.now, 0, test.spoil(t, one.data, reply(t, b.key, one.data)))
			test.want.Requests, test.want.Datagrams, test.want.Received = 1, 1, 1
			b.counts(test.want)
			if b.l.done() {
				t.Fatal("a wrong reply settled the request")
			}
			b.answer(one)
			if b.l.tally.Answered != 1 || !b.l.done() {
				t.Fatal("the right reply did not settle it")
			}
		})
	}
}

func keyOf(t *testing.T) *radius.Key { return verifierOf(t).key }

func verifierOf(t *testing.T) *verifier {
	t.Helper()
	v, err := newVerifier(secret.New([]byte(Secret)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestOpenLoopChargesStalls: a server that answers within a millisecond but stalls for a
// second is charged for every request that was due meanwhile. A generator that waited
// for it would have seen one slow request.
func TestOpenLoopChargesStalls(t *testing.T) {
	b := newTable(t, &Scenario{Ports: 2, Window: 8, Rate: 1000, Time: 3 * time.Second, Sessions: 5000})
	b.begin()
	const step = int64(time.Millisecond)
	var waiting []sent
	for ; b.now < 4*second; b.now += step {
		if b.now < second || b.now >= 2*second {
			for _, one := range waiting {
				b.answer(one)
			}
			waiting = waiting[:0]
		}
		waiting = append(waiting, b.step()...)
	}
	c := b.l.tally.Counts
	if c.Requests != 3000 || c.Answered != 3000 || c.Unsent != 0 {
		t.Fatalf("%+v", c)
	}
	h := b.l.tally.latency
	// 1,000 were due in the stall, waiting 1 s to nothing; they went out 16 a step afterwards.
	if h.ValueAtPercentile(50) > 1100 || h.ValueAtPercentile(90) < 600_000 || h.Max() < 990_000 || h.Max() > 1_010_000 {
		t.Fatalf("p50 %d, p90 %d, max %d us", h.ValueAtPercentile(50), h.ValueAtPercentile(90), h.Max())
	}
}

// TestOpenLoopCountsUnsent: requests that found no identifier before the end are not
// forgotten.
func TestOpenLoopCountsUnsent(t *testing.T) {
	b := newTable(t, &Scenario{Window: 8, Rate: 1000, Time: time.Second, Retransmit: Retransmit{Off: true}})
	b.begin()
	for ; !b.l.done() && b.now < 60*second; b.now += second / 1000 {
		b.step()
	}
	b.counts(Counts{Requests: 8, Datagrams: 8, GivenUp: 8, Unsent: 992})
}

// TestLastTick: what is due before the end goes out although the generator looks at the
// clock only after it.
func TestLastTick(t *testing.T) {
	b := newTable(t, &Scenario{Ports: 4, Window: 256, Rate: 1000, Time: time.Second})
	b.begin()
	b.now = second + 1
	if sent := b.step(); len(sent) != 1000 || b.l.tally.Unsent != 0 {
		t.Fatalf("%d sent, %d unsent", len(sent), b.l.tally.Unsent)
	}
}

// TestDuplicates: a request is sent again after its reply, and an answer that differs
// from the first shows.
func TestDuplicates(t *testing.T) {
	b := newTable(t, &Scenario{Count: 1, Time: 10 * time.Minute, Again: 2})
	b.begin()
	first := b.step()
	b.answer(first[0])
	second := b.step()
	if len(second) != 1 || !bytes.Equal(second[0].data, first[0].data) {
		t.Fatalf("sent again: %v", second)
	}
	b.answer(second[0])
	third := b.step()
	var v radius.View
	v.Decode(third[0].data)
	other := radius.Begin(nil, radius.AccessReject, v.Identifier())
	octets, err := b.key.SealReply(&other, v.Authenticator())
	if err != nil {
		t.Fatal(err)
	}
	b.l.receive(b.now, 0, octets)
	b.counts(Counts{Requests: 1, Datagrams: 3, Received: 3, Answered: 1, Repeated: 2, Differs: 1})
	if !b.l.done() {
		t.Fatal("not done")
	}
}

// TestGarbageIsMalformed: every kind is one that a server must not answer, and an answer
// to one is a stray.
func TestGarbageIsMalformed(t *testing.T) {
	for _, kind := range []string{KindAuth, KindAccounting} {
		b := newTable(t, &Scenario{Kind: kind, Count: 1, Time: 10 * time.Minute, Garbage: garbageKinds})
		b.begin()
		role := radius.AuthServer
		if kind == KindAccounting {
			role = radius.AcctServer
		}
		for i, one := range b.step() {
			_, why := radius.Gate(one.data, role)
			var v radius.View
			if why == radius.Sound {
				if why = v.Decode(one.data); why == radius.Sound {
					why = b.key.VerifyRequest(&v)
				}
			}
			if sound := why == radius.Sound; sound != (one.port == 0) {
				t.Errorf("%s datagram %d from port %d: %s", kind, i, one.port, why)
			}
			if one.port == 0 {
				b.l.receive(b.now, 1, reply(t, b.key, one.data))
			}
		}
		if c := b.l.tally.Counts; c.Garbage != garbageKinds || c.Stray != 1 {
			t.Fatalf("%s: %+v", kind, c)
		}
	}
}

// TestMakerAndReceiveDoNotAllocate: the generator must not spend its time on itself.
func TestMakerAndReceiveDoNotAllocate(t *testing.T) {
	for _, kind := range []string{KindAuth, KindAccounting} {
		b := newTable(t, &Scenario{Kind: kind, Window: 256, Users: 10, Sessions: 100, Time: 10 * time.Minute})
		b.begin()
		all := b.step()
		octets := make([][]byte, len(all))
		for i := range all {
			octets[i] = reply(t, b.key, all[i].data)
		}
		at := 0
		n := testing.AllocsPerRun(100, func() {
			b.l.receive(b.now, 0, octets[at])
			at++
			if err := b.l.step(b.now); err != nil {
				t.Fatal(err)
			}
			b.l.ports[0].pending = b.l.ports[0].pending[:0]
		})
		if n != 0 {
			t.Errorf("%s: %v allocations a request", kind, n)
		}
	}
}

// TestMadeRequestsComeRound: with each second use of an identifier the same octets, and
// never twice in a row.
func TestMadeRequestsComeRound(t *testing.T) {
	b := newTable(t, &Scenario{Window: 1, Users: 3, Sessions: 1000, Made: 2, Count: 5 * identifiers, Time: time.Minute})
	b.begin()
	var all [][]byte
	for !b.l.done() {
		for _, one := range b.step() {
			all = append(all, one.data)
			b.answer(one)
		}
		b.now++
	}
	if len(all) != 5*identifiers {
		t.Fatal(len(all))
	}
	for i := identifiers; i < len(all); i++ {
		if bytes.Equal(all[i], all[i-identifiers]) {
			t.Fatalf("request %d has the octets of the one before with its identifier", i)
		}
		if i >= 2*identifiers && !bytes.Equal(all[i], all[i-2*identifiers]) {
			t.Fatalf("request %d does not come round", i)
		}
	}
}
