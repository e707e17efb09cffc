package endtoend

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport/engine"
	"sallyport/netio/radius"
	"sallyport/netio/report"
)

var (
	kills   = flag.Int("kills", 2, "how often TestNothingIsLost kills the appliance")
	figures = flag.Bool("figures", false, "print FIGURE lines")
)

// Of the load: NASes that go through the whole life of sessions, and endpoints that report.
const (
	lastingNASes     = 6
	lastingEndpoints = 3
	lastingRetry     = 300 * time.Millisecond // of a NAS; short, since the appliance is killed so often
	lastingRoundMin  = 150 * time.Millisecond
	lastingRoundMax  = 900 * time.Millisecond
)

// life is one session as its NAS knows it: what was sent, and what was acknowledged.
type life struct {
	id, acct, address         string
	accepted, started, ended  bool
	sentStart, sentEnd        bool
	octets, octetsSent        uint32
	epoch, epochSent, reports uint64 // of an endpoint: what it was told
	status                    string
}

// world is all of them. An entry is changed under the lock only.
type world struct {
	a     *appliance
	up    chan struct{} // closed when the appliance serves; another one after each kill
	stop  chan struct{}
	wait  sync.WaitGroup
	mu    sync.Mutex // guards what follows
	lives map[string]*life
	acks  int
	fault error
}

func (w *world) note(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

func (w *world) stopped() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}

// serving waits until the appliance serves; false: the test ends.
func (w *world) serving() bool {
	w.mu.Lock()
	up := w.up
	w.mu.Unlock()
	select {
	case <-up:
		return !w.stopped()
	case <-w.stop:
		return false
	}
}

// until sends a request again and again, as NASes do, until it is acknowledged.
func (w *world) until(n *nas, role int, build func() []byte, want radius.Code) (*radius.View, bool) {
	to := []netip.AddrPort{w.a.auth(), w.a.acct()}[role]
	for w.serving() {
		pkt := build()
		if _, err := n.conn.WriteToUDPAddrPort(pkt, to); err != nil {
			continue // nobody listens just now
		}
		var q, v radius.View
		for until := time.Now().Add(lastingRetry); time.Now().Before(until); {
			reply, err := n.read(time.Until(until))
			if reply == nil || err != nil {
				break
			}
			if q.Decode(pkt) == radius.Sound && v.Decode(reply) == radius.Sound && v.Identifier() == q.Identifier() &&
				n.key.VerifyResponse(&v, q.Authenticator()) == radius.Sound {
				if v.Code() != want {
					w.note(func() { w.fault = fmt.Errorf("%s instead of %s", v.Code(), want) })
				}
				w.note(func() { w.acks++ })
				return &v, true
			}
		}
	}
	return nil, false
}

// nasLives opens sessions, tells of them and ends some, one after the other.
func (w *world) nasLives(n *nas, number int) {
	rng := rand.New(rand.NewPCG(uint64(number), 1))
	for i := 1; !w.stopped(); i++ {
		acct := fmt.Sprintf("%02x%06x", number, i)
		l := &life{id: "0a3042ca" + acct + "56e2dce4", acct: acct, address: fmt.Sprintf("10.%d.%d.%d", number, i/250, i%250+1)}
		w.note(func() { w.lives[l.id] = l })
		if _, ok := w.until(n, 0, func() []byte { return n.pap("cisco", "cisco", l.id, nil) }, radius.AccessAccept); !ok {
			return
		}
		w.note(func() { l.accepted, l.sentStart = true, true })
		if !w.tell(n, l, acctStart) {
			return
		}
		w.note(func() { l.started = true })
		for range rng.IntN(3) {
			if !w.tell(n, l, acctInterim) {
				return
			}
		}
		if rng.IntN(2) == 0 {
			w.note(func() { l.sentEnd = true })
			if !w.tell(n, l, acctStop) {
				return
			}
			w.note(func() { l.ended = true })
		}
	}
}

