package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"
)

// serviceName is the service's and its event source's.
const (
	serviceName  = "SallyportAgent"
	serviceTitle = "Sallyport Agent"
	serviceWords = "Tells the posture appliance of this network facts about this computer, and blocks USB storage when asked."
)

// Times of the service.
const (
	stopHint     = 20 * time.Second // told to the service manager: undoing a block takes seconds
	restartAfter = 5 * time.Second  // after a crash
	forgetAfter  = 24 * time.Hour   // crashes, when there were none for so long
)

// serviceCommands are there on Windows alone.
type serviceCommands struct {
	Service struct {
		Install installCommand `cmd:"" help:"Have Windows start the agent with the system, by the options given now, and start it."`
		Remove  removeCommand  `cmd:"" help:"Stop the service and remove it; the state stays."`
		Run     managedCommand `cmd:"" hidden:"" help:"What the service manager starts."`
	} `cmd:"" help:"The Windows service."`
}

type managedCommand struct{}

// Run runs the agent under the service manager; its log goes to the system's event log.
func (*managedCommand) Run(opts *options) error {
	var log io.Writer = io.Discard
	if l, err := eventlog.Open(serviceName); err == nil {
		defer l.Close()
		log = eventWriter{l}
	}
	err := svc.Run(serviceName, &service{run: func(ctx context.Context) int {
		err := (&runCommand{}).Run(ctx, opts, &streams{io.Discard, log})
		if err != nil {
			fmt.Fprintln(log, "level=ERROR", err)
			return exitNonCompliant
		}
		return exitOK
	}})
	if errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
		return errors.New("only the service manager starts this; by hand it is 'sallyport-agent run'")
	}
	return err
}

// service answers the service manager. It is stopped, or fails: then Windows starts it
// again, by the recovery actions that install has set.
type service struct {
	run func(context.Context) int
}

// Execute implements svc.Handler.
func (s *service) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	status <- svc.Status{State: svc.StartPending}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan int, 1)
	go func() { ended <- s.run(ctx) }()
	status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	for {
		select {
		case code := <-ended:
			return true, uint32(max(code, 1)) // nobody asked for it
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- r.CurrentStatus
			case svc.Stop, svc.Shutdown:
				status <- svc.Status{State: svc.StopPending, WaitHint: uint32(stopHint / time.Millisecond)}
				cancel()
				select {
				case <-ended:
				case <-time.After(stopHint):
				}
				return false, 0
			}
		}
	}
}

// events is what of an event log is used.
type events interface {
	Info(id uint32, text string) error
	Warning(id uint32, text string) error
	Error(id uint32, text string) error
}

// eventID is the one that EventCreate.exe has a text for.
const eventID = 1

// eventWriter puts each line of the log into the system's event log, by its level.
type eventWriter struct{ to events }

// Write implements io.Writer. What the event log does not take is lost: there is nobody
// else to tell.
func (w eventWriter) Write(line []byte) (int, error) {
	text := strings.TrimRight(string(line), "\r\n")
	switch {
	case strings.Contains(text, "level=ERROR"):
		_ = w.to.Error(eventID, text)
	case strings.Contains(text, "level=WARN"):
		_ = w.to.Warning(eventID, text)
	default:
		_ = w.to.Info(eventID, text)
	}
	return len(line), nil
}

type installCommand struct {
	NoStart bool `help:"Do not start it now."`
}

// Run makes the service. It reads its options from the configuration file; those that
// were given on the command line are kept in the service's.
func (c *installCommand) Run(s *streams) error {
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("the service manager: %w; an administrator may install", err)
	}
	defer m.Disconnect()
	program, err := os.Executable()
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return err
	}
	made, err := m.CreateService(serviceName, program, mgr.Config{DisplayName: serviceTitle, Description: serviceWords,
		StartType: mgr.StartAutomatic, ErrorControl: mgr.ErrorNormal}, serviceArguments(os.Args[1:])...)
	if errors.Is(err, windows.ERROR_SERVICE_EXISTS) {
		return fmt.Errorf("the service %s is there already; remove it first", serviceName)
	}
	if err != nil {
		return fmt.Errorf("the service cannot be made: %w", err)
	}
	defer made.Close()
	restart := mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: restartAfter}
	if err := made.SetRecoveryActions([]mgr.RecoveryAction{restart, restart, restart}, uint32(forgetAfter/time.Second)); err != nil {
		fmt.Fprintln(s.err, "after a crash Windows will not start it again:", err)
	}
	if err := made.SetRecoveryActionsOnNonCrashFailures(true); err != nil {
		fmt.Fprintln(s.err, "after a failure or a renewal Windows will not start it again:", err)
	}
	if err := eventlog.InstallAsEventCreate(serviceName, eventlog.Error|eventlog.Warning|eventlog.Info); err != nil && !strings.Contains(err.Error(), "exists") {
		fmt.Fprintln(s.err, "its log will have no texts in the event viewer:", err)
	}
	fmt.Fprintf(s.out, "The service %s is installed.\n", serviceName)
	if c.NoStart {
		return nil
	}
	if err := made.Start(); err != nil {
		return fmt.Errorf("it is installed and does not start: %w", err)
	}
	return nil
}

// serviceArguments are those of a command line that installs, with run instead of install.
func serviceArguments(args []string) []string {
	var kept []string
	for _, a := range args {
		switch a {
		case "service", "install", "--no-start": // none is a value of an option
		default:
			kept = append(kept, a)
		}
	}
	return append([]string{"service", "run"}, kept...)
}

type removeCommand struct{}

// Run stops and removes the service.
func (*removeCommand) Run(s *streams) error {
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("the service manager: %w; an administrator may remove", err)
	}
	defer m.Disconnect()
	there, err := m.OpenService(serviceName)
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		return fmt.Errorf("there is no service %s", serviceName)
	}
	if err != nil {
		return err
	}
	defer there.Close()
	if err := stopped(there); err != nil {
		return err
	}
	if err := there.Delete(); err != nil {
		return fmt.Errorf("the service cannot be removed: %w", err)
	}
	if err := eventlog.Remove(serviceName); err != nil && !errors.Is(err, windows.ERROR_FILE_NOT_FOUND) {
		fmt.Fprintln(s.err, "its event source stays:", err)
	}
	fmt.Fprintf(s.out, "The service %s is removed.\n", serviceName)
	return nil
}

// stopped stops a service and waits until it has.
func stopped(there *mgr.Service) error {
	now, err := there.Query()
	if err != nil {
		return err
	}
	if now.State != svc.Stopped {
		if _, err := there.Control(svc.Stop); err != nil && !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
			return fmt.Errorf("the service does not stop: %w", err)
		}
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(stopHint + 5*time.Second); time.Now().Before(end); <-tick.C {
		if now, err = there.Query(); err != nil || now.State == svc.Stopped {
			return err
		}
	}
	return fmt.Errorf("the service did not stop within %s", stopHint)
}
