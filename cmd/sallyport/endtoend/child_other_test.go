//go:build !linux

package endtoend

import "syscall"

// attributes: only Linux can tie a child's end to ours.
func attributes() *syscall.SysProcAttr { return nil }
