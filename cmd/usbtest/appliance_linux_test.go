package usbtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sallyport/coa/coatest"
	"sallyport/engine"
	"sallyport/engine/record"
	"sallyport/netio/console"
	"sallyport/ops/secret"
)

// hostInside is what QEMU's user network calls this machine's loopback.
const hostInside = "10.0.2.2"

const (
	sharedSecret = "a-shared-secret-of-32-octets-0001"
	mac          = "00:50:56:aa:bb:cc"
)

const configText = `
appliance: {name: ` + hostInside + `, state: state}
listen:
  authentication: ["127.0.0.1:0"]
  accounting:     ["127.0.0.1:0"]
  portal:  "127.0.0.1:0"
  console: "127.0.0.1:0"
  metrics: "127.0.0.1:0"
nas:
  - {name: ASA, address: 127.0.0.1, secret: {file: secret}, recipe: cisco-asa, coa: {port: COAPORT}, message-authenticator: require}
identity: {stores: [{name: internal, users-file: users.yaml}]}
posture:
  conditions:   {USB_Check: {usb: {mass-storage: absent}}}
  remediations: {USB_Block: {usb: block, mode: automatic, message: "Remove the USB disk; it has been blocked."}}
  requirements: {USB_Block: {os: [linux], conditions: [USB_Check], remediation: USB_Block}}
  policy:
    - {rule: USB check, os: [linux], requirements: [{name: USB_Block, enforcement: mandatory}]}
authorization:
  dacls: {PERMIT_ALL_TRAFFIC: ["permit ip any any"]}
  profiles:
    PermitAccess:     {dacl: PERMIT_ALL_TRAFFIC}
    Posture_Redirect: {redirect: {portal: client-provisioning, acl: ACL_WEBAUTH_REDIRECT}}
  rules:
    - {rule: Compliant_Devices_Access, when: 'session.authenticated && session.posture == "Compliant"', profile: PermitAccess}
    - {rule: Posture_Unknown,          when: 'session.posture != "Compliant"', profile: Posture_Redirect}
  default: DenyAccess
`

// appliance is the real program, the NAS beside it, and what both said.
type appliance struct {
	t     *testing.T
	dir   string
	bound engine.Bound
	asa   *coatest.ASA

	mu    sync.Mutex // guards what follows
	steps []coatest.Step
	rows  []seenRow
}

// seenRow is a row of the live log.
type seenRow struct{ record.Decision }

func newAppliance(t *testing.T) *appliance {
	t.Helper()
	a := &appliance{t: t, dir: t.TempDir()}
	hash, err := bcrypt.GenerateFromPassword([]byte("cisco"), bcrypt.MinCost)
	must(t, err)
	held, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	coa := held.LocalAddr().(*net.UDPAddr)
	for name, text := range map[string]string{
		"secret": sharedSecret + "\n", "users.yaml": fmt.Sprintf("cisco: {password: %q}\n", hash),
		"sallyport.yaml": strings.Replace(configText, "COAPORT", strconv.Itoa(coa.Port), 1),
	} {
		must(t, os.WriteFile(a.path(name), []byte(text), 0o600))
	}
	must(t, os.Mkdir(a.path("state"), 0o700))
	build(t, "build", "-o", a.path("sallyport"), "sallyport/cmd/sallyport")
	a.serve()
	held.Close() // the appliance has opened its own ports: this one is the ASA's
	a.asa, err = coatest.NewASA(coatest.ASAConfig{Name: "ASA", Secret: secret.New([]byte(sharedSecret)), AuthServer: a.bound.Authentication[0],
		AcctServer: a.bound.Accounting[0], CoAListen: coa.String(), MessageAuthenticator: true, RequireMessageAuthenticator: true,
		Log: func(s coatest.Step) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.steps = append(a.steps, s)
		}})
	must(t, err)
	t.Cleanup(a.asa.Close)
	a.follow()
	return a
}

func (a *appliance) path(name string) string { return filepath.Join(a.dir, name) }

// serve runs the program until the test ends.
func (a *appliance) serve() {
	a.t.Helper()
	log, err := os.Create(a.path("log"))
	must(a.t, err)
	defer log.Close()
	cmd := exec.Command(a.path("sallyport"), "serve", "--config", a.path("sallyport.yaml"), "--addrs-file", a.path("bound.json"))
	cmd.Stdout, cmd.Stderr = log, log
	must(a.t, cmd.Start())
	a.t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended
		cmd.Wait()
		if text, _ := os.ReadFile(a.path("log")); a.t.Failed() {
			a.t.Logf("the appliance said:\n%s", tail(string(text), 30))
		}
	})
	must(a.t, await(patience, func() bool {
		b, err := os.ReadFile(a.path("bound.json"))
		return err == nil && json.Unmarshal(b, &a.bound) == nil
	}))
}

func (a *appliance) follow() {
	ctx, stop := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	a.t.Cleanup(func() { stop(); reading.Wait() })
	reading.Go(func() {
		console.NewClient(a.bound.Control).Get(ctx, "/api/v1/livelog/stream", url.Values{"limit": {"1000"}}, func(line json.RawMessage) error {
			var row seenRow
			if err := json.Unmarshal(line, &row); err != nil {
				return err
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			a.rows = append(a.rows, row)
			return nil
		})
	})
}

// login opens the session of the machine in QEMU.
func (a *appliance) login() *coatest.ASASession {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := a.asa.Login(ctx, "cisco", "cisco", coatest.Endpoint{PublicIP: netip.MustParseAddr("10.62.145.44"), MAC: mac, Platform: "linux-64", Type: "machine in QEMU"})
	must(a.t, err)
	return s
}

// agentArguments are for an agent inside that knows the NAS, and whom to trust.
func (a *appliance) agentArguments(m *machine, s *coatest.ASASession) []string {
	a.t.Helper()
	certificate, err := os.ReadFile(a.bound.Certificate)
	must(a.t, err)
	m.do("write", "/etc/appliance.pem", string(certificate))
	_, port, err := net.SplitHostPort(a.asa.RedirectAddr().String())
	must(a.t, err)
	return []string{"run", "--verbose", "--state", "/state", "--discovery-host", net.JoinHostPort(hostInside, port),
		"--ca", "/etc/appliance.pem", "--mac", mac, "--ip", s.TunnelIP().String()}
}

// step finds the first of the NAS's steps since a moment that is wanted.
func (a *appliance) step(since time.Time, wanted func(*coatest.Step) bool) (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.steps {
		if s := &a.steps[i]; !s.At.Before(since) && wanted(s) {
			return s.At, true
		}
	}
	return time.Time{}, false
}

// judged finds the first report since a moment that was judged so: when it arrived.
func (a *appliance) judged(since time.Time, status string) (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.rows {
		r := &a.rows[i]
		at := r.Time.Add(-time.Duration(r.ElapsedSeconds * float64(time.Second)))
		if r.Kind == record.KindPosture && r.PostureStatus == status && r.Details == record.PostureMessage && !at.Before(since) {
			return at, true
		}
	}
	return time.Time{}, false
}

// coaOf wants a CoA packet; restricting: one that redirects, else one that opens.
func coaOf(d coatest.Direction, packet string) func(*coatest.Step) bool {
	return func(s *coatest.Step) bool { return s.Direction == d && s.Packet == packet }
}
