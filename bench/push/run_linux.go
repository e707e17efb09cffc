package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Targets of the figures.
const (
	secondsMost = 0.8
	timesLeast  = 10
	allocsMost  = 0.001 // none, but for what the runtime does by itself
	ackMost     = 25    // milliseconds
)

func run(ctx context.Context, o *options) (met bool, err error) {
	switch {
	case o.responder:
		return true, respond(ctx)
	}
	// The pushes come last: they keep this process on one CPU.
	met = true
	for _, part := range []struct {
		name string
		run  func(context.Context, *options) (bool, error)
	}{{"reports", runReports}, {"storm", runStorm}, {"pushes", runPushes}} {
		if slices.Contains(strings.Split(o.skip, ","), part.name) {
			continue
		}
		ok, err := part.run(ctx, o)
		if err != nil {
			return false, err
		}
		met = met && ok
	}
	return met, nil
}

// stormRounds is how many storms there are before the one with a kill in it.
const stormRounds = 3

// runStorm measures what a reload that changes every session costs those who log in.
func runStorm(ctx context.Context, o *options) (bool, error) {
	all, err := storms(ctx, o.program, o.storm, stormRounds)
	if err != nil {
		return false, err
	}
	at := func(all []time.Duration, part float64) float64 {
		return float64(all[min(len(all)-1, int(part*float64(len(all))))].Microseconds()) / 1000
	}
	var half, most []float64
	for i := range all {
		s, how := &all[i], ""
		if i == stormRounds {
			how = ", with a kill and a start when half of them had been"
		}
		fmt.Printf("push: a reload changed %d sessions, the last was told after %s%s; logins, %d a second: %.3f ms at the median and %.3f at 99 %% before, %.3f and %.3f meanwhile\n",
			o.storm, s.took.Round(time.Millisecond), how, probeRate, at(s.idle, 0.5), at(s.idle, 0.99), at(s.during, 0.5), at(s.during, 0.99))
		half, most = append(half, at(s.during, 0.5)/at(s.idle, 0.5)), append(most, at(s.during, 0.99)/at(s.idle, 0.99))
	}
	met := figure(os.Stdout, "storm_auth_p50_x", half[:stormRounds:stormRounds], "x", false, stormMost)
	met = figure(os.Stdout, "storm_auth_p99_x", most[:stormRounds:stormRounds], "x", false, stormMost) && met
	return figure(os.Stdout, "storm_resumed_auth_p50_x", half[stormRounds:], "x", false, stormMost) && met, nil
}

// runReports measures the whole way through the appliance, all on the same CPUs.
func runReports(ctx context.Context, o *options) (bool, error) {
	latencies, err := reports(ctx, o.program)
	if err != nil {
		return false, err
	}
	at := func(part float64) float64 {
		return float64(latencies[min(len(latencies)-1, int(part*float64(len(latencies))))].Microseconds()) / 1000
	}
	fmt.Printf("push: %d reports, %d a second of %d endpoints, each with a change: CoA-ACK after %.1f ms at the median, %.1f at 90 %%, %.1f at most\n",
		len(latencies), reportRate, endpoints, at(0.5), at(0.9), at(1))
	return figure(os.Stdout, "report_to_ack_p99_ms", []float64{at(0.99)}, "ms", false, ackMost), nil
}

