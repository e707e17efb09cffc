//go:build !linux

package collect

import "time"

// sleptSince tells how long the machine has slept, by the time of day that went on
// meanwhile. A time of day that is set forward looks the same, and costs a report.
func sleptSince(begin time.Time) func() time.Duration {
	return func() time.Duration {
		now := time.Now()
		return now.Round(0).Sub(begin.Round(0)) - now.Sub(begin)
	}
}
