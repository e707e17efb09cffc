package endtoend

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/coa/coatest"
	"sallyport/engine"
	"sallyport/engine/record"
	"sallyport/netio/console"
	"sallyport/netio/radius"
	"sallyport/ops/usbfixture"
)

var killSeed = flag.Uint64("kill-seed", 0, "seed of the moments at which the appliance is killed under load; 0: a new one")

// Of the load. A session is two acknowledgements: its login and its Start.
const (
	loadRounds   = 3
	loadSessions = 300 // a round
	loadSenders  = 6
)

// load is what NASes sent to one appliance over all rounds, and what was acknowledged.
type load struct {
	a       *appliance
	senders []*nas

	mu        sync.Mutex // guards what follows
	acks      int
	reached   chan struct{} // closed with acknowledgement number killAt of the round
	killAt    int
	sent      map[string]string // address by session: every login that left
	accepted  map[string]bool
	started   map[string]bool // Starts that left
	accounted map[string]bool
	faults    []error
}

// opening is one session that a sender opens.
type opening struct{ id, acct, address string }

func share(round, sender int) (all []opening) {
	for i := range loadSessions / loadSenders {
		acct := fmt.Sprintf("%02x%02x%04x", round+1, sender+1, i+1)
		all = append(all, opening{"0a3042ca" + acct + "56e2dce4", acct, fmt.Sprintf("10.%d.%d.%d", round+1, sender, i+1)})
	}
	return all
}

// open sends what is not acknowledged yet of one share, until nobody answers.
func (l *load) open(sender int, all []opening) {
	n := l.senders[sender]
	for _, o := range all {
		l.mu.Lock()
		accepted, accounted := l.accepted[o.id], l.accounted[o.id]
		l.mu.Unlock()
		if !accepted && !l.exchange(n, l.a.auth(), n.pap("cisco", "cisco", o.id, nil), radius.AccessAccept, func() { l.sent[o.id] = o.address }, func() { l.accepted[o.id] = true }) {
			return
		}
		if !accounted && !l.exchange(n, l.a.acct(), n.accounting(acctStart, o.acct, o.id, o.address), radius.AccountingResponse, func() { l.started[o.id] = true }, func() { l.accounted[o.id] = true }) {
			return
		}
	}
}

// exchange sends one request and notes both that it left and that it was acknowledged.
// False: it was not.
func (l *load) exchange(n *nas, to netip.AddrPort, pkt []byte, want radius.Code, leaves, acknowledged func()) bool {
	l.mu.Lock()
	leaves()
	l.mu.Unlock()
	reply, err := l.reply(n, to, pkt)
	l.mu.Lock()
	defer l.mu.Unlock()
	var q, v radius.View
	switch {
	case err != nil:
		l.faults = append(l.faults, err)
		return false
	case reply == nil:
		return false
	case q.Decode(pkt) != radius.Sound || v.Decode(reply) != radius.Sound || v.Code() != want || n.key.VerifyResponse(&v, q.Authenticator()) != radius.Sound:
		l.faults = append(l.faults, fmt.Errorf("%s instead of a genuine %s", v.Code(), want))
		return false
	}
	acknowledged()
	if l.acks++; l.acks == l.killAt {
		close(l.reached)
	}
	return true
}

// reply is what comes for one request. What a killed appliance sent is in the socket
// before its end is known, so one more look suffices then.
func (l *load) reply(n *nas, to netip.AddrPort, pkt []byte) ([]byte, error) {
	if _, err := n.conn.WriteToUDPAddrPort(pkt, to); err != nil {
		return nil, err
	}
	for late := time.Now().Add(patience); ; {
		alive := l.a.running()
		reply, err := n.read(10 * look)
		if reply != nil || err != nil || !alive {
			return reply, err
		}
		if time.Now().After(late) {
			return nil, fmt.Errorf("no reply within %s from an appliance that runs", patience)
		}
	}
}

// run opens a round's sessions from all senders at once. wait returns when they are done.
func (l *load) run(round int) (wait func()) {
	var all sync.WaitGroup
	for sender := range l.senders {
		all.Go(func() { l.open(sender, share(round, sender)) })
	}
	return all.Wait
}

// rowsOf are the rows that the control socket answers with.
func rowsOf[T any](a *appliance, path string, query url.Values) (all []T) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(a.t, console.NewClient(a.bound.Control).Get(ctx, path, query, func(line json.RawMessage) error {
		var row T
		err := json.Unmarshal(line, &row)
		all = append(all, row)
		return err
	}))
	return all
}

// check compares what the appliance knows with what was sent and acknowledged.
func (l *load) check() {
	t := l.a.t
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.faults {
		t.Error(err)
	}
	there := map[string]engine.SessionView{}
	for _, v := range rowsOf[engine.SessionView](l.a, "/api/v1/sessions", url.Values{"status": {"*"}}) {
		if _, twice := there[v.SessionID]; twice {
			t.Errorf("the session %s is listed twice", v.SessionID)
		}
		there[v.SessionID] = v
		switch {
		case l.sent[v.SessionID] == "":
			t.Errorf("nobody opened the session %s: %+v", v.SessionID, v)
		case v.IPAddress != "" && v.IPAddress != l.sent[v.SessionID], v.Accounting != nil && v.Accounting.Started != nil && !l.started[v.SessionID]:
			t.Errorf("nobody said this about the session %s: %+v, %+v", v.SessionID, v, v.Accounting)
		}
	}
	for id := range l.accepted {
		if v := there[id]; v.State != "live" || v.Identity != "cisco" || !v.Authenticated || v.Authorization.Profile != "Posture_Redirect" {
			t.Errorf("the session %s got an Access-Accept, and is now %+v", id, v)
		}
	}
	for id := range l.accounted {
		if v := there[id]; v.IPAddress != l.sent[id] || v.AcctSessionID != id[8:16] || v.Accounting == nil || v.Accounting.Started == nil {
			t.Errorf("the session %s got an Accounting-Response, and is now %+v, %+v", id, v, v.Accounting)
		}
	}
	t.Logf("%d sessions; sent %d logins and %d Starts, acknowledged %d and %d", len(there), len(l.sent), len(l.started), len(l.accepted), len(l.accounted))
}

