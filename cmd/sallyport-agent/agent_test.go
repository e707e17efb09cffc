package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/cmd/sallyport-agent/uplink/uplinktest"
	"sallyport/netio/report"
	"sallyport/ops/usbfixture"
)

// patience bounds every wait; nothing here takes that long.
const patience = 15 * time.Second

// site is a machine, a NAS in its way and an appliance, on loopback.
type site struct {
	t         *testing.T
	tree      *usbfixture.Tree
	appliance *uplinktest.Appliance
	state     string
	args      []string

	mu       sync.Mutex
	redirect http.HandlerFunc
}

func newSite(t *testing.T) *site {
	t.Helper()
	tree, err := usbfixture.New(t.TempDir())
	must(t, err)
	t.Cleanup(func() { tree.Close() })
	s := &site{t: t, tree: tree, appliance: uplinktest.New(t), state: filepath.Join(t.TempDir(), "state"), redirect: http.NotFound}
	nas := uplinktest.NAS(t, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		h := s.redirect
		s.mu.Unlock()
		h(w, r)
	})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.appliance.Certificate().Raw}), 0o600))
	s.args = []string{"--state", s.state, "--sysroot", tree.Root(), "--discovery-host", nas, "--ca", ca, "--mac", "02:00:00:00:00:01", "--ip", "10.0.0.9"}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// login makes a session, and the NAS redirect to it.
func (s *site) login(session, ticket string) {
	location := s.appliance.AddSession(session, ticket)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redirect = uplinktest.Redirect(location)
}

func (s *site) plug() string {
	s.t.Helper()
	port, err := s.tree.Plug(usbfixture.Stick{Mount: "/media/stick"})
	must(s.t, err)
	return port
}

// next waits for a report that says what ok wants, and returns it.
func (s *site) next(what string, ok func(report.Report) bool) report.Report {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case r := <-s.appliance.Reports:
			if ok(r) {
				return r
			}
		case <-deadline:
			s.t.Fatalf("no report within %s: %s", patience, what)
		}
	}
}

func with(trigger, state string) func(report.Report) bool {
	return func(r report.Report) bool {
		if trigger != "" && r.Trigger != trigger {
			return false
		}
		if state == "" {
			return len(r.Facts.USB.Devices) == 0
		}
		return len(r.Facts.USB.Devices) > 0 && r.Facts.USB.Devices[0].State == state
	}
}

