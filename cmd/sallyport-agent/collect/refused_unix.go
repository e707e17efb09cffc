//go:build unix

package collect

import (
	"errors"

	"golang.org/x/sys/unix"
)

// isRefused: nobody listens at a socket that is there.
func isRefused(err error) bool { return errors.Is(err, unix.ECONNREFUSED) }
