// Package remedy carries out what the appliance may ask for: a closed list of verbs.
//
// Blocking a USB disk takes its storage interfaces away from their driver, so that
// siblings on the same device (a keyboard) go on working:
//
//	look again     never a disk that the running system stands on
//	sync, unmount  every mount of its disks; files open: tell the person, wait, try again
//	claim          open its block devices exclusively: nobody else uses or mounts them
//	write down     what is about to be blocked, on the disk before anything is done
//	authorized 0   for each storage interface; on Windows it is disabled, until it is
//	               plugged in again or the system starts
//	verify         no driver, no disk, within a deadline
//
// Un-blocking writes 1 and the interface's name to drivers_probe, or enables it, and only
// what was written down. A stick that was replugged is another attachment: the kernel
// authorizes it afresh and what was written down for the old one is forgotten.
package remedy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/netio/report"
)

// Results of an action.
const (
	Done    = "done"
	Failed  = "failed"  // tried, and it did not work
	Refused = "refused" // not tried: it must not or cannot be done here
)

// Outcome is how an action ended; Detail says why it is not Done.
type Outcome struct {
	Result string
	Detail string
}

// Waiting times of blocking.
const (
	graceDefault  = 20 * time.Second        // for the person to close files
	retryDefault  = time.Second             // between attempts while files are open
	verifyDefault = 3 * time.Second         // the kernel was seen to need 165 ms for an active stick
	verifyStep    = 2 * time.Millisecond    // between looks
	probeDeadline = 1500 * time.Millisecond // usb-storage waits a second before it scans
)

// ErrBusy says that somebody uses what should be unmounted or taken away.
var ErrBusy = errors.New("in use")

// Kernel is what blocking asks of the operating system besides sysfs.
type Kernel interface {
	// Sync writes out the file system mounted at a point.
	Sync(m collect.Mount) error
	// Unmount takes a mount away; ErrBusy while files are open there.
	Unmount(m collect.Mount) error
	// UnmountElsewhere does both in the other mount namespaces, for the given device
	// numbers ("8:1").
	UnmountElsewhere(devices map[string]bool) error
	// Claim opens a block device by its name in sysfs so that nobody else can use or
	// mount it until release; ErrBusy when somebody does.
	Claim(name string) (release func(), err error)
	// Detach writes a mount out and takes it out of the tree although it is in use.
	Detach(m collect.Mount) error
	// End tells the processes with files open below a mount point to end, or ends them;
	// errors.ErrUnsupported where the system does not tell which these are.
	End(m collect.Mount, kill bool) error
	// Holders names some of the processes with files open below a mount point.
	Holders(m collect.Mount) []string
}

// switcher is a Kernel without sysfs. Switch takes a storage interface away from its
// driver, or gives it back; fs.ErrNotExist when it is not there, ErrBusy when somebody uses it.
type switcher interface {
	Switch(name string, on bool) error
}

// USB blocks and un-blocks USB storage. One Block or Unblock at a time.
type USB struct {
	root   string
	kernel Kernel
	list   *List
	log    *slog.Logger
	tell   func(string) // shows the person a message

	master Master  // nil: nobody else decides
	hint   Desktop // nil: nothing here mounts by itself

	grace, retry, verify time.Duration

	ruling   sync.Mutex // guards what follows
	busy     string     // what is done when the grace time is over: report.BusyKeep ...
	patience time.Duration
	hands    map[string]bool // ports of devices that are being taken away and handed over
}

// SetBusy says how long a person has to close files on a disk that is to be blocked (0: 20 s),
// and what is done then: report.BusyKeep, BusyKill or BusyDetach; empty: keep.
func (u *USB) SetBusy(busy string, grace time.Duration) {
	u.ruling.Lock()
	defer u.ruling.Unlock()
	u.busy, u.patience = busy, grace
}

