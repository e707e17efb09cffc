package portaltest

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/coa/coatest"
	"sallyport/engine"
	"sallyport/engine/stage"
	"sallyport/ops/usbfixture"
)

const (
	mac       = "00:50:56:aa:bb:cc"
	agentFile = "sallyport-agent-linux-amd64"

	// anyPage is what the person wants to see. The browser is told that the NAS is there.
	anyName = "www.example.com"
	anyPage = "http://" + anyName + "/"
)

const provisioning = `
provisioning:
  agents-directory: agents
  rules:
    - {rule: Linux_Posture, when: 'endpoint.os == "linux"', give: agent-linux}
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
	for _, dir := range []string{"agents", "endpoint", "downloads"} {
		must(t, os.Mkdir(w.path(dir), 0o700))
	}
	w.build()
	appliance, asa, err := stage.OpenWithASA(t.Context(), stage.Options{Program: w.path("sallyport"), Dir: w.dir, Block: true, More: provisioning}, nil)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the appliance said:\n%s", appliance.Said())
		}
		must(t, appliance.Close())
	})
	t.Cleanup(asa.Close)
	w.asa, w.bound = asa, appliance.Bound
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
	s, err := w.asa.Login(ctx, stage.User, stage.Password, coatest.Endpoint{PublicIP: netip.MustParseAddr("10.62.145.44"), MAC: mac, Platform: "linux-64", Type: "machine"})
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
