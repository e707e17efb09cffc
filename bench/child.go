package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sallyport/netio/radius"
	"sallyport/ops/secret"
)

const (
	startWait = 30 * time.Second // for a server's first answer
	stopWait  = 15 * time.Second // for its end after SIGTERM
	lookEvery = 20 * time.Millisecond
)

// Server is a server that was started here, in a directory of its own.
type Server struct {
	Target

	dir    string
	cmd    *exec.Cmd
	ended  chan struct{}
	frozen bool
}

// launch starts a program on a CPU; what it says goes into the file "log" of its
// directory.
func (s *Server) launch(cpu int, program string, args ...string) error {
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(program, args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Env = cleanEnvironment()
	if err := startOn(cpu, s.cmd); err != nil {
		return err
	}
	s.PID, s.ended = s.cmd.Process.Pid, make(chan struct{})
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait() // it is ended by a signal
	}()
	return nil
}

// cleanEnvironment leaves out what would change how a server runs.
func cleanEnvironment() (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SALLYPORT_") && !strings.HasPrefix(v, "NOTIFY_SOCKET=") && !strings.HasPrefix(v, "GO") {
			env = append(env, v)
		}
	}
	return env
}

// await looks until done says so, while the program runs.
func (s *Server) await(ctx context.Context, what string, done func() bool) error {
	deadline := time.NewTimer(startWait)
	defer deadline.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for !done() {
		select {
		case <-s.ended:
			return fmt.Errorf("%s ended before %s:\n%s", s.Name, what, s.said())
		case <-deadline.C:
			return fmt.Errorf("%s: not within %s: %s:\n%s", s.Name, startWait, what, s.said())
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
	return nil
}

// answers logs in until somebody answers.
func (s *Server) answers(ctx context.Context) error {
	probe := &Scenario{Name: "probe", Kind: KindAuth, Count: 1, Objectives: Objectives{}}
	probe.fill()
	probe.Time = time.Second
	probe.Retransmit = Retransmit{Off: true, Initial: time.Second, Longest: time.Second, GiveUp: time.Second}
	quiet := &Runner{ServerCPU: -1, GeneratorCPU: -1}
	var fault error
	err := s.await(ctx, "its first answer", func() bool {
		var r *Result
		r, fault = quiet.Run(ctx, probe, &Target{Name: s.Name, Auth: s.Auth, Secret: s.Secret})
		return fault != nil || r.Counts.Answered > 0
	})
	return errors.Join(fault, err)
}

// said is the last of what a server printed.
func (s *Server) said() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-20):], []byte("\n")))
}

// freeze stops a server that is not measured; thaw lets it go on.
func (s *Server) freeze() error {
	s.frozen = true
	return pause(s.PID)
}

func (s *Server) thaw() error {
	s.frozen = false
	return resume(s.PID)
}

// Stop ends the server and removes its directory.
func (s *Server) Stop() error {
	if s.frozen {
		_ = s.thaw()
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(stopWait):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	return os.RemoveAll(s.dir)
}

// newServer makes the directory of a server that is not running yet.
func newServer(name string) (*Server, error) {
	dir, err := os.MkdirTemp("", "sallyport-bench-")
	if err != nil {
		return nil, err
	}
	return &Server{Target: Target{Name: name, Secret: secret.New([]byte(Secret))}, dir: dir}, nil
}

// write puts a file into the server's directory.
func (s *Server) write(name, text string) error {
	return os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600)
}

const _ = uint(len(Password) - 1)                  // a login without password is no login
const _ = uint(radius.PasswordMax - len(Password)) // RFC 2865 section 5.2
