package collect

import "runtime"

// lockedForGood gives the goroutine a thread of its own, which ends with it.
func lockedForGood() { runtime.LockOSThread() }
