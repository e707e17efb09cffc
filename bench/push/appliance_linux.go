package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// appliance is a running sallyport serve.
type appliance struct {
	Authentication []netip.AddrPort
	Portal         string // URL

	said   bytes.Buffer
	config string // the file
	stop   func() error
	reload func() error
}

// startWait is how long the appliance may take to listen.
const startWait = 20 * time.Second

// serve starts the program with a state directory of its own, which goes with it.
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
	bound := filepath.Join(dir, "bound.json")
	a := &appliance{config: filepath.Join(dir, "sallyport.yaml")}
	child := exec.Command(program, "serve", "--config", a.config, "--addrs-file", bound)
	child.Stderr = &a.said
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w; build it first: make build", err), os.RemoveAll(dir))
	}
	ended := make(chan struct{})
	go func() {
		_ = child.Wait() // it is ended by a signal
		close(ended)
	}()
	a.reload = func() error { return child.Process.Signal(syscall.SIGHUP) }
	a.stop = func() error {
		_ = child.Process.Signal(syscall.SIGTERM) // it may have ended
		<-ended
		return os.RemoveAll(dir)
	}
	deadline, poll := time.NewTimer(startWait), time.NewTicker(10*time.Millisecond)
	defer deadline.Stop()
	defer poll.Stop()
	for {
		text, err := os.ReadFile(bound)
		if err == nil && json.Unmarshal(text, a) == nil && len(a.Authentication) > 0 {
			return a, nil
		}
		select {
		case <-poll.C:
			continue
		case <-ended:
		case <-deadline.C:
		case <-ctx.Done():
		}
		return nil, errors.Join(fmt.Errorf("the appliance does not listen: %s", a.said.String()), a.stop())
	}
}

// listenUDP opens a socket of loopback.
func listenUDP() (*net.UDPConn, error) {
	return net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
}
