package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport-agent/core"
	"sallyport/cmd/sallyport-agent/devicekey"
	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/cmd/sallyport-agent/remedy"
	"sallyport/cmd/sallyport-agent/uplink"
	"sallyport/netio/report"
)

var rewrite = flag.Bool("rewrite", false, "write golden files instead of comparing")

// TestStatusWords: the status as people read it.
func TestStatusWords(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	stick := report.USBDevice{Port: "2-1", Manufacturer: "SanDisk", Product: "Ultra", Serial: "4C53", State: report.USBBlocked}
	bound := core.View{Phase: "bound to the session", Since: at(2), Appliance: "https://posture:8443", SessionID: "0a3042ca0001d00056e2dce3",
		Assurance: "ticket", Status: "Compliant", StatusSince: at(4), Epoch: 2, DecisionID: "D7", ReportAt: at(4), Trigger: "remediated", NextAt: at(904),
		Requirements: []report.Outcome{{Requirement: "USB_Block", Enforcement: "mandatory", Status: "passed"}},
		Actions:      []report.ActionResult{{ID: "a1", Result: "done"}}, USB: &report.USB{Devices: []report.USBDevice{stick}}}
	cases := []struct {
		title   string
		running bool
		status  status
	}{
		{"just started", true, status{Agent: "1.0", PID: 42, Started: at(0), View: core.View{Phase: "looking for the appliance", Since: at(0)}}},
		{"compliant, a stick blocked", true, status{Agent: "1.0", PID: 42, Started: at(0), View: bound, DeviceKey: devicekey.Place{In: devicekey.TPM},
			Enrolment: &uplink.Enrolment{Authority: "sha256:00ff", Until: at(3600)},
			Blocked:   []remedy.Entry{{Port: "2-1", Serial: "4C53", At: at(3)}}, Said: []said{{at(3), "Remove the USB disk;\nit has been blocked."}}}},
		{"not compliant", true, status{Agent: "1.0", PID: 42, Started: at(0), DeviceKey: devicekey.Place{In: devicekey.File, Why: "there is no TPM at /dev/tpmrm0"}, Enrolment: &uplink.Enrolment{Problem: "the appliance does not enrol devices"}, View: core.View{Phase: "bound to the session", Since: at(2),
			Appliance: "https://posture:8443", SessionID: "S1", Status: "NonCompliant", StatusSince: at(4), Epoch: 3,
			Requirements: []report.Outcome{{Requirement: "USB_Block", Enforcement: "mandatory", Status: "failed", Failed: []string{"USB_Check"},
				Skipped: []string{"AV_Check"}, Reason: "USB mass storage is active"}},
			Actions: []report.ActionResult{{ID: "a1", Result: "failed", Error: "SanDisk Ultra at 2-1: still in use after 20s"}},
			USB: &report.USB{Devices: []report.USBDevice{{Port: "2-1", VID: "0781", PID: "5581", State: report.USBActive, Mounts: []string{"/media/a"}},
				{Port: "2-2", Product: "Disk", State: report.USBProtected}, stick}}}}},
		{"the appliance is lost", true, status{Agent: "1.0", PID: 42, Started: at(0), View: core.View{Phase: "looking for the appliance", Since: at(50),
			Appliance: "https://posture:8443", SessionID: "S1", Assurance: "address-mac", Status: "Compliant", StatusSince: at(4), Epoch: 1,
			Problem: "the appliance is lost: poll: connection refused", ProblemSince: at(50), USB: &report.USB{Devices: []report.USBDevice{}}}}},
		{"cannot look", true, status{Agent: "1.0", PID: 42, Started: at(0), View: core.View{Phase: "looking for the appliance", Since: at(0),
			USB: &report.USB{Error: "not implemented on this system in this build"}}}},
		{"USBGuard rules", true, status{Agent: "1.0", PID: 42, Started: at(0), USBControl: &usbControl{Master: "USBGuard", Rules: true},
			View: core.View{Phase: "looking for the appliance", Since: at(0), USB: &report.USB{Devices: []report.USBDevice{}}}}},
		{"USBGuard cannot be asked", true, status{Agent: "1.0", PID: 42, Started: at(0),
			USBControl: &usbControl{Master: "USBGuard", Problem: "its D-Bus service (usbguard-dbus) does not run"},
			View:       core.View{Phase: "looking for the appliance", Since: at(0), USB: &report.USB{Devices: []report.USBDevice{}}}}},
		{"stopped", false, status{Agent: "1.0", PID: 42, Started: at(0), Updated: at(30), Stopped: true, View: bound}},
	}
	var got strings.Builder
	for _, c := range cases {
		got.WriteString("== " + c.title + "\n" + words(&c.status, c.running, at(60)) + "\n")
	}
	if *rewrite {
		must(t, os.WriteFile("testdata/status.txt", []byte(got.String()), 0o644))
		return
	}
	want, err := os.ReadFile("testdata/status.txt")
	must(t, err)
	if got.String() != string(want) {
		t.Errorf("got:\n%s", got.String())
	}
}

