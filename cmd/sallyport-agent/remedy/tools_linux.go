package remedy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/cmd/sallyport-agent/collect"
)

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
