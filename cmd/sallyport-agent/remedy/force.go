package remedy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/netio/report"
)

// Times of forcing: processes that were told to end get some time before they are ended.
const (
	endWithin  = 3 * time.Second
	killWithin = 2 * time.Second
)

// force makes a disk free that stayed in use over the grace time, as the policy has it.
func (u *USB) force(ctx context.Context, d *collect.Device, busy string) (release func(), err error) {
	u.log.Warn("USB storage stayed in use", "port", d.Port, "now", busy)
	if busy == report.BusyKill {
		for _, step := range []struct {
			kill   bool
			within time.Duration
		}{{false, endWithin}, {true, killWithin}} {
			for _, m := range d.Mounted {
				if err := u.kernel.End(m, step.kill); err != nil {
					return nil, fmt.Errorf("%w, and what uses it cannot be ended: %w", ErrBusy, err)
				}
			}
			err = ErrBusy
			u.wait(ctx, step.within, func() bool {
				release, err = u.settle(*d)
				return !errors.Is(err, ErrBusy)
			})
			if err == nil || !errors.Is(err, ErrBusy) {
				return release, err
			}
			if *d, err = u.again(*d); err != nil {
				return nil, err
			}
		}
		return nil, fmt.Errorf("still in use after its processes were ended: %w", ErrBusy)
	}
	for i := len(d.Mounted) - 1; i >= 0; i-- {
		if err := u.kernel.Detach(d.Mounted[i]); err != nil {
			return nil, fmt.Errorf("%s cannot be detached: %w", collect.Printable(d.Mounted[i].Point), err)
		}
	}
	return func() {}, nil // what is open keeps the disk: it cannot be claimed
}
