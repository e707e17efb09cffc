package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"time"

	"sallyport/ops/secret"
)

// Secret is shared with servers that are started here.
const Secret = "a-shared-secret-of-32-octets-0001"

// warmWindow is what may be outstanding at each port while a server gets warm: the first
// logins hash passwords, and a server may refuse more than it can hash in time.
const warmWindow = 4

// Target is a server to put load on.
type Target struct {
	Name   string         // what it is, for the result
	Auth   netip.AddrPort // where Access-Requests go
	Acct   netip.AddrPort // where Accounting-Requests go
	Secret secret.Shared
	// Of a server that was started here:
	PID     int
	Metrics string // host:port of its Prometheus metrics, or empty
	Disk    string // file system of its journal
	CoA     uint16 // port that it sends changes of authorization to, or 0
}

// address is where a scenario's requests go.
func (t *Target) address(s *Scenario) netip.AddrPort {
	if s.Kind == KindAccounting {
		return t.Acct
	}
	return t.Auth
}

// Loopback refuses every target that is not of loopback: load is not put on networks.
func Loopback(at netip.AddrPort) error {
	switch {
	case !at.Addr().Unmap().IsLoopback():
		return fmt.Errorf("%s is not an address of loopback: this generator puts load on 127.0.0.0/8 and ::1 only", at)
	case at.Port() == 0:
		return errors.New("the target has no port")
	}
	return nil
}

// Runner puts load on targets. Progress may be nil.
type Runner struct {
	Progress     io.Writer // a line that is written over and over
	Steps        io.Writer // a line for each rate of a ramp; may be nil
	ServerCPU    int       // where the server is, -1 unknown or anywhere
	GeneratorCPU int       // where this process is, -1 anywhere
	Pinned       bool
	Ramp         bool   // look for the knee instead of running a scenario as it says
	Profile      string // file for a CPU profile of the server while it is measured, see profile; empty: none
}

// attack is a scenario and a target with their sockets open.
type attack struct {
	r    *Runner
	s    *Scenario
	t    *Target
	load *load
	wire *wire
	seed uint64

	flood *flood // that goes on beside the load, or nil
	surge surge
}

// surge says when a flood comes, after the begin of a run, how long and how strong.
type surge struct {
	after, length time.Duration
	rate          float64
}

// open checks everything and opens the source ports.
func (r *Runner) open(s *Scenario, t *Target) (*attack, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	at := netip.AddrPortFrom(t.address(s).Addr().Unmap(), t.address(s).Port())
	if err := Loopback(at); err != nil {
		return nil, err
	}
	v, err := newVerifier(t.Secret)
	if err != nil {
		return nil, err
	}
	a := &attack{r: r, s: s, t: t, seed: s.Seed}
	if a.seed == 0 {
		a.seed = rand.Uint64()>>11 | 1 // exact in every reader of JSON
	}
	a.load = newLoad(s, v, a.seed)
	sources := make([]netip.Addr, len(a.load.ports))
	for i, p := range a.load.ports {
		sources[i] = sourceOf(at.Addr(), p.nas)
	}
	if a.wire, err = openWire(at, sources); err != nil || s.Storm == 0 {
		return a, err
	}
	storm, err := newFlood(s, v, stormPorts, stormPorts*identifiers, true)
	if err != nil {
		return a, err
	}
	return a, a.release(storm, surge{0, s.Time, s.Storm})
}

// stormPorts is how many source ports a storm has, each with all identifiers outstanding.
const stormPorts = 8

func (a *attack) close() {
	if a.wire != nil {
		a.wire.close()
	}
}

// release lets a flood come beside every run from now on; with none, none comes any more.
func (a *attack) release(f *flood, s surge) error {
	a.flood, a.surge = f, s
	return a.wire.carry(f, netip.AddrPortFrom(a.t.address(a.s).Addr().Unmap(), a.t.address(a.s).Port()))
}

// at is the same attack with another load.
func (a *attack) at(rate float64, window int, length time.Duration) *attack {
	other, s := *a, *a.s
	s.Rate, s.Window, s.Time, s.Count = rate, window, length, 0
	other.s = &s
	return &other
}

// warm sends the scenario's first requests, closed loop, unmeasured.
func (a *attack) warm(ctx context.Context) error {
	// Every user once, with care; then the rest as it will be measured.
	users := min(a.s.Users, a.s.Warm)
	if a.s.Failover {
		a.load.only = 0
		defer func() { a.load.only = 1 }()
	}
	for _, part := range []struct{ count, window int }{{users, min(warmWindow, a.s.Window)}, {a.s.Warm - users, a.s.Window}} {
		if part.count == 0 {
			continue
		}
		a.load.begin(a.wire.now(), part.count, timeMax, 0, part.window)
		if err := a.drive(ctx, "warm"); err != nil {
			return err
		}
		if c := &a.load.tally.Counts; c.Answered == 0 {
			return fmt.Errorf("%s at %s answers nothing: %d requests, %d given up, %d replies that do not verify",
				a.t.Name, a.t.address(a.s), c.Requests, c.GivenUp, c.Wrong+c.Malformed)
		}
	}
	return nil
}

