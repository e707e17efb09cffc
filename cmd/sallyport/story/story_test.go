package story

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// built is where programs put them; empty before.
var built string

// programs builds both programs once.
var programs = sync.OnceValue(func() (err error) {
	if built, err = os.MkdirTemp("", "sallyport-story-test-"); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-o", built+"/", "sallyport/cmd/sallyport", "sallyport/cmd/sallyport-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return errors.New(string(text))
	}
	return nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// demo is one run of `sallyport demo`.
type demo struct {
	t        *testing.T
	cmd      *exec.Cmd
	lines    *bufio.Reader
	out, err bytes.Buffer
	tmp      string
}

func start(t *testing.T, args ...string) *demo {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: this builds both programs and plays the story, which takes seconds")
	}
	must(t, programs())
	d := &demo{t: t, cmd: exec.Command(filepath.Join(built, "sallyport"), append([]string{"demo"}, args...)...), tmp: t.TempDir()}
	d.cmd.Env = append(os.Environ(), "TMPDIR="+d.tmp)
	d.cmd.Stderr = &d.err
	out, err := d.cmd.StdoutPipe()
	must(t, err)
	d.lines = bufio.NewReader(io.TeeReader(out, &d.out))
	must(t, d.cmd.Start())
	t.Cleanup(func() {
		if d.cmd.ProcessState == nil {
			d.cmd.Process.Signal(syscall.SIGTERM)
			d.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("standard output:\n%s\nstandard error:\n%s", d.out.String(), d.err.String())
		}
	})
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until reads lines until one of them holds text, and returns that one.
func (d *demo) until(text string) string {
	d.t.Helper()
	for {
		line, err := d.lines.ReadString('\n')
		if strings.Contains(line, text) {
			return line
		}
		if err != nil {
			d.t.Fatalf("no line with %q: %v", text, err)
		}
	}
}

// end reads the rest and returns the exit code.
func (d *demo) end() int {
	d.t.Helper()
	_, err := io.Copy(io.Discard, d.lines)
	must(d.t, err)
	var failed *exec.ExitError
	if err := d.cmd.Wait(); err != nil && !errors.As(err, &failed) {
		d.t.Fatal(err)
	}
	return d.cmd.ProcessState.ExitCode()
}

// cleared wants the story's directory to be gone.
func (d *demo) cleared() {
	d.t.Helper()
	left, err := os.ReadDir(d.tmp)
	must(d.t, err)
	if len(left) > 0 {
		d.t.Errorf("left behind: %v", left)
	}
}

// object is a line of --json.
type object struct {
	Kind, Step, Result, Missing, Error, Sent, Answered, Console, Portal, Config string

	Pid      int `json:"appliance_pid"`
	Number   int
	Observed any
	Elapsed  float64
	Steps    int
}

func objects(t *testing.T, text string) (all []object) {
	t.Helper()
	for line := range strings.Lines(text) {
		var o object
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, o)
	}
	return all
}

func find(t *testing.T, all []object, kind string) object {
	t.Helper()
	i := slices.IndexFunc(all, func(o object) bool { return o.Kind == kind })
	if i < 0 {
		t.Fatalf("no object of kind %q", kind)
	}
	return all[i]
}

// TestStory: every step of the reference story is seen in its order, and nothing stays.
func TestStory(t *testing.T) {
	d := start(t, "--json")
	if code := d.end(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	d.cleared()
	all := objects(t, d.out.String())
	want := []string{"access_accept_redirect", "redirect_followed", "appliance_found", "noncompliant", "stick_blocked",
		"compliant", "coa_request", "coa_ack", "full_access", "stick_plugged_again", "quarantined_again"}
	var got []string
	var last float64
	for _, o := range all {
		if o.Kind != "step" {
			continue
		}
		if got = append(got, o.Step); o.Number != len(got) || o.Observed != true || o.Elapsed < last || o.Sent == "" || o.Answered == "" {
			t.Errorf("%+v after %g s", o, last)
		}
		last = o.Elapsed
	}
	if !slices.Equal(got, want) {
		t.Errorf("steps %q, want %q", got, want)
	}
	if r := find(t, all, "result"); r.Result != "complete" || r.Steps != len(want) || r.Observed != float64(len(want)) {
		t.Errorf("%+v", r)
	}
	gone(t, find(t, all, "stage").Pid)
}

// gone wants that there is no process of this number.
func gone(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v", pid, err)
	}
}

// TestKeep: the tables are printed, everything goes on until Ctrl-C, and then the
// directory is still there.
func TestKeep(t *testing.T) {
	d := start(t, "--keep")
	d.until("11 of 11 steps seen in order")
	d.until("LOGGED AT")
	url := strings.Fields(d.until("console "))[1]
	answer, err := http.Get(url + "/api/v1/sessions")
	must(t, err)
	text, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	must(t, err)
	if answer.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`"Compliant"`)) {
		t.Errorf("%s: %s", answer.Status, text)
	}
	must(t, d.cmd.Process.Signal(syscall.SIGINT))
	if code := d.end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("the console still answers")
	}
	if kept, _ := filepath.Glob(filepath.Join(d.tmp, "*", configName)); len(kept) != 1 {
		t.Errorf("configuration kept: %q", kept)
	}
}

// TestMissingStep: an agent that ends is a step that is missing, and its log says why.
func TestMissingStep(t *testing.T) {
	agent := filepath.Join(t.TempDir(), "agent")
	must(t, os.WriteFile(agent, []byte("#!/bin/sh\necho nobody at home >&2\nexit 3\n"), 0o755))
	d := start(t, "--json", "--agent", agent)
	if code := d.end(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	d.cleared()
	all := objects(t, d.out.String())
	if r := find(t, all, "result"); r.Result != "incomplete" || r.Missing != "appliance_found" || r.Observed != 2.0 {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{"last lines of the appliance:\n", "msg=serving", "last lines of the agent:\n  nobody at home\n",
		"step 3 of 11 was not seen: agent finds the appliance: the agent has ended by itself: exit status 3"} {
		if !strings.Contains(d.err.String(), want) {
			t.Errorf("not said: %q", want)
		}
	}
	gone(t, find(t, all, "stage").Pid)
}

// TestInterrupted: a signal while a step is waited for leaves nothing behind.
func TestInterrupted(t *testing.T) {
	agent := filepath.Join(t.TempDir(), "agent")
	must(t, os.WriteFile(agent, []byte("#!/bin/sh\nexec sleep 600\n"), 0o755))
	d := start(t, "--json", "--agent", agent)
	d.until(`"redirect_followed"`)
	must(t, d.cmd.Process.Signal(syscall.SIGINT))
	if code := d.end(); code != 1 || !strings.Contains(d.err.String(), "sallyport: interrupted") {
		t.Errorf("exit code %d", code)
	}
	d.cleared()
	gone(t, find(t, objects(t, d.out.String()), "stage").Pid)
}

func TestNoAgent(t *testing.T) {
	d := start(t, "--agent", filepath.Join(t.TempDir(), "none"))
	if code := d.end(); code != 1 || !strings.Contains(d.err.String(), "none; run make build, or name it with --agent FILE") {
		t.Errorf("exit code %d", code)
	}
}
