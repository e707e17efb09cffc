// Command sallyport is the appliance and the tools around it.
//
//	serve                                  run it
//	check, explain, replay, hash-password  before it runs
//	library                                products and conditions for posture
//	reload, shadow                         change its configuration, with care
//	sessions, livelog, report, coa         ask the one that runs
//	inspect                                read a state directory offline
//	demo                                   the reference story on loopback
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kong"
)

// version is set by the linker.
var version = "dev"

// configDefault is where serve and the tools look without --config.
const configDefault = "/etc/sallyport/sallyport.yaml"

type commands struct {
	Serve    serveCmd    `cmd:"" help:"Run the appliance in the foreground."`
	Check    checkCmd    `cmd:"" help:"Load the configuration exactly as serve does and run its policy tests."`
	Explain  explainCmd  `cmd:"" help:"Say which rule applies to a session or to facts given here, and why."`
	Replay   replayCmd   `cmd:"" help:"Run a recording through a configuration and say what would be decided otherwise."`
	Library  libraryCmd  `cmd:"" help:"The posture library: products and conditions, signed."`
	Reload   reloadCmd   `cmd:"" help:"Bring the configuration into force in the appliance that runs, or say what that would change."`
	Shadow   shadowCmd   `cmd:"" help:"Show what the configuration that is tried in the shadow would have decided otherwise."`
	Sessions sessionsCmd `cmd:"" help:"Show who is on the network."`
	Livelog  livelogCmd  `cmd:"" help:"Show decisions as they happen."`
	Report   reportCmd   `cmd:"" help:"Show the posture reports."`
	CoA      coaCmd      `cmd:"" name:"coa" help:"Change or end a session, or rehearse with a NAS."`
	Status   statusCmd   `cmd:"" help:"Show the running appliance at a glance."`
	Inspect  inspectCmd  `cmd:"" help:"Read and verify a state directory that nobody uses."`
	Hash     hashCmd     `cmd:"" name:"hash-password" help:"Read one line and print its hash for a users file."`
	Demo     demoCmd     `cmd:"" help:"Run the reference story on loopback and say whether every step was seen."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

// exit is an error that carries the exit code of the process.
type exit struct {
	code int
	err  error
}

func (e exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func main() {
	var cli commands
	ctx := kong.Parse(&cli, kong.Name("sallyport"), kong.UsageOnError(),
		kong.Description("An open posture appliance: RADIUS, posture assessment, change of authorization."),
		kong.Vars{"config": configDefault})
	err := ctx.Run()
	if err == nil {
		return
	}
	code := 1
	var e exit
	if errors.As(err, &e) {
		code = e.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, "sallyport: "+text)
	}
	os.Exit(code)
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run() error {
	fmt.Println("sallyport " + version)
	return nil
}
