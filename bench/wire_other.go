//go:build !linux

package bench

import (
	"context"
	"errors"
	"net/netip"
	"os/exec"
)

var errLinux = errors.New("the load generator needs Linux: recvmmsg, sendmmsg, sched_setaffinity")

type wire struct{}

func openWire(netip.AddrPort, []netip.Addr) (*wire, error)        { return nil, errLinux }
func (*wire) close()                                              {}
func (*wire) now() int64                                          { return 0 }
func (*wire) carry(*flood, netip.AddrPort) error                  { return errLinux }
func (*wire) drive(context.Context, *load, func(now int64)) error { return errLinux }

func cpus() []int                       { return nil }
func pinSelf(int) error                 { return errLinux }
func startOn(int, *exec.Cmd) error      { return errLinux }
func readUsage(int, int, int) (u usage) { return u }
func pause(int) error                   { return errLinux }
func resume(int) error                  { return errLinux }
func fileSystem(string) string          { return "" }
func describeMachine() (m Machine)      { return m }
