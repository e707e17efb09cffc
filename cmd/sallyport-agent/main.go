// Command sallyport-agent is the endpoint agent: it finds the posture appliance, tells
// it the facts it asks for, and does what it may ask from a closed list.
//
//	sallyport-agent run      watch this endpoint and stay
//	sallyport-agent once     one assessment: exit 0 compliant, 1 not compliant, 2 no verdict
//	sallyport-agent status   what the running agent believes, in words
//
// The thinking is in core, which does nothing by itself; daemon.go here carries out what
// it says with collect (facts), remedy (actions) and uplink (the appliance), and keeps
// files with keep. The appliance judges the facts; the agent has no opinion on them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the build.
var version = "unknown"

// Exit codes. Those of once say how the endpoint was judged.
const (
	exitOK           = 0
	exitNonCompliant = 1 // for once; for the others: it did not work
	exitNoVerdict    = 2 // for once; for status: there is nothing to read
	exitUsage        = 64
)

// cli is the command line.
type cli struct {
	Config  kong.ConfigFlag  `help:"Read options from FILE, one 'name = value' a line; the command line wins." placeholder:"FILE"`
	Version kong.VersionFlag `help:"Print the version and exit."`
	options

	Run    runCommand    `cmd:"" help:"Watch this endpoint and stay."`
	Once   onceCommand   `cmd:"" help:"Make one assessment: exit 0 compliant, 1 not compliant, 2 no verdict."`
	Status statusCommand `cmd:"" help:"Say what the running agent believes, since when, and what the appliance answered."`

	serviceCommands
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// exit is an error that carries its exit code; text may be empty.
type exit struct {
	code int
	text string
}

func (e exit) Error() string { return e.text }

// command runs one command line and returns the exit code.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ended := -1
	c, parsed, err := parse(args, &ended, stdout, stderr)
	if ended >= 0 { // --help, --version
		return ended
	}
	if err == nil {
		if behind := provisioned(c.State); behind != nil { // where it lies is known only now
			c, parsed, err = parse(args, &ended, stdout, stderr, kong.Resolvers(behind))
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "sallyport-agent:", err)
		if slices.Contains(args, "run") { // a build that does not know the options it has is none
			takenBack(stderr)
		}
		return exitUsage
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(&c.options, &streams{stdout, stderr})
	err = parsed.Run()
	var e exit
	switch {
	case errors.As(err, &e):
	case err != nil:
		e = exit{exitNonCompliant, err.Error()}
	}
	if e.text != "" {
		fmt.Fprintln(stderr, "sallyport-agent:", e.text)
	}
	return e.code
}

// parse reads the command line, and what stands behind it. What is resolved first gives way.
func parse(args []string, ended *int, stdout, stderr io.Writer, behind ...kong.Option) (*cli, *kong.Context, error) {
	c := &cli{}
	parser, err := kong.New(c, append(behind, kong.Name("sallyport-agent"), kong.Description("The endpoint agent of the Sallyport posture appliance."),
		kong.Configuration(readConfig, defaultConfig), kong.DefaultEnvars("SALLYPORT_AGENT"), kong.Vars{"version": version, "state": defaultState},
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { *ended = code }))...)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := parser.Parse(args)
	return c, parsed, err
}

// streams are where commands write.
type streams struct{ out, err io.Writer }
