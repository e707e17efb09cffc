package remedy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// TestMain lets this binary be a program that does not end, with another that it started.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "parent":
		if err := exec.Command(os.Args[0], "child", os.Args[2]).Start(); err != nil {
			os.Exit(3)
		}
		select {}
	case len(os.Args) == 3 && os.Args[1] == "child":
		for { // its file grows as long as it lives
			f, err := os.OpenFile(os.Args[2], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err == nil {
				_, _ = f.WriteString(".")
				f.Close()
			}
			<-time.After(20 * time.Millisecond)
		}
	}
	os.Exit(m.Run())
}

func windowsTools(t *testing.T) (*Tools, keep.Dir) {
	t.Helper()
	place, err := os.MkdirTemp("", "tools") // Wine cannot remove a file in Go's way; the prefix goes as a whole
	if err != nil {
		t.Fatal(err)
	}
	dir, err := keep.Open(place)
	if err != nil {
		t.Fatal(err)
	}
	files, err := dir.Sub("files")
	if err != nil {
		t.Fatal(err)
	}
	return NewTools(ToolsConfig{Root: "/", Files: []string{files}}, dir, slog.New(slog.NewTextHandler(io.Discard, nil))), dir
}

// TestWindowsRun: arguments arrive as they are, the exit code comes back, and what a program
// started ends with it.
func TestWindowsRun(t *testing.T) {
	tools, dir := windowsTools(t)
	var said tail
	if err := tools.run(t.Context(), systemTool("cmd.exe"), []string{"/d", "/c", "echo", "a b"}, &said, &said, manner{}); err != nil || said.last() != `"a b"` {
		t.Errorf("%v %q", err, said.last())
	}
	if err := tools.run(t.Context(), systemTool("cmd.exe"), []string{"/d", "/c", "exit 5"}, &said, &said, manner{}); err == nil || !strings.Contains(err.Error(), "5") {
		t.Error(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	alive := dir.Path("alive")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tools.run(ctx, self, []string{"parent", alive}, &said, &said, manner{}) }()
	size := func() int64 {
		info, err := os.Stat(alive)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	for deadline := time.Now().Add(20 * time.Second); size() == 0; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what it starts does not start")
		}
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("it ended well")
	}
	before := size()
	<-time.After(200 * time.Millisecond) // ten times what a living one needs
	if after := size(); after != before {
		t.Errorf("what it started goes on: %d, then %d octets", before, after)
	}
}

// TestWindowsStop ends a program by its name and leaves others alone.
func TestWindowsStop(t *testing.T) {
	tools, dir := windowsTools(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	path := dir.Path("Stopped-One.exe")
	if err := os.WriteFile(path, program, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"stopped-one.exe", path} {
		cmd := exec.Command(path, "child", dir.Path("alive"))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if got := tools.Do(t.Context(), &report.Action{Verb: report.VerbAppStop, Target: target}, nil); got.Result != Done {
			t.Errorf("%s: %+v", target, got)
			cmd.Process.Kill()
		}
		if err := cmd.Wait(); err == nil {
			t.Error("it ended by itself")
		}
	}
	if got := tools.Do(t.Context(), &report.Action{Verb: report.VerbAppStop, Target: "nobody-has-this.exe"}, nil); got.Result != Done {
		t.Errorf("%+v", got)
	}
}

// TestWindowsRefusals: what others may change is not run, nor are scripts but PowerShell's, and
// files go to one place.
func TestWindowsRefusals(t *testing.T) {
	tools, dir := windowsTools(t)
	text := []byte("exit 0")
	digest := sha256.Sum256(text)
	sum := hex.EncodeToString(digest[:])
	fetch := func(context.Context, string, int) ([]byte, error) { return text, nil }
	open := dir.Path("open.exe")
	if err := os.WriteFile(open, text, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		action report.Action
		result string
		words  string
	}{
		{report.Action{Verb: report.VerbLaunch, Target: "open.exe", SHA256: sum}, Refused, "not an absolute path"},
		{report.Action{Verb: report.VerbLaunch, Target: `\\server\share\x.exe`, SHA256: sum}, Refused, "not an absolute path of this machine"},
		{report.Action{Verb: report.VerbLaunch, Target: open, SHA256: sum}, Refused, "can be changed by others"},
		{report.Action{Verb: report.VerbLaunch, Target: filepath.Dir(open), SHA256: sum}, Refused, ""},
		{report.Action{Verb: report.VerbScript, Target: "mend.sh", SHA256: sum}, Refused, "has to end in .ps1"},
		{report.Action{Verb: report.VerbScript, Target: "mend.ps1", SHA256: strings.Repeat("0", 64)}, Refused, "another digest"},
		{report.Action{Verb: report.VerbFile, Target: "tool.cfg", SHA256: sum}, Done, "was written"},
		{report.Action{Verb: report.VerbFile, Target: "tool.cfg", SHA256: sum}, Done, "was there already"},
		{report.Action{Verb: report.VerbFile, Target: "tool.cfg", To: "/windows/tool.cfg", SHA256: sum}, Refused, "into its own directory alone"},
		{report.Action{Verb: report.VerbFile, Target: "c:tool.cfg", SHA256: sum}, Refused, "into its own directory alone"},
		{report.Action{Verb: report.VerbFile, Target: "other.cfg", SHA256: strings.Repeat("0", 64)}, Refused, "another digest"},
		{report.Action{Verb: report.VerbPatchUpdate}, Refused, "not implemented on this system"},
	} {
		if got := tools.Do(t.Context(), &c.action, fetch); got.Result != c.result || !strings.Contains(got.Detail, c.words) {
			t.Errorf("%s %s: %+v, want %s with %q", c.action.Verb, c.action.Target, got, c.result, c.words)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(tools.files[0], partPrefix+"*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
