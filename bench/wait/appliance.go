package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Who logs in, and the secret of the NAS.
const (
	userName     = "bench"
	password     = "bench password"
	sharedSecret = "a shared secret of the bench"
)

const configuration = `appliance: {name: 127.0.0.1, state: state}
listen:
  authentication: ["127.0.0.1:0"]
  accounting:     ["127.0.0.1:0"]
  portal:  "127.0.0.1:0"
  console: "127.0.0.1:0"
  metrics: "127.0.0.1:0"
nas:
  - {name: asa, address: 127.0.0.1, secret: {file: secret}, recipe: cisco-asa}
identity:
  stores: [{name: internal, users-file: users.yaml}]
posture:
  conditions: {USB_Check: {usb: {mass-storage: absent}}}
  requirements: {USB_Block: {os: [linux], conditions: [USB_Check]}}
  policy:
    - {rule: USB check, os: [linux], requirements: [{name: USB_Block, enforcement: mandatory}]}
authorization:
  dacls:
    PERMIT_ALL_TRAFFIC: ["permit ip any any"]
  profiles:
    FullAccess:       {dacl: PERMIT_ALL_TRAFFIC}
    Posture_Redirect: {redirect: {portal: client-provisioning, acl: ACL_WEBAUTH_REDIRECT}}
  rules:
    - {rule: Compliant, when: 'session.authenticated && session.posture == "Compliant"', profile: FullAccess}
    - {rule: Others,    when: 'session.posture != "Compliant"', profile: Posture_Redirect}
  default: DenyAccess
`

// appliance is a running sallyport serve with a directory of its own.
type appliance struct {
	Authentication, Accounting []netip.AddrPort
	Portal, Metrics            string

	dir   string
	child *exec.Cmd
	ended chan struct{}
}

// startWait is how long the appliance may take to listen.
const startWait = 20 * time.Second

func serve(ctx context.Context, program string) (*appliance, error) {
	dir, err := os.MkdirTemp("", "sallyport-wait-")
	if err != nil {
		return nil, err
	}
	a := &appliance{dir: dir, ended: make(chan struct{})}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"sallyport.yaml": configuration, "secret": sharedSecret + "\n", "users.yaml": fmt.Sprintf("%s: {password: %q}\n", userName, hash)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	bound := filepath.Join(dir, "bound.json")
	a.child = exec.Command(program, "serve", "--config", filepath.Join(dir, "sallyport.yaml"), "--addrs-file", bound)
	a.child.Stdout, a.child.Stderr = log, log
	if err := a.child.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w; build it first: make build", err), os.RemoveAll(dir))
	}
	go func() {
		defer close(a.ended)
		_ = a.child.Wait() // it is ended by a signal
	}()
	deadline, look := time.NewTimer(startWait), time.NewTicker(20*time.Millisecond)
	defer deadline.Stop()
	defer look.Stop()
	for {
		text, err := os.ReadFile(bound)
		if err == nil && json.Unmarshal(text, a) == nil && len(a.Authentication) > 0 {
			return a, nil
		}
		select {
		case <-look.C:
			continue
		case <-a.ended:
		case <-deadline.C:
		case <-ctx.Done():
		}
		return nil, errors.Join(fmt.Errorf("the appliance does not listen: %s", a.said()), a.stop())
	}
}

// said is the end of its log.
func (a *appliance) said() string {
	text, err := os.ReadFile(filepath.Join(a.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// stop ends it and removes its directory.
func (a *appliance) stop() error {
	_ = a.child.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-a.ended:
	case <-time.After(startWait):
		_ = a.child.Process.Kill()
		<-a.ended
	}
	return os.RemoveAll(a.dir)
}

// memory of the appliance's process, in octets.
type memory struct{ resident, heap, stacks, polls float64 }

// memory collects garbage twice, so that what finalizers hold goes too, and reads.
func (a *appliance) memory(ctx context.Context) (m memory, err error) {
	for range 2 {
		if _, err := a.get(ctx, "/debug/pprof/heap?gc=1"); err != nil {
			return m, err
		}
	}
	return a.read(ctx)
}

// read takes what is measured from the metrics.
func (a *appliance) read(ctx context.Context) (m memory, err error) {
	text, err := a.get(ctx, "/metrics")
	if err != nil {
		return m, err
	}
	for name, to := range map[string]*float64{"process_resident_memory_bytes": &m.resident, "go_memstats_heap_inuse_bytes": &m.heap,
		"go_memstats_stack_inuse_bytes": &m.stacks, `sallyport_portal_open{what="polls"}`: &m.polls} {
		line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(text)
		if line == nil {
			return m, fmt.Errorf("the metrics have no %s", name)
		}
		if *to, err = strconv.ParseFloat(string(line[1]), 64); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (a *appliance) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.Metrics+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return text, err
}