func (s *site) until(what string, done func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// running is an agent in this process.
type running struct {
	s    *site
	stop context.CancelFunc
	code chan int
	out  lockedBuffer
	err  lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (s *site) run(more ...string) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{s: s, stop: cancel, code: make(chan int, 1)}
	args := append(append([]string{"run", "-v"}, s.args...), more...)
	go func() { r.code <- command(ctx, args, &r.out, &r.err) }()
	s.t.Cleanup(func() {
		cancel()
		if s.t.Failed() {
			s.t.Logf("agent's log:\n%s", r.err.String())
		}
	})
	return r
}

// end stops the agent and wants it to end well.
func (r *running) end() {
	r.s.t.Helper()
	r.stop()
	select {
	case code := <-r.code:
		if code != 0 {
			r.s.t.Fatalf("exit code %d:\n%s", code, r.err.String())
		}
	case <-time.After(patience):
		r.s.t.Fatal("the agent does not stop")
	}
}

// once makes one assessment and returns the exit code and what was printed.
func (s *site) once(more ...string) (int, string) {
	var out, errs bytes.Buffer
	code := command(context.Background(), append(append([]string{"once"}, s.args...), more...), &out, &errs)
	return code, out.String() + errs.String()
}

func (s *site) status() (st struct {
	Running bool `json:"running"`
	status
}) {
	s.t.Helper()
	var out, errs bytes.Buffer
	command(context.Background(), append([]string{"status", "--json"}, s.args...), &out, &errs)
	if out.Len() > 0 {
		must(s.t, json.Unmarshal(out.Bytes(), &st))
	}
	return st
}

// TestStory is the reference story from the agent's side, and what follows it: plugged
// again, asked to look again, the session's end.
func TestStory(t *testing.T) {
	s := newSite(t)
	hook := filepath.Join(t.TempDir(), "hook")
	said := filepath.Join(t.TempDir(), "said")
	must(t, os.WriteFile(hook, []byte("#!/bin/sh\ncat >>"+said+"\n"), 0o755))
	port := s.plug()
	s.login("S1", "T1")
	agent := s.run("--message-command", hook)
	first := s.next("initial", with(report.TriggerInitial, report.USBActive))
	if d := first.Facts.USB.Devices[0]; d.VID != "0781" || d.Ifaces[0] != "08/06/50" || d.Mounts[0] != "/media/stick" {
		t.Errorf("%+v", d)
	}
	blocked := s.next("blocked", with(report.TriggerRemediated, report.USBBlocked))
	if len(blocked.Actions) != 1 || blocked.Actions[0].Result != "done" || blocked.Actions[0].ID != "block-1" {
		t.Errorf("%+v", blocked.Actions)
	}
	if s.tree.Driver(port+":1.0") != "" || len(s.tree.Losses()) > 0 {
		t.Errorf("driver %q, losses %q", s.tree.Driver(port+":1.0"), s.tree.Losses())
	}
	s.until("status", func() bool { return s.status().View.Status == "Compliant" })
	if st := s.status(); !st.Running || st.SessionID != "S1" || len(st.Blocked) != 1 || st.Appliance != s.appliance.Base() {
		t.Errorf("%+v", st)
	}

	must(t, s.tree.Unplug(port))
	s.next("unplugged", func(r report.Report) bool {
		if len(r.Facts.USB.Devices) > 0 {
			t.Errorf("on its way out: %+v", r.Facts.USB.Devices[0])
		}
		return r.Trigger == report.TriggerEvent && len(r.Facts.USB.Devices) == 0
	})
	start := time.Now()
	s.plug()
	s.next("plugged again", with(report.TriggerEvent, report.USBActive))
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("from plug to report: %s", took)
	}
	s.next("blocked again", with(report.TriggerRemediated, report.USBBlocked))

	s.appliance.Push("S1", report.Event{Kind: report.EventRecheck})
	s.next("recheck", with(report.TriggerPeriodic, report.USBBlocked))

	s.mu.Lock()
	s.redirect = http.NotFound
	s.mu.Unlock()
	s.appliance.Push("S1", report.Event{Kind: report.EventEnd})
	s.until("given back", func() bool { return s.tree.Driver(port+":1.0") == "usb-storage" })
	agent.end()
	if want := "Message: Remove the USB disk; it has been blocked.\n"; strings.Count(agent.out.String(), want) != 2 {
		t.Errorf("messages: %q", agent.out.String())
	}
	if text, err := os.ReadFile(said); err != nil || strings.Count(string(text), "Remove the USB disk") != 2 {
		t.Errorf("the message command got %q, %v", text, err)
	}
	if st := s.status(); st.Running || !st.Stopped || len(st.Blocked) != 0 {
		t.Errorf("%+v", st)
	}
}

// TestApplianceLostAndBack: what happened meanwhile is reported; nothing is given back.
func TestApplianceLostAndBack(t *testing.T) {
	s := newSite(t)
	port := s.plug()
	s.login("S1", "T1")
	agent := s.run()
	s.next("blocked", with(report.TriggerRemediated, report.USBBlocked))
	s.appliance.Stop()
	s.until("the loss is seen", func() bool { return s.status().Problem != "" })
	must(t, s.tree.Unplug(port))
	s.plug()
	s.appliance.Start()
	s.next("the new stick", with("", report.USBActive))
	s.next("and its block", with(report.TriggerRemediated, report.USBBlocked))
	agent.end()
}

