package endtoend

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sallyport/coa/coatest"
	"sallyport/engine"
	"sallyport/netio/radius"
	"sallyport/ops/usbfixture"
)

// TestKilledBeforeTheAnswer: SIGKILL between an acknowledged report and the NAS's answer.
// The restarted appliance sends the change, the NAS applies it once, the session is as it
// was, and the agent goes on by itself.
func TestKilledBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.pin()
	s.asa.SetAnswer(coatest.ASASilent(1 << 30))
	before := s.view()
	s.runAgent()
	good := s.judged("Compliant", 0)
	eventually(t, "the change is on its way", func() bool { return len(s.packets(coatest.Received, "CoA-Request")) > 0 })
	s.kill()
	unanswered := len(s.packets(coatest.Received, "CoA-Request"))
	if s.session.Pushes() != 0 || !s.session.Authorization().Redirected() {
		t.Fatalf("the ASA was silent and did something: %s", s.session.Access())
	}

	s.asa.SetAnswer(nil)
	s.start()
	must(t, s.session.WaitFor(s.ctx, coatest.Access.Full))
	var v engine.SessionView
	eventually(t, "the change is settled", func() bool {
		v = s.view()
		return v.Change == nil && v.LastChange != nil
	})
	if v.LastChange.Outcome != "ack" || v.Authorization.Profile != "FullAccess" {
		t.Errorf("the change: %+v, %+v", v.LastChange, v.Authorization)
	}
	if v.Posture.Status != "Compliant" || v.Posture.Assurance != "ticket" || v.Epoch < good.Epoch || v.Identity != "cisco" ||
		v.IPAddress != s.session.TunnelIP().String() || v.AcctSessionID != s.session.AcctSessionID() ||
		v.Accounting == nil || v.Accounting.Started == nil || !v.Accounting.Started.Equal(*before.Accounting.Started) || !v.Started.Equal(before.Started) {
		t.Errorf("the session came back as %+v, %+v, %+v; before %+v", v, v.Posture, v.Accounting, before)
	}
	if got := s.session.Pushes(); got != 1 {
		t.Errorf("the ASA applied the change %d times", got)
	}
	if got := len(s.packets(coatest.Received, "CoA-Request")) - unanswered; got != 1 {
		t.Errorf("%d CoA-Requests after the restart, want 1:\n%s", got, s.told())
	}

	// The agent has not been told of anything. What it sees next arrives, and counts.
	if !s.agent.running() {
		t.Fatal("the agent has ended")
	}
	port, err := s.tree.Plug(usbfixture.Stick{Mount: "/media/cisco/USB"})
	must(t, err)
	again := s.judged("NonCompliant", 0) // the live log began anew
	if again.SessionID != s.session.AuditSessionID() || again.Epoch <= good.Epoch {
		t.Errorf("%+v after %+v", again, good)
	}
	eventually(t, "the stick is blocked", func() bool { return s.blocked(port) })
	must(t, s.session.WaitFor(s.ctx, coatest.Access.Full))
	if got := strings.Count(s.told(), "HTTP GET"); got == 0 {
		t.Error("the agent did not come through the redirect")
	}
}

// Of the burst.
const (
	burstSessions = 200
	burstSenders  = 8
	burstKill     = 150 // acknowledgements after which the appliance is killed
)

// burst is logins and accounting from several sockets at once, and what of it was
// acknowledged.
type burst struct {
	a     *appliance
	acks  atomic.Int32
	enter chan struct{} // closed when burstKill is reached

	mu        sync.Mutex // guards what follows
	accepted  []string
	accounted map[string]string // address by session
	fault     error
}

// sender opens its share of the sessions until nobody answers any more.
func (b *burst) sender(n *nas, share int) {
	for i := range burstSessions / burstSenders {
		id, address := fmt.Sprintf("%016x%08x", share+1, i+1), fmt.Sprintf("172.16.%d.%d", share, i)
		if !b.acknowledged(n, b.a.auth(), n.pap("cisco", "cisco", id, nil), radius.AccessAccept, func() { b.accepted = append(b.accepted, id) }) ||
			!b.acknowledged(n, b.a.acct(), n.accounting(acctStart, id[8:], id, address), radius.AccountingResponse, func() { b.accounted[id] = address }) {
			return
		}
	}
}

// acknowledged sends one request and notes a genuine reply. False: there was none.
func (b *burst) acknowledged(n *nas, to netip.AddrPort, pkt []byte, want radius.Code, note func()) bool {
	reply, err := n.try(to, pkt)
	b.mu.Lock()
	defer b.mu.Unlock()
	var q, v radius.View
	switch {
	case err != nil:
		b.fault = err
		return false
	case reply == nil:
		return false
	case q.Decode(pkt) != radius.Sound || v.Decode(reply) != radius.Sound || n.key.VerifyResponse(&v, q.Authenticator()) != radius.Sound || v.Code() != want:
		b.fault = fmt.Errorf("%s instead of %s, or not genuine", v.Code(), want)
		return false
	}
	note()
	if b.acks.Add(1) == burstKill {
		close(b.enter)
	}
	return true
}

// TestKilledInABurst: SIGKILL in the middle of logins and accounting. Whatever was
// acknowledged is there after a restart.
func TestKilledInABurst(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	b := &burst{a: a, enter: make(chan struct{}), accounted: map[string]string{}}
	var senders sync.WaitGroup
	for share := range burstSenders {
		n := newNAS(t, "127.0.0.1")
		senders.Go(func() { b.sender(n, share) })
	}
	select {
	case <-b.enter:
	case <-time.After(patience):
		t.Fatalf("%d acknowledgements, want %d: %v", b.acks.Load(), burstKill, b.fault)
	}
	a.kill()
	senders.Wait()
	if b.fault != nil {
		t.Fatal(b.fault)
	}
	t.Logf("killed after %d acknowledgements: %d logins, %d accounting records", b.acks.Load(), len(b.accepted), len(b.accounted))
	if len(b.accepted) == burstSessions {
		t.Error("the burst was over before the kill")
	}

	a.start()
	there := map[string]engine.SessionView{}
	for _, v := range a.sessions() {
		there[v.SessionID] = v
	}
	for _, id := range b.accepted {
		if v, ok := there[id]; !ok || v.State != "live" || v.Identity != "cisco" || !v.Authenticated || v.Authorization.Profile != "Posture_Redirect" {
			t.Errorf("the session %s got an Access-Accept; after the restart: %v %+v", id, ok, v)
		}
	}
	for id, address := range b.accounted {
		if v := there[id]; v.IPAddress != address || v.Accounting == nil || v.Accounting.Started == nil || v.AcctSessionID != id[8:] {
			t.Errorf("the session %s got an Accounting-Response; after the restart: %+v, %+v", id, v, v.Accounting)
		}
	}
	if out, fault, code := a.stopAndInspect(); code != 0 {
		t.Errorf("inspect: exit code %d: %s%s", code, out, fault)
	}
}

// stopAndInspect reads the state directory as an operator would.
func (a *appliance) stopAndInspect() (out, fault string, code int) {
	a.t.Helper()
	a.signal(a.t, syscall.SIGTERM)
	if code := a.exit(a.t); code != 0 {
		a.t.Errorf("SIGTERM: exit code %d", code)
	}
	return a.program("inspect", a.path("state"))
}
