package endtoend

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport/engine"
	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
)

// Of the storm. A datagram that would come later than lateMost is lost: an appliance lets
// 100 ms pass between two requests about a session, for the copies of networks.
const (
	stormSessions = 4000
	stormSenders  = 4
	badPart       = 0.05 // lost, doubled, delayed: each so many of the datagrams, both ways
	delayMost     = 25 * time.Millisecond
	lateMost      = 80 * time.Millisecond
)

// badNAS acknowledges every change behind a bad network. It remembers no request: what
// comes twice is done twice, so that a copy which comes after a newer request shows.
type badNAS struct {
	t    *testing.T
	key  *radius.Key
	conn *net.UDPConn
	wait sync.WaitGroup // delayed datagrams

	mu     sync.Mutex // guards what follows
	random *rand.Rand
	holds  map[string]int // stage by session
	at     [stages + 1]int
	calm   bool
	lost   int
	twice  int
	faults []string
}

// The configuration gives every session stage after stage; each is a profile of its own.
const stages = 3

func stageName(n int) string { return fmt.Sprintf("Stage_%d", n) }

func newBadNAS(t *testing.T, port int, seed uint64) *badNAS {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))))
	must(t, err)
	must(t, conn.SetReadBuffer(1<<20))
	b := &badNAS{t: t, key: radiustest.Key(t, sharedSecret), conn: conn, random: rand.New(rand.NewPCG(seed, 3)), holds: map[string]int{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.listen()
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
		b.wait.Wait()
	})
	return b
}

func (b *badNAS) listen() {
	var buf [radius.PacketMax]byte
	for {
		n, from, err := b.conn.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			return
		}
		pkt := append([]byte(nil), buf[:n]...)
		b.network(func() { b.request(from, pkt) })
	}
}

// network delivers a datagram: not at all, twice, or later than others.
func (b *badNAS) network(deliver func()) {
	b.mu.Lock()
	r := func() bool { return !b.calm && b.random.Float64() < badPart }
	copies, lost := 1, r()
	if r() {
		copies, b.twice = 2, b.twice+1
	}
	if lost {
		copies, b.lost = copies-1, b.lost+1
	}
	delays := make([]time.Duration, copies)
	for i := range delays {
		if r() {
			delays[i] = time.Duration(b.random.Int64N(int64(delayMost)))
		}
	}
	b.mu.Unlock()
	came := time.Now()
	for _, d := range delays {
		if d == 0 {
			deliver()
			continue
		}
		b.wait.Add(1)
		time.AfterFunc(d, func() {
			defer b.wait.Done()
			if time.Since(came) < lateMost {
				deliver()
			}
		})
	}
}

// request does what it asks for and acknowledges it.
func (b *badNAS) request(from netip.AddrPort, pkt []byte) {
	var v radius.View
	if v.Decode(pkt) != radius.Sound || b.key.VerifyRequest(&v) != radius.Sound {
		b.fault("a request that is not genuine from %s", from)
		return
	}
	id, _ := v.AVPair("audit-session-id")
	acl, _ := v.AVPair("url-redirect-acl")
	b.given(string(id), string(acl))
	reply := radius.BeginWith(nil, v.Code()+1, v.Identifier(), false)
	out, err := b.key.SealReply(&reply, v.Authenticator())
	if err != nil {
		b.fault("%v", err)
		return
	}
	b.network(func() { _, _ = b.conn.WriteToUDPAddrPort(out, from) }) // it may be down just now
}

// given notes what a session got, by a login or by a change.
func (b *badNAS) given(id, acl string) {
	var stage int
	if _, err := fmt.Sscanf(acl, "ACL_STAGE_%d", &stage); err != nil || stage < 1 || stage > stages {
		b.fault("session %s was given the ACL %q", id, acl)
		return
	}
	b.mu.Lock()
	held := b.holds[id]
	b.holds[id] = stage
	b.at[held]--
	b.at[stage]++
	b.mu.Unlock()
	if stage < held {
		b.fault("session %s was given stage %d after stage %d", id, stage, held)
	}
}

func (b *badNAS) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

