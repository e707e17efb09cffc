package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"sallyport/cmd/sallyport-agent/keep"
)

type runCommand struct{}

// Run stays until it is told to stop.
func (*runCommand) Run(ctx context.Context, opts *options, s *streams) error {
	d, release, err := newDaemon(ctx, opts, false, s)
	if err != nil {
		return err
	}
	defer release()
	defer func() {
		if ctx.Err() != nil { // somebody stopped it
			d.forgive()
		}
	}()
	d.log.Info("agent started", "version", version, "state", opts.State, "sysroot", opts.Sysroot)
	err = d.run(nil)
	d.log.Info("agent stopped; what is blocked stays blocked")
	var back *errTakenBack
	if errors.As(err, &back) {
		d.log.Error("this build was taken back; whoever looks after the service starts the one of before", "why", back.Why)
		return nil
	}
	var renewed errRenewed
	if errors.As(err, &renewed) {
		d.log.Info("this program was replaced; whoever looks after the service starts it again", "version", string(renewed))
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

type onceCommand struct {
	Timeout time.Duration `help:"Give up after this long." default:"60s"`
	JSON    bool          `help:"Print one JSON object."`
}

// Run makes one assessment.
func (c *onceCommand) Run(ctx context.Context, opts *options, s *streams) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	d, release, err := newDaemon(ctx, opts, true, s)
	if err != nil {
		return exit{exitNoVerdict, err.Error()}
	}
	defer release()
	err = d.run(d.core.Settled)
	last := d.status.last()
	if c.JSON {
		if err := json.NewEncoder(s.out).Encode(last); err != nil {
			return exit{exitNoVerdict, err.Error()}
		}
	}
	if err != nil {
		return exit{exitNoVerdict, fmt.Sprintf("no verdict within %s: %s", c.Timeout, orElse(last.Problem, last.Phase))}
	}
	if !c.JSON {
		fmt.Fprint(s.out, verdictWords(last))
	}
	switch last.View.Status {
	case "Compliant", "NotApplicable":
		return nil
	case "NonCompliant":
		return exit{code: exitNonCompliant}
	}
	return exit{exitNoVerdict, "the appliance has no verdict: " + last.View.Status}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// last is the status as of now.
func (f *statusFile) last() *status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.now
	return &s
}

type statusCommand struct {
	JSON bool `help:"Print one JSON object."`
}

// Run reads the status file of the agent that runs, or ran, with the state directory.
func (c *statusCommand) Run(opts *options, s *streams) error {
	var st status
	err := keep.Dir(opts.State).ReadJSON(statusName, &st)
	if errors.Is(err, fs.ErrNotExist) {
		return exit{exitNoVerdict, fmt.Sprintf("no agent has run with the state directory %s", opts.State)}
	}
	if err != nil {
		return exit{exitNoVerdict, err.Error()}
	}
	running := alive(&st)
	if c.JSON {
		err = json.NewEncoder(s.out).Encode(struct {
			Running bool `json:"running"`
			*status
		}{running, &st})
	} else {
		_, err = fmt.Fprint(s.out, words(&st, running, time.Now()))
	}
	if err == nil && !running {
		return exit{code: exitNonCompliant}
	}
	return err
}
