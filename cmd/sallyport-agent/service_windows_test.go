package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

// TestServiceLifecycle: pending, running, asked, stopped; and an agent that ends by itself
// is a failure, which Windows answers by starting it again.
func TestServiceLifecycle(t *testing.T) {
	for _, test := range []struct {
		name     string
		run      func(context.Context) int
		requests []svc.Cmd
		want     []svc.State
		specific bool
		code     uint32
	}{
		{"stopped", func(ctx context.Context) int { <-ctx.Done(); return 0 }, []svc.Cmd{svc.Interrogate, svc.Stop},
			[]svc.State{svc.StartPending, svc.Running, svc.Running, svc.StopPending}, false, 0},
		{"shutdown", func(ctx context.Context) int { <-ctx.Done(); return 0 }, []svc.Cmd{svc.Shutdown},
			[]svc.State{svc.StartPending, svc.Running, svc.StopPending}, false, 0},
		{"cannot start", func(context.Context) int { return exitUsage }, nil, []svc.State{svc.StartPending, svc.Running}, true, exitUsage},
		{"ends without an error", func(context.Context) int { return 0 }, nil, []svc.State{svc.StartPending, svc.Running}, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			requests, status := make(chan svc.ChangeRequest, 4), make(chan svc.Status, 16)
			for _, cmd := range test.requests {
				requests <- svc.ChangeRequest{Cmd: cmd, CurrentStatus: svc.Status{State: svc.Running}}
			}
			specific, code := (&service{run: test.run}).Execute(nil, requests, status)
			close(status)
			var states []svc.State
			for s := range status {
				states = append(states, s.State)
			}
			if !slices.Equal(states, test.want) || specific != test.specific || code != test.code {
				t.Errorf("%v %v %d, want %v %v %d", states, specific, code, test.want, test.specific, test.code)
			}
		})
	}
}

// TestServiceArguments: what was given when it was installed holds for the service.
func TestServiceArguments(t *testing.T) {
	got := serviceArguments([]string{"service", "install", "--no-start", "--pin", "sha256:00", "--verbose"})
	if want := []string{"service", "run", "--pin", "sha256:00", "--verbose"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// eventList is an event log in memory.
type eventList []string

func (l *eventList) add(kind, text string) error {
	*l = append(*l, kind+" "+text)
	return errors.New("full")
}
func (l *eventList) Info(_ uint32, text string) error    { return l.add("info", text) }
func (l *eventList) Warning(_ uint32, text string) error { return l.add("warning", text) }
func (l *eventList) Error(_ uint32, text string) error   { return l.add("error", text) }

// TestEventLog: by level, and an event log that is full stops nobody.
func TestEventLog(t *testing.T) {
	var list eventList
	w := eventWriter{&list}
	for _, line := range []string{"level=INFO msg=a\n", "level=WARN msg=b\r\n", "level=ERROR msg=c\n", "d"} {
		if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := strings.Join(list, "|"); got != "info level=INFO msg=a|warning level=WARN msg=b|error level=ERROR msg=c|info d" {
		t.Error(got)
	}
}

// TestServiceForReal installs this very program as the service, lets the service manager
// start and stop it, and removes it. It wants to be the only one of that name.
func TestServiceForReal(t *testing.T) {
	agent := os.Getenv("SALLYPORT_AGENT_EXE")
	if agent == "" {
		t.Skip("SALLYPORT_AGENT_EXE names no agent: .ci/wine builds one")
	}
	m, err := mgr.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Disconnect()
	// Wine cannot remove a file that the agent made; the prefix goes as a whole.
	state, err := os.MkdirTemp("", "service")
	if err != nil {
		t.Fatal(err)
	}
	made, err := m.CreateService(serviceName, agent, mgr.Config{StartType: mgr.StartManual}, "service", "run", "--state", state, "--pin", "sha256:"+strings.Repeat("0", 64),
		"--server", "127.0.0.1:1", "--mac", "02:00:00:00:00:01", "--ip", "10.0.0.9")
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	defer made.Delete()
	until(t, "the system starts services", func() bool { // while it boots it says that its database is locked
		err := made.Start()
		if err != nil && !errors.Is(err, windows.ERROR_SERVICE_DATABASE_LOCKED) {
			t.Fatal(err)
		}
		return err == nil
	})
	until(t, "the service writes its status", func() bool {
		text, err := os.ReadFile(state + `\status.json`)
		return err == nil && strings.Contains(string(text), `"phase"`)
	})
	if now, err := made.Query(); err != nil || now.State != svc.Running || now.Accepts&svc.AcceptStop == 0 {
		t.Errorf("%+v %v", now, err)
	}
	if err := stopped(made); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(state + `\status.json`); err != nil || !strings.Contains(string(text), `"stopped": true`) {
		t.Errorf("it was not stopped in order: %v %s", err, text)
	}
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