func (w *world) tell(n *nas, l *life, kind uint32) bool {
	w.note(func() { l.octetsSent += 1000 })
	octets := l.octetsSent
	_, ok := w.until(n, 1, func() []byte {
		b := n.request(radius.AccountingRequest)
		b.U32(radius.AcctStatusType, kind)
		b.Text(radius.AcctSessionID, l.acct)
		b.AVPair("audit-session-id", l.id)
		b.Addr(radius.FramedIPAddress, netip.MustParseAddr(l.address))
		b.U32(radius.AcctInputOctets, octets)
		return n.seal(&b)
	}, radius.AccountingResponse)
	if ok {
		w.note(func() { l.octets = octets })
	}
	return ok
}

// endpointLives reports without pause, healthy and not in turn; each verdict is a change
// of posture that the appliance has promised to keep.
func (w *world) endpointLives(n *nas, d *device, number int) {
	acct := fmt.Sprintf("ee%06x", number)
	l := &life{id: "0a3042ca" + acct + "56e2dce4", acct: acct}
	w.note(func() { w.lives[l.id] = l })
	v, ok := w.until(n, 0, func() []byte { return n.pap("cisco", "cisco", l.id, nil) }, radius.AccessAccept)
	if !ok {
		return
	}
	w.note(func() { l.accepted = true })
	at, _ := v.AVPair("url-redirect")
	u, err := url.Parse(string(at))
	if err != nil || !w.claimed(d, u) {
		return
	}
	for round := 0; w.serving(); round++ {
		sticks := []string{report.USBActive}[:round%2]
		if !w.reported(d, l, d.document(sticks...)) {
			return
		}
	}
}

func (w *world) claimed(d *device, u *url.URL) bool {
	body, err := json.Marshal(&report.Claim{V: report.Version, SessionID: u.Query().Get(report.QuerySessionID), Ticket: u.Query().Get(report.QueryTicket),
		Key: report.MarshalKey(&d.key.PublicKey), Agent: report.Agent{Name: "test", Version: "1"}, System: report.System{OS: "linux"}})
	for err == nil && w.serving() {
		status, text, fault := d.try(report.PathSession, body)
		if fault != nil || status != http.StatusOK {
			time.Sleep(look) // the connection broke: the appliance is about to be up again
			continue
		}
		claimed, err := report.DecodeClaimed(text)
		if err != nil {
			return false
		}
		d.id, d.seq, d.nonce = claimed.SessionID, claimed.Seq, claimed.Nonce
		return true
	}
	return false
}

// reported sends one report, the same octets again when no answer came.
func (w *world) reported(d *device, l *life, doc *report.Report) bool {
	body, err := json.Marshal(doc)
	for err == nil && w.serving() {
		status, text, fault := d.try(report.PathReport, body)
		if fault != nil || status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
			time.Sleep(look) // it is down, or one report a second is enough
			continue
		}
		v, err := report.DecodeVerdict(text)
		if status != http.StatusOK || err != nil {
			w.note(func() { w.fault = fmt.Errorf("report %d: %d %s", doc.Seq, status, text) })
			return false
		}
		d.seq, d.nonce = doc.Seq, v.Nonce
		w.note(func() {
			if v.Epoch < l.epoch {
				w.fault = fmt.Errorf("%s: epoch %d after %d", l.id, v.Epoch, l.epoch)
			}
			l.epoch, l.status = v.Epoch, v.Status
			l.reports++
			w.acks++
		})
		return true
	}
	return false
}

// try is post of somebody whose peer may be gone.
func (d *device) try(path string, body []byte) (int, []byte, error) {
	signature, err := report.Sign(d.key, path, body)
	if err != nil {
		return 0, nil, err
	}
	return d.exchange(path, signature, body)
}

