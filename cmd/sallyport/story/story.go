// Package story is the reference story, played for real on loopback sockets: the
// appliance and the agent are the real programs, the NAS is coatest's ASA, the
// endpoint's USB is a usbfixture tree.
//
//	            this process                         children
//	browser ->  ASA emulator  <--- RADIUS, CoA --->  sallyport serve
//	            USB fixture   <--- files --------->  sallyport-agent run
//	            journal of what was seen: the ASA's packets, the live log, the files
//
// A step counts when both of its sides were seen: what the ASA says that it sent and
// got, and what the appliance says in its live log. Nothing is taken for granted because
// something was asked for.
package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// within bounds the whole story. It takes about two seconds; a machine that is busy
// with other things has room, and somebody who waits learns of a failure soon enough.
const within = 60 * time.Second

// Options say how the story is to be told.
type Options struct {
	Appliance string // path of the sallyport binary
	Agent     string // path of the sallyport-agent binary
	Keep      bool   // leave all of it running until ctx ends, and the directory for good
	JSON      bool   // one JSON object a line instead of lines for people
	Width     int    // columns of the terminal; 0: lines are not shortened
	Out       io.Writer
	Err       io.Writer // the last lines of the logs, when a step is missing
}

// errInterrupted is what ctx's end means.
var errInterrupted = errors.New("interrupted")

// Run plays the story. The error is nil when every step was seen in order and in time;
// else it names the step that is missing. Whatever the end, the processes that were
// started are gone when it returns, and the directory too unless it is kept.
func Run(ctx context.Context, o Options) error {
	// On Linux the children end when the thread that started them does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dir, err := os.MkdirTemp("", "sallyport-demo-")
	if err != nil {
		return err
	}
	s := newStage(o, dir)
	err = s.tell(ctx)
	if o.Keep && ctx.Err() == nil && s.alive() {
		err = errors.Join(err, s.stay(ctx))
	}
	s.clear()
	if o.Keep {
		s.print.note("kept", "kept in "+dir, map[string]any{"directory": dir})
		return err
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// tell sets the stage, plays the steps and says how it went.
func (s *stage) tell(outer context.Context) error {
	ctx, cancel := context.WithTimeoutCause(outer, within, fmt.Errorf("the story did not end within %s", within))
	defer cancel()
	ctx, s.abort = context.WithCancelCause(ctx)
	defer s.abort(nil)
	steps := story()
	err := s.set(ctx)
	if err == nil {
		s.print.note("stage", fmt.Sprintf("The appliance answers RADIUS at %s and HTTPS at %s.\nThe ASA %s hears CoA at %s. The endpoint has a USB stick in port %s.\n",
			s.bound.Authentication[0], s.bound.Portal, nasName, s.asa.CoAAddr(), s.port),
			map[string]any{"authentication": s.bound.Authentication[0], "portal": s.bound.Portal, "console": s.bound.Console,
				"coa": s.asa.CoAAddr(), "appliance_pid": s.appliance.cmd.Process.Pid, "directory": s.dir})
		err = s.play(ctx, steps)
	}
	if outer.Err() != nil {
		return errInterrupted
	}
	if err == nil {
		err = s.afterwards(ctx)
	}
	s.print.summary(steps, s.told, err)
	if err != nil {
		s.showLogs()
		return err
	}
	return s.tables(ctx)
}

// play takes the steps one after the other, each of which has to have happened after
// the one before it.
func (s *stage) play(ctx context.Context, steps []step) error {
	for i, one := range steps {
		got, err := one.play(s, ctx)
		if err == nil && got.at.Before(s.last) {
			err = fmt.Errorf("it happened %s before the step that comes before it", s.last.Sub(got.at))
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
				err = fmt.Errorf("%w; %w", cause, err)
			}
			return fmt.Errorf("step %d of %d was not seen: %s: %w", i+1, len(steps), one.title, err)
		}
		s.last = got.at
		s.told = append(s.told, got)
		s.print.step(i+1, one, got)
	}
	return nil
}

// showLogs prints the ends of the children's logs.
func (s *stage) showLogs() {
	const lines = 15
	for _, c := range []*child{s.appliance, s.agent} {
		if c != nil {
			fmt.Fprintf(s.Err, "\nlast lines of %s:\n%s\n", c.name, c.tail(lines))
		}
	}
}

// tables prints live log and report by the commands that people use for it.
func (s *stage) tables(ctx context.Context) error {
	if s.JSON {
		return nil
	}
	for _, words := range [][]string{{"livelog", "--last", "100"}, {"report", "condition"}} {
		args := append(words, "--config", s.config())
		fmt.Fprintf(s.Out, "\n$ sallyport %s\n", strings.Join(words, " "))
		if err := s.command(ctx, args); err != nil {
			return fmt.Errorf("sallyport %s: %w", strings.Join(words, " "), err)
		}
	}
	return nil
}

// stay leaves everything running until ctx or one of the children ends.
func (s *stage) stay(ctx context.Context) error {
	console := s.bound.Console
	s.print.note("running", fmt.Sprintf("all of it goes on until Ctrl-C\n  console    %s\n  portal     %s\n  live log   %s livelog --follow --config %s\n  agent      %s status --state %s\n  logs       %s",
		console, s.bound.Portal, s.Appliance, s.config(), s.Agent, filepath.Join(s.dir, agentState), filepath.Join(s.dir, "*.log")),
		map[string]any{"console": console, "portal": s.bound.Portal, "config": s.config(), "directory": s.dir})
	select {
	case <-ctx.Done():
		return nil
	case <-s.appliance.ended:
		return s.appliance.failure()
	case <-s.agent.ended:
		return s.agent.failure()
	}
}
