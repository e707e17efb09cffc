package console

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// socketMode lets the socket's owner and group in: whoever may operate the appliance.
const socketMode = 0o660

// socketPathMax is what sun_path takes everywhere (unix(7): 108 on Linux, 104 on
// others, with the final zero), less the suffix of the name it is made under.
const socketPathMax = 103 - len(newSuffix)

const newSuffix = ".n"

// staleTimeout is how long a socket that is there already may take to answer.
const staleTimeout = time.Second

// listenControl listens on a Unix socket. A socket left behind by a process that died
// is replaced; one that somebody answers on is not. The socket is made under another
// name and moved when its mode is right, so that it is never open to others.
func listenControl(path string) (net.Listener, error) {
	if len(path) > socketPathMax {
		return nil, fmt.Errorf("console: %s: the path of the control socket has %d octets, at most %d work; choose a shorter state directory",
			path, len(path), socketPathMax)
	}
	if err := mustBeStale(path); err != nil {
		return nil, err
	}
	made := path + newSuffix
	if err := removeSocket(made); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("console: control socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(made, socketMode); err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("console: control socket: %w", errors.Join(err, removeSocket(made)))
	}
	return l, nil
}

// mustBeStale says why path must not be replaced.
func mustBeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("console: control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("console: %s is there and is not a socket; move it away", path)
	}
	conn, err := net.DialTimeout("unix", path, staleTimeout)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil // nobody listens
	}
	if err != nil {
		return fmt.Errorf("console: control socket: cannot tell whether somebody answers: %w", err)
	}
	conn.Close()
	return fmt.Errorf("console: %s: somebody answers; another appliance runs with this state directory", path)
}

type callerKey struct{}

// Caller says who is behind a verb: "uid 1000" where the system tells, else "".
func Caller(ctx context.Context) string {
	who, _ := ctx.Value(callerKey{}).(string)
	return who
}

func withCaller(ctx context.Context, c net.Conn) context.Context {
	if u, ok := c.(*net.UnixConn); ok {
		return context.WithValue(ctx, callerKey{}, peerOf(u))
	}
	return ctx
}
