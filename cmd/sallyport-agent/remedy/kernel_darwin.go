package remedy

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"sallyport/cmd/sallyport-agent/collect"
)

// KernelOf gives the operating system for "/", the pretended kernel of a usbfixture tree
// for any other root.
func KernelOf(root string) Kernel {
	if root == "/" || root == "" {
		return darwin{}
	}
	return fixtureKernel{root: root}
}

// darwin unmounts. Taking a device away from its driver needs an extension that Apple has to
// sign: what was unmounted is said not to be blocked.
type darwin struct{}

func (darwin) Sync(collect.Mount) error { return unix.Sync() }

func (darwin) Unmount(m collect.Mount) error {
	err := unix.Unmount(m.Point, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return ErrBusy
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		return nil // somebody was faster
	}
	return err
}

// UnmountElsewhere: there is one view of the mounts.
func (darwin) UnmountElsewhere(map[string]bool) error { return nil }

func (darwin) Claim(string) (func(), error) { return func() {}, nil }

func (darwin) Detach(m collect.Mount) error {
	return errors.Join(unix.Sync(), unix.Unmount(m.Point, unix.MNT_FORCE))
}

func (darwin) End(collect.Mount, bool) error {
	return fmt.Errorf("%w on macOS: use detach or keep", errors.ErrUnsupported)
}

func (darwin) Holders(collect.Mount) []string { return nil }

// Switch cannot be done.
func (darwin) Switch(_ string, on bool) error {
	if on {
		return nil
	}
	return errors.New("what was mounted from it is unmounted, but this system does not let it be blocked: it has to be pulled out")
}
