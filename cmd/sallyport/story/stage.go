package story

import (
	"context"
	"crypto/rand"
	_ "embed" // the configuration
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport/coa/coatest"
	"sallyport/engine"
	"sallyport/engine/authn"
	"sallyport/netio/console"
	"sallyport/ops/secret"
	"sallyport/ops/usbfixture"
)

// Names of the story, and of the places in its directory.
const (
	nasName    = "BSNS-ASA5515-11"
	user       = "cisco"
	mountPoint = "/media/cisco/USB"
	endpointIP = "10.62.145.44" // where the tunnel comes from
	mac        = "00:50:56:aa:bb:cc"

	configName = "sallyport.yaml"
	boundName  = "bound.json"
	agentState = "agent"
	sysroot    = "endpoint"
)

//go:embed sallyport.yaml
var configText string

// look is how often a file is looked at again.
const look = 5 * time.Millisecond

// stage is everything that takes part.
type stage struct {
	Options
	dir   string
	print *printer
	abort context.CancelCauseFunc // ends the story with what went wrong behind its back

	secret, password string
	appliance, agent *child
	bound            engine.Bound
	asa              *coatest.ASA
	session          *coatest.ASASession
	tree             *usbfixture.Tree
	port             string // where the stick is

	journal *journal
	stop    context.CancelFunc // of what reads the live log
	readers sync.WaitGroup

	last time.Time // when the newest step happened
	told []seen
}

func newStage(o Options, dir string) *stage {
	s := &stage{Options: o, dir: dir, journal: newJournal(), last: time.Now().Round(0)}
	s.print = &printer{out: o.Out, json: o.JSON, width: o.Width, begun: s.last}
	return s
}

func (s *stage) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}
func (s *stage) config() string { return s.path(configName) }

// set builds the stage: configuration, appliance, ASA, endpoint with a stick in it.
func (s *stage) set(ctx context.Context) error {
	// The configuration has to name the port before the ASA can be made, which needs to
	// know the appliance. The port is held until then: the appliance opens sockets on
	// ports that it finds free.
	held, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		return err
	}
	defer held.Close()
	coa := held.LocalAddr().(*net.UDPAddr)
	if err := s.write(coa.Port); err != nil {
		return err
	}
	bound := s.path(boundName)
	if s.appliance, err = s.start("the appliance", s.Appliance, "serve", "--config", s.config(), "--addrs-file", bound); err != nil {
		return err
	}
	if err := s.awaitBound(ctx, bound); err != nil {
		return err
	}
	s.follow()
	held.Close()
	if s.asa, err = coatest.NewASA(coatest.ASAConfig{
		Name: nasName, Secret: secret.New([]byte(s.secret)), AuthServer: s.bound.Authentication[0], AcctServer: s.bound.Accounting[0],
		CoAListen:            coa.String(),
		MessageAuthenticator: true, RequireMessageAuthenticator: true,
		Log: func(step coatest.Step) { s.journal.add(event{at: step.At.Round(0), nas: &step}) },
	}); err != nil {
		return err
	}
	return s.plugFirst()
}

func (s *stage) plugFirst() error {
	root := s.path(sysroot)
	err := os.Mkdir(root, 0o700)
	if err == nil {
		s.tree, err = usbfixture.New(root)
	}
	if err == nil {
		s.port, err = s.tree.Plug(usbfixture.Stick{Mount: mountPoint})
	}
	return err
}

// write makes the directory's files. The secrets are new for every story.
func (s *stage) write(coaPort int) error {
	s.secret, s.password = rand.Text(), rand.Text()
	hash, err := authn.Hash([]byte(s.password))
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		configName:    strings.Replace(configText, "COA-PORT", strconv.Itoa(coaPort), 1),
		"users.yaml":  fmt.Sprintf("%s: {password: %q, groups: [employees]}\n", user, hash),
		"secrets/asa": s.secret + "\n",
	} {
		if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	for _, dir := range []string{"state", "agents", agentState} {
		if err := os.Mkdir(s.path(dir), 0o700); err != nil {
			return err
		}
	}
	return s.offerAgent()
}

// offerAgent puts the agent where the portal hands it out from.
func (s *stage) offerAgent() error {
	b, err := os.ReadFile(s.Agent)
	if err != nil {
		return err
	}
	return os.WriteFile(s.path("agents", agentFile()), b, 0o755)
}

func agentFile() string {
	system := runtime.GOOS
	if system == "darwin" {
		system = "macos"
	}
	return "sallyport-agent-" + system + "-" + runtime.GOARCH
}

// awaitBound waits until the appliance listens everywhere and says where.
func (s *stage) awaitBound(ctx context.Context, name string) error {
	err := poll(ctx, func() (bool, error) {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err == nil {
			err = json.Unmarshal(b, &s.bound)
		}
		return true, err
	})
	if err != nil {
		return fmt.Errorf("the appliance does not serve: %w", err)
	}
	if len(s.bound.Authentication) == 0 || len(s.bound.Accounting) == 0 {
		return fmt.Errorf("the appliance names no RADIUS address: %+v", s.bound)
	}
	return nil
}

// follow reads the live log into the journal until clear.
func (s *stage) follow() {
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	s.readers.Go(func() {
		err := s.journal.follow(ctx, console.NewClient(s.bound.Control))
		if ctx.Err() == nil {
			s.abort(fmt.Errorf("the live log broke off: %w", err))
		}
	})
}

// startAgent starts the endpoint's agent. It knows nothing but the address that the
// ASA's redirect catches, whose certificate to believe, and its own addresses.
func (s *stage) startAgent() (err error) {
	s.agent, err = s.start("the agent", s.Agent, "run", "--verbose", "--state", s.path(agentState), "--sysroot", s.tree.Root(),
		"--discovery-host", s.asa.RedirectAddr().String(), "--ca", s.bound.Certificate,
		"--mac", mac, "--ip", s.session.TunnelIP().String())
	return err
}

// start starts a child and ends the story when the child ends by itself.
func (s *stage) start(name, program string, args ...string) (*child, error) {
	c, err := startChild(name, s.path(strings.TrimPrefix(name, "the ")+".log"), program, args...)
	if err != nil {
		return nil, err
	}
	abort := s.abort
	go func() {
		<-c.ended
		abort(c.failure())
	}()
	return c, nil
}

func (s *stage) alive() bool {
	for _, c := range []*child{s.appliance, s.agent} {
		if c == nil || !c.running() {
			return false
		}
	}
	return true
}

// command runs the sallyport binary once and lets it print.
func (s *stage) command(ctx context.Context, args []string) error {
	cmd := exec.CommandContext(ctx, s.Appliance, args...)
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = s.Out, s.Err
	return cmd.Run()
}

// clear ends everything, the agent first: it is the one that asks the others.
func (s *stage) clear() {
	const patience = 15 * time.Second // more than the appliance's drain
	report := func(c *child) {
		if c == nil {
			return
		}
		if err := c.stop(patience); err != nil {
			fmt.Fprintf(s.Err, "%v; the last lines of its log:\n%s\n", err, c.tail(5))
		}
	}
	report(s.agent)
	if s.stop != nil {
		s.stop()
	}
	s.readers.Wait()
	if s.asa != nil {
		s.asa.Close()
	}
	report(s.appliance)
	if s.tree != nil {
		if err := s.tree.Close(); err != nil {
			fmt.Fprintln(s.Err, err)
		}
	}
}

// poll looks until done says so or ctx ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
