//go:build unix

package collect

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOutputEnds: what a program leaves behind with its standard output is not waited for,
// neither when it ends by itself nor when there is no more time.
func TestOutputEnds(t *testing.T) {
	for what, text := range map[string]string{
		"ends":  "#!/bin/sh\nsleep 1000 &\necho $! >\"$1\"\necho said\n",
		"hangs": "#!/bin/sh\nsleep 1000 &\necho $! >\"$1\"\necho said\nexec sleep 1000\n",
	} {
		dir := t.TempDir()
		program, left := filepath.Join(dir, "program"), filepath.Join(dir, "left")
		if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		begun := time.Now()
		said, err := output(ctx, program, left)
		cancel()
		if took := time.Since(begun); took > 10*time.Second || (err == nil) != (what == "ends") || said != "said\n" {
			t.Errorf("%s: %q %v after %s", what, said, err, took)
		}
		pid, err := os.ReadFile(left)
		if err != nil {
			t.Fatal(err)
		}
		var n int
		for _, c := range strings.TrimSpace(string(pid)) {
			n = 10*n + int(c-'0')
		}
		if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
}
