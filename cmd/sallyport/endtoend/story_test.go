package endtoend

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sallyport/coa/coatest"
	"sallyport/engine"
	"sallyport/engine/record"
	"sallyport/ops/secret"
	"sallyport/ops/usbfixture"
)

const mac = "00:50:56:aa:bb:cc"

// stage is an appliance, an ASA, an endpoint with USB, and the agent on it.
type stage struct {
	*appliance
	ctx     context.Context
	asa     *coatest.ASA
	session *coatest.ASASession
	tree    *usbfixture.Tree
	agent   *child

	mu    sync.Mutex // guards steps
	steps []coatest.Step
}

// newStage opens a tunnel; the agent does not run yet. edits are those of newAppliance.
func newStage(t *testing.T, edits ...string) *stage {
	t.Helper()
	s := &stage{appliance: newAppliance(t, edits...)}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	var err error
	s.asa, err = coatest.NewASA(coatest.ASAConfig{Name: "asa", Secret: secret.New([]byte(sharedSecret)), AuthServer: s.auth(), AcctServer: s.acct(),
		CoAListen: fmt.Sprintf("127.0.0.1:%d", s.coa), MessageAuthenticator: true, RequireMessageAuthenticator: true, Log: s.saw})
	must(t, err)
	t.Cleanup(s.asa.Close)
	root := filepath.Join(s.dir, "endpoint")
	must(t, os.Mkdir(root, 0o700))
	s.tree, err = usbfixture.New(root)
	must(t, err)
	t.Cleanup(func() {
		s.tree.Close()
		if t.Failed() {
			log, _ := os.ReadFile(s.path("agent.log"))
			t.Logf("the agent said:\n%s\nthe ASA:\n%s", log, s.told())
		}
	})
	s.session, err = s.asa.Login(s.ctx, "cisco", "cisco", coatest.Endpoint{PublicIP: netip.MustParseAddr("10.62.145.44"), MAC: mac, Platform: "linux-64"})
	must(t, err)
	return s
}

// runAgent starts the agent; it has to find the appliance through the ASA's redirect.
func (s *stage) runAgent(more ...string) {
	s.t.Helper()
	s.agent = start(s.t, s.path("agent.log"), "sallyport-agent", s.agentArguments(more...)...)
}

func (s *stage) agentArguments(more ...string) []string {
	return append([]string{"run", "--verbose", "--state", s.path("agent"), "--sysroot", s.tree.Root(),
		"--discovery-host", s.asa.RedirectAddr().String(), "--ca", s.bound.Certificate, "--mac", mac, "--ip", s.session.TunnelIP().String()}, more...)
}

func (s *stage) saw(step coatest.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, step)
}

// told is what the ASA did, a line each.
func (s *stage) told() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all strings.Builder
	for _, one := range s.steps {
		fmt.Fprintln(&all, one)
	}
	return all.String()
}

// packets are the steps of one kind; a retransmission counts once, when it was heard first.
func (s *stage) packets(d coatest.Direction, name string) (all []coatest.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.steps {
		if one.Direction == d && one.Packet == name && one.Note == "" {
			all = append(all, one)
		}
	}
	return all
}

// judged waits for the row of a report after row number after, and returns it.
func (s *stage) judged(status string, after uint64) *record.Decision {
	s.t.Helper()
	var row *record.Decision
	eventually(s.t, "a report is judged "+status, func() bool {
		all := s.rows()
		for i := range all {
			if d := &all[i]; d.Number > after && d.Kind == record.KindPosture && d.Details == record.PostureMessage && d.PostureStatus == status {
				row = d
				return true
			}
		}
		return false
	})
	return row
}

func (s *stage) blocked(port string) bool {
	return !s.tree.Authorized(port+":1.0") && s.tree.Driver(port+":1.0") == ""
}

// TestStory: the whole story with the real programs: redirected, not compliant because of
// a stick, blocked, compliant, full access by CoA; plugged in again, quarantined again.
func TestStory(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	if a := s.session.Authorization(); !a.Redirected() || a.RedirectACL != "ACL_WEBAUTH_REDIRECT" || !s.session.MessageAuthenticatorFirst() {
		t.Fatalf("after the login: %s", a)
	}
	port, err := s.tree.Plug(usbfixture.Stick{Mount: "/media/cisco/USB"})
	must(t, err)
	s.runAgent()
	bad := s.judged("NonCompliant", 0)
	eventually(t, "the stick is blocked", func() bool { return s.blocked(port) })
	good := s.judged("Compliant", bad.Number)
	must(t, s.session.WaitFor(s.ctx, coatest.Access.Full))
	if lost := s.tree.Losses(); len(lost) > 0 {
		t.Errorf("data on the stick was lost: %q", lost)
	}
	// Quarantine in between was none: the endpoint had the redirect already.
	if pushes := s.packets(coatest.Received, "CoA-Request"); len(pushes) != 1 || s.session.Pushes() != 1 {
		t.Errorf("%d CoA-Requests for one change", len(pushes))
	}
	var v = s.view()
	eventually(t, "the CoA-ACK is in the session", func() bool {
		v = s.view()
		return v.Change == nil && v.LastChange != nil
	})
	if v.Posture.Status != "Compliant" || v.Posture.Assurance != "ticket" || v.Authorization.Profile != "FullAccess" || v.LastChange.Outcome != "ack" ||
		v.IPAddress != s.session.TunnelIP().String() || v.Posture.DecisionID != good.ID {
		t.Errorf("%+v", v)
	}

	must(t, s.tree.Unplug(port))
	pulled := s.judged("Compliant", good.Number)
	if got := s.session.Pushes(); got != 1 {
		t.Errorf("a report that changes nothing made a CoA: %d", got)
	}
	port, err = s.tree.Plug(usbfixture.Stick{Mount: "/media/cisco/USB"})
	must(t, err)
	again := s.judged("NonCompliant", pulled.Number)
	if again.AuthorizationProfile != "Posture_Redirect" || !strings.Contains(again.Reason, port) {
		t.Errorf("%+v", again)
	}
	eventually(t, "the stick is blocked again", func() bool { return s.blocked(port) })
	s.judged("Compliant", again.Number)
	must(t, s.session.WaitFor(s.ctx, coatest.Access.Full))
	history := strings.Join(s.session.History(), "\n")
	if got := strings.Count(history, "redirect ACL_WEBAUTH_REDIRECT"); got != 2 {
		t.Errorf("%d times in quarantine, want 2:\n%s", got, history)
	}
	if out, fault, code := s.run("report", "condition"); code != 0 || !strings.Contains(out, "USB_Check") {
		t.Errorf("report: exit code %d: %s%s", code, out, fault)
	}
}

func (s *stage) view() engine.SessionView { return s.appliance.session(s.session.AuditSessionID()) }
