package remedy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/netio/report"
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

func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return collect.Printable(err.Error())
}

// runScript runs a text that names its interpreter in its first line; no says why it was
// not run.
func (t *Tools) runScript(ctx context.Context, text []byte, arguments []string, stdout, stderr *tail) (ended error, no Outcome) {
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

// carryOut is run of an action.
func (t *Tools) carryOut(ctx context.Context, path string, arguments []string) Outcome {
	var said tail
	return outcomeOf(ctx, t.run(ctx, path, arguments, &said, &said, manner{}), &said)
}

// textBusy is how often a file is tried again that another thread of ours still holds open
// for writing in a child that it is just about to start.
const textBusy = 50

// What every program finds in its environment.
const (
	plainPath   = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
	plainLocale = "LC_ALL=C"
)

// manner is how a program is run.
type manner struct {
	env    []string // besides the plain one
	low    bool     // it gives way to everything else
	gentle bool     // it is asked to end, and ended when it has not after endsWithin; so are those that are low
}

// run runs a program without a shell, with a plain environment, at the root, and ends it
// with all that it started when there is no more time.
func (t *Tools) run(ctx context.Context, path string, arguments []string, stdout, stderr io.Writer, how manner) (err error) {
	for range textBusy {
		cmd := exec.CommandContext(ctx, path, arguments...)
		cmd.Env = append([]string{plainPath, plainLocale, "HOME=/nonexistent"}, how.env...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = t.root, stdout, stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		ended := syscall.SIGKILL
		cmd.WaitDelay = time.Second
		if how.low || how.gentle {
			ended, cmd.WaitDelay = syscall.SIGTERM, endsWithin
		}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, ended) }
		if err = cmd.Start(); err == nil {
			if how.low {
				lower(cmd.Process.Pid)
			}
			if err = cmd.Wait(); ctx.Err() != nil {
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

// stop ends every process that runs from a file: by its name, or by its path.
func (t *Tools) stop(ctx context.Context, target string) Outcome {
	switch {
	case t.root != "/":
		return Outcome{Refused, "the processes of another root are not this machine's"}
	case target == "":
		return Outcome{Refused, "the appliance names no program"}
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return Outcome{Failed, reason(err)}
	}
	var ending []running
	defer func() {
		for _, p := range ending {
			_ = unix.Close(p.fd) // nothing was written
		}
	}()
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if p, ok := find(pid, target); ok {
				ending = append(ending, p)
			}
		}
	}
	for _, step := range []struct {
		signal unix.Signal
		within time.Duration
	}{{unix.SIGTERM, stopWithin}, {unix.SIGKILL, stopNow}} {
		until := time.Now().Add(step.within)
		for _, p := range ending {
			if err := unix.PidfdSendSignal(p.fd, step.signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return Outcome{Failed, fmt.Sprintf("process %d cannot be told to end: %v", p.pid, err)}
			}
		}
		if gone(ctx, ending, until) {
			return Outcome{Result: Done}
		}
	}
	return Outcome{Failed, fmt.Sprintf("%d processes of %s do not end", len(ending), collect.Printable(target))}
}

// running is a process that stays the same one whatever becomes of its number.
type running struct{ pid, fd int }

// find holds on to a process that runs from the target. Neither the first process nor this
// one is ever meant.
func find(pid int, target string) (running, bool) {
	if pid == 1 || pid == os.Getpid() || !runsFrom(pid, target) {
		return running{}, false
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return running{}, false // it ended meanwhile
	}
	if !runsFrom(pid, target) { // the number was given to another between the two
		_ = unix.Close(fd) // nothing was written
		return running{}, false
	}
	return running{pid, fd}, true
}

func runsFrom(pid int, target string) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return false // a thread of the kernel, or over
	}
	exe = strings.TrimSuffix(exe, " (deleted)")
	return exe == target || !strings.Contains(target, "/") && filepath.Base(exe) == target
}

// gone waits until every process has ended.
func gone(ctx context.Context, all []running, until time.Time) bool {
	for _, p := range all {
		for {
			left := time.Until(until)
			if left <= 0 || ctx.Err() != nil {
				return false
			}
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, int(min(left, time.Second).Milliseconds())+1)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return false
			}
			if n > 0 {
				break
			}
		}
	}
	return true
}

// product is one that a system may have, and what brings it into effect.
type product struct {
	there     string // a file that the system has when the product is installed
	program   string
	arguments []string
}

const systemctl = "/usr/bin/systemctl"

// firewalls, the most wilful first: where ufw or firewalld is installed, the others are
// driven by it.
var firewalls = []product{
	{"/usr/sbin/ufw", "/usr/sbin/ufw", []string{"--force", "enable"}},
	{"/usr/lib/systemd/system/firewalld.service", systemctl, []string{"enable", "--now", "firewalld.service"}},
	{"/etc/nftables.conf", systemctl, []string{"enable", "--now", "nftables.service"}},
}

var scanners = []product{
	{"/usr/lib/systemd/system/clamav-freshclam.service", systemctl, []string{"restart", "clamav-freshclam.service"}},
	{"/usr/bin/freshclam", "/usr/bin/freshclam", []string{"--quiet"}},
}

func (t *Tools) firewall(ctx context.Context) Outcome {
	return t.first(ctx, firewalls, "no firewall is installed that this agent can turn on: ufw, firewalld or nftables")
}

func (t *Tools) antiMalware(ctx context.Context) Outcome {
	return t.first(ctx, scanners, "no anti-malware is installed that this agent can update: ClamAV")
}

// first brings the first product that is there into effect: apart, since those that are no
// services want what the agent's fences keep from it, such as becoming another user.
func (t *Tools) first(ctx context.Context, products []product, none string) Outcome {
	for _, p := range products {
		if _, err := os.Stat(filepath.Join(t.root, p.there)); err != nil {
			continue
		}
		return t.apart(ctx, errand{p.program, p.arguments, nil}, nil)
	}
	return Outcome{Refused, none}
}