func (u *USB) rule() (busy string, grace time.Duration) {
	u.ruling.Lock()
	defer u.ruling.Unlock()
	if u.patience > 0 {
		return u.busy, u.patience
	}
	return u.busy, u.grace
}

// NewUSB works on the machine below root. tell is called with messages for the person.
// kernel nil: refuse every action, since this build cannot block here.
func NewUSB(root string, kernel Kernel, list *List, log *slog.Logger, tell func(string)) *USB {
	return &USB{root: root, kernel: kernel, list: list, log: log, tell: tell,
		grace: graceDefault, retry: retryDefault, verify: verifyDefault}
}

// With sets who else has a say. It is called before anything is blocked; either may be nil.
func (u *USB) With(m Master, h Desktop) {
	u.master, u.hint = m, h
	u.hide("", nil, nil)
}

const notHere = "blocking USB storage is not implemented on this system in this build"

// Block blocks every USB storage device that the endpoint can use, but none that backs
// the running system and none that allow names. Done means that each was verified to be
// blocked.
func (u *USB) Block(ctx context.Context, allow []string) Outcome {
	if u.kernel == nil {
		return Outcome{Refused, notHere}
	}
	return u.BlockSeen(ctx, allow, collect.USB(u.root))
}

// BlockSeen is Block of what was seen just now. A device with disks is looked at again
// before it is touched.
func (u *USB) BlockSeen(ctx context.Context, allow []string, inv collect.Inventory) Outcome {
	if u.kernel == nil {
		return Outcome{Refused, notHere}
	}
	if err := u.list.keepOnly(inv); err != nil {
		return Outcome{Failed, err.Error()}
	}
	u.hide("", nil, nil)
	var failures, refusals []string
	blocked := 0
	if inv.Error != "" {
		failures = append(failures, inv.Error)
	}
	for _, d := range inv.Devices {
		if d.AllowedBy(allow) {
			continue
		}
		switch d.State {
		case report.USBProtected:
			refusals = append(refusals, fmt.Sprintf("%s backs the running system", describe(d)))
		case report.USBActive:
			if err := u.blockDevice(ctx, d); err != nil {
				u.log.Error("cannot block a USB device", "port", d.Port, "error", err)
				failures = append(failures, fmt.Sprintf("%s: %v", describe(d), err))
				continue
			}
			blocked++
		case report.USBBlocked:
			blocked++
		}
	}
	detail := strings.Join(append(failures, refusals...), "; ")
	switch {
	case len(failures) > 0:
		return Outcome{Failed, detail}
	case len(refusals) > 0 && blocked == 0:
		return Outcome{Refused, detail}
	}
	return Outcome{Done, detail}
}

// describe names a device for people; its strings are safe to print already.
func describe(d collect.Device) string {
	name := strings.TrimSpace(d.Manufacturer + " " + d.Product)
	if name == "" {
		name = "USB device " + d.VID + ":" + d.PID
	}
	return fmt.Sprintf("%s at %s", name, d.Port)
}

func (u *USB) blockDevice(ctx context.Context, d collect.Device) (err error) {
	if len(d.Disks) > 0 { // what is mounted, and what it is for, has to be known as of now
		d, err = u.again(d)
	}
	if err == nil && len(d.Disks) > 0 {
		u.hide(d.Port, nil, d.Disks)
		defer u.hide("", nil, d.Disks) // it may not be blocked after all
	}
	var release func()
	if err == nil {
		release, err = u.quiesce(ctx, &d)
	}
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer release()
	return u.takeAway(ctx, d)
}

// takeAway writes down what is about to be blocked, blocks it, and verifies it.
func (u *USB) takeAway(ctx context.Context, d collect.Device) error {
	handed := u.handing(d.Port)
	gone, err := u.deauthorize(ctx, d)
	if err == nil && !gone {
		err = u.handOver(ctx, d)
	}
	handed()
	if err == nil && !gone {
		err = u.verifyBlocked(ctx, d)
	}
	if err != nil || gone {
		return err
	}
	u.log.Info("USB storage blocked", "port", d.Port, "device", describe(d))
	return nil
}