// TestStatusHoldsNoSecrets: everybody may read it.
func TestStatusHoldsNoSecrets(t *testing.T) {
	s := newSite(t)
	s.login("S1", "very-secret-ticket")
	code, text := s.once("--json")
	if code != 0 {
		t.Fatal(text)
	}
	b, err := os.ReadFile(keep.Dir(s.state).Path(statusName))
	must(t, err)
	info, err := os.Stat(keep.Dir(s.state).Path(statusName))
	must(t, err)
	if info.Mode().Perm() != keep.Public {
		t.Errorf("mode %o", info.Mode())
	}
	for _, word := range []string{"very-secret-ticket", "nonce", "PRIVATE"} {
		if bytes.Contains(b, []byte(word)) || strings.Contains(text, word) {
			t.Errorf("%s is in the status", word)
		}
	}
}

// TestStatusFileKeepsTheNewest although many changes come while one is written.
func TestStatusFileKeepsTheNewest(t *testing.T) {
	dir, err := keep.Open(t.TempDir())
	must(t, err)
	f := newStatusFile(dir, "boot", devicekey.Place{In: devicekey.File}, nil, time.Now(), slog.New(slog.DiscardHandler))
	for n := range 200 {
		f.update(core.View{Epoch: uint64(n)}, nil, nil)
		f.message(strings.Repeat("x", n), time.Now())
	}
	f.stop(core.View{Epoch: 200}, nil)
	var got status
	must(t, dir.ReadJSON(statusName, &got))
	if got.Epoch != 200 || !got.Stopped || len(got.Said) != saidMax || len(got.Said[saidMax-1].Text) != 199 {
		t.Errorf("%+v", got)
	}
}

// TestAlive tells the very process from others.
func TestAlive(t *testing.T) {
	me := &status{PID: os.Getpid(), ProcessStart: processStart(os.Getpid())}
	if !alive(me) {
		t.Error("this process is said not to run")
	}
	stopped := *me
	stopped.Stopped = true
	other := *me
	other.ProcessStart += "0"
	if me.ProcessStart != "" && alive(&other) || alive(&stopped) {
		t.Error("another process is taken for the agent")
	}
}

// TestVoice: the hook gets the text on its standard input, and a hook that hangs or is
// not there stops nobody.
func TestVoice(t *testing.T) {
	var out, log bytes.Buffer
	v := newVoice(context.Background(), "/nonexistent/hook", &out, slog.New(slog.NewTextHandler(&log, nil)))
	v.say("two\nlines")
	v.wait()
	if out.String() != "Message: two\n  lines\n" || !strings.Contains(log.String(), "the message command failed") {
		t.Errorf("%q %q", out.String(), log.String())
	}
	if _, err := os.Stat("/nonexistent"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("this machine has a /nonexistent")
	}
}
