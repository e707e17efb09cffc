//go:build !linux

package main

import (
	"os"
	"runtime"
	"syscall"
)

// processStart is not known here.
func processStart(int) string { return "" }

// alive says whether a process with the number in the status runs; it may be a later one.
func alive(s *status) bool {
	p, err := os.FindProcess(s.PID)
	if err != nil || s.Stopped {
		return false
	}
	defer p.Release()
	return runtime.GOOS == "windows" || p.Signal(syscall.Signal(0)) == nil
}
