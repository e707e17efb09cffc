package endtoend

import "syscall"

// attributes: a test process that is killed, by go test's timeout too, leaves no child.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
