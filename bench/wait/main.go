// Command wait measures what agents cost that wait for news, which is what agents do:
//
//	sallyport serve <- RADIUS: one session for each agent
//	               <- HTTPS: each agent from an address and over a connection of its own
//	                  claims its session and polls for events; then nothing happens
//
// Before and after, the appliance collects its garbage and says what memory it uses. What
// lies in the kernel for each connection is not counted. Then sessions end, one after the
// other, and it is measured how long it takes until the agent that waits is told.
//
//	FIGURE wait_agent_kb    memory of the appliance's process for one agent that waits: heap
//	                        in use and stacks, after a collection, less what it was before
//	FIGURE wait_told_p99_ms from an Accounting-Stop to the end event at the agent
//
// The figures fail when they are missed. It needs as many descriptors as there are agents.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"sallyport/engine/stage"
)

// Targets.
const (
	agentKilobytesMost = 25.0
	toldMost           = time.Second
)

// spare descriptors, for all that is no agent's.
const spare = 256

func main() {
	agents := flag.Int("agents", 20000, "how many wait")
	program := flag.String("program", "bin/sallyport", "the appliance")
	profile := flag.String("profile", "", "file for the appliance's heap profile while all wait")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *program, *profile, *agents)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "wait:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program, profile string, agents int) (err error) {
	if most := descriptors() - spare; agents > most {
		fmt.Printf("%d agents instead of %d: this system allows %d descriptors\n", most, agents, most+spare)
		agents = most
	}
	serving, err := stage.Open(ctx, stage.Options{Program: program})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, serving.Close()) }()
	a := &appliance{serving}
	begun := time.Now()
	all, err := loginAll(ctx, a, agents)
	if err != nil {
		return fmt.Errorf("%w; the appliance said: %s", err, a.Said())
	}
	fmt.Printf("%d sessions after %s\n", agents, time.Since(begun).Round(time.Millisecond))
	before, err := a.memory(ctx)
	if err != nil {
		return err
	}
	begun = time.Now()
	if err := pollAll(ctx, a, all); err != nil {
		return fmt.Errorf("%w; the appliance said: %s", err, a.Said())
	}
	fmt.Printf("%d agents wait after %s\n", agents, time.Since(begun).Round(time.Millisecond))
	after, err := a.memory(ctx)
	if err != nil {
		return err
	}
	kilobytes := func(octets float64) float64 { return octets / 1024 / float64(agents) }
	if profile != "" {
		text, err := a.get(ctx, "/debug/pprof/heap")
		if err == nil {
			err = os.WriteFile(profile, text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	fmt.Printf("resident %.1f KB for each agent; heap %.1f, stacks %.1f KB\n", kilobytes(after.resident-before.resident),
		kilobytes(after.heap-before.heap), kilobytes(after.stacks-before.stacks))
	missed := figure("wait_agent_kb", kilobytes(after.heap+after.stacks-before.heap-before.stacks), "KB", agentKilobytesMost)
	told, err := tellSome(ctx, a, all)
	if err != nil {
		return err
	}
	slices.Sort(told)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	fmt.Printf("told after %.1f ms in the median, %.1f ms at worst, of %d\n", ms(told[len(told)/2]), ms(told[len(told)-1]), len(told))
	if figure("wait_told_p99_ms", ms(told[len(told)*99/100]), "ms", ms(toldMost)) || missed {
		return errors.New("a figure is missed")
	}
	return nil
}

// figure prints one for scripts, and says whether it is missed.
func figure(name string, value float64, unit string, most float64) (missed bool) {
	verdict := "ok"
	if missed = value > most; missed {
		verdict = "MISSED"
	}
	fmt.Printf("FIGURE %s %.3f %s <= %g %s\n", name, value, unit, most, verdict)
	return missed
}