// reached says whether so many sessions hold a stage.
func (b *badNAS) reached(stage, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at[stage] >= n
}

// populate logs all sessions in; what the NAS is told with that it holds.
func (b *badNAS) populate(a *appliance) {
	var senders sync.WaitGroup
	for share := range stormSenders {
		n := newNAS(b.t, "127.0.0.1")
		senders.Go(func() {
			for i := share; i < stormSessions; i += stormSenders {
				id := fmt.Sprintf("0a3042ca%08x56e2dce3", i)
				reply, err := n.try(a.auth(), n.pap("cisco", "cisco", id, func(r *radius.Builder) { r.AVPair("coa-push", "true") }))
				var v radius.View
				if err != nil || v.Decode(reply) != radius.Sound || v.Code() != radius.AccessAccept {
					b.fault("the login of %s: %v", id, err)
					return
				}
				acl, _ := v.AVPair("url-redirect-acl")
				b.given(id, string(acl))
			}
		})
	}
	senders.Wait()
}

// stage writes a configuration in which every session gets stage n.
func (b *badNAS) stage(a *appliance, n int) {
	a.edit("profile: "+stageName(n-1)+"}", "profile: "+stageName(n)+"}")
}

// check compares what the appliance believes with what the NAS holds.
func (b *badNAS) check(a *appliance, all []engine.SessionView) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(all) != stormSessions || len(b.holds) != stormSessions {
		b.t.Errorf("the appliance has %d sessions, the NAS %d of %d", len(all), len(b.holds), stormSessions)
	}
	wrong := 0
	for _, v := range all {
		if holds := stageName(b.holds[v.SessionID]); v.Authorization.Profile != holds || v.Change != nil || b.holds[v.SessionID] != stages {
			if wrong++; wrong <= 10 {
				b.t.Errorf("session %s: the appliance believes %+v, change %+v; the NAS holds %s", v.SessionID, v.Authorization, v.Change, holds)
			}
		}
	}
	for _, f := range b.faults[:min(len(b.faults), 10)] {
		b.t.Error(f)
	}
	b.t.Logf("%d datagrams lost, %d doubled", b.lost, b.twice)
	if b.lost == 0 || b.twice == 0 {
		b.t.Error("the network was not bad")
	}
}

// TestKilledTwiceInAStorm: a reload changes every session, and another one overtakes it,
// over a network that loses, doubles and delays; SIGKILL in the middle of the first and in
// the middle of the second. In the end the NAS holds for every session what the appliance
// believes, and no session was given an older authorization after a newer one.
func TestKilledTwiceInAStorm(t *testing.T) {
	t.Parallel()
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-kill-seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 4))
	var profiles []string
	for n := 1; n <= stages; n++ {
		profiles = append(profiles, fmt.Sprintf("    %s: {redirect: {portal: client-provisioning, acl: ACL_STAGE_%d}}", stageName(n), n))
	}
	a := newAppliance(t, "timeout: 500ms, retries: 3", "timeout: 200ms, retries: 10",
		"  profiles:\n", "  profiles:\n"+strings.Join(profiles, "\n")+"\n", "profile: Posture_Redirect}", "profile: "+stageName(1)+"}")
	b := newBadNAS(t, a.coa, seed)
	b.populate(a)
	for n := 2; n <= stages; n++ {
		b.stage(a, n)
		a.signal(t, syscall.SIGHUP)
		enough := 1 + rng.IntN(stormSessions*3/4)
		eventually(t, "the storm is under way", func() bool { return b.reached(n, enough) })
		a.kill()
		if b.reached(n, stormSessions) {
			t.Errorf("the storm of stage %d was over before the kill", n)
		}
		a.start()
		if n < stages { // the rest of this storm meets the next one
			eventually(t, "the storm goes on after the kill", func() bool { return b.reached(n, min(stormSessions, enough+stormSessions/10)) })
		}
	}
	eventually(t, "every session has the last stage", func() bool { return b.reached(stages, stormSessions) })
	eventually(t, "every change is settled", func() bool { return a.metric("coa_open") == 0 })
	b.check(a, a.sessions())
}
