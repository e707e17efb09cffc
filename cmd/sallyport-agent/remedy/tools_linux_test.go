package remedy

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/netio/report"
)

// workshop is a machine's tree with programs in it, and tools for it.
type workshop struct {
	*testing.T
	root  string
	state string
	tools *Tools
	files map[string]string // that the appliance hands out
}

func newWorkshop(t *testing.T, more ToolsConfig) *workshop {
	t.Helper()
	w := &workshop{T: t, root: t.TempDir(), state: t.TempDir(), files: map[string]string{}}
	if more.Root == "" {
		more.Root = w.root
	}
	w.tools = NewTools(more, keep.Dir(w.state), slog.New(slog.DiscardHandler))
	return w
}

// put writes a file of the tree.
func (w *workshop) put(path, text string, mode os.FileMode) {
	w.Helper()
	path = filepath.Join(w.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		w.Fatal(err)
	}
}

// did is what the programs of the tree wrote.
func (w *workshop) did() string {
	b, _ := os.ReadFile(filepath.Join(w.root, "did")) // none was run
	return string(b)
}

func (w *workshop) do(a report.Action) Outcome {
	return w.tools.Do(context.Background(), &a, func(_ context.Context, name string, most int) ([]byte, error) {
		text, ok := w.files[name]
		if !ok || len(text) > most {
			return nil, errors.New("404 Not Found")
		}
		return []byte(text), nil
	})
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

func (w *workshop) want(what string, got Outcome, result, detail string) {
	w.Helper()
	if got.Result != result || !strings.Contains(got.Detail, detail) {
		w.Errorf("%s: %+v, want %s and %q", what, got, result, detail)
	}
}

const noting = "#!/bin/sh\necho \"$0 $*\" >>did\n"

// TestLaunch: only what has the digest, and only where nobody but root can change it.
func TestLaunch(t *testing.T) {
	w := newWorkshop(t, ToolsConfig{})
	w.put("/usr/bin/fix", noting, 0o755)
	w.put("/usr/bin/fails", "#!/bin/sh\necho working\necho the disk is full >&2\nexit 3\n", 0o755)
	w.put("/usr/bin/open", noting, 0o777)
	w.put("/shared/fix", noting, 0o755)
	if err := os.Chmod(filepath.Join(w.root, "shared"), 0o777); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"/usr/bin/alias": "fix", "/usr/bin/away": "/bin/true"} {
		if err := os.Symlink(to, filepath.Join(w.root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		target, sha, publisher, result, detail string
	}{
		{"/usr/bin/fix", sum(noting), "", Done, ""},
		{"/usr/bin/alias", sum(noting), "", Done, ""},
		{"/usr/bin/fix", sum("another"), "", Refused, "another digest"},
		{"/usr/bin/fix", "", "", Refused, "names no digest"},
		{"/usr/bin/fix", sum(noting), "Example Ltd", Refused, "by the system alone"},
		{"/usr/bin/open", sum(noting), "", Refused, "can be changed by others than root"},
		{"/shared/fix", sum(noting), "", Refused, "can be changed by others than root"},
		{"/usr/bin", sum(noting), "", Refused, "is not a file"},
		{"/usr/bin/none", sum(noting), "", Refused, "no such file"},
		{"/usr/bin/away", sum(noting), "", Refused, "leads out of"},
		{"fix", sum(noting), "", Refused, "not an absolute path"},
	} {
		got := w.do(report.Action{Verb: report.VerbLaunch, Target: c.target, SHA256: c.sha, Publisher: c.publisher, Arguments: []string{"--now", "$(id); x"}})
		w.want(c.target+" "+c.detail, got, c.result, c.detail)
	}
	if said := w.did(); strings.Count(said, "/usr/bin/fix --now $(id); x\n") != 2 || strings.Count(said, "\n") != 2 {
		t.Errorf("what ran: %s", said)
	}
	w.want("fails", w.do(report.Action{Verb: report.VerbLaunch, Target: "/usr/bin/fails", SHA256: sum("#!/bin/sh\necho working\necho the disk is full >&2\nexit 3\n")}), Failed, "exit status 3: the disk is full")
}

// TestLaunchEnds: what hangs is ended with all that it started.
func TestLaunchEnds(t *testing.T) {
	w := newWorkshop(t, ToolsConfig{})
	const hangs = "#!/bin/sh\nsleep 1000 &\necho $! >>did\nwait\n"
	w.put("/hangs", hangs, 0o755)
	w.tools.within = 300 * time.Millisecond
	w.want("hangs", w.do(report.Action{Verb: report.VerbLaunch, Target: "/hangs", SHA256: sum(hangs)}), Failed, "took too long")
	child := "/proc/" + strings.TrimSpace(w.did()) + "/exe"
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := os.Readlink(child); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("what it started goes on")
		}
	}
}

