package collect

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
)

const (
	ioregWithin = 5 * time.Second
	pollUSB     = 3 * time.Second // ioreg takes a tenth of a second
)

// USB looks for USB storage in the registry of devices. Below another root than "/" it reads
// a tree that looks like Linux, as anywhere.
func USB(root string) Inventory {
	if root != "/" && root != "" {
		return scanSysfs(root)
	}
	ctx, cancel := context.WithTimeout(context.Background(), ioregWithin)
	defer cancel()
	began := time.Now()
	text, err := output(ctx, "ioreg", "-a", "-r", "-l", "-w", "0", "-c", "IOUSBHostDevice")
	if err != nil {
		return Inventory{Began: began, Error: "ioreg cannot be asked: " + reason(err)}
	}
	mounted, err := mounts()
	if err != nil {
		return Inventory{Began: began, Error: "what is mounted cannot be told: " + reason(err)}
	}
	inv := ioregInventory(text, mounted)
	inv.Began = began
	return inv
}

func mounts() ([]Mount, error) {
	n, err := unix.Getfsstat(nil, unix.MNT_NOWAIT)
	if err != nil {
		return nil, err
	}
	all := make([]unix.Statfs_t, n+8) // some may come in between
	if n, err = unix.Getfsstat(all, unix.MNT_NOWAIT); err != nil {
		return nil, err
	}
	out := make([]Mount, n)
	for i := range out {
		out[i] = Mount{Point: unix.ByteSliceToString(all[i].Mntonname[:]), Device: unix.ByteSliceToString(all[i].Mntfromname[:])}
	}
	return out, nil
}

// watchKernel looks every three seconds and tells of a change.
func watchKernel(ctx context.Context, _ *slog.Logger, _ func(string, bool)) (<-chan struct{}, error) {
	changed := newSignal()
	go func() {
		tick := time.NewTicker(pollUSB)
		defer tick.Stop()
		for before := fmt.Sprint(USB("/").Devices); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if now := fmt.Sprint(USB("/").Devices); now != before {
				before = now
				changed.raise()
			}
		}
	}()
	return changed, nil
}
