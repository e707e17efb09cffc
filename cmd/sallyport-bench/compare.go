package main

import (
	"context"
	"os"
	"strings"
	"time"

	"sallyport/bench"
)

type compareCmd struct {
	Peer      []string      `help:"freeradius: Debian's, with default threads and tuned; echo: our reactor with nothing behind it; layeh: the server of the Go library; overload: ten times the knee; all." enum:"freeradius,echo,layeh,overload,all" required:""`
	Appliance string        `help:"The appliance." default:"${program}" aliases:"program"`
	ServerCPU int           `name:"server-cpu" help:"CPU for the servers; -1 takes the first." default:"-1"`
	Generator int           `name:"generator-cpu" help:"CPU for this program; -1 takes the next." default:"-1"`
	Rounds    int           `help:"Each server has one turn in each." default:"5"`
	Turn      time.Duration `help:"Length of a turn." default:"2s"`
	Window    int           `help:"Requests outstanding at each of 32 source ports, instead of the scenario's 8."`
	JSON      bool          `name:"json" help:"One JSON object on standard output; all else goes to standard error."`
	Out       string        `help:"Also write compare.json and compare.html here." placeholder:"DIR"`
}

// Run compares.
func (c *compareCmd) Run(ctx context.Context) error {
	runner, err := bench.NewRunner(c.ServerCPU, c.Generator)
	if err != nil {
		return err
	}
	peers := c.Peer
	for _, p := range c.Peer {
		if p == "all" {
			peers = bench.Peers
		}
	}
	how := bench.Comparison{Peers: peers, Program: c.Appliance, Rounds: c.Rounds, Turn: c.Turn,
		Window: c.Window, Out: c.Out, Command: strings.Join(os.Args, " ")}
	out := os.Stdout
	if c.JSON {
		out, how.JSON = os.Stderr, os.Stdout
	}
	return runner.Compare(ctx, how, out)
}

type microCmd struct {
	JSON bool `name:"json" help:"One JSON object a line."`
}

// Run measures.
func (c *microCmd) Run() error { return bench.MicroAll(os.Stdout, c.JSON) }

type echoCmd struct {
	Octets int `help:"Of each reply." required:""`
}

// Run serves until a signal.
func (c *echoCmd) Run(ctx context.Context) error { return bench.ServeEcho(ctx, os.Stdout, c.Octets) }

type layehCmd struct {
	Users int `help:"How many may log in." required:""`
}

// Run serves until a signal.
func (c *layehCmd) Run(ctx context.Context) error { return bench.ServeLayeh(ctx, os.Stdout, c.Users) }
