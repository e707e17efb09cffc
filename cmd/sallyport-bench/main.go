// Command sallyport-bench puts load on RADIUS servers of loopback and says what came
// back. Package bench does the work.
//
//	run      one scenario, on the appliance beside it or on a target
//	compare  the appliance and a peer in turn, on the same core
//	micro    the parts of a packet's path, without sockets
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"sallyport/bench"
)

type commands struct {
	Run     runCmd     `cmd:"" help:"Run a scenario; exit 1 when an objective is missed."`
	Compare compareCmd `cmd:"" help:"Run the appliance and a peer in turn; exit 1 when a figure is missed."`
	Micro   microCmd   `cmd:"" help:"What the parts of a packet's path cost, without sockets."`
	Echo    echoCmd    `cmd:"" hidden:"" help:"Serve the echo that compare uses."`
	Layeh   layehCmd   `cmd:"" hidden:"" help:"Serve RADIUS as the Go library layeh.com/radius does, for compare."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var cli commands
	k := kong.Parse(&cli, kong.Name("sallyport-bench"), kong.UsageOnError(),
		kong.Description("Load and measurement for RADIUS servers of loopback."),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Vars{"scenarios": strings.Join(bench.Scenarios(), ", "), "secret": bench.Secret, "program": bench.Beside("sallyport")})
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "sallyport-bench: "+err.Error())
		stop()
		os.Exit(1)
	}
}
