package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Who logs in.
const (
	userName = "bench"
	password = "bench password"
)

const configuration = `appliance: {name: 127.0.0.1, state: state}
listen:
  authentication: ["127.0.0.1:0"]
  accounting:     ["127.0.0.1:0"]
  portal:  "127.0.0.1:0"
  console: "127.0.0.1:0"
  metrics: "127.0.0.1:0"
nas:
  - {name: asa, address: 127.0.0.1, secret: {file: secret}, recipe: cisco-asa, coa: {port: %d}}
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
	Authentication []netip.AddrPort
	Portal         string // URL

	program, dir string
	child        *exec.Cmd
	ended        chan struct{}
	said         bytes.Buffer
}

// startWait is how long the appliance may take to listen.
const startWait = 20 * time.Second

// serve makes the directory, which goes with the appliance, and starts the program.
func serve(ctx context.Context, program string, coaPort uint16) (_ *appliance, err error) {
	dir, err := os.MkdirTemp("", "sallyport-push-")
	if err != nil {
		return nil, err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"sallyport.yaml": fmt.Sprintf(configuration, coaPort), "secret": sharedSecret,
		"users.yaml": fmt.Sprintf("%s: {password: %q}\n", userName, hash)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	a := &appliance{program: program, dir: dir}
	if err := a.start(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return a, nil
}

func (a *appliance) config() string { return filepath.Join(a.dir, "sallyport.yaml") }

// start runs the program and waits until it listens.
func (a *appliance) start(ctx context.Context) error {
	bound := filepath.Join(a.dir, "bound.json")
	if err := os.Remove(bound); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	child := exec.Command(a.program, "serve", "--config", a.config(), "--addrs-file", bound)
	child.Stderr = &a.said
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		return fmt.Errorf("%w; build it first: make build", err)
	}
	ended := make(chan struct{})
	a.child, a.ended = child, ended
	go func() {
		_ = child.Wait() // it is ended by a signal
		close(ended)
	}()
	deadline, poll := time.NewTimer(startWait), time.NewTicker(10*time.Millisecond)
	defer deadline.Stop()
	defer poll.Stop()
	for {
		text, err := os.ReadFile(bound)
		if err == nil && json.Unmarshal(text, a) == nil && len(a.Authentication) > 0 {
			return nil
		}
		select {
		case <-poll.C:
			continue
		case <-ended:
		case <-deadline.C:
		case <-ctx.Done():
		}
		a.end(syscall.SIGKILL)
		return fmt.Errorf("the appliance does not listen: %s", a.said.String())
	}
}

// end ends the process by a signal.
func (a *appliance) end(by syscall.Signal) {
	_ = a.child.Process.Signal(by) // it may have ended
	<-a.ended
}

// stop ends the appliance for good.
func (a *appliance) stop() error {
	a.end(syscall.SIGTERM)
	return os.RemoveAll(a.dir)
}

func (a *appliance) reload() error { return a.child.Process.Signal(syscall.SIGHUP) }

// listenUDP opens a socket of loopback.
func listenUDP() (*net.UDPConn, error) {
	return net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
}