// TestRestart: blocked devices stay blocked over the agent's end, are known to the next
// one, and are given back when the session turns out to be over.
func TestRestart(t *testing.T) {
	s := newSite(t)
	port := s.plug()
	s.login("S1", "T1")
	agent := s.run()
	s.next("blocked", with(report.TriggerRemediated, report.USBBlocked))
	agent.end()
	if s.tree.Driver(port+":1.0") != "" {
		t.Fatal("given back at the agent's end")
	}
	agent = s.run()
	r := s.next("still blocked", with(report.TriggerInitial, report.USBBlocked))
	if r.Seq <= 2 {
		t.Errorf("the numbers began anew: %d", r.Seq)
	}
	agent.end()
	s.appliance.RemoveSession("S1")
	agent = s.run()
	s.until("given back", func() bool { return s.tree.Driver(port+":1.0") == "usb-storage" })
	agent.end()
}

// TestAnswersGoneWrong: lost answers, stale nonces, refusals; in the end each report
// was judged once and the agent is where it should be.
func TestAnswersGoneWrong(t *testing.T) {
	s := newSite(t)
	s.login("S1", "T1")
	s.appliance.Inject(report.PathSession, uplinktest.Refuse(503, report.CodeBusy))
	s.appliance.Inject(report.PathReport, s.appliance.LoseAnswer, uplinktest.Hangup)
	agent := s.run()
	s.next("initial", with(report.TriggerInitial, ""))
	s.until("judged after the answer was lost", func() bool { return s.status().View.Status == "Compliant" })
	if n := len(s.appliance.Reports); n != 0 {
		t.Errorf("%d more reports were judged than sent", n)
	}
	s.appliance.SpendNonce("S1")
	s.plug()
	s.next("with the new nonce", with(report.TriggerEvent, report.USBActive))
	s.next("blocked", with(report.TriggerRemediated, report.USBBlocked))
	s.appliance.Inject(report.PathReport, uplinktest.Refuse(403, report.CodeNotBound))
	s.appliance.Push("S1", report.Event{Kind: report.EventRecheck})
	s.next("claimed again", with(report.TriggerInitial, report.USBBlocked))
	agent.end()
}

// TestRedirectToAnotherSession: the VPN was connected again.
func TestRedirectToAnotherSession(t *testing.T) {
	s := newSite(t)
	s.login("S1", "T1")
	agent := s.run()
	s.next("first session", with(report.TriggerInitial, ""))
	s.login("S2", "T2")
	s.appliance.RemoveSession("S1")
	r := s.next("second session", with(report.TriggerInitial, ""))
	if r.SessionID != "S2" {
		t.Errorf("%+v", r)
	}
	agent.end()
}

// TestOneAgentPerState: the second says why it does not start.
func TestOneAgentPerState(t *testing.T) {
	s := newSite(t)
	s.login("S1", "T1")
	agent := s.run()
	s.next("initial", with(report.TriggerInitial, ""))
	code, text := s.once()
	if code != exitNoVerdict || !strings.Contains(text, "another agent is running") {
		t.Errorf("%d %s", code, text)
	}
	agent.end()
}

