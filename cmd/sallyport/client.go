package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"sallyport/netio/console"
	"sallyport/ops/config"
)

// control talks to the running appliance through the Unix socket in its state directory.
type control struct{ client *console.Client }

// target says which appliance on this machine is meant.
type target struct {
	Config string `help:"Configuration file, which names the state directory." default:"${config}" placeholder:"FILE"`
	State  string `help:"State directory of the appliance, when the configuration cannot be read." placeholder:"DIR"`
}

// dial finds the control socket. Nothing but the state directory is taken from the
// configuration, so that the tools work beside one that is just being edited.
func (t *target) dial() (*control, error) {
	state := t.State
	if state == "" {
		var err error
		if state, err = config.StateDirectory(t.Config); err != nil {
			return nil, exit{2, fmt.Errorf("%w\n--state DIR names the state directory without the configuration", err)}
		}
	}
	return &control{console.NewClient(filepath.Join(state, "control.sock"))}, nil
}

// each calls f for every JSON line of the answer, until it ends or the person stops it.
func (c *control) each(method, path string, query url.Values, body any, f func(line []byte) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	row := func(line json.RawMessage) error { return f(line) }
	var err error
	if method == http.MethodPost {
		var content []byte
		if body != nil {
			if content, err = json.Marshal(body); err != nil {
				return err
			}
		}
		err = c.client.Post(ctx, path, content, row)
	} else {
		err = c.client.Get(ctx, path, query, row)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// printLines prints the lines as they are, but for what a terminal would obey.
func printLines(line []byte) error {
	_, err := fmt.Fprintf(os.Stdout, "%s\n", escaped(line))
	return err
}
