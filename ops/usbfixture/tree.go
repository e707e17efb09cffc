// Package usbfixture is a machine's USB made of plain files: a directory that looks
// like sysfs and procfs, and a goroutine that reacts to writes as the kernel does.
// Tests and the demonstration plug sticks into it where there is no USB to plug into.
//
//	root/sys/bus/usb/devices/{usb2,2-1,2-1:1.0}        links into sys/devices
//	root/sys/bus/usb/drivers/{usb-storage,uas,...}     bound interfaces
//	root/sys/bus/usb/drivers_probe                     write an interface's name: bind it
//	root/sys/devices/.../2-1/{idVendor,descriptors,authorized,...}
//	root/sys/devices/.../2-1/2-1:1.0/authorized        write 0: unbind, disks vanish
//	root/sys/devices/.../2-1:1.0/host3/target3:0:0/3:0:0:0/block/sda/sda1
//	root/sys/{block,class/block,dev/block,fs/btrfs}    links to disks
//	root/proc/{self/mountinfo,swaps,net/route,...}
//	root/kernel/uevents/N                              one uevent a file, NUL separated
//	root/kernel/calls/X.call -> X.answer               system calls as files: see Call
//
// What the files cannot imitate: a write to sysfs returns when the kernel has acted,
// here it returns before, so a reader has to wait for the effect.
package usbfixture

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// Where things are below the root.
const (
	devicesDir = "sys/bus/usb/devices"
	driversDir = "sys/bus/usb/drivers"
	probeFile  = "sys/bus/usb/drivers_probe"
	hostDir    = "sys/devices/pci0000:00/0000:00:14.0/usb2"

	// UeventsDir holds one file per uevent, named by its sequence number.
	UeventsDir = "kernel/uevents"
	// CallsDir is where system calls are asked for and answered.
	CallsDir = "kernel/calls"
)

// ueventsKept bounds the files in UeventsDir; a reader that finds its file gone has
// been overrun and scans again, as after ENOBUFS.
const ueventsKept = 256

// Tree is one pretended machine. Its methods may be called from any goroutine.
type Tree struct {
	root    string
	watcher *fsnotify.Watcher
	done    chan struct{}

	mu       sync.Mutex // guards what follows and every change below root
	devices  map[string]*attached
	disks    map[string]*disk // by name: sda, dm-0
	mounts   []mount
	swaps    []string
	held     map[string]bool // mount points with open files
	devnum   int
	host     int
	seqnum   uint64
	mountIDs int
	probed   int64 // octets of drivers_probe already acted on
	calls    []string
	losses   []string
	failure  error
}

// New builds an empty machine below root: a USB root hub without devices, an NVMe
// system disk at /, no default route. Close it when done.
func New(root string) (*Tree, error) {
	t := &Tree{root: root, done: make(chan struct{}), devices: map[string]*attached{},
		disks: map[string]*disk{}, held: map[string]bool{}, mountIDs: 20, devnum: 1}
	if err := t.skeleton(); err != nil {
		return nil, err
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	t.watcher = w
	for _, dir := range []string{filepath.Dir(probeFile), CallsDir} {
		if err := w.Add(t.path(dir)); err != nil {
			w.Close()
			return nil, err
		}
	}
	go t.run()
	return t, nil
}

// Close stops reacting; the files stay.
func (t *Tree) Close() error {
	err := t.watcher.Close()
	<-t.done
	return err
}

// Root is the directory the tree was built in, what an agent takes as its sysroot.
func (t *Tree) Root() string { return t.root }

// Err is the first thing the pretended kernel could not do, nil when all went well.
func (t *Tree) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failure
}

// Losses lists what a real stick would have lost: mounts that were still there when
// their disk was taken away by de-authorisation.
func (t *Tree) Losses() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.losses...)
}

// Calls lists the system calls asked for through CallsDir, in order.
func (t *Tree) Calls() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.calls...)
}

// Authorized says what the authorized file of a device ("2-1") or an interface
// ("2-1:1.0") holds, and false too when there is none.
func (t *Tree) Authorized(name string) bool {
	b, err := os.ReadFile(t.path(devicesDir, name, "authorized"))
	return err == nil && strings.TrimSpace(string(b)) == "1"
}

