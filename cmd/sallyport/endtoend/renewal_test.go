package endtoend

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"sallyport/coa/coatest"
	"sallyport/engine/record"
)

// buildAgent builds the agent as a version. A broken one is the same but for its end right
// after its start, which --version does not show.
func buildAgent(t *testing.T, path, version string, broken bool) (sum string) {
	t.Helper()
	args := []string{"build", "-ldflags", "-X main.version=" + version, "-o", path}
	if broken {
		source, err := filepath.Abs("../../sallyport-agent/commands.go")
		must(t, err)
		text, err := os.ReadFile(source)
		must(t, err)
		const start = `d.log.Info("agent started"`
		changed := edited(t, string(text), start, `panic("a broken build")`+"\n\t"+start)
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "commands.go"), []byte(changed), 0o600))
		overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: filepath.Join(dir, "commands.go")}})
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
		args = append(args, "-overlay", filepath.Join(dir, "overlay.json"))
	}
	if out, err := exec.Command("go", append(args, "sallyport/cmd/sallyport-agent")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	program, err := os.ReadFile(path)
	must(t, err)
	return fmt.Sprintf("%x", sha256.Sum256(program))
}

// TestAgentIsRenewed: the real appliance hands a signed build to the real agent, which takes
// it and is started again by whoever looks after it. One that falls over is taken back, and the
// appliance shows that; the next one stays.
func TestAgentIsRenewed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a running program is replaced in another way there")
	}
	must(t, programs())
	builds := t.TempDir()
	broken := buildAgent(t, filepath.Join(builds, "agent-2.0.0"), "2.0.0", true)
	good := buildAgent(t, filepath.Join(builds, "agent-2.1.0"), "2.1.0", false)
	resource := func(name, version, sum string) string {
		return fmt.Sprintf("%s: {os: %s, arch: %s, file: agent-%s, version: %s, sha256: %s}", name, runtime.GOOS, runtime.GOARCH, version, version, sum)
	}
	s := newStage(t, "authorization:\n", fmt.Sprintf(`provisioning:
  agents-directory: %s
  resources: {%s, %s}
  rules: [{rule: all, give: broken}]
authorization:
`, builds, resource("broken", "2.0.0", broken), resource("good", "2.1.0", good)))
	public, fault, code := s.program("library", "key", s.path("private"))
	if code != 0 {
		t.Fatal(fault)
	}
	for name, sum := range map[string]string{"broken": broken, "good": good} {
		signature, fault, code := s.run("library", "sign-agent", "--key", s.path("private"), name)
		if code != 0 {
			t.Fatal(fault)
		}
		s.edit("sha256: "+sum, fmt.Sprintf("sha256: %s, signature: %q", sum, strings.TrimSpace(signature)))
	}
	s.reload()

	program := s.path("sallyport-agent")
	buildAgent(t, program, "1.0.0", false)
	stop := s.lookAfter(program, s.agentArguments("--update-key", strings.TrimSpace(public)))
	defer stop()
	// agent is what the newest report came from.
	agent := func() string {
		var newest record.Posture
		for _, p := range ask[record.Posture](s.appliance, "report", "detail") {
			if p.LoggedAt.After(newest.LoggedAt) {
				newest = p
			}
		}
		return newest.Agent
	}
	eventually(t, "the broken build is taken back, and the appliance knows", func() bool {
		return agent() == "sallyport-agent 1.0.0 (build 2.0.0 was taken back: it was started 3 times, and no appliance ever answered it)"
	})
	must(t, s.session.WaitFor(s.ctx, coatest.Access.Full))

	s.edit("give: broken", "give: good")
	s.reload()
	stop()
	stop = s.lookAfter(program, s.agentArguments("--update-key", strings.TrimSpace(public)))
	defer stop()
	eventually(t, "the next build stays", func() bool {
		_, err := os.Stat(program + ".trial")
		return agent() == "sallyport-agent 2.1.0" && os.IsNotExist(err)
	})
	must(t, s.session.WaitFor(s.ctx, coatest.Access.Full))
	if log, err := os.ReadFile(s.path("agent.log")); err != nil || strings.Count(string(log), "a broken build") != 3 {
		t.Errorf("the broken build was started another number of times than 3: %v", err)
	}
}

// reload has the appliance take its configuration, and waits until it has.
func (s *stage) reload() {
	s.t.Helper()
	before := strings.Count(s.log(), "configuration reloaded")
	s.signal(s.t, syscall.SIGHUP)
	eventually(s.t, "the configuration is in force", func() bool { return strings.Count(s.log(), "configuration reloaded") > before })
}

// lookAfter starts a program again whenever it ends, as the service manager does, until stop.
func (s *stage) lookAfter(program string, args []string) (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	log, err := os.OpenFile(s.path("agent.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(s.t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer log.Close()
		for ctx.Err() == nil {
			cmd := exec.CommandContext(ctx, program, args...)
			cmd.Stdout, cmd.Stderr = log, log
			if err := cmd.Run(); err != nil {
				fmt.Fprintln(log, "the agent ended:", err)
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
