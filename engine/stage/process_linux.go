package stage

import "syscall"

const terminate = syscall.SIGTERM

// withParent has the process end with this one.
func withParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
