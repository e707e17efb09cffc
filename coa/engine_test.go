package coa_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/coa"
	"sallyport/coa/coatest"
	"sallyport/coa/recipe"
	"sallyport/netio/radius/radiustest"
	"sallyport/sessions"
)

// ledger collects what an Engine tells.
type ledger struct {
	mu      sync.Mutex
	settled []coa.Settlement
	asked   map[sessions.ID]string // words of what was sent
	events  []string
	changed chan struct{}
}

func (l *ledger) note(add func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	add()
	close(l.changed)
	l.changed = make(chan struct{})
}

// await waits for n settlements.
func (l *ledger) await(t *testing.T, n int) []coa.Settlement {
	t.Helper()
	deadline := time.NewTimer(15 * time.Second)
	defer deadline.Stop()
	for {
		l.mu.Lock()
		settled, changed := append([]coa.Settlement(nil), l.settled...), l.changed
		l.mu.Unlock()
		if len(settled) >= n {
			return settled
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("%d of %d changes settled in time", len(settled), n)
		}
	}
}

func start(t *testing.T, c coa.Config) (*coa.Engine, *ledger) {
	t.Helper()
	l := &ledger{changed: make(chan struct{}), asked: map[sessions.ID]string{}}
	c.Settled = func(all []coa.Settlement) {
		l.note(func() {
			for i := range all {
				l.asked[all[i].Session] = all[i].Words()
				all[i].Request, all[i].Reply = nil, nil // they are lent
			}
			l.settled = append(l.settled, all...)
		})
	}
	if c.Event == nil {
		c.Event = func(e *coa.Event) { l.note(func() { l.events = append(l.events, e.String()) }) }
	}
	e, err := coa.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := e.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
	return e, l
}

// fast is a retransmission that a test can wait for.
var fast = coa.Retransmission{Initial: 30 * time.Millisecond, Max: 60 * time.Millisecond, CountMax: 4, DurationMax: 10 * time.Second}

func asa(t testing.TB, name string, addr netip.AddrPort, shared string) *coa.NAS {
	t.Helper()
	r, ok := recipe.Lookup("cisco-asa")
	if !ok {
		t.Fatal("no recipe cisco-asa")
	}
	return &coa.NAS{Name: name, Addr: addr, Key: radiustest.Key(t, shared), Recipe: r}
}

func push(nas *coa.NAS, session string, serial uint64) coa.Change {
	return coa.Change{Session: sessions.ID(session), Serial: serial, Epoch: serial, NAS: nas, Kind: recipe.Push, Made: time.Now(),
		Ident: recipe.Ident{NASIP: netip.MustParseAddr("10.48.66.202"), CallingStationID: "10.62.145.44", AuditSessionID: session},
		Grant: &recipe.Grant{DACLName: "#ACSACL#-IP-PERMIT_ALL_TRAFFIC-57e5bcbd"}}
}

func submit(t *testing.T, e *coa.Engine, c coa.Change) {
	t.Helper()
	if err := e.Submit(c); err != nil {
		t.Fatal(err)
	}
}

