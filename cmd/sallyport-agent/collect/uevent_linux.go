package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

// ueventBuffer is asked for as the socket's receive buffer: a dock with a full bus of
// devices sends some thousands of messages at once.
const ueventBuffer = 16 << 20

// kernelGroup is the multicast group of the kernel itself; udev uses group 2.
const kernelGroup = 1

// openUevents opens the kernel's uevent socket. SO_RCVBUFFORCE needs CAP_NET_ADMIN;
// without it the system's default limit holds.
func openUevents() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("uevent socket: %w", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, ueventBuffer) != nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, ueventBuffer)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("uevent socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "uevents"), nil
}

// errOverrun says that the kernel dropped messages: look at everything again.
var errOverrun = errors.New("uevents were lost")

// readUevent waits for the next message of the kernel; messages of other processes
// are passed over. errOverrun after a loss.
func readUevent(f *os.File, buf []byte) (Uevent, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return Uevent{}, err
	}
	for {
		var n int
		var from unix.Sockaddr
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, _, _, from, failed = unix.Recvmsg(int(fd), buf, nil, 0)
			return !errors.Is(failed, unix.EAGAIN)
		})
		switch {
		case err != nil:
			return Uevent{}, err
		case errors.Is(failed, unix.ENOBUFS):
			return Uevent{}, errOverrun
		case errors.Is(failed, unix.EINTR):
			continue
		case failed != nil:
			return Uevent{}, failed
		}
		if !fromKernel(from) {
			continue
		}
		if ev, err := ParseUevent(buf[:n]); err == nil {
			return ev, nil
		}
	}
}

// fromKernel: the kernel sends as port 0, which no process can bind.
func fromKernel(from unix.Sockaddr) bool {
	a, ok := from.(*unix.SockaddrNetlink)
	return ok && a.Pid == 0
}

func watchKernel(ctx context.Context, log *slog.Logger, appeared func(string, bool)) (<-chan struct{}, error) {
	f, err := openUevents()
	if err != nil {
		return nil, err
	}
	changed := newSignal()
	go func() {
		<-ctx.Done()
		f.Close()
	}()
	go func() {
		buf := make([]byte, ueventMax+1)
		for {
			ev, err := readUevent(f, buf)
			switch {
			case errors.Is(err, errOverrun):
				log.Warn("uevents were lost, looking at everything again")
				changed.raise()
			case err != nil:
				if ctx.Err() == nil {
					log.Error("uevents ended; only the heartbeat looks for USB storage now", "error", err)
				}
				return
			case ev.Concerns():
				if iface := ev.NewInterface(); iface != "" {
					appeared(iface, ev.Storage())
				}
				log.Debug("uevent", "action", ev.Action, "path", Printable(ev.DevPath), "storage", ev.Storage())
				changed.raise()
			}
		}
	}()
	return changed, nil
}
