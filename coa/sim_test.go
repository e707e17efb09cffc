package coa

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"sallyport/coa/recipe"
	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
	"sallyport/sessions"
)

var (
	simSeeds = flag.Int("seeds", 3, "simulated storms")
	simSeed  = flag.Uint64("seed", 0, "simulate this storm only")
)

// TestStormOnABadNetwork: sessions change again and again while the network loses 5 % of
// all datagrams, doubles 5 %, and delays each by its own time; NASes refuse now and then,
// one is gone for a while; and the process is killed twice, at any moment, with nothing
// but its journal left. In the end each NAS holds for each session what the appliance
// believes and wants, and none was ever given an older authorization after a newer one.
func TestStormOnABadNetwork(t *testing.T) {
	for range *simSeeds {
		seed := rand.Uint64()
		if *simSeed != 0 {
			seed = *simSeed
		}
		newSim(t, seed).run()
		if *simSeed != 0 {
			return
		}
	}
}

const (
	simSessions = 600
	simNASes    = 3
	simStorm    = 90 * time.Second
	simDelay    = 90 * time.Millisecond // of a datagram at most; it must be less than the linger
	simRetry    = time.Minute           // the appliance tries again what was not taken
)

// intent is what the journal has of a session.
type intent struct {
	nas    int
	serial uint64
	epoch  uint64 // wanted
	held   uint64 // what the appliance believes that the NAS holds
	open   bool   // a change is on its way
	again  time.Time
}

// box is a NAS: what it gave to each session, and the answers it remembers (RFC 5080
// section 2.2.2).
type box struct {
	nas   *NAS
	gave  map[string]uint64
	known map[boxSlot]boxAnswer
	gone  [2]time.Time // silent from one to the other
}

type boxSlot struct {
	port       uint16
	identifier byte
}

type boxAnswer struct {
	asked radius.Authenticator
	reply []byte
}

// flight is a datagram on its way.
type flight struct {
	at     time.Time
	number int
	box    int
	port   uint16 // ours
	up     bool   // to the NAS
	pkt    []byte
}

type flights []flight

func (f flights) Len() int { return len(f) }
func (f flights) Less(i, j int) bool {
	return f[i].at.Before(f[j].at) || f[i].at.Equal(f[j].at) && f[i].number < f[j].number
}
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)   { *f = append(*f, x.(flight)) }
func (f *flights) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

type sim struct {
	t       *testing.T
	seed    uint64
	random  *rand.Rand
	now     time.Time
	m       *machine
	life    int // processes so far
	boxes   []*box
	journal []intent
	net     flights
	number  int
	calm    bool // the network is sound, nobody refuses
	kills   []time.Time
}

func newSim(t *testing.T, seed uint64) *sim {
	s := &sim{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 7)), now: began, journal: make([]intent, simSessions)}
	asa, _ := recipe.Lookup("cisco-asa")
	for i := range simNASes {
		s.boxes = append(s.boxes, &box{gave: map[string]uint64{}, known: map[boxSlot]boxAnswer{}, nas: &NAS{
			Name: fmt.Sprint("nas", i), Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 1700),
			Key: radiustest.Key(t, fmt.Sprint("secret", i)), Recipe: asa, InFlightMax: 8 << i}})
	}
	for i := range s.journal {
		s.journal[i].nas = s.random.IntN(simNASes)
	}
	s.boxes[0].gone = [2]time.Time{began.Add(20 * time.Second), began.Add(65 * time.Second)}
	for range 2 {
		s.kills = append(s.kills, began.Add(time.Duration(s.random.Int64N(int64(simStorm)))))
	}
	slices.SortFunc(s.kills, time.Time.Compare)
	s.start()
	return s
}

// start is a new process with sockets of its own: it submits what the journal has open.
func (s *sim) start() {
	s.life++
	life := uint16(s.life)
	s.m = newMachine(settings{sockets: 2, batchWait: batchWaitDefault, batchMax: batchMaxDefault, retry: Retransmission{}.withDefaults(),
		staleWindow: staleDefault, linger: lingerDefault, opened: s.now}, s.seed+uint64(life),
		func(i int) netip.AddrPort { return netip.AddrPortFrom(netip.IPv6Loopback(), 1000*life+uint16(i)) }, false)
	for i := range s.journal {
		if s.journal[i].open {
			s.submit(i)
		}
	}
}

func (s *sim) id(i int) string { return fmt.Sprintf("%024x", i) }

func (s *sim) submit(i int) {
	j := &s.journal[i]
	nas := s.boxes[j.nas].nas
	c := Change{Session: sessions.ID(s.id(i)), Serial: j.serial, Epoch: j.epoch, NAS: nas, Kind: recipe.Push, Made: s.now,
		Ident: recipe.Ident{AuditSessionID: s.id(i)}, Grant: &recipe.Grant{FilterID: strconv.FormatUint(j.epoch, 10)}, Bulk: i%2 == 0}
	s.m.submit(s.now, &c)
	s.flush()
}

// want is a decision of the appliance: journaled, then submitted.
func (s *sim) want(i int) {
	j := &s.journal[i]
	j.epoch++
	j.serial++
	j.open = true
	s.submit(i)
}

// flush is the rim: datagrams go to the network, settlements to the journal.
func (s *sim) flush() {
	s.m.pumpDirty(s.now)
	for _, d := range s.m.sends {
		for i, b := range s.boxes {
			if b.nas.Addr == d.to {
				s.throw(flight{box: i, port: s.m.local(d.socket).Port(), up: true, pkt: slices.Clone(d.pkt)})
			}
		}
	}
	for i := range s.m.settled {
		s.settled(&s.m.settled[i])
	}
	s.m.done()
}

