package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport-agent/renew"
	"sallyport/netio/report"
)

// replaceable has this process take a file for its program and a number for its version.
func replaceable(t *testing.T, running string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sallyport-agent")
	must(t, os.WriteFile(path, []byte("the program of before"), 0o755))
	was, where := version, programOf
	version, programOf = running, func() (string, error) { return path, nil }
	t.Cleanup(func() { version, programOf = was, where })
	return path
}

// TestRenewal: an agent that is told a key takes a newer build with a signature of it, and
// ends so that it is started again; any other build it lets be, and goes on. Settings are
// kept for the next start.
func TestRenewal(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	must(t, err)
	const program = "#!/bin/sh\necho sallyport-agent 2.0\n"
	path := replaceable(t, "1.0")
	s := newSite(t)
	build := &report.Build{V: report.Version, Version: "2.0", OS: system(), Arch: runtime.GOARCH, File: "agent-2.0",
		SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(program))), SettingsName: "office", Settings: "usb-mode = observe\n"}
	offer := func(key ed25519.PrivateKey, offered string) {
		b := *build
		b.Version = offered
		b.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(key, b.SignedText()))
		s.appliance.Inject(report.PathUpdate, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get(report.QueryUpdateVersion) != "1.0" || r.Header.Get(report.HeaderSignature) == "" {
				t.Errorf("asked with %s", r.URL)
			}
			must(t, json.NewEncoder(w).Encode(&b))
		})
	}
	s.appliance.Inject(report.PathFile+"agent-2.0", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, program) })

	_, stranger, err := ed25519.GenerateKey(nil)
	must(t, err)
	offer(stranger, "2.0")
	s.login("S1", "T1")
	agent := s.run("--update-key", base64.StdEncoding.EncodeToString(public))
	s.until("a build of a stranger is refused", func() bool { return strings.Contains(agent.err.String(), "a build is not taken") })
	offer(private, "0.9")
	s.appliance.Push("S1", report.Event{Kind: report.EventPolicy})
	s.until("an older build is refused", func() bool { return strings.Contains(agent.err.String(), "not newer than 1.0") })
	if text, err := os.ReadFile(path); err != nil || string(text) != "the program of before" {
		t.Fatalf("%q %v", text, err)
	}
	offer(private, "2.0")
	s.appliance.Push("S1", report.Event{Kind: report.EventPolicy})
	select {
	case code := <-agent.code:
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(patience):
		t.Fatal("the agent goes on as it was")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != program {
		t.Errorf("%q %v", text, err)
	}
	if text, err := os.ReadFile(path + ".old"); err != nil || string(text) != "the program of before" {
		t.Errorf("%q %v", text, err)
	}

	again := s.run()
	s.until("the settings are in force", func() bool { return strings.Contains(again.err.String(), "mode=observe") })
	again.end()
	own := s.run("--usb-mode", "reactive")
	s.until("what is set here stands before them", func() bool { return strings.Contains(own.err.String(), "mode=reactive") })
	own.end()
}

// TestProvisioned: an appliance sets where it is found and how often it hears, and nothing
// that says whom to trust with what.
func TestProvisioned(t *testing.T) {
	for text, want := range map[string]string{
		"server = a,b\nheartbeat = 5m\n": "",
		"remedy-key = x\n":               `does not set "remedy-key"`,
		"message-command = /bin/sh\n":    "does not set",
		"nonsense\n":                     "want 'name = value'",
	} {
		_, err := readProvisioned(strings.NewReader(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// onTrial has this process be version 2.0 of a program that was 1.0 before.
func onTrial(t *testing.T) (path string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the builds of this test are shell scripts")
	}
	path = replaceable(t, "2.0")
	const program = "#!/bin/sh\necho sallyport-agent 2.0\n"
	must(t, renew.Install(t.Context(), path, []byte(program), &report.Build{Version: "2.0", SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(program)))}, "1.0", time.Now()))
	return path
}

// TestTrialThatIsAnswered: the build stays.
func TestTrialThatIsAnswered(t *testing.T) {
	path := onTrial(t)
	s := newSite(t)
	s.login("S1", "T1")
	agent := s.run()
	s.until("the trial is over", func() bool { return !renew.OnTrial(path, "2.0") })
	agent.end()
	if !strings.Contains(agent.err.String(), "this build stays") || renew.Failed(path) != nil {
		t.Error(agent.err.String())
	}
}

// TestTrialThatNobodyAnswers: the program of before comes back, says so to the appliance and to
// people, and does not take the build again.
func TestTrialThatNobodyAnswers(t *testing.T) {
	path := onTrial(t)
	was := trialTime
	t.Cleanup(func() { trialTime = was })
	trialTime = 30 * time.Millisecond
	s := newSite(t)
	agent := s.run()
	select {
	case code := <-agent.code:
		if code != 0 || !strings.Contains(agent.err.String(), "taken back") {
			t.Errorf("exit code %d: %s", code, agent.err.String())
		}
	case <-time.After(patience):
		t.Fatal("the build goes on")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "the program of before" {
		t.Errorf("%q %v", text, err)
	}
	version = "1.0"
	s.login("S1", "T1")
	again := s.run()
	const words = "build 2.0 was taken back: no appliance answered it within 30ms"
	s.next("the appliance is told", func(r report.Report) bool { return r.Agent.FailedBuild == words })
	again.end()
	var out, fault strings.Builder
	command(t.Context(), []string{"status", "--state", s.state}, &out, &fault)
	if !strings.Contains(out.String(), "Build        "+words) {
		t.Error(out.String(), fault.String())
	}
}
