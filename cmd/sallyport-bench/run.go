package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"sallyport/bench"
	"sallyport/ops/secret"
)

type runCmd struct {
	Scenario     string        `arg:"" help:"One of: ${scenarios}; or a YAML file."`
	Target       string        `help:"address:port of a server that runs already, on loopback; its users are bench-00000 and on." placeholder:"ADDR"`
	Secret       string        `help:"Shared secret of the target." default:"${secret}"`
	Appliance    string        `help:"The appliance to start without --target." default:"${program}" aliases:"program"`
	ServerCPU    int           `name:"server-cpu" help:"CPU for the appliance; -1 takes the first." default:"-1"`
	GeneratorCPU int           `name:"generator-cpu" help:"CPU for this program; -1 takes the next." default:"-1"`
	Rate         float64       `help:"Requests a second, open loop, instead of the scenario's." default:"-1"`
	Duration     time.Duration `help:"Length, instead of the scenario's." aliases:"time"`
	Sessions     int           `help:"Sessions that take turns, instead of the scenario's; each logs in once before anything is measured."`
	Fresh        bool          `help:"Each login begins a new session."`
	Ramp         bool          `help:"Look for the knee: open loops at rising rates for Duration altogether."`
	Window       int           `help:"Requests outstanding at each source port, instead of the scenario's."`
	Seed         uint64        `help:"Repeat a run by the seed that it printed."`
	Profile      string        `help:"CPU profile of the appliance during the run, from its /debug/pprof/profile; a FILE that ends in .data is written by perf, kernel included. A run that is profiled is slower." placeholder:"FILE"`
	JSON         bool          `name:"json" help:"One JSON object on standard output."`
	Out          string        `help:"Also write NAME.json, NAME.html and NAME.hgrm here." placeholder:"DIR"`
}

// Run runs one scenario.
func (c *runCmd) Run(ctx context.Context) (err error) {
	s, err := c.scenario()
	if err != nil {
		return err
	}
	runner, err := bench.NewRunner(c.ServerCPU, c.GeneratorCPU)
	if err != nil {
		return err
	}
	runner.Profile, runner.Ramp = c.Profile, c.Ramp
	if !c.JSON {
		runner.Steps = os.Stdout
	}
	target := &bench.Target{Name: "target", Secret: secret.New([]byte(c.Secret))}
	if c.Target != "" {
		if target.Auth, err = netip.ParseAddrPort(c.Target); err != nil {
			return fmt.Errorf("--target is address:port, such as 127.0.0.1:1812: %w", err)
		}
		target.Acct = target.Auth
	} else {
		server, err := bench.Appliance(ctx, c.Appliance, runner.ServerCPU, s)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Stop()) }()
		target = &server.Target
	}
	r, err := runner.Run(ctx, s, target)
	if err != nil {
		return err
	}
	return c.show(r)
}

func (c *runCmd) scenario() (*bench.Scenario, error) {
	s, err := load(c.Scenario)
	if err != nil {
		return nil, err
	}
	if c.Rate >= 0 {
		s.Rate = c.Rate
	}
	if c.Duration > 0 {
		s.Time = c.Duration
	}
	if c.Sessions > 0 {
		s.Sessions, s.Warm, s.Made = c.Sessions, max(c.Sessions, s.Users), 0
	}
	if c.Fresh {
		s.Fresh, s.Made = true, 0
	}
	if c.Window > 0 {
		s.Window = c.Window
	}
	if c.Seed > 0 {
		s.Seed = c.Seed
	}
	return s, nil
}

// load reads a file where the name is one, and a built-in scenario otherwise.
func load(name string) (*bench.Scenario, error) {
	if !strings.HasSuffix(name, ".yaml") {
		return bench.LoadScenario(name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return bench.ParseScenario(text)
}

// show prints a result; an error says that objectives were missed.
func (c *runCmd) show(r *bench.Result) error {
	if c.Out != "" {
		if err := r.Save(c.Out); err != nil {
			return err
		}
	}
	print := r.Table
	if c.JSON {
		print = r.JSON
	}
	if err := print(os.Stdout); err != nil {
		return err
	}
	if len(r.Missed) > 0 {
		return fmt.Errorf("objectives missed: %d", len(r.Missed))
	}
	return nil
}
