package collect

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleptSince tells how long the machine has slept: one clock counts that, the other does
// not (clock_gettime(2)). Setting the time of day changes neither.
func sleptSince(time.Time) func() time.Duration {
	return func() time.Duration {
		var whole, awake unix.Timespec
		if unix.ClockGettime(unix.CLOCK_BOOTTIME, &whole) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake) != nil {
			return 0
		}
		return time.Duration(whole.Nano() - awake.Nano())
	}
}
