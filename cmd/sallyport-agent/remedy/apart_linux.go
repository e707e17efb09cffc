package remedy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What package managers do is done apart: by the service manager where there is one, in a unit
// of its own, so that neither the agent's fences nor its end break it off halfway. It gives
// way to everything else on the machine.
const (
	apartUnit   = "sallyport-remedy"
	systemdRun  = "/usr/bin/systemd-run"
	systemdHere = "run/systemd/system" // systemd is the service manager (sd_booted(3))
	lowNice     = 10

	ioprioWhoGroup  = 2       // ioprio_set(2)
	ioprioClassIdle = 3 << 13 // the same
)

// errand is a program of the system's that is run apart.
type errand struct {
	program   string
	arguments []string
	env       []string
}

// apart runs an errand to its end; sees gets every line that it prints.
func (t *Tools) apart(ctx context.Context, e errand, sees func(line string)) Outcome {
	path, err := t.onlyRoots(e.program)
	if err != nil {
		return Outcome{Refused, err.Error()}
	}
	how := manner{env: e.env, low: true}
	arguments := e.arguments
	if _, err := os.Stat(filepath.Join(t.root, systemdHere)); err == nil {
		left := endsWithin
		if deadline, ok := ctx.Deadline(); ok {
			left = max(time.Until(deadline), time.Second)
		}
		arguments = apartArguments(left, e.env, path, e.arguments)
		if path, err = t.onlyRoots(systemdRun); err != nil {
			return Outcome{Refused, err.Error()}
		}
		how = manner{gentle: true}
		var over context.CancelFunc // the unit is ended by its own clock, and we hear of it
		ctx, over = context.WithTimeout(context.WithoutCancel(ctx), left+endsWithin)
		defer over()
	}
	var said tail
	lines := &lines{sees: sees}
	both := io.MultiWriter(&said, lines)
	err = t.run(ctx, path, arguments, both, both, how)
	lines.end()
	return outcomeOf(ctx, err, &said)
}

// apartArguments are systemd-run's: the unit has the name that the one before it had, so that
// two never run at once.
func apartArguments(within time.Duration, env []string, path string, arguments []string) []string {
	out := []string{"--unit=" + apartUnit, "--wait", "--pipe", "--collect", "--quiet", fmt.Sprintf("--nice=%d", lowNice),
		"--property=IOSchedulingClass=idle", fmt.Sprintf("--property=RuntimeMaxSec=%d", int(within.Seconds())),
		fmt.Sprintf("--property=TimeoutStopSec=%d", int(endsWithin.Seconds())), "--property=KillMode=mixed"}
	for _, v := range append([]string{plainPath, plainLocale}, env...) {
		out = append(out, "--setenv="+v)
	}
	return append(append(out, "--", path), arguments...)
}

// lower has a process and what it starts give way to everything else.
func lower(pid int) {
	_ = unix.Setpriority(unix.PRIO_PGRP, pid, lowNice)                                                     // else it runs as all the others
	_, _, _ = syscall.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoGroup, uintptr(pid), uintptr(ioprioClassIdle)) // the same
}

// lines hands on what is written line by line. A line without an end is cut.
type lines struct {
	sees func(string)
	rest []byte
}

const lineMax = 4 << 10

// Write takes some output.
func (l *lines) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		line, after, whole := bytes.Cut(b, []byte("\n"))
		if room := lineMax - len(l.rest); room > 0 {
			l.rest = append(l.rest, line[:min(room, len(line))]...)
		}
		if b = after; whole {
			l.end()
		}
	}
	return n, nil
}

func (l *lines) end() {
	if line := strings.TrimSpace(string(l.rest)); line != "" && l.sees != nil {
		l.sees(line)
	}
	l.rest = l.rest[:0]
}
