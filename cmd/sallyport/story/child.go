package story

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// child is a process that was started here and ends here at the latest.
type child struct {
	name  string
	cmd   *exec.Cmd
	log   string // file of what it prints
	ended chan struct{}
	err   error // how it ended; read it after ended
}

// startChild starts a program in a process group of its own: Ctrl-C in the terminal is
// for this process, which ends the children in their order.
func startChild(name, log, program string, args ...string) (*child, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c := &child{name: name, cmd: exec.Command(program, args...), log: log, ended: make(chan struct{})}
	c.cmd.Env = environment()
	c.cmd.Stdout, c.cmd.Stderr = out, out
	c.cmd.SysProcAttr = attributes()
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s cannot be started: %w", name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// environment is ours without what would steer the children: options of an agent that
// is at home here, and the service manager, who is not their parent.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "SALLYPORT_AGENT_") || strings.HasPrefix(v, "NOTIFY_SOCKET=")
	})
}

func (c *child) running() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// failure says that the child ended although nobody asked it to.
func (c *child) failure() error {
	if c.err == nil {
		return fmt.Errorf("%s has ended by itself", c.name)
	}
	return fmt.Errorf("%s has ended by itself: %w", c.name, c.err)
}

// stop asks the child to end, and makes it after patience. The error says that it did
// not end well; nil for one that had ended before.
func (c *child) stop(patience time.Duration) error {
	if !c.running() {
		return nil
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-c.ended:
	case <-late.C:
		err := c.cmd.Process.Kill()
		<-c.ended
		return errors.Join(fmt.Errorf("%s did not end within %s and was killed", c.name, patience), err)
	}
	if c.err != nil {
		return fmt.Errorf("%s did not end well: %w", c.name, c.err)
	}
	return nil
}

// tail is the last n lines of the log.
func (c *child) tail(n int) string {
	b, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-n):], "\n  ")
}