// TestKilledUnderLoad: SIGKILL at any moment of a load, three times over one state
// directory. What was acknowledged is there, what was never sent is not, and what was
// open is answered after the restart.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-kill-seed %d", seed)
	moments := rand.New(rand.NewPCG(seed, 0))
	l := &load{a: newAppliance(t), sent: map[string]string{}, accepted: map[string]bool{}, started: map[string]bool{}, accounted: map[string]bool{}}
	l.a.pin()
	for range loadSenders {
		l.senders = append(l.senders, newNAS(t, "127.0.0.1"))
	}
	for round := range loadRounds {
		l.acks, l.killAt, l.reached = 0, 1+moments.IntN(loadSessions*2*9/10), make(chan struct{})
		wait := l.run(round)
		select {
		case <-l.reached:
		case <-time.After(patience):
			t.Fatalf("round %d: acknowledgement %d did not come", round, l.killAt)
		}
		l.a.kill()
		wait()
		t.Logf("round %d: killed with acknowledgement %d, %d came", round, l.killAt, l.acks)
		l.a.start()
		l.check()
		l.run(round)() // as NASes do: again what was not answered
		if want := (round + 1) * loadSessions; len(l.accounted) != want || len(l.accepted) != want {
			t.Fatalf("round %d: after the restart %d logins and %d Starts are acknowledged in all, want %d", round, len(l.accepted), len(l.accounted), want)
		}
	}
	l.check()
	if out, fault, code := l.a.stopAndInspect(); code != 0 || !strings.Contains(out, fmt.Sprint(loadRounds*loadSessions)) {
		t.Errorf("inspect: exit code %d: %s%s", code, out[max(0, len(out)-1000):], fault)
	}
}

// TestKilledBetweenReportAndCoA: the appliance dies with the change that a blocked stick
// earned unanswered. The NAS applies it once after the restart, the session keeps epoch,
// address and accounting, and a stick that comes later leads to quarantine by CoA.
func TestKilledBetweenReportAndCoA(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.pin()
	id := s.session.AuditSessionID()
	s.asa.SetAnswer(coatest.ASASilent(1 << 30))
	port, err := s.tree.Plug(usbfixture.Stick{Mount: "/media/cisco/USB"})
	must(t, err)
	s.runAgent()
	one := func() engine.SessionView {
		return rowsOf[engine.SessionView](s.appliance, "/api/v1/sessions/"+url.PathEscape(id), nil)[0]
	}
	var before engine.SessionView
	eventually(t, "Compliant, and a change under way", func() bool {
		before = one()
		return before.Posture.Status == "Compliant" && before.Change != nil
	})
	s.kill()
	if s.session.Pushes() != 0 || !s.session.Authorization().Redirected() || !s.blocked(port) {
		t.Fatalf("before the restart: %d pushes, %s, stick blocked: %v", s.session.Pushes(), s.session.Access(), s.blocked(port))
	}

	s.asa.SetAnswer(nil)
	s.start()
	must(t, s.session.WaitFor(s.ctx, coatest.Access.Full))
	var after engine.SessionView
	eventually(t, "the change is settled", func() bool {
		after = one()
		return after.Change == nil && after.Authorization.Profile == "FullAccess"
	})
	if a := s.session.Authorization(); !strings.Contains(a.DACLName, "PERMIT_ALL_TRAFFIC") || len(a.DACL) != 1 || s.session.Pushes() != 1 {
		t.Errorf("the ASA holds %s after %d pushes:\n%s", a, s.session.Pushes(), s.told())
	}
	if after.Posture.Status != "Compliant" || after.Epoch != before.Epoch || after.Posture.DecisionID != before.Posture.DecisionID ||
		after.IPAddress != s.session.TunnelIP().String() || after.Accounting == nil || after.Accounting.Started == nil ||
		!after.Accounting.Started.Equal(*before.Accounting.Started) || after.LastChange.Outcome != "ack" {
		t.Errorf("the session came back as\n%+v, %+v, %+v\nit was\n%+v, %+v", after, after.Accounting, after.LastChange, before, before.Accounting)
	}

	// The agent was told nothing, and goes on.
	port, err = s.tree.Plug(usbfixture.Stick{Mount: "/media/cisco/USB"})
	must(t, err)
	must(t, s.session.WaitFor(s.ctx, func(coatest.Access) bool { return s.quarantines() >= 2 }))
	eventually(t, "the stick is blocked and full access is back", func() bool {
		return s.blocked(port) && s.session.Authorization().Full()
	})
	bad := s.row(func(d *record.Decision) bool {
		return d.Kind == record.KindPosture && d.PostureStatus == "NonCompliant"
	})
	if bad == nil || bad.AuthorizationProfile != "Posture_Redirect" || bad.Epoch <= after.Epoch {
		t.Errorf("the row of the quarantine: %+v; the epoch was %d", bad, after.Epoch)
	}
	if !s.agent.running() {
		t.Error("the agent has ended")
	}
}

// quarantines counts how often a redirect came into force, the login's among them.
func (s *stage) quarantines() int {
	return strings.Count(strings.Join(s.session.History(), "\n"), "redirect ACL_WEBAUTH_REDIRECT")
}
