// Package freeradius runs Debian's FreeRADIUS as a peer of tests: a server for logins
// and accounting, a receiver of CoA and Disconnect requests, and radclient as a sender
// of anything. Each instance has a directory, ports and a secret of its own, and ends
// with its test.
//
// Its CoA receiver knows some sessions. One it knows is acknowledged; the Acct-Session-Id
// cause-506 gets a NAK with that Error-Cause, causeless one without; any other gets 503;
// with a wrong secret it is silent. It prints what it decoded.
package freeradius

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"
)

//go:embed radiusd.conf
var configuration string

// Options are what a Server may be told. The zero value has the secret testing123.
type Options struct {
	Secret   string   // of every client, which is 127.0.0.0/8
	Sessions []string // audit-session-ids and Acct-Session-Ids that exist; letters, digits and - only
	Users    string   // content of the users file: names, passwords, reply attributes
}

// Server is a running FreeRADIUS on 127.0.0.1.
type Server struct {
	Auth, Acct, CoA netip.AddrPort
	Secret          string

	mu      sync.Mutex
	output  bytes.Buffer
	changed chan struct{}
}

// What the output says: the server's own words, and ours when it is gone.
const (
	ready = "Ready to process requests"
	over  = "\nended\n"
)

const (
	startWait = 20 * time.Second // a loaded machine takes a second or two
	tries     = 3                // somebody else may take a free port first
)

// Start runs a Server until the test ends. Where the program is missing the test is
// skipped, and says which package has it.
func Start(t *testing.T, o Options) *Server {
	t.Helper()
	program := find(t, "freeradius", "freeradius")
	if o.Secret == "" {
		o.Secret = "testing123"
	}
	var err error
	for range tries {
		var s *Server
		if s, err = start(t, program, o); err == nil {
			return s
		}
	}
	t.Fatal(err)
	return nil
}

// find looks for a program, also where Debian keeps those of the administrator.
func find(t *testing.T, program, pkg string) string {
	t.Helper()
	for _, name := range []string{program, "/usr/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed; Debian package %s has it", program, pkg)
	return ""
}

func start(t *testing.T, program string, o Options) (*Server, error) {
	t.Helper()
	dir := t.TempDir()
	s := &Server{Auth: freePort(t), Acct: freePort(t), CoA: freePort(t), Secret: o.Secret, changed: make(chan struct{})}
	if err := s.configure(dir, o); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program, "-fxx", "-l", "stdout", "-d", dir)
	command.Stdout, command.Stderr = s, s
	command.WaitDelay = time.Second
	if err := command.Start(); err != nil {
		cancel()
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait() // it is ended by a signal
		_, _ = io.WriteString(s, over)
	}()
	stop := func() {
		cancel()
		<-ended
	}
	s.await(startWait, func(output string) bool {
		return strings.Contains(output, ready) || strings.Contains(output, over)
	})
	if !strings.Contains(s.Output(), ready) {
		stop()
		return nil, fmt.Errorf("FreeRADIUS does not start:\n%s", last(s.Output(), 20))
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("FreeRADIUS said:\n%s", last(s.Output(), 80))
		}
	})
	return s, nil
}

// configure writes one self-contained configuration, nothing of /etc/freeradius.
func (s *Server) configure(dir string, o Options) error {
	text, err := template.New("radiusd.conf").Parse(configuration)
	if err != nil {
		return err
	}
	var conf bytes.Buffer
	err = text.Execute(&conf, map[string]any{
		"Dir": dir, "Secret": o.Secret, "Sessions": strings.Join(append([]string{"none"}, o.Sessions...), "|"),
		"Auth": s.Auth.Port(), "Acct": s.Acct.Port(), "CoA": s.CoA.Port(), "Libraries": libraries(),
	})
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"radiusd.conf": conf.Bytes(), "users": []byte(o.Users),
		"dictionary": []byte("$INCLUDE /usr/share/freeradius/dictionary\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// libraries is where Debian keeps FreeRADIUS's modules.
func libraries() string {
	for _, pattern := range []string{"/usr/lib/freeradius", "/usr/lib/*/freeradius"} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	return "/usr/lib/freeradius"
}

func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	at := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// Write takes the server's output.
func (s *Server) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.output.Write(p)
}

// Output is what the server printed so far: each packet, attribute by attribute.
func (s *Server) Output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.output.String()
}

// await waits until done says so of what was printed; false when it does not in time.
func (s *Server) await(wait time.Duration, done func(output string) bool) bool {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		output, changed := s.output.String(), s.changed
		s.mu.Unlock()
		if done(output) {
			return true
		}
		select {
		case <-changed:
		case <-deadline.C:
			return false
		}
	}
}

// Received waits until the server has printed n packets of one kind, such as
// "CoA-Request", and returns the attributes of each as it decoded them, in its words and
// order. The test fails when fewer come.
func (s *Server) Received(t *testing.T, kind string, n int) (packets [][]string) {
	t.Helper()
	if !s.await(startWait, func(output string) bool {
		packets = received(output, kind)
		return len(packets) >= n
	}) {
		t.Fatalf("FreeRADIUS received %d packets %s, want %d", len(packets), kind, n)
	}
	return packets
}

// received takes the packets of one kind out of the output; one whose end has not been
// printed is left out.
func received(output, kind string) (packets [][]string) {
	lines := bufio.NewScanner(strings.NewReader(output))
	var packet []string
	inside := false
	for lines.Scan() {
		number, line, ok := strings.Cut(lines.Text(), ") ")
		if !ok || !strings.HasPrefix(number, "(") {
			continue // of no request: what the server says of its threads comes anywhere
		}
		switch {
		case inside && strings.HasPrefix(line, "  "):
			packet = append(packet, strings.TrimSpace(line))
		case inside:
			packets, inside = append(packets, packet), false
		case strings.HasPrefix(line, "Received "+kind+" "):
			packet, inside = nil, true
		}
	}
	return packets
}

// Client sends one packet with radclient: command is auth, acct, coa, disconnect or
// status; attributes are lines as radclient reads them, "=" for the first and "+=" for
// each further one of a name. It returns what radclient printed, and ErrNoReply or
// ErrRefused when it said so.
func Client(t *testing.T, to netip.AddrPort, command, secret string, attributes ...string) (string, error) {
	t.Helper()
	program := find(t, "radclient", "freeradius-utils")
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	run := exec.CommandContext(ctx, program, "-x", "-r", "2", "-t", "1", to.String(), command, secret)
	run.Stdin = strings.NewReader(strings.Join(attributes, "\n") + "\n")
	output, err := run.CombinedOutput()
	switch {
	case err == nil:
		return string(output), nil
	case bytes.Contains(output, []byte("No reply")):
		return string(output), ErrNoReply
	case bytes.Contains(output, []byte("Received ")):
		return string(output), ErrRefused
	}
	return string(output), fmt.Errorf("radclient: %w", err)
}

// Errors of Client.
var (
	ErrNoReply = errors.New("radclient got no reply")
	ErrRefused = errors.New("radclient got a reject or a NAK")
)

// last is the last n lines of text.
func last(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