// Driver names the driver an interface is bound to, empty when none.
func (t *Tree) Driver(iface string) string {
	target, err := os.Readlink(t.path(devicesDir, iface, "driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}

func (t *Tree) path(elem ...string) string {
	return filepath.Join(append([]string{t.root}, elem...)...)
}

func (t *Tree) skeleton() error {
	for _, dir := range []string{devicesDir, driversDir, hostDir, "sys/block", "sys/class/block", "sys/dev/block",
		"sys/devices/virtual/block", "sys/fs/btrfs", "proc/self", "proc/net", "proc/sys/kernel/random",
		UeventsDir, CallsDir, "kernel/stage"} {
		if err := os.MkdirAll(t.path(dir), 0o755); err != nil {
			return err
		}
	}
	w := writer{t: t}
	w.put(probeFile, "")
	w.put("proc/sys/kernel/random/boot_id", "5e1f0c6a-6f57-4d2c-9a53-0f6f2f6a7b10\n")
	w.put("proc/net/route", routeHead)
	w.attributes(hostDir, map[string]string{"idVendor": "1d6b", "idProduct": "0003", "bDeviceClass": "09",
		"busnum": "2", "devnum": "1", "authorized": "1", "removable": "unknown", "product": "xHCI Host Controller"})
	w.link(hostDir, filepath.Join(devicesDir, "usb2"))
	if w.err != nil {
		return w.err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	system := Disk{Partitions: []Partition{{Mount: "/boot/efi", FS: "vfat"}, {Mount: "/"}}}
	dir := "sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1"
	if err := t.addDisk(&disk{name: "nvme0n1", dir: dir, major: 259, spec: system}, dir); err != nil {
		return err
	}
	if err := t.mountAll("nvme0n1"); err != nil {
		return err
	}
	return t.writeProc()
}

// writer remembers the first error, so that a run of small files reads as one.
type writer struct {
	t   *Tree
	err error
}

func (w *writer) put(name, text string) {
	if w.err == nil {
		w.err = os.WriteFile(w.t.path(name), []byte(text), 0o644)
	}
}

func (w *writer) dir(name string) {
	if w.err == nil {
		w.err = os.MkdirAll(w.t.path(name), 0o755)
	}
}

func (w *writer) attributes(dir string, values map[string]string) {
	w.dir(dir)
	for name, v := range values {
		w.put(filepath.Join(dir, name), v+"\n")
	}
}

// link makes at point to target, relative as sysfs does it.
func (w *writer) link(target, at string) {
	if w.err != nil {
		return
	}
	rel, err := filepath.Rel(filepath.Dir(at), target)
	if err != nil {
		w.err = err
		return
	}
	w.dir(filepath.Dir(at))
	if w.err == nil {
		w.err = os.Symlink(rel, w.t.path(at))
	}
}

func (w *writer) remove(name string) {
	if err := os.RemoveAll(w.t.path(name)); w.err == nil {
		w.err = err
	}
}

// replace writes a file in one step, so that a reader sees the old or the new text.
func (w *writer) replace(name, text string) {
	staged := filepath.Join("kernel/stage", strings.ReplaceAll(name, "/", "_"))
	w.put(staged, text)
	if w.err == nil {
		w.err = os.Rename(w.t.path(staged), w.t.path(name))
	}
}

// uevent tells listeners what changed. extra is "KEY=value" pairs.
func (t *Tree) uevent(action, devpath, subsystem string, extra ...string) error {
	t.seqnum++
	devpath = strings.TrimPrefix(devpath, "sys")
	fields := append([]string{action + "@" + devpath, "ACTION=" + action, "DEVPATH=" + devpath, "SUBSYSTEM=" + subsystem}, extra...)
	fields = append(fields, "SEQNUM="+strconv.FormatUint(t.seqnum, 10))
	w := writer{t: t}
	w.replace(filepath.Join(UeventsDir, fmt.Sprintf("%08d", t.seqnum)), strings.Join(fields, "\x00")+"\x00")
	if t.seqnum > ueventsKept {
		w.remove(filepath.Join(UeventsDir, fmt.Sprintf("%08d", t.seqnum-ueventsKept)))
	}
	return w.err
}
