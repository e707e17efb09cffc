package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

// WatchNetwork gives a channel that gets a value when links, addresses or routes of
// this machine change (rtnetlink(7)). It stops with ctx.
func WatchNetwork(ctx context.Context, log *slog.Logger) (<-chan struct{}, error) {
	f, err := openRoutes()
	if err != nil {
		log.Warn("no messages about network changes, asking from time to time", "error", err)
		return pollNetwork(ctx), nil
	}
	changed := newSignal()
	go func() {
		<-ctx.Done()
		f.Close()
	}()
	go func() {
		buf := make([]byte, 64<<10)
		for {
			_, err := f.Read(buf)
			if err != nil && !errors.Is(err, unix.ENOBUFS) { // lost messages are a change too
				return
			}
			changed.raise()
		}
	}()
	return changed, nil
}

func openRoutes() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("rtnetlink: %w", err)
	}
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV6_ROUTE)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("rtnetlink: %w", err)
	}
	return os.NewFile(uintptr(fd), "rtnetlink"), nil
}
