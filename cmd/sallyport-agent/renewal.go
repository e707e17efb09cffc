package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"sallyport/cmd/sallyport-agent/core"
	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/cmd/sallyport-agent/renew"
	"sallyport/netio/report"
)

// errRenewed is the end of an agent whose program has become another version.
type errRenewed string

// Error says which.
func (e errRenewed) Error() string { return "replaced by version " + string(e) }

// renew asks the appliance what this agent should be, and replaces the program when that is
// a newer build that is signed. Why it is not is in the log.
func (d *daemon) renew(ctx context.Context, e core.Renew) {
	if !d.renewing.TryLock() {
		return // somebody is at it
	}
	defer d.renewing.Unlock()
	build, err := d.client.Build(ctx, e.Appliance, e.SessionID, version)
	if err != nil {
		d.log.Warn("cannot ask for a newer build", "error", err)
		return
	}
	d.settle(build.SettingsName, build.Settings)
	if build.Version == "" {
		d.log.Debug("no other build", "why", build.Reason)
		return
	}
	if err := d.replace(ctx, e.Appliance, build); err != nil {
		d.log.Warn("a build is not taken", "version", build.Version, "error", err)
		return
	}
	select {
	case d.renewed <- build.Version:
	default: // it is said already
	}
}

// system is this one in the words of report.System.
func system() string {
	if runtime.GOOS == "darwin" {
		return "macos"
	}
	return runtime.GOOS
}

// trialTime is how long a build may run until an appliance answers it.
var trialTime = renew.Within

// programOf is the file that this program runs from.
var programOf = os.Executable

func (d *daemon) replace(ctx context.Context, appliance string, build *report.Build) error {
	key, err := publicKey(d.opts.UpdateKey)
	if err != nil {
		return err
	}
	me := renew.Running{Version: version, OS: system(), Arch: runtime.GOARCH, Key: key}
	if err := me.Check(build); err != nil {
		return err
	}
	path, err := programOf()
	if err != nil {
		return err
	}
	if renew.OnTrial(path, version) { // else the program of before, which is known to be good, would be lost
		return errors.New("this build is on trial itself")
	}
	if err := renew.Failed(path).Bars(build.SHA256, d.clock.Now()); err != nil {
		return err
	}
	program, err := d.client.File(ctx, appliance, build.File, renew.BuildBytesMax)
	if err != nil {
		return err
	}
	return renew.Install(ctx, path, program, build, version, d.clock.Now())
}

// takenBack counts this start, and says that it was one too many of a build on trial.
func takenBack(log io.Writer) bool {
	path, err := programOf()
	if err != nil {
		return false // then nobody replaced it either
	}
	back, err := renew.Guard(path, version, time.Now())
	if err != nil {
		fmt.Fprintln(log, "sallyport-agent: the trial of this build:", err)
	}
	if back != nil {
		fmt.Fprintln(log, "sallyport-agent:", back)
	}
	return back != nil
}

// startTime is how long a build on trial may take until it does anything at all.
const startTime = 5 * time.Minute

// whileStarting takes back a build on trial that hangs before it has begun; its answer ends that.
func whileStarting(once bool) (begun func()) {
	path, err := programOf()
	if once || err != nil || !renew.OnTrial(path, version) {
		return func() {}
	}
	late := time.AfterFunc(startTime, func() {
		if _, err := renew.TakeBack(path, version, fmt.Sprintf("it did not begin within %s", startTime), time.Now(), false); err == nil {
			os.Exit(exitNonCompliant)
		}
	})
	return func() { late.Stop() }
}

// forgive does not count a start that somebody ended.
func (d *daemon) forgive() {
	path, err := programOf()
	if err == nil {
		err = renew.Forgive(path, version)
	}
	if err != nil {
		d.log.Warn("the trial of this build cannot be noted", "error", err)
	}
}

// errTakenBack is the end of an agent whose program has become the one of before again.
type errTakenBack struct{ *renew.Failure }

// Error says why.
func (e *errTakenBack) Error() string { return e.String() }

// answered ends the trial of this build once an appliance has answered a report of it.
func (d *daemon) answered() {
	path, err := programOf()
	if err == nil {
		err = renew.Confirm(path)
	}
	if err != nil {
		d.log.Warn("the trial of this build cannot be ended", "error", err)
		return
	}
	d.log.Info("this build stays: an appliance answered it", "version", version)
}

// unanswered takes back a build that no appliance answered in its time; nil when it stays all
// the same.
func (d *daemon) unanswered() error {
	path, err := programOf()
	if err != nil {
		return nil
	}
	back, err := renew.TakeBack(path, version, fmt.Sprintf("no appliance answered it within %s", trialTime), d.clock.Now(), true)
	if err != nil {
		d.log.Error("this build cannot be taken back", "error", err)
	}
	if back == nil {
		return nil
	}
	return &errTakenBack{back}
}

// failedBuild is the newer build that was taken back here, nil when there is none. One that is
// on trial itself has nothing to say of that.
func failedBuild() *renew.Failure {
	path, err := programOf()
	if err != nil || renew.OnTrial(path, version) {
		return nil
	}
	return renew.Failed(path)
}

// settingsFile is what the appliance provisioned, in the state directory.
const settingsFile = "provisioned.conf"

// settle keeps the settings that the appliance provisions, for the next start. They stand
// behind everything that was set here.
func (d *daemon) settle(name, settings string) {
	old, err := os.ReadFile(d.dir.Path(settingsFile))
	if settings == string(old) || settings == "" && errors.Is(err, fs.ErrNotExist) {
		return
	}
	if _, err := readProvisioned(strings.NewReader(settings)); err != nil {
		d.log.Warn("settings are not taken", "name", name, "error", err)
		return
	}
	if err := d.dir.Write(settingsFile, []byte(settings), keep.Private); err != nil {
		d.log.Warn("settings cannot be kept", "name", name, "error", err)
		return
	}
	d.log.Info("settings were provisioned, for the next start", "name", name)
}

// mayProvision are the options that an appliance may set.
var mayProvision = []string{"discovery-host", "server", "name-rule", "heartbeat", "usb-mode"}

// provisionedFile resolves what nobody set here.
type provisionedFile struct{ configFile }

// readProvisioned reads settings, and takes none that are not the appliance's to give.
func readProvisioned(r io.Reader) (*provisionedFile, error) {
	read, err := readConfig(r)
	if err != nil {
		return nil, err
	}
	c := &provisionedFile{read.(configFile)}
	for name, n := range c.lines {
		if !slices.Contains(mayProvision, name) {
			return nil, fmt.Errorf("line %d: an appliance does not set %q", n, name)
		}
	}
	return c, nil
}

// provisioned are the settings of a state directory, nil when there are none, or none that
// can be read: the agent starts by what was set here.
func provisioned(state string) kong.Resolver {
	f, err := os.Open(filepath.Join(state, settingsFile))
	if err != nil {
		return nil
	}
	defer f.Close()
	c, err := readProvisioned(f)
	if err != nil {
		return nil
	}
	return c
}

// Resolve gives the value of a flag that the environment does not set.
func (c *provisionedFile) Resolve(ctx *kong.Context, path *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	return c.configFile.Resolve(ctx, path, flag)
}