// losses compares what is there with what was acknowledged before the question.
func (w *world) losses() (lost []string) {
	w.mu.Lock()
	before := map[string]life{}
	for id, l := range w.lives {
		before[id] = *l
	}
	w.mu.Unlock()
	there := map[string]engine.SessionView{}
	for _, v := range rowsOf[engine.SessionView](w.a, "/api/v1/sessions", url.Values{"status": {"*"}}) {
		there[v.SessionID] = v
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	missing := func(id, what string, v engine.SessionView) {
		lost = append(lost, fmt.Sprintf("%s: %s: %+v %+v", id, what, v, v.Accounting))
	}
	for id, l := range before {
		v, ok := there[id]
		switch {
		case l.accepted && !ok:
			missing(id, "an Access-Accept went out, and there is no session", v)
		case l.started && (v.Accounting == nil || v.Accounting.Started == nil):
			missing(id, "a Start was acknowledged", v)
		case l.octets > 0 && v.Accounting.InOctets < uint64(l.octets):
			missing(id, fmt.Sprintf("%d octets were acknowledged", l.octets), v)
		case l.ended && v.State == "live":
			missing(id, "its Stop was acknowledged", v)
		case v.Epoch < l.epoch:
			missing(id, fmt.Sprintf("epoch %d was told", l.epoch), v)
		}
	}
	for id, v := range there {
		l := w.lives[id]
		switch {
		case l == nil:
			missing(id, "nobody began it", v)
		case v.Accounting != nil && v.Accounting.InOctets > uint64(l.octetsSent):
			missing(id, fmt.Sprintf("only %d octets were sent", l.octetsSent), v)
		case v.State != "live" && !l.sentEnd:
			missing(id, "nobody ended it", v)
		}
	}
	slices.Sort(lost)
	return lost
}

func newWorld(t *testing.T, edits ...string) *world {
	w := &world{a: newAppliance(t, edits...), up: make(chan struct{}), stop: make(chan struct{}), lives: map[string]*life{}}
	w.a.pin()
	close(w.up)
	for i := range lastingNASes {
		n := newNAS(t, "127.0.0.1")
		w.wait.Go(func() { w.nasLives(n, i+1) })
	}
	for i := range lastingEndpoints {
		n, d := newNAS(t, "127.0.0.3"), w.a.device()
		d.http.Timeout = 5 * time.Second
		w.wait.Go(func() { w.endpointLives(n, d, i+1) })
	}
	t.Cleanup(w.end)
	return w
}

func (w *world) end() {
	if !w.stopped() {
		close(w.stop)
	}
	w.wait.Wait()
}

// killed is one more life of the appliance that ends by SIGKILL.
func (w *world) killed() {
	w.note(func() { w.up = make(chan struct{}) })
	w.a.kill()
	w.a.start()
	w.note(func() { close(w.up) })
}

// frozen stops the process for a while; whoever waits asks again meanwhile.
func (w *world) frozen(t *testing.T, d time.Duration) {
	w.a.signal(t, syscall.SIGSTOP)
	pause := time.NewTimer(d)
	<-pause.C
	w.a.signal(t, syscall.SIGCONT)
}

func figure(name string, value int, unit, relation string, target int) {
	verdict := "ok"
	if relation == ">=" && value < target || relation == "<=" && value > target {
		verdict = "MISSED"
	}
	if *figures {
		fmt.Printf("FIGURE %s %d %s %s %d %s\n", name, value, unit, relation, target, verdict)
	}
}

// TestNothingIsLost: SIGKILL at random moments of a load of whole sessions and of posture
// reports, over one state directory, and SIGSTOP in between. After each, what was
// acknowledged is there and nothing else.
func TestNothingIsLost(t *testing.T) {
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-kill-seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 9))
	w := newWorld(t)
	survived, lost := 0, 0
	for range *kills {
		moment := time.NewTimer(lastingRoundMin + time.Duration(rng.Int64N(int64(lastingRoundMax-lastingRoundMin))))
		<-moment.C
		if rng.IntN(4) == 0 {
			w.frozen(t, time.Duration(500+rng.IntN(1500))*time.Millisecond)
		}
		w.killed()
		all := w.losses()
		for _, one := range all[:min(len(all), 10)] {
			t.Error(one)
		}
		lost += len(all)
		survived++
		if t.Failed() {
			break
		}
	}
	w.end()
	all := w.losses()
	lost += len(all)
	for _, one := range all[:min(len(all), 10)] {
		t.Error(one)
	}
	if w.fault != nil {
		t.Error(w.fault)
	}
	if out, fault, code := w.a.stopAndInspect(); code != 0 {
		t.Errorf("inspect: exit code %d: %s%s", code, out[max(0, len(out)-1000):], fault)
		lost++
	}
	ended, reports := 0, uint64(0)
	for _, l := range w.lives {
		reports += l.reports
		if l.ended {
			ended++
		}
	}
	t.Logf("%d kills; %d acknowledgements of %d sessions, %d of them ended, %d reports", survived, w.acks, len(w.lives), ended, reports)
	if w.acks == 0 || reports == 0 {
		t.Error("there was no load")
	}
	figure("crash_kills_survived", survived, "kills", ">=", *kills)
	figure("crash_losses", lost, "losses", "<=", 0)
}

