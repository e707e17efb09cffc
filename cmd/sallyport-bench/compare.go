package main

import (
	"context"
	"os"
	"time"

	"sallyport/bench"
)

type compareCmd struct {
	Peer    string        `help:"freeradius: Debian's, with default threads and tuned; echo: our reactor with nothing behind it." enum:"freeradius,echo" required:""`
	Program string        `help:"The appliance." default:"${program}"`
	Rounds  int           `help:"Each server has one turn in each." default:"5"`
	Turn    time.Duration `help:"Length of a turn." default:"2s"`
	Window  int           `help:"Requests outstanding at each of 32 source ports, instead of the scenario's 8."`
	Out     string        `help:"Also write every turn's result here, a JSON object a line." placeholder:"DIR"`
}

// Run compares.
func (c *compareCmd) Run(ctx context.Context) error {
	runner, err := bench.NewRunner(-1, -1)
	if err != nil {
		return err
	}
	how := bench.Comparison{Program: c.Program, Rounds: c.Rounds, Turn: c.Turn, Window: c.Window, Out: c.Out}
	if c.Peer == "echo" {
		return runner.CompareEcho(ctx, how, os.Stdout)
	}
	return runner.CompareFreeRADIUS(ctx, how, os.Stdout)
}

type echoCmd struct{}

// Run serves until a signal.
func (echoCmd) Run(ctx context.Context) error { return bench.ServeEcho(ctx, os.Stdout) }