func (s *sim) settled(end *Settlement) {
	n, err := strconv.ParseUint(string(end.Session), 16, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	j := &s.journal[n]
	if end.Serial != j.serial || end.Outcome == Superseded {
		return // late news of a change that was replaced
	}
	j.open = false
	if end.Outcome == ACK {
		j.held = end.Epoch
		return
	}
	j.again = s.now.Add(simRetry)
}

// throw lets the network have a datagram: it may lose it, double it, and delays each copy.
func (s *sim) throw(f flight) {
	copies := 1
	if !s.calm {
		switch s.random.IntN(20) {
		case 0:
			copies = 0
		case 1:
			copies = 2
		}
	}
	for range copies {
		s.number++
		f.number = s.number
		f.at = s.now.Add(time.Duration(s.random.Int64N(int64(simDelay))))
		heap.Push(&s.net, f)
	}
}

// deliver brings a datagram to where it goes; one for a process that was killed is lost.
func (s *sim) deliver(f flight) {
	b := s.boxes[f.box]
	if !f.up {
		if socket := int(f.port) - 1000*s.life; socket >= 0 && socket < 2 {
			s.m.receive(s.now, socket, b.nas.Addr, f.pkt)
			s.flush()
		}
		return
	}
	if s.now.After(b.gone[0]) && s.now.Before(b.gone[1]) {
		return
	}
	var v radius.View
	if why := v.Decode(f.pkt); why != radius.Sound || b.nas.Key.VerifyRequest(&v) != radius.Sound {
		s.t.Fatalf("seed %d: a NAS got %s", s.seed, why)
	}
	at := boxSlot{f.port, v.Identifier()}
	known := b.known[at]
	if known.asked != v.Authenticator() {
		known = boxAnswer{v.Authenticator(), s.answer(b, &v)}
		b.known[at] = known
	}
	s.throw(flight{box: f.box, port: f.port, pkt: known.reply})
}

// answer does what is asked, or refuses for the moment.
func (s *sim) answer(b *box, v *radius.View) []byte {
	reply := radius.Begin(nil, radius.CoAACK, v.Identifier())
	if !s.calm && s.random.IntN(30) == 0 {
		reply = radius.Begin(nil, radius.CoANAK, v.Identifier())
		reply.U32(radius.ErrorCause, causeResources)
	} else {
		id, _ := v.AVPair("audit-session-id")
		epoch := uint64(number(v.Text(radius.FilterID)))
		if epoch < b.gave[string(id)] {
			s.t.Fatalf("seed %d: %s at %s: session %s got epoch %d after %d", s.seed, s.now.Sub(began), b.nas.Name, id, epoch, b.gave[string(id)])
		}
		b.gave[string(id)] = epoch
	}
	pkt, err := b.nas.Key.SealReply(&reply, v.Authenticator())
	if err != nil {
		s.t.Fatal(err)
	}
	return pkt
}

func (s *sim) run() {
	for end := began.Add(simStorm); s.now.Before(end); {
		s.step(time.Duration(s.random.Int64N(int64(20 * time.Millisecond))))
		s.want(s.random.IntN(simSessions))
	}
	s.calm = true
	deadline := s.now.Add(10 * time.Minute)
	for s.open() && s.now.Before(deadline) {
		s.step(time.Second)
	}
	for i := range s.journal {
		j := &s.journal[i]
		if gave := s.boxes[j.nas].gave[s.id(i)]; j.open || gave != j.epoch || j.held != j.epoch {
			s.t.Fatalf("seed %d: session %d: wanted %d, believed %d, the NAS has %d, open %t", s.seed, i, j.epoch, j.held, gave, j.open)
		}
	}
	if s.life != 3 {
		s.t.Fatalf("seed %d: %d processes", s.seed, s.life)
	}
}

// open says whether anything is to be done yet.
func (s *sim) open() bool {
	return slices.ContainsFunc(s.journal, func(j intent) bool { return j.open || j.held != j.epoch })
}

// step lets d pass, event by event.
func (s *sim) step(d time.Duration) {
	end := s.now.Add(d)
	for {
		at := end
		if len(s.net) > 0 && s.net[0].at.Before(at) {
			at = s.net[0].at
		}
		if due, ok := s.m.next(); ok && due.Before(at) {
			at = later(due, s.now)
		}
		if len(s.kills) > 0 && s.kills[0].Before(at) {
			at = later(s.kills[0], s.now)
		}
		s.now = at
		switch {
		case len(s.kills) > 0 && !s.kills[0].After(at):
			s.kills = s.kills[1:]
			s.start()
		case len(s.net) > 0 && !s.net[0].at.After(at):
			s.deliver(heap.Pop(&s.net).(flight))
		default:
			s.m.tick(s.now)
			s.flush()
			if due, ok := s.m.next(); !at.Before(end) && (!ok || due.After(end)) {
				s.retry()
				return
			}
		}
	}
}

// retry is the appliance's own: what a NAS did not take is tried again after a while.
func (s *sim) retry() {
	for i := range s.journal {
		if j := &s.journal[i]; !j.open && j.held != j.epoch && !s.now.Before(j.again) {
			j.serial++
			j.open = true
			s.submit(i)
		}
	}
}