// deauthorize takes d's storage interfaces away; gone says that it was on its way out, or that
// somebody else blocked it meanwhile.
func (u *USB) deauthorize(ctx context.Context, d collect.Device) (gone bool, err error) {
	var names []string
	for _, i := range d.Interfaces {
		if i.Authorized {
			names = append(names, i.Name)
		}
	}
	e := entryOf(d, names)
	held := slices.ContainsFunc(u.list.Entries(), e.same)
	if len(names) > 0 { // else somebody else has done it, and it is not ours to give back
		e.Whole, e.Hidden = u.whole(d), u.hint != nil && len(d.Disks) > 0
		if err := u.list.add(e); err != nil {
			return false, err
		}
	}
	for i, name := range names {
		err := u.authorize(name, false)
		if err == nil {
			continue
		}
		nothing := i == 0 && !held // was done here, and there is nothing to give back
		if !errors.Is(err, fs.ErrNotExist) || !u.wait(ctx, u.verify, func() bool { return u.over(d) }) {
			if nothing {
				err = errors.Join(err, u.list.remove(e))
			}
			return false, err
		}
		if nothing {
			return true, u.list.remove(e)
		}
		return true, nil
	}
	return false, nil
}

// over says that d is blocked by fact, or gone.
func (u *USB) over(d collect.Device) bool {
	now, err := u.again(d)
	return errors.Is(err, errGone) || err == nil && now.State == report.USBBlocked
}

// Strike blocks a device with a storage interface that the kernel told about just now:
// there are no disks yet, so nothing has to be unmounted. struck is called when the
// interfaces are away, before that is verified. False: the device is allowed, or there is
// nothing to block.
func (u *USB) Strike(ctx context.Context, iface string, allow []string, struck func(collect.Device)) (Outcome, bool) {
	if u.kernel == nil {
		return Outcome{}, false
	}
	d, ok := collect.Glance(u.root, iface)
	if !ok || d.State != report.USBActive || d.AllowedBy(allow) {
		return Outcome{}, false
	}
	handed := u.handing(d.Port)
	gone, err := u.deauthorize(ctx, d)
	if err == nil && gone {
		handed()
		return Outcome{}, false
	}
	struck(d)
	if err == nil {
		err = u.handOver(ctx, d)
	}
	handed()
	if err == nil {
		err = u.verifyBlocked(ctx, d)
	}
	if err != nil {
		u.log.Error("cannot block a USB device", "port", d.Port, "error", err)
		return Outcome{Failed, fmt.Sprintf("%s: %v", describe(d), err)}, true
	}
	u.log.Info("USB storage blocked as it appeared", "port", d.Port, "device", describe(d))
	return Outcome{Result: Done}, true
}

const devicesDir = "sys/bus/usb/devices"

// errGone says that the device is not plugged in any more.
var errGone = errors.New("unplugged")

// quiesce makes sure that nothing of d's disks is in use, and keeps it so until release
// is called. d is brought up to date. While files are open the person is told once and
// has the grace time.
func (u *USB) quiesce(ctx context.Context, d *collect.Device) (release func(), err error) {
	busy, grace := u.rule()
	deadline := time.Now().Add(grace)
	for told := false; ; told = true {
		release, err = u.settle(*d)
		if err != nil && !errors.Is(err, ErrBusy) && u.gone(*d) {
			return nil, errGone // pulled out in the middle of it
		}
		if !errors.Is(err, ErrBusy) {
			return release, err
		}
		if !time.Now().Before(deadline) {
			if busy == report.BusyKill || busy == report.BusyDetach {
				return u.force(ctx, d, busy)
			}
			return nil, fmt.Errorf("still in use after %s: %w", grace, err)
		}
		if !told {
			u.log.Warn("USB storage is in use", "port", d.Port, "error", err)
			u.tell(fmt.Sprintf("%s is being blocked, but it is in use (%v). Close what you have open there: it is tried again for %s.",
				describe(*d), err, grace))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(u.retry):
		}
		if *d, err = u.again(*d); err != nil {
			return nil, err
		}
	}
}

