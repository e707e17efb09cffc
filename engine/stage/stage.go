// Package stage has the program itself serve in a directory of its own, with the reference
// story's configuration and one NAS: the ground that tests with real peers and benchmarks
// stand on. It starts the program as an operator does, by a file and signals, and reads
// where it listens from --addrs-file.
//
//	directory   sallyport.yaml  users.yaml  secret  state/  bound.json  log
package stage

import (
	"bytes"
	"context"
	_ "embed" // the configuration
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sallyport/engine"
)

// Who logs in, and the secret of the NAS. None of it is of use anywhere else.
const (
	User     = "cisco"
	Password = "cisco"
	Secret   = "a-shared-secret-of-32-octets-0001"
)

//go:embed sallyport.yaml
var configText string

// Options say what differs from one stage to the next.
type Options struct {
	Program string // the appliance's
	Dir     string // an empty one; "": one is made, and goes with Close
	Name    string // appliance.name; "": 127.0.0.1
	CoAPort uint16 // of the NAS; 0: it is told nothing that arrives
	Signed  bool   // the NAS has to send Message-Authenticator
	Block   bool   // the agent is to block USB disks
	More    string // further parts of the configuration
}

// Appliance is a directory, and the process that serves it.
type Appliance struct {
	engine.Bound // where it listens; of its newest start

	Dir string

	program string
	made    bool // the directory
	child   *exec.Cmd
	ended   chan struct{}
}

// patience is how long the program may take to listen, and to end.
const (
	patience = 20 * time.Second
	look     = 10 * time.Millisecond
)

// Open makes the directory and starts the program in it. The process does not outlive this
// one, where the system can see to that.
func Open(ctx context.Context, o Options) (*Appliance, error) {
	a := &Appliance{Dir: o.Dir, program: o.Program}
	if a.Dir == "" {
		dir, err := os.MkdirTemp("", "sallyport-stage-")
		if err != nil {
			return nil, err
		}
		a.Dir, a.made = dir, true
	}
	err := a.write(o)
	if err == nil {
		err = a.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, a.clear())
	}
	return a, nil
}

func (a *Appliance) write(o Options) error {
	if o.Name == "" {
		o.Name = "127.0.0.1"
	}
	if o.CoAPort == 0 {
		o.CoAPort = 9 // discard (RFC 863)
	}
	t, err := template.New("sallyport.yaml").Parse(configText)
	if err != nil {
		return err
	}
	var config bytes.Buffer
	if err := t.Execute(&config, o); err != nil {
		return err
	}
	// The cost is paid once, when the first login comes, and is not what is looked at.
	hash, err := bcrypt.GenerateFromPassword([]byte(Password), bcrypt.MinCost)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"sallyport.yaml": config.String(), "secret": Secret + "\n", "users.yaml": fmt.Sprintf("%s: {password: %q}\n", User, hash),
	} {
		if err := os.WriteFile(a.Path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return os.Mkdir(a.Path("state"), 0o700)
}

// Path is that of a file in the directory.
func (a *Appliance) Path(name string) string { return filepath.Join(a.Dir, name) }

// Config is the path of the configuration.
func (a *Appliance) Config() string { return a.Path("sallyport.yaml") }

// Start runs the program and waits until it listens; after End, again.
func (a *Appliance) Start(ctx context.Context) error {
	bound := a.Path("bound.json")
	if err := os.Remove(bound); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	log, err := os.OpenFile(a.Path("log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	child := exec.Command(a.program, "serve", "--config", a.Config(), "--addrs-file", bound)
	child.Stdout, child.Stderr, child.SysProcAttr = log, log, withParent()
	if err := child.Start(); err != nil {
		return fmt.Errorf("%w; build it first: make build", err)
	}
	ended := make(chan struct{})
	a.child, a.ended, a.Bound = child, ended, engine.Bound{}
	go func() {
		_ = child.Wait() // how it ended is in its log
		close(ended)
	}()
	late, tick := time.NewTimer(patience), time.NewTicker(look)
	defer late.Stop()
	defer tick.Stop()
	for {
		text, err := os.ReadFile(bound)
		if err == nil && json.Unmarshal(text, &a.Bound) == nil && len(a.Authentication) > 0 {
			return nil
		}
		select {
		case <-tick.C:
			continue
		case <-ended:
		case <-late.C:
		case <-ctx.Done():
		}
		a.End(os.Kill)
		return fmt.Errorf("the appliance does not listen: %s", a.Said())
	}
}

// Signal sends the process a signal; it may have ended.
func (a *Appliance) Signal(s os.Signal) error { return a.child.Process.Signal(s) }

// End ends the process by a signal, and by force when it does not follow.
func (a *Appliance) End(by os.Signal) {
	_ = a.Signal(by) // it may have ended
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-a.ended:
	case <-late.C:
		_ = a.child.Process.Kill()
		<-a.ended
	}
}

// saidMost is how much of the log goes into a message.
const saidMost = 4000

// Said is the end of the log.
func (a *Appliance) Said() string {
	text, err := os.ReadFile(a.Path("log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-saidMost):])
}

// Close ends the process, and removes the directory if Open made it.
func (a *Appliance) Close() error {
	a.End(terminate)
	return a.clear()
}

func (a *Appliance) clear() error {
	if !a.made {
		return nil
	}
	return os.RemoveAll(a.Dir)
}
