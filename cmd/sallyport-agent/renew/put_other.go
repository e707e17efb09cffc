//go:build !windows

package renew

import "os"

// put gives a file the name of the program, which may be running.
func put(next, program, _ string) error { return os.Rename(next, program) }

// keepOld has the program lie at old as well.
func keepOld(program, old string) error {
	if err := drop(old); err != nil {
		return err
	}
	return os.Link(program, old)
}