// TestEngineSettles: each behaviour of a NAS, on real sockets, and what becomes of it.
func TestEngineSettles(t *testing.T) {
	tests := []struct {
		name     string
		nas      func(s *coatest.Script)
		outcome  coa.Outcome
		cause    uint32
		attempts int
		dropped  coa.Drop
		drops    uint64
	}{
		{"ACK", func(s *coatest.Script) { s.ACK() }, coa.ACK, 0, 1, 0, 0},
		{"NAK with a cause", func(s *coatest.Script) { s.NAK(503) }, coa.NAK, 503, 1, 0, 0},
		{"NAK without, then ACK", func(s *coatest.Script) { s.NAK(0).ACK() }, coa.ACK, 0, 2, 0, 0},
		{"lost twice", func(s *coatest.Script) { s.Silent(2).ACK() }, coa.ACK, 0, 3, 0, 0},
		{"silence", func(s *coatest.Script) { s.Silent(99) }, coa.Silent, 0, 4, 0, 0},
		{"wrong secret", func(s *coatest.Script) { s.WrongSecret().NAK(501) }, coa.NAK, 501, 2, coa.DropBadAuthenticator, 1},
		{"garbage", func(s *coatest.Script) { s.Garbage().ACK() }, coa.ACK, 0, 2, coa.DropMalformed, 1},
		{"another port", func(s *coatest.Script) { s.OtherPort().ACK() }, coa.ACK, 0, 2, coa.DropUnknownSource, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			nas := coatest.NewScript(t, "secret")
			test.nas(nas)
			e, l := start(t, coa.Config{Source: netip.MustParseAddr("127.0.0.1"), Retry: fast})
			submit(t, e, push(asa(t, "asa", nas.Addr(), "secret"), "s1", 1))
			got := l.await(t, 1)[0]
			if got.Outcome != test.outcome || got.Cause != test.cause || got.Attempts != test.attempts || got.NAS != "asa" {
				t.Errorf("got %s", got.String())
			}
			if n := e.Stats().Dropped[test.dropped]; n != test.drops {
				t.Errorf("%d dropped as %s, want %d", n, test.dropped, test.drops)
			}
			heard := nas.Await(test.attempts)
			for _, h := range heard {
				if got.Tries > 1 {
					break // another request, not a retransmission
				}
				if !h.Genuine || string(h.Packet) != string(heard[0].Packet) || h.From != heard[0].From || h.From != got.Local {
					t.Errorf("a retransmission differs: %+v", h)
				}
			}
		})
	}
}

// TestLateAndDuplicateAnswers are counted and settle nothing a second time.
func TestLateAndDuplicateAnswers(t *testing.T) {
	nas := coatest.NewScript(t, "secret")
	nas.Late().Silent(3).Twice()
	e, l := start(t, coa.Config{Source: netip.MustParseAddr("127.0.0.1"), Retry: fast})
	target := asa(t, "asa", nas.Addr(), "secret")
	submit(t, e, push(target, "s1", 1))
	l.await(t, 1)
	nas.Release()
	submit(t, e, push(target, "s2", 1))
	settled := l.await(t, 2)
	if settled[0].Outcome != coa.Silent || settled[1].Outcome != coa.ACK {
		t.Errorf("%s; %s", settled[0].String(), settled[1].String())
	}
	until(t, "one late and one duplicate answer", func() bool {
		s := e.Stats()
		return s.Dropped[coa.DropLate] == 1 && s.Dropped[coa.DropDuplicate] == 1
	})
	if n := len(l.await(t, 2)); n != 2 {
		t.Errorf("%d settlements of 2 changes", n)
	}
}

