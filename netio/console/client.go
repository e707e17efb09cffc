package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"sallyport/netio/report"
)

// lineMax bounds one row: a posture report with every device an endpoint may list.
const lineMax = 4 << 20

// Client asks a running appliance through its control socket.
type Client struct {
	socket string
	http   http.Client
}

// NewClient makes a client of the control socket at path.
func NewClient(path string) *Client {
	c := &Client{socket: path}
	c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	return c
}

// Get asks for path, such as "/api/v1/sessions", and calls each for every row of the
// answer as it comes, until the answer or ctx ends. A refusal is a *report.Problem.
func (c *Client) Get(ctx context.Context, path string, query url.Values, each func(row json.RawMessage) error) error {
	return c.ask(ctx, http.MethodGet, path, query, nil, each)
}

// Post is Get for the verbs of operators; body may be nil.
func (c *Client) Post(ctx context.Context, path string, body json.RawMessage, each func(row json.RawMessage) error) error {
	return c.ask(ctx, http.MethodPost, path, nil, body, each)
}

func (c *Client) ask(ctx context.Context, method, path string, query url.Values, body []byte, each func(json.RawMessage) error) error {
	u := url.URL{Scheme: "http", Host: "appliance", Path: path, RawQuery: query.Encode()}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return refusal(answer)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, lineMax)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := each(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the answer of the appliance broke off: %w", err)
	}
	return nil
}

// unreachable says what to do when nobody answers.
func (c *Client) unreachable(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: you may not use the control socket; become a member of its group", c.socket)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no appliance answers at %s; is it running, and with this configuration?", c.socket)
	}
	return fmt.Errorf("%s: %w", c.socket, err)
}

func refusal(answer *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(answer.Body, bodyBytesMax))
	p := &report.Problem{}
	if err != nil || json.Unmarshal(b, p) != nil || p.Code == "" {
		return fmt.Errorf("the appliance answers %s", answer.Status)
	}
	return p
}
