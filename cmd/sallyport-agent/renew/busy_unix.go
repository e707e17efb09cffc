//go:build unix

package renew

import (
	"errors"
	"syscall"
)

func busy(err error) bool { return errors.Is(err, syscall.ETXTBSY) }
