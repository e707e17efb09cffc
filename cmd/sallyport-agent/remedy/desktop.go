package remedy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sallyport/cmd/sallyport-agent/collect"
)

// Desktop is what mounts disks by itself for whoever sits there.
type Desktop interface {
	// Hide asks it to leave the disks of the devices at these ports alone, and no others.
	// disks are those whose rules change for what is there already.
	Hide(ports, disks []string) error
}

// hiddenFile holds the rules. It is gone after a restart of the system, and so is all that
// is blocked.
const hiddenFile = "run/udev/rules.d/61-sallyport-agent.rules"

// reloadTimeout bounds a call of udevadm, which takes some milliseconds.
const reloadTimeout = 5 * time.Second

// udisks is asked through udev: a property of a block device, which udisks2 looks at before
// it offers or mounts one (udisks(8), UDISKS_IGNORE). Without it, a desktop may mount a disk
// again between the moment when it was unmounted and the one when it is taken away.
type udisks struct {
	root   string
	reload func() error // has udev read its rules at once
}

// DesktopOf gives what mounts by itself below root; nil where udev or udisks2 is not there.
func DesktopOf(root string) Desktop {
	if _, err := os.Stat(filepath.Join(root, "run/udev/control")); err != nil {
		return nil
	}
	for _, pattern := range []string{"usr/libexec/udisks2/udisksd", "usr/lib*/udisks2/udisksd"} {
		if found, _ := filepath.Glob(filepath.Join(root, pattern)); len(found) > 0 {
			return &udisks{root: root, reload: reloadRules}
		}
	}
	return nil
}

// reloadRules: by itself udev looks for new rules every three seconds.
func reloadRules() error {
	ctx, cancel := context.WithTimeout(context.Background(), reloadTimeout)
	defer cancel()
	if text, err := exec.CommandContext(ctx, "udevadm", "control", "--reload").CombinedOutput(); err != nil {
		return fmt.Errorf("udevadm control --reload: %w: %s", err, collect.Printable(string(text)))
	}
	return nil
}

func (d *udisks) Hide(ports, disks []string) error {
	name := filepath.Join(d.root, hiddenFile)
	want := hidden(ports)
	now, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if string(now) == want {
		return nil
	}
	if want == "" {
		err = os.Remove(name)
	} else {
		err = replaceFile(name, want)
	}
	if err != nil {
		return err
	}
	if err := d.reload(); err != nil {
		return err
	}
	for _, disk := range disks {
		d.change(disk)
	}
	return nil
}

// change has udev look at a disk and its partitions again. One that is gone needs no look.
func (d *udisks) change(disk string) {
	dir := filepath.Join(d.root, "sys/class/block", disk)
	partitions, _ := filepath.Glob(filepath.Join(dir, disk+"*", "uevent"))
	for _, name := range append([]string{filepath.Join(dir, "uevent")}, partitions...) {
		if f, err := os.OpenFile(name, os.O_WRONLY, 0); err == nil {
			_, _ = f.WriteString("change")
			_ = f.Close()
		}
	}
}

// hidden is the text of the rules. A port is the kernel's name: digits, dashes and dots.
func hidden(ports []string) string {
	var rules strings.Builder
	for _, p := range ports {
		if p != "" && strings.Trim(p, "0123456789-.") == "" {
			fmt.Fprintf(&rules, "SUBSYSTEM==\"block\", SUBSYSTEMS==\"usb\", KERNELS==%q, ENV{UDISKS_IGNORE}=\"1\"\n", p)
		}
	}
	if rules.Len() == 0 {
		return ""
	}
	return "# Disks that sallyport-agent has blocked, or is about to. Its own; it goes with them.\n" + rules.String()
}

// replaceFile writes a file that udev may be reading. The directory may not be there yet.
func replaceFile(name, text string) error {
	dir := filepath.Dir(name)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)); err != nil { // it is everybody's
			return err
		}
	}
	tmp := name + ".new" // udev reads what ends in .rules
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o644); err != nil { // whatever the umask
		return err
	}
	return os.Rename(tmp, name)
}

// hide brings the hint in line with what is blocked: with one device more, whose disks are
// about to be unmounted, without the one that is about to come back. disks are those that
// this changes something for. That it does not work leaves everything else as it is.
func (u *USB) hide(more string, less *Entry, disks []string) {
	if u.hint == nil {
		return
	}
	var ports []string
	if more != "" {
		ports = append(ports, more)
	}
	for _, e := range u.list.Entries() {
		if e.Hidden && (less == nil || !e.same(*less)) {
			ports = append(ports, e.Port)
		}
	}
	slices.Sort(ports)
	if err := u.hint.Hide(slices.Compact(ports), disks); err != nil {
		u.log.Warn("the desktop cannot be kept from mounting", "error", err)
	}
}