// again looks at the same attachment of a device once more.
func (u *USB) again(d collect.Device) (collect.Device, error) {
	inv := collect.USB(u.root)
	for _, now := range inv.Devices {
		if now.Port == d.Port && now.DevNum == d.DevNum {
			if now.State == report.USBProtected {
				return d, errors.New("it backs the running system now")
			}
			return now, nil
		}
	}
	if inv.Error != "" {
		return d, errors.New(inv.Error)
	}
	return d, errGone
}

func (u *USB) gone(d collect.Device) bool {
	_, err := u.again(d)
	return errors.Is(err, errGone)
}

// settle writes out and unmounts what is on d's disks, newest mount first, and claims
// the block devices.
func (u *USB) settle(d collect.Device) (release func(), err error) {
	if len(d.Disks) == 0 { // it was just plugged in: nothing can be using it
		return func() {}, nil
	}
	numbers := map[string]bool{}
	for i := len(d.Mounted) - 1; i >= 0; i-- {
		m := d.Mounted[i]
		numbers[m.Device] = true
		if err := u.kernel.Sync(m); err != nil {
			return nil, fmt.Errorf("%s cannot be written out: %w", collect.Printable(m.Point), err)
		}
		if err := u.kernel.Unmount(m); err != nil {
			return nil, fmt.Errorf("%s: %w%s", collect.Printable(m.Point), err, u.holders(m, err))
		}
	}
	for _, leaf := range d.Leaves {
		if n, err := collect.DeviceNumber(u.root, leaf); err == nil {
			numbers[n] = true
		}
	}
	if err := u.kernel.UnmountElsewhere(numbers); err != nil {
		return nil, fmt.Errorf("in another mount namespace: %w", err)
	}
	var held []func()
	release = func() {
		for _, r := range held {
			r()
		}
	}
	for _, leaf := range d.Leaves {
		r, err := u.kernel.Claim(leaf)
		if err != nil {
			release()
			return nil, fmt.Errorf("%s: %w", leaf, err)
		}
		held = append(held, r)
	}
	return release, nil
}

func (u *USB) holders(m collect.Mount, err error) string {
	if !errors.Is(err, ErrBusy) {
		return ""
	}
	if names := u.kernel.Holders(m); len(names) > 0 {
		return " by " + strings.Join(names, ", ")
	}
	return ""
}

// verifyBlocked waits until d is blocked by fact, or gone.
func (u *USB) verifyBlocked(ctx context.Context, d collect.Device) error {
	if !u.wait(ctx, u.verify, func() bool { return u.over(d) }) {
		return fmt.Errorf("still usable %s after it was de-authorized", u.verify)
	}
	return nil
}

// wait looks until done says so, the time is over or ctx ends.
func (u *USB) wait(ctx context.Context, within time.Duration, done func() bool) bool {
	deadline := time.Now().Add(within)
	for !done() {
		if ctx.Err() != nil || !time.Now().Before(deadline) {
			return false
		}
		time.Sleep(verifyStep)
	}
	return true
}

// authorize lets an interface be used, or not.
func (u *USB) authorize(name string, on bool) error {
	if s, ok := u.kernel.(switcher); ok {
		return s.Switch(name, on)
	}
	value := "0"
	if on {
		value = "1"
	}
	return u.write(filepath.Join(devicesDir, name, "authorized"), value, 0)
}

// write writes a sysfs attribute in one system call.
func (u *USB) write(name, value string, flags int) error {
	f, err := os.OpenFile(filepath.Join(u.root, name), os.O_WRONLY|flags, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
