// Package foreign is what NASes that somebody else wrote have in common when a test runs
// them: a network namespace of their own, an accounting server in it, and programs that
// end with the test. What such a NAS acknowledges, it does.
//
//	NAS --accounting--> Box
//	 ^------- changes from the test, whose sockets are opened Inside
package foreign

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"sallyport/netio/radius"
	"sallyport/ops/secret"
)

// Box is a namespace with a NAS in it.
type Box struct {
	CoA   netip.AddrPort // where it takes changes, inside of the namespace
	NASIP netip.Addr     // how it is named

	t       *testing.T
	key     *radius.Key
	space   space
	mu      sync.Mutex // guards the following
	records []Record
	changed chan struct{}
}

// Record is one Accounting-Request of the NAS.
type Record struct {
	Status           uint32 // Acct-Status-Type
	AcctSessionID    string
	UserName         string
	CallingStationID string
}

// patience is how long anything here may take.
const patience = 20 * time.Second

// Program is one that a test needs, and the Debian package that has it.
type Program struct{ Name, Package string }

// Find says where the programs are. Where one is missing the test is skipped and says so.
func Find(t *testing.T, programs ...Program) (paths []string) {
	t.Helper()
	for _, p := range programs {
		path := ""
		for _, dir := range []string{"", "/usr/sbin/", "/sbin/", "/usr/lib/ipsec/"} {
			if at, err := exec.LookPath(dir + p.Name); err == nil {
				path = at
				break
			}
		}
		if path == "" {
			t.Skipf("%s is not installed; Debian package %s has it", p.Name, p.Package)
		}
		paths = append(paths, path)
	}
	return paths
}

// Open makes the namespace, until the test ends, in which whoever has the shared secret may
// send accounting to port 1813. Without the right to make one the test is skipped and says so.
func Open(t *testing.T, shared string) *Box {
	t.Helper()
	key, err := radius.NewKey(secret.New([]byte(shared)))
	if err != nil {
		t.Fatal(err)
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	b := &Box{t: t, key: key, NASIP: loopback, CoA: netip.AddrPortFrom(loopback, 3799), changed: make(chan struct{})}
	if err := b.space.open(); err != nil {
		t.Skipf("no network namespace of our own: %v", err)
	}
	t.Cleanup(b.space.close)
	b.Do("ip", "link", "set", "lo", "up")
	b.Inside(b.account)
	return b
}

// Inside calls f in the namespace: sockets that it opens and programs that it starts stay
// there. The test fails with its error.
func (b *Box) Inside(f func() error) {
	b.t.Helper()
	if err := b.space.do(f); err != nil {
		b.t.Fatal(err)
	}
}

// Do runs a command in the namespace to its end and returns what it said.
func (b *Box) Do(program string, args ...string) (said string) {
	b.t.Helper()
	said, err := b.Try(program, args...)
	if err != nil {
		b.t.Fatalf("%s %v: %v: %s", program, args, err, said)
	}
	return said
}

// Try is Do of a command that may fail.
func (b *Box) Try(program string, args ...string) (said string, err error) {
	b.Inside(func() error {
		var out []byte
		out, err = exec.Command(program, args...).CombinedOutput()
		said = string(out)
		return nil
	})
	return said, err
}

// Running is a program that was started.
type Running struct {
	PID  int
	said *log
}

// Says is what it has said so far.
func (r *Running) Says() string { return r.said.String() }

// Run starts a program in the namespace, until the test ends, with more of an environment.
func (b *Box) Run(environment []string, program string, args ...string) *Running {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	said := &log{}
	command := exec.CommandContext(ctx, program, args...)
	command.Stdout, command.Stderr = said, said
	command.Env = slices.Concat(os.Environ(), environment)
	b.Inside(command.Start)
	b.t.Cleanup(func() {
		cancel()
		_ = command.Wait() // it is ended by a signal
		if text := said.String(); b.t.Failed() {
			b.t.Logf("%s said:\n%s", program, text[max(0, len(text)-4000):])
		}
	})
	return &Running{PID: command.Process.Pid, said: said}
}

// log is what a program says while it runs.
type log struct {
	mu  sync.Mutex // guards all
	all bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// File writes a file for a program and returns its path.
func (b *Box) File(dir, name, text string) string {
	b.t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return file
}

// Eventually looks until done says so; the test fails when it never does.
func (b *Box) Eventually(what string, done func() bool) {
	b.t.Helper()
	tick, late := time.NewTicker(20*time.Millisecond), time.NewTimer(patience)
	defer tick.Stop()
	defer late.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late.C:
			b.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// Await waits for an Accounting-Request that is the one wanted, of those that came and
// will come; the test fails when none does.
func (b *Box) Await(what string, wanted func(r *Record) bool) Record {
	b.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		b.mu.Lock()
		records, changed := b.records, b.changed
		b.mu.Unlock()
		for i := range records {
			if wanted(&records[i]) {
				return records[i]
			}
		}
		select {
		case <-changed:
		case <-deadline.C:
			b.t.Fatalf("the NAS did not send: %s; it sent %+v", what, records)
		}
	}
}

func (b *Box) heard(r Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = append(b.records, r)
	close(b.changed)
	b.changed = make(chan struct{})
}