func runPushes(ctx context.Context, o *options) (met bool, err error) {
	mine, other := cpus()
	target, stop, err := startResponder(ctx, other)
	if err != nil {
		return false, err
	}
	defer stop()
	if err := pin(mine); err != nil {
		return false, err
	}
	runtime.GOMAXPROCS(1)
	fmt.Printf("push: %d pushes a round from CPU %d, %d sockets, %d in flight, to %s on CPU %d\n",
		o.pushes, mine, o.sockets, o.inFlight, target, other)
	e, err := newSender(o, target)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	for range 2 { // sessions, slots and packets are made in these
		if _, err := e.round(ctx); err != nil {
			return false, err
		}
	}
	if o.profile != "" {
		stop, err := startProfile(o.profile)
		if err != nil {
			return false, err
		}
		defer stop()
	}
	var seconds, ratios, allocs []float64
	for i := range o.rounds {
		r, err := e.round(ctx)
		if err != nil {
			return false, err
		}
		theirs, err := exchange(ctx, target, o.peer)
		if err != nil {
			return false, err
		}
		seconds = append(seconds, r.took.Seconds()*100_000/float64(o.pushes))
		ratios = append(ratios, float64(o.pushes)/r.took.Seconds()/theirs)
		allocs = append(allocs, r.allocs)
		fmt.Printf("push: round %d: %d in %.3f s, %.3f s of CPU, %.0f a second, %d sent again; layeh.com/radius x64: %.0f a second\n",
			i+1, o.pushes, r.took.Seconds(), r.cpu.Seconds(), float64(o.pushes)/r.took.Seconds(), r.again, theirs)
	}
	ok := figure(os.Stdout, "push_100k_s", seconds, "s", false, secondsMost)
	ok = figure(os.Stdout, "push_vs_layeh64", ratios, "x", true, timesLeast) && ok
	return figure(os.Stdout, "allocs_per_push", allocs, "allocs", false, allocsMost) && ok, nil
}

// figure prints the median of all and says whether it reaches the target.
func figure(out io.Writer, name string, all []float64, unit string, least bool, target float64) bool {
	slices.Sort(all)
	median := all[len(all)/2]
	ok, relation, verdict := median <= target, "<=", "MISSED"
	if least {
		ok, relation = median >= target, ">="
	}
	if ok {
		verdict = "ok"
	}
	fmt.Fprintf(out, "%s: median %.4f of %.4f to %.4f\n", name, median, all[0], all[len(all)-1])
	fmt.Fprintf(out, "FIGURE %s %.4f %s %s %g %s\n", name, median, unit, relation, target, verdict)
	return ok
}

// startResponder starts this program again as the peer, on a CPU of its own.
func startResponder(ctx context.Context, cpu int) (netip.AddrPort, func(), error) {
	var none netip.AddrPort
	self, err := os.Executable()
	if err != nil {
		return none, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	child := exec.CommandContext(ctx, self, "-responder")
	child.Env = append(os.Environ(), "GOMAXPROCS=1")
	child.Stderr = os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := child.StdoutPipe()
	if err == nil {
		runtime.LockOSThread() // a child has the CPUs of the thread that makes it
		if err = pin(cpu); err == nil {
			err = child.Start()
		}
	}
	stop := func() {
		cancel()
		_ = child.Wait() // it is ended by a signal
	}
	if err != nil {
		cancel()
		return none, nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		var at netip.AddrPort
		if at, err = netip.ParseAddrPort(strings.TrimSpace(line)); err == nil {
			return at, stop, nil
		}
	}
	stop()
	return none, nil, fmt.Errorf("the peer said %q: %w", line, err)
}

// cpus are the one to measure on and the peer's; the same where there is one only.
func cpus() (mine, other int) {
	var set unix.CPUSet
	mine, other = -1, -1
	if unix.SchedGetaffinity(0, &set) != nil {
		return -1, -1
	}
	for i := range 1024 {
		if set.IsSet(i) {
			mine, other = other, i
		}
	}
	if mine < 0 {
		mine = other
	}
	return mine, other
}

// pin keeps every thread of this process on one CPU; threads to come inherit it.
func pin(cpu int) error {
	if cpu < 0 {
		return nil
	}
	var set unix.CPUSet
	set.Set(cpu)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		var id int
		if _, err := fmt.Sscan(t.Name(), &id); err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && err != unix.ESRCH {
			return fmt.Errorf("sched_setaffinity: %w", err)
		}
	}
	return nil
}

func startProfile(name string) (stop func(), err error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // a profile that is short shows itself
	}, nil
}

// result is one round of the engine.
type result struct {
	took   time.Duration
	cpu    time.Duration // of this process
	allocs float64
	again  uint64 // retransmissions
}