func TestOnceExitCodes(t *testing.T) {
	always := func(v report.Verdict) func(report.Report) report.Verdict {
		return func(report.Report) report.Verdict { return v }
	}
	block := []report.Action{{ID: "x", Verb: report.VerbUSBBlock, Mode: "automatic", Requirement: "USB_Block"}}
	for name, c := range map[string]struct {
		judge func(report.Report) report.Verdict
		stick bool
		args  []string
		code  int
		text  string
	}{
		"compliant":           {uplinktest.BlockSticks, false, nil, 0, "Compliant\n"},
		"compliant by block":  {uplinktest.BlockSticks, true, nil, 0, "Compliant\n"},
		"not applicable":      {always(report.Verdict{Status: "NotApplicable"}), false, nil, 0, "NotApplicable\n"},
		"not compliant":       {always(report.Verdict{Status: "NonCompliant"}), false, nil, 1, "NonCompliant\n"},
		"block does not help": {always(report.Verdict{Status: "NonCompliant", Actions: block}), true, nil, 1, "NonCompliant\n"},
		"unknown":             {always(report.Verdict{Status: "Unknown"}), false, nil, 2, "no verdict: Unknown"},
		"wrong certificate": {uplinktest.BlockSticks, false, []string{"--pin", "sha256:" + strings.Repeat("ab", 32), "--timeout", "500ms"}, 2,
			"is not the pinned one"},
		"bad pin":    {uplinktest.BlockSticks, false, []string{"--pin", "ab"}, 2, "want sha256: and 64 hexadecimal digits"},
		"no such CA": {uplinktest.BlockSticks, false, []string{"--ca", "/nonexistent"}, 2, "--ca: open /nonexistent"},
		"several faults": {uplinktest.BlockSticks, false, []string{"--server", "https://x/", "--ip", "x", "--message-command", "x", "--sysroot", "/nonexistent",
			"--heartbeat", "1ms", "--name-rule", "*.*"}, 2, "--message-command \"x\": want an absolute path\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.appliance.Judge = c.judge
			s.login("S1", "T1")
			if c.stick {
				s.plug()
			}
			code, text := s.once(c.args...)
			if code != c.code || !strings.Contains(text, c.text) {
				t.Errorf("exit %d:\n%s", code, text)
			}
		})
	}
}

// TestOnceWithoutAnyAppliance says where it looked.
func TestOnceWithoutAnyAppliance(t *testing.T) {
	s := newSite(t)
	code, text := s.once("--timeout", "300ms")
	if code != exitNoVerdict || !strings.Contains(text, "no verdict within 300ms: no appliance found (http://127.0.0.1:") ||
		!strings.Contains(text, "no redirect, but 404 Not Found") {
		t.Errorf("%d %s", code, text)
	}
	code, text = s.once("--timeout", "300ms", "--json")
	if code != exitNoVerdict || !strings.Contains(text, `"phase":"looking for the appliance"`) {
		t.Errorf("%d %s", code, text)
	}
}

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) string {
		name := filepath.Join(dir, "conf")
		must(t, os.WriteFile(name, []byte(text), 0o600))
		return name
	}
	for name, c := range map[string]struct {
		args []string
		conf string
		code int
		text string
	}{
		"version":        {[]string{"--version"}, "", 0, version},
		"help":           {[]string{"--help"}, "", 0, "Watch this endpoint and stay."},
		"no command":     {nil, "", exitUsage, "expected one of"},
		"unknown flag":   {[]string{"run", "--frobnicate"}, "", exitUsage, "unknown flag --frobnicate"},
		"nobody trusted": {[]string{"once", "--state", dir}, "", 2, "nothing says which appliance to trust"},
		"no state":       {[]string{"status", "--state", filepath.Join(dir, "none")}, "", 2, "no agent has run with the state directory"},
		"from the file":  {[]string{"once", "--state", dir}, "# comment\n\nserver = a:1, https://b\n", 2, `--server "https://b": want HOST`},
		"command line wins": {[]string{"once", "--state", dir, "--server", "https://c"}, "server = a\n", 2,
			`--server "https://c": want HOST`},
		"unknown option": {[]string{"status"}, "state = /x\nsevrer = b\n", exitUsage, `configuration line 2: there is no option "sevrer"`},
		"no equals sign": {[]string{"status"}, "state\n", exitUsage, "configuration line 1: want 'name = value'"},
		"twice":          {[]string{"status"}, "state = a\nstate = b\n", exitUsage, "configuration line 2: state was set in line 1 already"},
	} {
		t.Run(name, func(t *testing.T) {
			args := c.args
			if c.conf != "" {
				args = append(args, "--config", file(c.conf))
			}
			var out bytes.Buffer
			code := command(context.Background(), args, &out, &out)
			if code != c.code || !strings.Contains(out.String(), c.text) {
				t.Errorf("exit %d:\n%s", code, out.String())
			}
		})
	}
}
