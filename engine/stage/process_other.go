//go:build !linux

package stage

import (
	"os"
	"runtime"
	"syscall"
)

// terminate is what ends a process in order; Windows knows no such signal.
var terminate = func() os.Signal {
	if runtime.GOOS == "windows" {
		return os.Kill
	}
	return syscall.SIGTERM
}()

func withParent() *syscall.SysProcAttr { return nil }