// measure runs the scenario once.
func (a *attack) measure(ctx context.Context) (*Result, error) {
	r := &Result{
		Scenario: *a.s, Seed: a.seed, Target: a.t.address(a.s).String(), Server: a.t.Name, Disk: a.t.Disk,
		Begun: time.Now().UTC().Truncate(time.Second), Machine: describeMachine(), Pinned: a.r.Pinned,
	}
	inside, err := look(ctx, a.t)
	if err != nil {
		return nil, err
	}
	profiled := a.r.profile(ctx, a.t, a.s.Time)
	before := readUsage(a.t.PID, a.r.ServerCPU, a.r.GeneratorCPU)
	a.load.begin(a.wire.now(), a.s.Count, a.s.Time, a.s.Rate, a.s.Window)
	if a.flood != nil {
		begun := a.load.begun + int64(a.surge.after)
		a.flood.start(begun, begun+int64(a.surge.length), a.surge.rate)
	}
	if err := a.drive(ctx, "run"); err != nil {
		return nil, err
	}
	t := a.load.tally
	r.Used = before.until(readUsage(a.t.PID, a.r.ServerCPU, a.r.GeneratorCPU))
	r.Counts, r.Latency, r.histogram, r.Rate = t.Counts, latencyOf(t.latency), t.latency, t.rate(a.load)
	r.Series, r.First = t.series.whole(), float64(t.first)/float64(max(1, t.Requests+t.Unsent))
	if a.flood != nil {
		r.Storm = a.flood.flooded()
	}
	if err := <-profiled; err != nil {
		return nil, err
	}
	if r.Inside, err = inside.until(ctx, t.Datagrams+t.Garbage+r.Storm.sent()); err != nil {
		return nil, err
	}
	r.Reply, r.Last = t.replyOctets(), time.Duration(max(0, t.lastReply-t.begun)).Seconds()
	if a.t.PID != 0 && t.Answered > 0 {
		r.Written = math.Round(r.Used.written/float64(t.Answered+r.Storm.answered())*10) / 10
	}
	if a.t.PID != 0 && t.Answered > 0 && a.flood == nil {
		r.ServerCPU = float64(r.Used.serverTime) / float64(time.Microsecond) / float64(t.Answered)
	}
	r.judge()
	return r, nil
}

func (a *attack) drive(ctx context.Context, phase string) error {
	begun, last, lastAt := a.wire.now(), uint64(0), a.wire.now()
	err := a.wire.drive(ctx, a.load, func(now int64) {
		if a.r.Progress == nil {
			return
		}
		c := &a.load.tally.Counts
		rate := float64(c.Answered-last) / time.Duration(now-lastAt).Seconds()
		last, lastAt = c.Answered, now
		fmt.Fprintf(a.r.Progress, "\r%s %s %4.1fs  %9d answered  %8.0f/s  %6d outstanding  %d retransmitted\x1b[K",
			a.s.Name, phase, time.Duration(now-begun).Seconds(), c.Answered, rate, a.load.open, c.Retransmitted)
	})
	if a.r.Progress != nil {
		fmt.Fprint(a.r.Progress, "\r\x1b[K")
	}
	return err
}

// tell adds a line to the progress.
func (a *attack) tell(line fmt.Stringer) {
	if a.r.Steps != nil {
		fmt.Fprintln(a.r.Steps, line)
	}
}

// Run warms a target and puts a scenario's load on it.
func (r *Runner) Run(ctx context.Context, s *Scenario, t *Target) (*Result, error) {
	if s.Kind == KindDay {
		return r.day(ctx, s, t)
	}
	a, err := r.open(s, t)
	if a != nil {
		defer a.close()
	}
	if err != nil {
		return nil, err
	}
	if err := a.warm(ctx); err != nil {
		return nil, err
	}
	switch {
	case s.Overload > 0:
		return a.overload(ctx)
	case r.Ramp:
		return a.ramp(ctx)
	}
	return a.measure(ctx)
}

// NewRunner makes a runner that keeps this process on one CPU, so that a server can have
// another alone. With -1 the server's is the first that this process may use and the
// generator's the second; with one CPU nothing is pinned, and the results say so.
func NewRunner(serverCPU, generatorCPU int) (*Runner, error) {
	r := &Runner{ServerCPU: serverCPU, GeneratorCPU: generatorCPU}
	list := cpus()
	for _, cpu := range []int{serverCPU, generatorCPU} {
		if cpu >= 0 && !slices.Contains(list, cpu) {
			return nil, fmt.Errorf("CPU %d is none that this process may use: %v", cpu, list)
		}
	}
	choose := func(at *int, other int) {
		for _, cpu := range list {
			if *at < 0 && cpu != other && len(list) >= 2 {
				*at = cpu
			}
		}
	}
	choose(&r.ServerCPU, generatorCPU)
	choose(&r.GeneratorCPU, r.ServerCPU)
	if r.GeneratorCPU >= 0 {
		if err := pinSelf(r.GeneratorCPU); err != nil {
			return nil, err
		}
	}
	r.Pinned = r.ServerCPU >= 0 && r.GeneratorCPU >= 0 && r.ServerCPU != r.GeneratorCPU
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		r.Progress = os.Stderr
	}
	return r, nil
}