// until polls a condition that comes true on its own.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline, poll := time.NewTimer(10*time.Second), time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer poll.Stop()
	for !is() {
		select {
		case <-poll.C:
		case <-deadline.C:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// TestLedgerHasTheWords of what was sent, and each step on the way.
func TestLedgerHasTheWords(t *testing.T) {
	nas := coatest.NewScript(t, "secret")
	nas.Silent(1).NAK(407)
	e, l := start(t, coa.Config{Source: netip.MustParseAddr("127.0.0.1"), Retry: fast})
	submit(t, e, push(asa(t, "asa", nas.Addr(), "secret"), "0a3042ca0001d00056e2dce3", 1))
	got := l.await(t, 1)[0]
	l.mu.Lock()
	defer l.mu.Unlock()
	want := fmt.Sprintf("[sent CoA-Request 0 to asa %[1]s, attempt 1 retransmitted CoA-Request 0 to asa %[1]s, attempt 2 answered CoA-NAK 0 by asa %[1]s settled: refused: %[2]s]",
		nas.Addr(), coa.CauseWords(407))
	if fmt.Sprint(l.events) != want {
		t.Errorf("got  %s\nwant %s", l.events, want)
	}
	words := l.asked["0a3042ca0001d00056e2dce3"]
	for _, part := range []string{"CoA-Request 0\n\tMessage-Authenticator = 0x", "Event-Timestamp = ", `"audit-session-id=0a3042ca0001d00056e2dce3"`,
		`"coa-push=true"`, `"ACS:CiscoSecure-Defined-ACL=#ACSACL#-IP-PERMIT_ALL_TRAFFIC-57e5bcbd"`} {
		if !strings.Contains(words, part) {
			t.Errorf("%q is not in what was sent:\n%s", part, words)
		}
	}
	if got.Action() != coa.Configure || got.Local != e.Local()[0] || got.Remote != nas.Addr() || got.Latency <= 0 {
		t.Errorf("%+v", got)
	}
}

// TestStorm: thousands of sessions on several NASes, one of them dead, one slow; every
// change is settled once and the dead one delays nobody.
func TestStorm(t *testing.T) {
	const each = 2000
	e, l := start(t, coa.Config{Source: netip.MustParseAddr("127.0.0.1"), Event: func(*coa.Event) {}, Retry: coa.Retransmission{Initial: 200 * time.Millisecond}})
	dead := coatest.NewScript(t, "secret")
	dead.Silent(1 << 16)
	var names []*coa.NAS
	for i := range 3 {
		names = append(names, asa(t, fmt.Sprintf("asa-%d", i), coatest.NewScript(t, "secret").Addr(), "secret"))
	}
	gone := asa(t, "gone", dead.Addr(), "secret")
	for i := range each {
		if i%10 == 0 {
			submit(t, e, push(gone, fmt.Sprintf("gone-%d", i), 1))
		}
		for _, nas := range names {
			submit(t, e, push(nas, fmt.Sprintf("%s-%d", nas.Name, i), 1))
		}
	}
	settled := l.await(t, 3*each)
	seen := map[sessions.ID]bool{}
	for i := range settled {
		s := &settled[i]
		if seen[s.Session] || s.NAS != "gone" && s.Outcome != coa.ACK {
			t.Fatalf("settled before %v: %s", seen[s.Session], s.String())
		}
		seen[s.Session] = true
	}
	for _, p := range e.Peers() {
		if p.Name == "gone" && p.InFlight+p.Queued != each/10 {
			t.Errorf("%+v, want %d changes waiting", p, each/10)
		}
	}
}

// TestFullAndClosed: Submit says so, at once.
func TestFullAndClosed(t *testing.T) {
	nas := coatest.NewScript(t, "secret")
	nas.Late().Silent(99)
	e, l := start(t, coa.Config{Source: netip.MustParseAddr("127.0.0.1"), PendingMax: 2, BatchWait: -1})
	target := asa(t, "asa", nas.Addr(), "secret")
	submit(t, e, push(target, "s1", 1))
	nas.Await(1)
	submit(t, e, push(target, "s1", 2))
	if err := e.Submit(push(target, "s3", 1)); !errors.Is(err, coa.ErrFull) {
		t.Errorf("a third change of two: %v", err)
	}
	if err := e.Submit(coa.Change{}); !errors.Is(err, coa.ErrBadChange) {
		t.Errorf("an empty change: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	closed := make(chan error)
	go func() { closed <- e.Close(ctx) }()
	l.await(t, 1) // what waits is settled at once
	if err := e.Submit(push(target, "s4", 1)); !errors.Is(err, coa.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	cancel()
	if err := <-closed; !errors.Is(err, context.Canceled) {
		t.Errorf("Close: %v", err)
	}
	settled := l.await(t, 2)
	if settled[0].Outcome != coa.Unsent || settled[1].Outcome != coa.Abandoned || settled[1].Serial != 1 {
		t.Errorf("%s; %s", settled[0].String(), settled[1].String())
	}
	if err := e.Close(context.Background()); err != nil || e.Peers() != nil {
		t.Errorf("closed again: %v", err)
	}
}

// TestCloseWaitsForAnswers to what is in flight.
func TestCloseWaitsForAnswers(t *testing.T) {
	nas := coatest.NewScript(t, "secret")
	nas.Late()
	e, l := start(t, coa.Config{Source: netip.MustParseAddr("127.0.0.1")})
	submit(t, e, push(asa(t, "asa", nas.Addr(), "secret"), "s1", 1))
	nas.Await(1)
	closed := make(chan error)
	go func() { closed <- e.Close(context.Background()) }()
	nas.Release()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if s := l.await(t, 1)[0]; s.Outcome != coa.ACK {
		t.Error(s.String())
	}
}

// TestIPv6AndWildcard: one engine reaches NASes of both families.
func TestIPv6AndWildcard(t *testing.T) {
	nas := coatest.NewScript(t, "secret")
	e, l := start(t, coa.Config{})
	mapped := netip.AddrPortFrom(netip.AddrFrom16(nas.Addr().Addr().As16()), nas.Addr().Port())
	submit(t, e, push(asa(t, "four", nas.Addr(), "secret"), "s1", 1))
	submit(t, e, push(asa(t, "mapped", mapped, "secret"), "s2", 1))
	for _, s := range l.await(t, 2) {
		if s.Outcome != coa.ACK || s.Remote != nas.Addr() {
			t.Error(s.String(), s.Remote)
		}
	}
}

// TestBadConfiguration is refused with a reason.
func TestBadConfiguration(t *testing.T) {
	nothing := func([]coa.Settlement) {}
	for _, test := range []struct {
		config coa.Config
		want   string
	}{
		{coa.Config{}, "coa: no function for settlements"},
		{coa.Config{Settled: nothing, Sockets: 65}, "coa: 65 sockets; 1 to 64"},
		{coa.Config{Settled: nothing, Sources: make([]netip.Addr, 16)}, "coa: 16 source addresses; 15 at most"},
		{coa.Config{Settled: nothing, Source: netip.MustParseAddr("192.0.2.1")}, "coa: socket to send from 192.0.2.1: "},
	} {
		e, err := coa.New(test.config)
		if e != nil || err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

// TestSources: a NAS is told from the address that is named for it, another one from
// another address, of either family, and one that names none from the default.
func TestSources(t *testing.T) {
	first, second := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")
	e, l := start(t, coa.Config{Source: netip.MustParseAddr("127.0.0.1"), Sources: []netip.Addr{first, second}, Sockets: 2})
	told := 0
	next := func() coa.Settlement { told++; return l.await(t, told)[told-1] }
	for _, from := range []netip.Addr{{}, first, second, first} {
		nas := coatest.NewScript(t, "secret")
		nas.ACK()
		target := asa(t, "asa", nas.Addr(), "secret")
		target.Source = from
		submit(t, e, push(target, fmt.Sprintf("s%d", told), 1))
		got := next()
		want := from
		if !from.IsValid() {
			want = netip.MustParseAddr("127.0.0.1")
		}
		if got.Outcome != coa.ACK || got.Local.Addr() != want || nas.Await(1)[0].From != got.Local {
			t.Errorf("from %s: %s, %s", from, got.String(), got.Local)
		}
	}
	// Configured anew while the NAS is known: the sockets are the other source's.
	nas := coatest.NewScript(t, "secret")
	nas.ACK().ACK()
	for i, from := range []netip.Addr{first, second} {
		target := asa(t, "asa", nas.Addr(), "secret")
		target.Source = from
		submit(t, e, push(target, "moved", uint64(i+1)))
		if got := next(); got.Outcome != coa.ACK || got.Local.Addr() != from {
			t.Errorf("configured with %s: %s, %s", from, got.String(), got.Local)
		}
	}
	target := asa(t, "asa", nas.Addr(), "secret")
	target.Source = netip.MustParseAddr("127.0.0.9")
	if err := e.Submit(push(target, "nowhere", 1)); !errors.Is(err, coa.ErrBadChange) {
		t.Errorf("a source without a socket: %v", err)
	}
}

// BenchmarkPush is a push and its acknowledgement through real sockets on one machine.
func BenchmarkPush(b *testing.B) {
	nas := coatest.NewScript(b, "secret")
	target := asa(b, "asa", nas.Addr(), "secret")
	settled := make(chan int, 1<<16)
	e, err := coa.New(coa.Config{Source: netip.MustParseAddr("127.0.0.1"), Sockets: 16, Settled: func(all []coa.Settlement) { settled <- len(all) }})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close(context.Background())
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for i := range b.N {
			for errors.Is(e.Submit(push(target, fmt.Sprintf("%024x", i), 1)), coa.ErrFull) {
			}
		}
	}()
	for n := 0; n < b.N; {
		n += <-settled
	}
	if e.Stats().Settled[coa.ACK] != uint64(b.N) {
		b.Fatalf("%+v", e.Stats())
	}
	b.ReportMetric(float64(e.Stats().Retransmitted), "retransmitted")
}
