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

	"sallyport/cmd/sallyport-agent/keep"

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

	apartFile = "remedy.out" // what it printed, in the state directory
	apartMost = 1 << 20      // octets that are read of it

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
	// What it prints goes to a file: were it this agent that reads, a package manager would
	// break off with the agent.
	file, err := filepath.Abs(t.dir.Path(apartFile))
	if err != nil {
		return Outcome{Failed, reason(err)}
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_RDWR|os.O_APPEND, keep.Private)
	if err != nil {
		return Outcome{Failed, reason(err)}
	}
	defer out.Close()
	how := manner{env: e.env, low: true}
	arguments := e.arguments
	if _, err := os.Stat(filepath.Join(t.root, systemdHere)); err == nil {
		left := endsWithin
		if deadline, ok := ctx.Deadline(); ok {
			left = max(time.Until(deadline), time.Second)
		}
		arguments = apartArguments(left, e.env, out.Name(), path, e.arguments)
		if path, err = t.onlyRoots(systemdRun); err != nil {
			return Outcome{Refused, err.Error()}
		}
		how = manner{gentle: true}
		var over context.CancelFunc // the unit is ended by its own clock, and we hear of it
		ctx, over = context.WithTimeout(context.WithoutCancel(ctx), left+2*endsWithin)
		defer over()
	}
	err = t.run(ctx, path, arguments, out, out, how)
	var said tail
	lines := &lines{sees: sees}
	if _, fault := out.Seek(0, io.SeekStart); fault == nil {
		_, _ = io.Copy(io.MultiWriter(&said, lines), io.LimitReader(out, apartMost)) // for words alone
		lines.end()
	}
	return outcomeOf(ctx, err, &said)
}

// apartArguments are systemd-run's: the unit has the name that the one before it had, so that
// two never run at once. When its time is over it is interrupted: apt finishes then what it has
// begun, where it would end at once when it were told to.
func apartArguments(within time.Duration, env []string, file, path string, arguments []string) []string {
	out := []string{"--unit=" + apartUnit, "--wait", "--collect", "--quiet", fmt.Sprintf("--nice=%d", lowNice),
		"--property=StandardOutput=append:" + file, "--property=StandardError=append:" + file,
		"--property=IOSchedulingClass=idle", fmt.Sprintf("--property=RuntimeMaxSec=%d", int(within.Seconds())),
		fmt.Sprintf("--property=TimeoutStopSec=%d", int(endsWithin.Seconds())), "--property=KillMode=process", "--property=KillSignal=SIGINT"}
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
