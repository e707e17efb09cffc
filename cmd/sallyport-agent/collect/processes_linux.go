package collect

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sallyport/netio/report"
)

// processes looks at proc/PID/exe: what a process calls itself may be anything.
func processes(ctx context.Context, s *survey) *report.Processes {
	entries, err := os.ReadDir(filepath.Join(s.root, "proc"))
	if err != nil {
		return &report.Processes{Items: []report.Process{}, Error: "cannot list processes: " + reason(err)}
	}
	var running []string
	hidden := 0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		exe, err := os.Readlink(filepath.Join(s.root, "proc", e.Name(), "exe"))
		if os.IsPermission(err) {
			hidden++
		}
		if err == nil { // else it ended, or is a thread of the kernel
			running = append(running, strings.TrimSuffix(exe, " (deleted)"))
		}
	}
	out := answerProcesses(ctx, s.probe.Processes, running, false)
	for i := range out.Items {
		if p := &out.Items[i]; p.State == report.StateAbsent && hidden > 0 {
			p.State, p.Reason = report.StateUnknown, strconv.Itoa(hidden)+" processes of other users cannot be looked at"
		}
	}
	return out
}
