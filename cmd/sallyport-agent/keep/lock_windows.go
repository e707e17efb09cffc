package keep

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// ErrLocked says that another agent runs with the same state directory.
var ErrLocked = errors.New("another agent is running with this state directory")

// Lock keeps other agents out until release is called or the process ends.
func (d Dir) Lock() (release func(), err error) {
	f, err := os.OpenFile(d.Path("lock"), os.O_RDWR|os.O_CREATE, Private)
	if err != nil {
		return nil, err
	}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	if err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{}); err != nil {
		f.Close()
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			return nil, fmt.Errorf("%s: %w", string(d), ErrLocked)
		}
		return nil, err
	}
	return func() { f.Close() }, nil
}

// syncDir does nothing: Windows has no handle to flush a directory with, and its file
// systems journal a rename.
func syncDir(string) error { return nil }
