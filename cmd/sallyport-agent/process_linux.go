package main

import (
	"fmt"
	"os"
	"strings"
)

// processStart is when a process began, in the kernel's ticks: field 22 of proc/PID/stat
// (proc(5)), empty when there is no such process.
func processStart(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	end := strings.LastIndex(string(text), ") ") // of the name, which may hold anything
	if end < 0 {
		return ""
	}
	fields := strings.Fields(string(text[end+2:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// alive says whether the very process that wrote a status still runs.
func alive(s *status) bool {
	return !s.Stopped && s.ProcessStart != "" && processStart(s.PID) == s.ProcessStart
}
