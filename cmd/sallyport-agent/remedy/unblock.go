package remedy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sallyport/cmd/sallyport-agent/collect"
)

// Forget strikes attachments that are over from what is written down.
func (u *USB) Forget() error {
	err := u.list.keepOnly(collect.USB(u.root))
	u.hide("", nil, nil)
	return err
}

// Unblock gives back what this agent blocked, and nothing else.
func (u *USB) Unblock(ctx context.Context) Outcome {
	if u.kernel == nil {
		return Outcome{Refused, notHere}
	}
	inv := collect.USB(u.root)
	if inv.Error == "" { // else a device that could not be read would be forgotten
		if err := u.list.keepOnly(inv); err != nil {
			return Outcome{Failed, err.Error()}
		}
	}
	var failures []string
	for _, e := range u.list.Entries() {
		if err := u.unblockEntry(ctx, e); err != nil {
			u.log.Error("cannot un-block a USB device", "port", e.Port, "error", err)
			failures = append(failures, fmt.Sprintf("USB device at %s: %v", e.Port, err))
		}
	}
	if len(failures) > 0 {
		return Outcome{Failed, strings.Join(failures, "; ")}
	}
	return Outcome{Result: Done}
}

// present says whether the interfaces of an entry are there; they come back with the device.
func (u *USB) present(e Entry) bool {
	return !slices.ContainsFunc(e.Interfaces, func(name string) bool {
		_, err := os.Lstat(filepath.Join(u.root, devicesDir, name))
		return err != nil
	})
}

func (u *USB) unblockEntry(ctx context.Context, e Entry) error {
	u.hide("", &e, nil)
	if e.Whole {
		if err := u.takeBack(ctx, e); err != nil {
			return err
		}
		u.wait(ctx, probeDeadline, func() bool { return u.present(e) })
	}
	for _, name := range e.Interfaces {
		err := u.giveBack(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the configuration changed: the interface is not there any more
		}
		if err != nil {
			return err
		}
	}
	u.log.Info("USB storage un-blocked", "port", e.Port, "interfaces", e.Interfaces)
	return u.list.remove(e)
}

// giveBack authorizes an interface and has the kernel look for its driver.
func (u *USB) giveBack(ctx context.Context, name string) error {
	if err := u.authorize(name, true); err != nil {
		return err
	}
	if _, ok := u.kernel.(switcher); ok {
		return nil // the system does that by itself
	}
	// Append: sysfs takes each write as one name wherever it lands, a plain file
	// keeps what others wrote.
	if err := u.write("sys/bus/usb/drivers_probe", name+"\n", os.O_APPEND); err != nil {
		return err
	}
	bound := func() bool {
		_, err := os.Lstat(filepath.Join(u.root, devicesDir, name, "driver"))
		return err == nil
	}
	if !u.wait(ctx, probeDeadline, bound) {
		u.log.Warn("no driver took the un-blocked interface", "interface", name)
	}
	return nil
}
