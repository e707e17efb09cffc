//go:build unix

package remedy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/netio/report"
)

// What every program finds in its environment.
const (
	plainPath   = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
	plainLocale = "LC_ALL=C"
)

// launch runs a program that is there. Between the look at its octets and its start
// nobody but root can make it another one.
func (t *Tools) launch(ctx context.Context, a *report.Action) Outcome {
	if !filepath.IsAbs(a.Target) {
		return Outcome{Refused, collect.Printable(a.Target) + " is not an absolute path"}
	}
	path, err := t.onlyRoots(a.Target)
	if err != nil {
		return Outcome{Refused, err.Error()}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return Outcome{Refused, reason(err)}
	}
	defer f.Close()
	switch sum, err := digestOf(f); {
	case err != nil:
		return Outcome{Failed, err.Error()}
	case sum != a.SHA256:
		return Outcome{Refused, collect.Printable(a.Target) + " has another digest than the appliance names"}
	}
	return t.carryOut(ctx, path, a.Arguments)
}

// onlyRoots resolves a path below the root, and wants the file and every directory on the
// way to be root's (or our own) and nobody else's to write.
func (t *Tools) onlyRoots(target string) (string, error) {
	root, err := filepath.EvalSymlinks(t.root)
	if err != nil {
		return "", errors.New(reason(err))
	}
	path, err := filepath.EvalSymlinks(filepath.Join(root, target))
	if err != nil {
		return "", errors.New(collect.Printable(target) + ": " + reason(err))
	}
	below, err := filepath.Rel(root, path)
	if err != nil || below == ".." || strings.HasPrefix(below, "../") {
		return "", fmt.Errorf("%s leads out of %s", collect.Printable(target), root)
	}
	at := root
	for i, name := range append([]string{""}, strings.Split(below, "/")...) {
		at = filepath.Join(at, name)
		info, err := os.Lstat(at)
		if err != nil {
			return "", errors.New(reason(err))
		}
		owner := info.Sys().(*syscall.Stat_t).Uid
		if owner != 0 && owner != uint32(os.Geteuid()) || info.Mode().Perm()&0o022 != 0 && (i > 0 || root == "/") {
			return "", fmt.Errorf("%s can be changed by others than root", collect.Printable(at))
		}
		if at == path && !info.Mode().IsRegular() {
			return "", fmt.Errorf("%s is not a file", collect.Printable(target))
		}
	}
	return path, nil
}

// runScript runs a text that names its interpreter in its first line; no says why it was
// not run.
func (t *Tools) runScript(ctx context.Context, _ string, text []byte, arguments []string, stdout, stderr *tail) (ended error, no Outcome) {
	if !strings.HasPrefix(string(text), "#!") {
		return nil, Outcome{Refused, "the script does not begin with #! and an interpreter"}
	}
	scratch, err := os.MkdirTemp(string(t.dir), scratchPrefix)
	if err != nil {
		return nil, Outcome{Failed, reason(err)}
	}
	defer func() {
		if err := os.RemoveAll(scratch); err != nil {
			t.log.Warn("what a script left cannot be taken away", "error", err)
		}
	}()
	path := filepath.Join(scratch, "script")
	const owners = 0o700
	if err := os.WriteFile(path, text, owners); err != nil {
		return nil, Outcome{Failed, reason(err)}
	}
	return t.run(ctx, path, arguments, stdout, stderr, manner{}), Outcome{}
}

// textBusy is how often a file is tried again that another thread of ours still holds open
// for writing in a child that it is just about to start.
const textBusy = 50

// run runs a program without a shell, with a plain environment, at the root, and ends it
// with all that it started when there is no more time.
func (t *Tools) run(ctx context.Context, path string, arguments []string, stdout, stderr io.Writer, how manner) (err error) {
	for range textBusy {
		cmd := exec.CommandContext(ctx, path, arguments...)
		cmd.Env = append([]string{plainPath, plainLocale, "HOME=/nonexistent"}, how.env...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = t.root, stdout, stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		gentle := how.low || how.gentle
		cmd.WaitDelay = time.Second
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		if gentle { // what it has started may be in the middle of something: that is its to end
			cmd.WaitDelay = endsWithin
			cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
		}
		if err = cmd.Start(); err == nil {
			if how.low {
				lower(cmd.Process.Pid)
			}
			if err = cmd.Wait(); ctx.Err() != nil && !gentle {
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it started and left; there may be none
			}
		}
		if !errors.Is(err, syscall.ETXTBSY) {
			break
		}
		select {
		case <-time.After(verifyStep):
		case <-ctx.Done():
		}
	}
	if errors.Is(err, exec.ErrWaitDelay) { // it ended well, and what it left behind goes on
		return nil
	}
	return err
}
