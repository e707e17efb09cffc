package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"sallyport/cmd/sallyport/story"
)

type demoCmd struct {
	Keep  bool   `help:"Leave all of it running and print the console's URL."`
	JSON  bool   `name:"json" help:"One JSON object a line."`
	Agent string `help:"The sallyport-agent binary; without it the one beside this executable." placeholder:"FILE"`
}

// Run plays the reference story; nil when every step was seen.
func (c *demoCmd) Run() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	agent := c.Agent
	if agent == "" {
		agent = filepath.Join(filepath.Dir(self), "sallyport-agent")
	}
	if err := runnable(agent); err != nil {
		return fmt.Errorf("the agent: %w; run make build, or name it with --agent FILE", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return story.Run(ctx, story.Options{Appliance: self, Agent: agent, Keep: c.Keep, JSON: c.JSON,
		Width: terminalWidth(os.Stdout), Out: os.Stdout, Err: os.Stderr})
}

// runnable says why a file cannot be run.
func runnable(name string) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no %s", name)
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%s is not a program", name)
	}
	return nil
}

// terminalWidth is how many columns the terminal has, 0 when f is none.
func terminalWidth(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
