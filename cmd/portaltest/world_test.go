package portaltest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"sallyport/coa/coatest"
	"sallyport/engine"
	"sallyport/ops/secret"
	"sallyport/ops/usbfixture"
)

const (
	sharedSecret = "a-shared-secret-of-32-octets-0001"
	mac          = "00:50:56:aa:bb:cc"
	agentFile    = "sallyport-agent-linux-amd64"

	// anyPage is what the person wants to see. The browser is told that the NAS is there.
	anyName = "www.example.com"
	anyPage = "http://" + anyName + "/"
)

const configText = `
appliance: {name: 127.0.0.1, state: state}
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
  remediations: {USB_Block: {usb: block, mode: automatic, message: "Remove the USB disk."}}
  requirements: {USB_Block: {os: [linux], conditions: [USB_Check], remediation: USB_Block}}
  policy:
    - {rule: USB check, os: [linux], requirements: [{name: USB_Block, enforcement: mandatory}]}
provisioning:
  agents-directory: agents
  rules:
    - {rule: Linux_Posture, when: 'endpoint.os == "linux"', give: agent-linux}
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

// world is the appliance and the NAS, as programs and sockets.
type world struct {
	t     *testing.T
	dir   string
	bound engine.Bound
	asa   *coatest.ASA
	tree  *usbfixture.Tree
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	hash, err := bcrypt.GenerateFromPassword([]byte("cisco"), bcrypt.MinCost)
	must(t, err)
	held, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	coa := held.LocalAddr().(*net.UDPAddr)
	for name, text := range map[string]string{
		"secret": sharedSecret + "\n", "users.yaml": fmt.Sprintf("cisco: {password: %q}\n", hash),
		"sallyport.yaml": strings.Replace(configText, "COAPORT", strconv.Itoa(coa.Port), 1),
	} {
		must(t, os.WriteFile(w.path(name), []byte(text), 0o600))
	}
	for _, dir := range []string{"state", "agents", "endpoint", "downloads"} {
		must(t, os.Mkdir(w.path(dir), 0o700))
	}
	w.build()
	w.launch("the appliance", exec.Command(w.path("sallyport"), "serve", "--config", w.path("sallyport.yaml"), "--addrs-file", w.path("bound.json")))
	await(t, "the appliance listens", patience, func() bool {
		b, err := os.ReadFile(w.path("bound.json"))
		return err == nil && json.Unmarshal(b, &w.bound) == nil
	})
	held.Close() // the appliance has opened its own ports: this one is the ASA's
	w.asa, err = coatest.NewASA(coatest.ASAConfig{Name: "ASA", Secret: secret.New([]byte(sharedSecret)), AuthServer: w.bound.Authentication[0],
		AcctServer: w.bound.Accounting[0], CoAListen: coa.String(), MessageAuthenticator: true, RequireMessageAuthenticator: true})
	must(t, err)
	t.Cleanup(w.asa.Close)
	w.tree, err = usbfixture.New(w.path("endpoint"))
	must(t, err)
	t.Cleanup(func() { must(t, w.tree.Close()) })
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// build makes both programs; the agent is also what the portal hands out.
func (w *world) build() {
	w.t.Helper()
	cmd := exec.Command("go", "build", "-o", w.dir+"/", "sallyport/cmd/sallyport", "sallyport/cmd/sallyport-agent")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("go build: %v\n%s", err, out)
	}
	must(w.t, os.Link(w.path("sallyport-agent"), w.path("agents/"+agentFile)))
}

// launch runs a program until the test ends.
func (w *world) launch(name string, cmd *exec.Cmd) {
	w.t.Helper()
	log, err := os.Create(w.path(name + ".log"))
	must(w.t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	must(w.t, cmd.Start())
	w.t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended
		cmd.Wait()
		if text, _ := os.ReadFile(log.Name()); w.t.Failed() {
			w.t.Logf("%s said:\n%s", name, text)
		}
	})
}

// login opens a session of an endpoint.
func (w *world) login(mac string) *coatest.ASASession {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := w.asa.Login(ctx, "cisco", "cisco", coatest.Endpoint{PublicIP: netip.MustParseAddr("10.62.145.44"), MAC: mac, Platform: "linux-64", Type: "machine"})
	must(w.t, err)
	return s
}

// names make the browser go where an endpoint behind the NAS would.
func (w *world) names() string {
	return fmt.Sprintf("MAP %s:80 %s", anyName, w.asa.RedirectAddr())
}

// startAgent runs the command that the page shows, in the directory of the download. What
// the page cannot know of this machine comes by the environment: where the stick is, where
// the NAS is, and that nothing is to be blocked.
func (w *world) startAgent(s *coatest.ASASession, shown string) {
	w.t.Helper()
	cmd := exec.Command("sh", "-c", strings.Replace(shown, "sudo ", "exec ", 1))
	cmd.Dir = w.path("downloads")
	cmd.Env = os.Environ()
	for name, value := range map[string]string{
		"STATE": w.path("agent"), "SYSROOT": w.tree.Root(), "USB_MODE": "observe", "DISCOVERY_HOST": w.asa.RedirectAddr().String(),
		"MAC": mac, "IP": s.TunnelIP().String(), "VERBOSE": "true",
	} {
		cmd.Env = append(cmd.Env, "SALLYPORT_AGENT_"+name+"="+value)
	}
	w.launch("the agent", cmd)
}
