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

// Programs of the system.
const (
	ps               = "/bin/ps"
	socketFilter     = "/usr/libexec/ApplicationFirewall/socketfilterfw"
	stillThereAgain  = 100 * time.Millisecond
	noSuchToolOnHere = "no anti-malware is installed that this agent can update: macOS updates its own by itself"
)

// lower: nothing is run apart here.
func lower(int) {}

func (t *Tools) firewall(ctx context.Context) Outcome {
	path, err := t.onlyRoots(socketFilter)
	if err != nil {
		return Outcome{Refused, err.Error()}
	}
	return t.carryOut(ctx, path, []string{"--setglobalstate", "on"})
}

func (t *Tools) antiMalware(context.Context) Outcome { return Outcome{Refused, noSuchToolOnHere} }

// stop ends every process that runs from a file: by its name, or by its path. Before each
// signal the list is asked anew, since a number alone may have become another process.
func (t *Tools) stop(ctx context.Context, target string) Outcome {
	switch {
	case t.root != "/":
		return Outcome{Refused, "the processes of another root are not this machine's"}
	case target == "":
		return Outcome{Refused, "the appliance names no program"}
	}
	for _, step := range []struct {
		signal unix.Signal
		within time.Duration
	}{{unix.SIGTERM, stopWithin}, {unix.SIGKILL, stopNow}} {
		all, err := t.processesOf(ctx, target)
		if err != nil {
			return Outcome{Failed, err.Error()}
		}
		for _, pid := range all {
			if err := unix.Kill(pid, step.signal); err != nil && !errors.Is(err, unix.ESRCH) {
				return Outcome{Failed, fmt.Sprintf("process %d cannot be told to end: %v", pid, err)}
			}
		}
		for until := time.Now().Add(step.within); len(all) > 0 && time.Now().Before(until) && ctx.Err() == nil; {
			select {
			case <-time.After(stillThereAgain):
			case <-ctx.Done():
			}
			if all, err = t.processesOf(ctx, target); err != nil {
				return Outcome{Failed, err.Error()}
			}
		}
		if len(all) == 0 {
			return Outcome{Result: Done}
		}
	}
	return Outcome{Failed, "processes of " + collect.Printable(target) + " do not end"}
}

// processesOf lists the processes that run from a file, but neither the first one nor this.
func (t *Tools) processesOf(ctx context.Context, target string) (pids []int, err error) {
	var said all
	if err := t.run(ctx, ps, []string{"-axo", "pid=,comm="}, &said, &said, manner{}); err != nil {
		return nil, fmt.Errorf("cannot list processes: %w", err)
	}
	for line := range strings.Lines(said.String()) {
		number, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		pid, err := strconv.Atoi(number)
		file = strings.TrimSpace(file)
		if err != nil || pid <= 1 || pid == os.Getpid() {
			continue
		}
		if file == target || !strings.Contains(target, "/") && filepath.Base(file) == target {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// all keeps what a program of the system's prints.
type all struct{ strings.Builder }
