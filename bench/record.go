package bench

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// record is perf's profile of a process, of the kernel's work for it as well.
func record(ctx context.Context, file string, pid int, length time.Duration) error {
	perf, err := exec.LookPath("perf")
	if err != nil {
		return fmt.Errorf("the Debian package linux-perf has what writes %s: %w", file, err)
	}
	if pid == 0 {
		return fmt.Errorf("only a server that was started here can be profiled into %s", file)
	}
	seconds := strconv.FormatFloat(length.Seconds(), 'f', 1, 64)
	text, err := exec.CommandContext(ctx, perf, "record", "-q", "-F", profileRate, "-g", "-p", strconv.Itoa(pid), "-o", file, "sleep", seconds).CombinedOutput()
	if err != nil {
		return fmt.Errorf("perf record: %w: %s", err, text)
	}
	return nil
}