// TestScript: only what has the digest, and nothing of it stays.
func TestScript(t *testing.T) {
	w := newWorkshop(t, ToolsConfig{})
	w.files = map[string]string{"fix.sh": noting, "bare.sh": "echo x\n"}
	for _, c := range []struct{ name, sha, result, detail string }{
		{"fix.sh", sum(noting), Done, ""},
		{"fix.sh", sum("another"), Refused, "another digest"},
		{"none.sh", sum(noting), Failed, "404"},
		{"bare.sh", sum("echo x\n"), Refused, "#!"},
		{"fix.sh", "", Refused, "names no digest"},
	} {
		w.want(c.name+" "+c.detail, w.do(report.Action{Verb: report.VerbScript, Target: c.name, SHA256: c.sha}), c.result, c.detail)
	}
	if strings.Count(w.did(), "\n") != 1 {
		t.Errorf("what ran: %s", w.did())
	}
	if left, err := os.ReadDir(w.state); err != nil || len(left) != 0 {
		t.Errorf("%v %v are left", left, err)
	}
	if err := os.MkdirAll(filepath.Join(w.state, scratchPrefix+"of-one-that-was-killed"), 0o700); err != nil {
		t.Fatal(err)
	}
	NewTools(ToolsConfig{Root: w.root}, keep.Dir(w.state), slog.New(slog.DiscardHandler))
	if left, err := os.ReadDir(w.state); err != nil || len(left) != 0 {
		t.Errorf("%v %v are left of another agent", left, err)
	}
}

// TestSigned: an agent that is told a key runs what carries a signature of it, over this very
// program, digest and arguments.
func TestSigned(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorkshop(t, ToolsConfig{Key: public})
	w.put("/fix", noting, 0o755)
	a := report.Action{Verb: report.VerbLaunch, Target: "/fix", SHA256: sum(noting), Arguments: []string{"a", "b"}}
	w.want("not signed", w.do(a), Refused, "not signed")
	a.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(private, a.SignedText()))
	w.want("signed", w.do(a), Done, "")
	a.Arguments = []string{"a\nb"}
	w.want("other arguments", w.do(a), Refused, "or of another action")
	a.Arguments, a.Verb = []string{"a", "b"}, report.VerbScript
	w.want("another verb", w.do(a), Refused, "or of another action")
}

// TestProducts: the firewall and the scanner that are installed, by the programs of the
// system, and a reason where there is none.
func TestProducts(t *testing.T) {
	w := newWorkshop(t, ToolsConfig{Refuse: []string{report.VerbPatchUpdate}})
	w.want("no firewall", w.do(report.Action{Verb: report.VerbFirewallEnable}), Refused, "no firewall is installed")
	w.want("no scanner", w.do(report.Action{Verb: report.VerbAntiMalwareUpdate}), Refused, "no anti-malware")
	w.put("/usr/bin/systemctl", noting, 0o755)
	w.put("/etc/nftables.conf", "", 0o644)
	w.put("/usr/bin/freshclam", noting, 0o755)
	w.want("nftables", w.do(report.Action{Verb: report.VerbFirewallEnable}), Done, "")
	w.want("freshclam", w.do(report.Action{Verb: report.VerbAntiMalwareUpdate}), Done, "")
	w.put("/usr/sbin/ufw", noting, 0o755)
	w.want("ufw", w.do(report.Action{Verb: report.VerbFirewallEnable}), Done, "")
	for _, want := range []string{"systemctl enable --now nftables.service\n", "freshclam --quiet\n", "ufw --force enable\n"} {
		if !strings.Contains(w.did(), want) {
			t.Errorf("%q is not among\n%s", want, w.did())
		}
	}
	w.want("patches", w.do(report.Action{Verb: report.VerbPatchUpdate}), Refused, "configured to refuse patch.update")
	w.want("stop", w.do(report.Action{Verb: report.VerbAppStop, Target: "game"}), Refused, "another root")
}

// TestStop ends processes by the file that they run from, and no others: also one that will
// not hear of it.
func TestStop(t *testing.T) {
	w := newWorkshop(t, ToolsConfig{Root: "/"})
	program := filepath.Join(w.root, "a-game-of-this-test")
	copyOf(t, "/bin/sleep", program)
	start := func(args ...string) *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended when all went well
		return cmd
	}
	one, other, bystander := start(program, "1000"), start(program, "1000"), start("/bin/sleep", "1000")
	w.want("by its path", w.do(report.Action{Verb: report.VerbAppStop, Target: program}), Done, "")
	for _, cmd := range []*exec.Cmd{one, other} {
		if err := cmd.Wait(); err == nil || err.Error() != "signal: terminated" {
			t.Errorf("%v", err)
		}
	}
	// Killed, not interrupted: a process that was started in the background of a script has
	// its children ignore interrupts, and they would sleep on.
	if err := bystander.Process.Kill(); err != nil {
		t.Errorf("the bystander: %v", err)
	}
	_ = bystander.Wait() // killed just now
	one = start(program, "1000")
	w.want("by its name", w.do(report.Action{Verb: report.VerbAppStop, Target: filepath.Base(program)}), Done, "")
	_ = one.Wait() // it was ended
	w.want("nothing runs", w.do(report.Action{Verb: report.VerbAppStop, Target: program}), Done, "")
	w.want("no name", w.do(report.Action{Verb: report.VerbAppStop}), Refused, "names no program")
}

func copyOf(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
