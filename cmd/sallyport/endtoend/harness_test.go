package endtoend

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sallyport/engine"
)

const (
	sharedSecret = "a-shared-secret-of-32-octets-0001"
	patience     = 20 * time.Second // for anything that is awaited; a loaded machine needs some of it
	look         = 10 * time.Millisecond
)

// built is where programs put them; empty before.
var built string

// programs builds both programs once.
var programs = sync.OnceValue(func() (err error) {
	if built, err = os.MkdirTemp("", "sallyport-endtoend-"); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-o", built+"/", "sallyport/cmd/sallyport", "sallyport/cmd/sallyport-agent")
	if text, err := cmd.CombinedOutput(); err != nil {
		return errors.New(string(text))
	}
	return nil
})

// atOnce is how many tests run at once: they wait for children and timers most of the
// time, one of them for fifteen seconds.
const atOnce = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually looks until done says so.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick, late := time.NewTicker(look), time.NewTimer(patience)
	defer tick.Stop()
	defer late.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late.C:
			if !done() {
				t.Fatalf("not within %s: %s", patience, what)
			}
			return
		}
	}
}

// child is a process that was started here and ends with its test at the latest.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// start runs a program whose output goes to a file, which is shown when the test fails.
func start(t *testing.T, log, program string, args ...string) *child {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(t, err)
	defer out.Close()
	c := &child{cmd: exec.Command(filepath.Join(built, program), args...), ended: make(chan struct{})}
	c.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "SALLYPORT_") || strings.HasPrefix(v, "NOTIFY_SOCKET=")
	})
	c.cmd.Stdout, c.cmd.Stderr = out, out
	c.cmd.SysProcAttr = attributes()
	must(t, c.cmd.Start())
	go func() {
		defer close(c.ended)
		_ = c.cmd.Wait() // the exit code says it
	}()
	t.Cleanup(c.kill)
	return c
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.ended
}

// exit waits for the end and returns the exit code, -1 after a signal.
func (c *child) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(patience):
		t.Fatalf("%s goes on", filepath.Base(c.cmd.Path))
	}
	return c.cmd.ProcessState.ExitCode()
}

func (c *child) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	must(t, c.cmd.Process.Signal(s))
}

func (c *child) running() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// appliance is a directory with a configuration, and the process that serves it.
type appliance struct {
	*child
	t      *testing.T
	dir    string
	bound  engine.Bound
	coa    int // port that the configuration gives to every NAS
	starts int
}

// newAppliance writes a configuration and starts an appliance by it. edits are pairs of
// an old and a new text of the configuration.
func newAppliance(t *testing.T, edits ...string) *appliance {
	t.Helper()
	a := prepare(t, edits...)
	a.start()
	return a
}

// prepare makes the directory of an appliance that does not run yet.
func prepare(t *testing.T, edits ...string) *appliance {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: this builds both programs and runs them")
	}
	must(t, programs())
	a := &appliance{t: t, dir: t.TempDir(), coa: freePort(t)}
	hash, err := bcrypt.GenerateFromPassword([]byte("cisco"), bcrypt.MinCost)
	must(t, err)
	a.write("secret", sharedSecret+"\n")
	a.write("endpoints.yaml", "00:0c:29:c9:d9:99: {groups: [printers], os: macos}\n")
	a.write("users.yaml", fmt.Sprintf("cisco: {password: %q, groups: [employees]}\nlong: {password: %q}\n", hash, hash))
	text := configText
	for pair := range slices.Chunk(edits, 2) {
		text = edited(t, text, pair[0], pair[1])
	}
	a.write("sallyport.yaml", strings.NewReplacer("COAPORT", fmt.Sprint(a.coa), "LONGLINES", longACL()).Replace(text))
	t.Cleanup(func() {
		for _, bad := range []string{"panic", "DATA RACE"} {
			if strings.Contains(a.log(), bad) {
				t.Errorf("the appliance said %s", bad)
			}
		}
		if t.Failed() {
			t.Logf("the appliance said:\n%s", a.log())
		}
	})
	return a
}

