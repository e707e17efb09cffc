package bench

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"golang.org/x/crypto/bcrypt"
)

// applianceConfig is the reference story's configuration on loopback: full pipeline,
// durable journal, policy in CEL, redirect with a ticket in each answer.
//
//go:embed appliance.yaml
var applianceConfig string

// manySessions is the appliance's limit where a scenario makes new sessions all the time;
// elsewhere its own default holds.
const manySessions = 20_000_000

// fewSessions fit into that default several times.
const fewSessions = 200_000

// Appliance starts this project's own server on a CPU (-1: any), with the users of a
// scenario.
func Appliance(ctx context.Context, program string, cpu int, scenario *Scenario) (_ *Server, err error) {
	s, err := newServer("sallyport")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.abandon())
		}
	}()
	if err := s.writeAppliance(scenario); err != nil {
		return nil, err
	}
	s.Disk = fileSystem(s.dir)
	bound := filepath.Join(s.dir, "bound.json")
	if err := s.launch(cpu, program, "serve", "--config", filepath.Join(s.dir, "sallyport.yaml"), "--addrs-file", bound); err != nil {
		return nil, fmt.Errorf("%w; build it first: make build", err)
	}
	var at struct {
		Authentication, Accounting []netip.AddrPort
		Metrics                    string
	}
	err = s.await(ctx, "it listened", func() bool {
		text, err := os.ReadFile(bound)
		return err == nil && json.Unmarshal(text, &at) == nil
	})
	if err != nil {
		return nil, err
	}
	if len(at.Authentication) == 0 || len(at.Accounting) == 0 {
		return nil, errors.New("the appliance did not say where it listens")
	}
	s.Auth, s.Acct, s.Metrics = at.Authentication[0], at.Accounting[0], at.Metrics
	return s, s.answers(ctx)
}

func (s *Server) writeAppliance(of *Scenario) error {
	// One hash for all: its cost is paid once a user while the server gets warm, and is
	// not what is measured.
	hash, err := bcrypt.GenerateFromPassword([]byte(Password), bcrypt.MinCost)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for n := range of.Users {
		fmt.Fprintf(&text, "%s: {password: %q, groups: [employees]}\n", UserName(n), hash)
	}
	t, err := template.New("sallyport.yaml").Parse(applianceConfig)
	if err != nil {
		return err
	}
	var sources []netip.Addr
	for n := range nasesMax + 1 {
		sources = append(sources, nasSource(n))
	}
	most := 0
	if of.Fresh || of.Failover || of.Kind == KindAccounting || of.Sessions > fewSessions {
		most = manySessions
	}
	var config bytes.Buffer
	coa, err := freePort()
	if err != nil {
		return err
	}
	s.CoA = coa.Port()
	if err := t.Execute(&config, map[string]any{"NASes": sources, "CoA": s.CoA, "Max": most}); err != nil {
		return err
	}
	return errors.Join(s.write("users.yaml", text.String()), s.write("secret", Secret+"\n"),
		s.write("sallyport.yaml", config.String()))
}

// abandon ends what has been started of a server that does not come up.
func (s *Server) abandon() error {
	if s.cmd != nil && s.cmd.Process != nil {
		return s.Stop()
	}
	return os.RemoveAll(s.dir)
}

// Beside is the path of a program of this project that lies beside the running one.
func Beside(program string) string {
	self, err := os.Executable()
	if err != nil {
		return program
	}
	return filepath.Join(filepath.Dir(self), strings.TrimSuffix(program, ".exe"))
}