// tmpfsOctets is the state directory of TestAFullDisk: enough for the 256 MiB that have to
// be free, and a little.
const tmpfsOctets = 400 << 20

// TestAFullDisk: the state directory is a file system that fills up. Nothing is
// acknowledged that is not kept, a request that needs no write is answered, and when there
// is room again all goes on without a restart.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", tmpfsOctets)); err != nil {
		t.Skipf("a tmpfs cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	a := newAppliance(t, "state: state", "state: "+dir)
	n := newNAS(t, "127.0.0.1")
	id := "0a3042ca0001d00056e2dce3"
	sent, kept := uint32(0), uint32(0)
	tell := func(kind uint32) bool {
		sent += 1000
		b := n.request(radius.AccountingRequest)
		b.U32(radius.AcctStatusType, kind)
		b.Text(radius.AcctSessionID, "63815AAF")
		b.AVPair("audit-session-id", id)
		b.U32(radius.AcctInputOctets, sent)
		reply, err := n.try(a.acct(), n.seal(&b))
		must(t, err)
		if reply != nil {
			kept = sent
		}
		return reply != nil
	}
	n.verified(n.exchangeLogin(a, id))
	if !tell(acctStart) {
		t.Fatal("no answer on a good disk")
	}
	must(t, fill(dir))
	// Free space is looked at once for each mebibyte that is written; until then records go
	// to where the log has room already.
	refused := false
	for range fullRecordsMax {
		if refused = !tell(acctInterim); refused {
			break
		}
	}
	if !refused {
		t.Errorf("%d records were acknowledged by a full disk", fullRecordsMax)
	}
	full := kept
	n.status(a.auth(), radius.AccessAccept)
	eventually(t, "the log names the disk", func() bool { return strings.Contains(a.log(), "nothing is acknowledged") })
	must(t, os.Remove(dir+"/ballast"))
	eventually(t, "records are acknowledged again", func() bool { return tell(acctInterim) })
	a.kill()
	a.start()
	lost := 0
	if v := a.session(id); v.Accounting == nil || v.Accounting.InOctets < uint64(kept) || v.Accounting.InOctets > uint64(sent) {
		t.Errorf("%d octets acknowledged, %d sent: %+v", kept, sent, v.Accounting)
		lost++
	}
	t.Logf("%d octets were acknowledged before the disk refused, %d in the end", full, kept)
	figure("crash_full_disk_losses", lost, "losses", "<=", 0)
}

// fullRecordsMax is more than fit into what is written between two looks at the free space.
const fullRecordsMax = 20000

// exchangeLogin logs in and returns request and reply.
func (n *nas) exchangeLogin(a *appliance, id string) (request, reply []byte) {
	request = n.pap("cisco", "cisco", id, nil)
	n.send(a.auth(), request)
	return request, n.receive()
}

// fill writes until nothing more fits.
func fill(dir string) error {
	f, err := os.Create(dir + "/ballast")
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for {
		if _, err := f.Write(block); err != nil {
			return nil // that is what was wanted
		}
	}
}
