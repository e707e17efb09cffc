package usbfixture

import (
	"fmt"
	"slices"
	"strings"
)

// mount is one line of mountinfo.
type mount struct {
	id     int
	device string // "8:1", "0:35" for file systems without a device number of their own
	disk   string // whole disk it is on; empty: none
	source string // "sda1", "overlay"
	point  string
	fs     string
	super  string
}

// Mount mounts a block device ("sda1", "dm-0") the tree knows at a path.
func (t *Tree) Mount(node, point, fs string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.mount(node, point, fs); err != nil {
		return err
	}
	return t.writeProc()
}

// MountRaw adds a line to mountinfo for a file system that has no device number of
// its own: overlay, btrfs, tmpfs. device is like "0:40".
func (t *Tree) MountRaw(device, source, point, fs, super string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mountIDs++
	t.mounts = append(t.mounts, mount{id: t.mountIDs, device: device, source: source, point: point, fs: fs, super: super})
	return t.writeProc()
}

// Unmount takes the newest mount at a path away, whether or not files are open there.
func (t *Tree) Unmount(point string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, point)
	if t.umount(point) != "ok" {
		return fmt.Errorf("usbfixture: nothing is mounted at %s", point)
	}
	return t.writeProc()
}

// Hold pretends that a program has a file open below a mount point: unmounting it is
// answered with busy until Release.
func (t *Tree) Hold(point string) { t.setHeld(point, true) }

// Release ends Hold.
func (t *Tree) Release(point string) { t.setHeld(point, false) }

func (t *Tree) setHeld(point string, on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if on {
		t.held[point] = true
		return
	}
	delete(t.held, point)
}

// Swap turns swapping on a block device or a file path on.
func (t *Tree) Swap(path string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.swaps = append(t.swaps, path)
	return t.writeProc()
}

const routeHead = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"

// Route adds an IPv4 default route by a gateway in dotted form to proc/net/route.
func (t *Tree) Route(dev string, gateway [4]byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := writer{t: t}
	w.replace("proc/net/route", routeHead+fmt.Sprintf("%s\t00000000\t%02X%02X%02X%02X\t0003\t0\t0\t100\t00000000\t0\t0\t0\n", dev, gateway[3], gateway[2], gateway[1], gateway[0]))
	return w.err
}

func (t *Tree) mount(node, point, fs string) error {
	if fs == "" {
		fs = "ext4"
	}
	for _, d := range t.disks {
		m := mount{disk: d.name, source: node, point: point, fs: fs}
		if d.name == node {
			m.device = fmt.Sprintf("%d:%d", d.major, d.minor)
		}
		for n := range d.spec.Partitions {
			if partition(d.name, n+1) == node {
				m.device = fmt.Sprintf("%d:%d", d.major, d.minor+n+1)
			}
		}
		if m.device != "" {
			t.mountIDs++
			m.id = t.mountIDs
			t.mounts = append(t.mounts, m)
			return nil
		}
	}
	return fmt.Errorf("usbfixture: no block device %s", node)
}

// mountAll mounts what a disk's description says is mounted when it appears.
func (t *Tree) mountAll(name string) error {
	d := t.disks[name]
	if d.spec.Mount != "" {
		if err := t.mount(name, d.spec.Mount, ""); err != nil {
			return err
		}
	}
	for n, p := range d.spec.Partitions {
		if p.Mount == "" {
			continue
		}
		if err := t.mount(partition(name, n+1), p.Mount, p.FS); err != nil {
			return err
		}
	}
	return nil
}

// octal escapes a path as mountinfo does (proc(5)).
var octal = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`)

// writeProc writes mountinfo and swaps as they are now.
func (t *Tree) writeProc() error {
	var text, swaps strings.Builder
	for _, m := range t.mounts {
		source, super := m.source, m.super
		if m.disk != "" {
			source = "/dev/" + m.source
		}
		if super == "" {
			super = "rw"
		}
		fmt.Fprintf(&text, "%d 1 %s / %s rw,relatime shared:%d - %s %s %s\n", m.id, m.device, octal.Replace(m.point), m.id, m.fs, octal.Replace(source), super)
	}
	swaps.WriteString("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")
	for _, s := range slices.Sorted(slices.Values(t.swaps)) {
		fmt.Fprintf(&swaps, "%s partition\t1048572\t\t0\t\t-2\n", octal.Replace(s))
	}
	w := writer{t: t}
	w.replace("proc/self/mountinfo", text.String())
	w.replace("proc/swaps", swaps.String())
	return w.err
}
