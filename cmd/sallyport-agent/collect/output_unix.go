//go:build unix

package collect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const outputMax = 32 << 20 // of a program that lists packages

// output runs a program of the system without shell and with a plain environment, and
// gives what it prints. An exit code is an error that is an *exec.ExitError.
func output(ctx context.Context, program string, args ...string) (string, error) {
	path, err := systemProgram(program)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/nonexistent"}
	cmd.WaitDelay = time.Second
	var text bounded
	cmd.Stdout = &text                                      // and not a pipe of our own, which whatever it leaves behind would keep open
	if err = cmd.Run(); errors.Is(err, exec.ErrWaitDelay) { // it ended well, and left something behind
		err = nil
	}
	return text.String(), err
}

// bounded keeps the first octets of what a program prints, and reads on.
type bounded struct{ strings.Builder }

// Write takes some output.
func (b *bounded) Write(p []byte) (int, error) {
	b.Builder.Write(p[:min(len(p), outputMax-b.Len())])
	return len(p), nil
}

// systemProgram finds a program where only root can have put it.
func systemProgram(name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/bin", "/sbin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("the program %s is not installed", name)
}