// edited replaces a text that has to be there.
func edited(t *testing.T, text, old, with string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("%q is not in the configuration", old)
	}
	return strings.ReplaceAll(text, old, with)
}

// edit changes the configuration.
func (a *appliance) edit(old, with string) {
	a.t.Helper()
	a.write("sallyport.yaml", edited(a.t, a.read("sallyport.yaml"), old, with))
}

// freePort is a UDP port of loopback that nobody has now. A port that the tests of this
// run were given is not given again.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		must(t, err)
		port := c.LocalAddr().(*net.UDPAddr).Port
		c.Close()
		if _, taken := given.LoadOrStore(port, true); !taken {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

var given sync.Map

func (a *appliance) path(name string) string { return filepath.Join(a.dir, name) }

func (a *appliance) write(name, text string) {
	a.t.Helper()
	must(a.t, os.WriteFile(a.path(name), []byte(text), 0o600))
}

func (a *appliance) read(name string) string {
	a.t.Helper()
	b, err := os.ReadFile(a.path(name))
	must(a.t, err)
	return string(b)
}

// log is what every run of the appliance has said.
func (a *appliance) log() string {
	b, _ := os.ReadFile(a.path("log"))
	return string(b)
}

// start serves until the test ends, and waits until everything listens.
func (a *appliance) start() {
	a.t.Helper()
	a.starts++
	addrs := fmt.Sprintf("bound-%d.json", a.starts)
	a.child = start(a.t, a.path("log"), "sallyport", "serve", "--config", a.path("sallyport.yaml"), "--addrs-file", a.path(addrs))
	eventually(a.t, "the appliance serves", func() bool {
		if !a.running() {
			a.t.Fatal("the appliance ended instead of serving")
		}
		b, err := os.ReadFile(a.path(addrs))
		return err == nil && json.Unmarshal(b, &a.bound) == nil
	})
}

// pin writes the ports that the appliance got into its configuration, so that its next
// start gets the same ones.
func (a *appliance) pin() {
	a.t.Helper()
	a.edit(`authentication: ["127.0.0.1:0"]`, `authentication: ["`+a.auth().String()+`"]`)
	a.edit(`accounting: ["127.0.0.1:0"]`, `accounting: ["`+a.acct().String()+`"]`)
	a.edit(`portal: "127.0.0.1:0"`, `portal: "`+strings.TrimPrefix(a.bound.Portal, "https://")+`"`)
}

func (a *appliance) auth() netip.AddrPort { return a.bound.Authentication[0] }
func (a *appliance) acct() netip.AddrPort { return a.bound.Accounting[0] }

// run is a command of the sallyport program about this appliance: what it printed on
// standard output, what on standard error, and its exit code.
func (a *appliance) run(args ...string) (out, fault string, code int) {
	a.t.Helper()
	return a.program(append(args, "--config", a.path("sallyport.yaml"))...)
}

// program runs the sallyport program once.
func (a *appliance) program(args ...string) (out, fault string, code int) {
	a.t.Helper()
	var o, e bytes.Buffer
	cmd := exec.Command(filepath.Join(built, "sallyport"), args...)
	cmd.Stdout, cmd.Stderr = &o, &e
	var failed *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
		a.t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// ask runs a command that prints a JSON object a line.
func ask[T any](a *appliance, args ...string) (all []T) {
	a.t.Helper()
	out, fault, code := a.run(append(args, "--json")...)
	if code != 0 {
		a.t.Fatalf("sallyport %s: exit code %d: %s", strings.Join(args, " "), code, fault)
	}
	for line := range strings.Lines(out) {
		var row T
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			a.t.Fatalf("sallyport %s: %v: %s", strings.Join(args, " "), err, line)
		}
		all = append(all, row)
	}
	return all
}
