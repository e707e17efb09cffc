package usbtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// blocked waits until what was plugged in after a mark is taken from its driver and the
// endpoint is compliant again, and returns the interface's name.
func (w *world) blocked(mark int, since time.Time, serial string) string {
	w.Helper()
	w.m.first(mark, "the storage of "+serial+" is blocked", storageUnbound)
	var iface string
	w.m.wait("the interface is not authorized", func() bool {
		iface = w.m.on(serial)
		return iface != "" && w.m.authorized(iface) == "0"
	})
	if disks := w.m.disks(); len(disks) > 0 {
		w.Errorf("%s: still there: %v", serial, disks)
	}
	var at time.Time
	w.m.wait("NonCompliant", func() (ok bool) { at, ok = w.a.judged(since, "NonCompliant"); return ok })
	w.compliant(at)
	return iface
}

// pulled takes a stick away and waits until that is judged.
func (w *world) pulled(s *stick) {
	w.Helper()
	mark, since := w.m.mark(), time.Now()
	s.pull()
	w.m.first(mark, "the stick is gone", storageRemoved)
	w.compliant(since)
}

// uas: the disk of a UAS stick appears without the second that bulk-only storage waits.
func (w *world) uas() {
	s := w.m.newStick("uas", "2", true)
	mark, since := w.m.mark(), time.Now()
	s.plug()
	w.blocked(mark, since, s.serial)
	if got := w.m.since(mark, storageAdded)[0].Interface; got != "8/6/98" {
		w.Errorf("not a UAS interface: %s", got)
	}
	w.pulled(s)
}

// hub: a stick that comes behind a hub that came just before.
func (w *world) hub() {
	w.m.qmpDo("device_add", args{"driver": "usb-hub", "id": "hub", "bus": "hc.0", "port": "3"})
	s := w.m.newStick("behind", "3.2", false)
	mark, since := w.m.mark(), time.Now()
	s.plug()
	iface := w.blocked(mark, since, s.serial)
	if !strings.Contains(iface, ".2:") {
		w.Errorf("not behind the hub: %s", iface)
	}
	w.pulled(s)
	w.m.qmpDo("device_del", args{"id": "hub"})
	w.m.wait("the hub is pulled", func() bool { return w.m.gone("hub") })
}

// keyLetterA is its code in input-event-codes.h.
const keyLetterA = "30"

// keyboard: it comes and types while sticks are blocked.
func (w *world) keyboard() {
	w.m.qmpDo("device_add", args{"driver": "usb-kbd", "id": "kbd", "bus": "hc.0", "port": "4"})
	w.types(func() {
		w.m.qmpDo("input-send-event", args{"events": []args{{"type": "key", "data": args{"down": true, "key": args{"type": "qcode", "data": "a"}}}}})
		w.m.qmpDo("input-send-event", args{"events": []args{{"type": "key", "data": args{"down": false, "key": args{"type": "qcode", "data": "a"}}}}})
	}, "QEMU USB Keyboard")
	w.m.qmpDo("device_del", args{"id": "kbd"})
	w.m.wait("the keyboard is pulled", func() bool { return w.m.gone("kbd") })
}

// types presses a key until the input device has it.
func (w *world) types(press func(), name string) {
	w.Helper()
	deadline := time.Now().Add(patience)
	for {
		press()
		lines, err := w.m.try("key", name)
		if err == nil && lines[0] == keyLetterA {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%s does not type: %v %v", name, lines, err)
		}
	}
}

// gadget is a composite device: a keyboard and a disk in one, made by the machine's own
// kernel and plugged into its loop-back controller.
const gadget = "/sys/kernel/config/usb_gadget/both"

// bootKeyboard is the report descriptor of a keyboard with the boot protocol's report
// (HID 1.11, appendix B.1), input only.
const bootKeyboard = "\x05\x01\x09\x06\xa1\x01\x05\x07\x19\xe0\x29\xe7\x15\x00\x25\x01\x75\x01\x95\x08\x81\x02" +
	"\x95\x01\x75\x08\x81\x03\x95\x06\x75\x08\x15\x00\x25\x65\x05\x07\x19\x00\x29\x65\x81\x00\xc0"

// composite: its disk is blocked, its keyboard goes on typing.
func (w *world) composite() {
	w.m.do("mount", "configfs", "/sys/kernel/config", "configfs")
	for _, dir := range []string{"", "/strings/0x409", "/configs/c.1", "/functions/mass_storage.0", "/functions/hid.0"} {
		w.m.do("mkdir", gadget+dir)
	}
	w.m.do("blank", "/tmp/composite.img", "8")
	for _, f := range [][2]string{
		{"idVendor", "0x1d6b"}, {"idProduct", "0x0104"}, {"strings/0x409/serialnumber", "BOTH"}, {"strings/0x409/product", "keyboard and disk"},
		{"functions/hid.0/protocol", "1"}, {"functions/hid.0/subclass", "1"}, {"functions/hid.0/report_length", "8"},
		{"functions/mass_storage.0/lun.0/file", "/tmp/composite.img"},
	} {
		w.m.do("write", gadget+"/"+f[0], f[1])
	}
	w.m.do("bytes", gadget+"/functions/hid.0/report_desc", fmt.Sprintf("%x", bootKeyboard))
	w.m.do("link", gadget+"/functions/mass_storage.0", gadget+"/configs/c.1/mass_storage.0")
	w.m.do("link", gadget+"/functions/hid.0", gadget+"/configs/c.1/hid.0")
	mark, since := w.m.mark(), time.Now()
	w.m.do("write", gadget+"/UDC", "dummy_udc.0")
	w.blocked(mark, since, "BOTH")
	w.types(func() { w.m.do("press", "/dev/hidg0", "4") }, "keyboard and disk")
	since = time.Now()
	w.m.do("write", gadget+"/UDC", "\n")
	w.compliant(since)
}

// precious is written to a stick and not synced.
const precious = "written before the stick was blocked"

// data: the agent is told late of a stick that is mounted, here and in another mount
// namespace, and dirty. Nothing that was written may be lost.
func (w *world) data() {
	s := w.m.newStick("data", "5", false)
	w.m.do("end", fmt.Sprint(int(syscall.SIGTERM)))
	mark := w.m.mark()
	s.plug()
	disk := w.m.first(mark, "the disk", diskAdded)
	node := "/dev" + disk.Path[strings.LastIndexByte(disk.Path, '/'):]
	w.m.wait("the disk can be mounted", func() bool { _, err := w.m.try("mount", node, "/mnt", "ext4"); return err == nil })
	w.m.do("hold", "/mnt/precious", precious)
	w.m.do("elsewhere")
	since := time.Now()
	w.m.do("start", w.arguments...)
	w.m.wait("the agent says that the stick is in use", func() bool {
		return strings.Contains(w.m.text("/tmp/agent.log"), "is being blocked, but it is in use")
	})
	if w.m.authorized(w.m.on(s.serial)) != "1" {
		w.Error("it was taken away while a file was open")
	}
	w.m.do("drop", "/mnt/precious")
	w.blocked(mark, since, s.serial)
	if mounts := w.m.text("/proc/mounts"); strings.Contains(mounts, "/mnt") {
		w.Errorf("still mounted: %s", mounts)
	}
	w.pulled(s)
	run(w.T, "e2fsck", "-fn", s.image)
	if got := run(w.T, "debugfs", "-R", "cat precious", s.image); !strings.Contains(got, precious) {
		w.Errorf("the data is lost: %q", got)
	}
}

// crash: the agent is killed while it holds a stick blocked; the next one knows by what
// was written down, and gives it back when the session is over. Somebody else's block
// stays.
func (w *world) crash() {
	s, other := w.m.newStick("crash", "6", false), w.m.newStick("other", "7", false)
	mark, since := w.m.mark(), time.Now()
	s.plug()
	mine := w.blocked(mark, since, s.serial)
	w.m.do("end", fmt.Sprint(int(syscall.SIGKILL)))
	mark = w.m.mark()
	other.plug()
	w.m.first(mark, "the other disk", diskAdded)
	theirs := w.m.on(other.serial)
	w.m.do("write", "/sys/bus/usb/devices/"+theirs+"/authorized", "0")
	since = time.Now()
	w.m.do("start", w.arguments...)
	w.compliant(since)
	if w.m.authorized(mine) != "0" {
		w.Error("the new agent gave it back")
	}
	mark = w.m.mark()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(w.T, w.session.Logout(ctx))
	w.m.wait("the stick is given back", func() bool { return w.m.authorized(mine) == "1" })
	w.m.first(mark, "its disk is back", diskAdded)
	if w.m.authorized(theirs) != "0" {
		w.Error("what somebody else blocked was given back")
	}
	s.pull()
	other.pull()
}

// again logs in once more: the agent finds the new session by itself.
func (w *world) again() {
	since := time.Now()
	w.session = w.a.login()
	w.arguments = w.a.agentArguments(w.m, w.session)
	w.compliant(since)
	w.m.wait("full access", func() bool { return w.session.Authorization().Full() })
}

// strict: nothing gets a driver before the agent has looked. A hub and the keyboard behind
// it come through, a stick never does; when the agent ends the kernel is as it was.
func (w *world) strict() {
	w.m.do("end", fmt.Sprint(int(syscall.SIGTERM)))
	since := time.Now()
	w.m.do("start", append(slices.Clone(w.arguments), "--usb-mode", "strict")...)
	w.compliant(since)
	w.m.qmpDo("device_add", args{"driver": "usb-hub", "id": "gatehub", "bus": "hc.0", "port": "3"})
	w.m.qmpDo("device_add", args{"driver": "usb-kbd", "id": "gatekbd", "bus": "hc.0", "port": "3.1"})
	s := w.m.newStick("strict", "3.2", false)
	mark := w.m.mark()
	s.plug()
	w.m.first(mark, "the stick", storageAdded)
	w.types(func() {
		for _, down := range []bool{true, false} {
			w.m.qmpDo("input-send-event", args{"events": []args{{"type": "key", "data": args{"down": down, "key": args{"type": "qcode", "data": "a"}}}}})
		}
	}, "QEMU USB Keyboard")
	bound := func(e *uevent) bool {
		return e.Action == "bind" && e.Type == "usb_interface" && strings.HasPrefix(e.Interface, "8/")
	}
	if got := append(w.m.since(mark, bound), w.m.since(mark, diskAdded)...); len(got) > 0 {
		w.Errorf("the stick got through: %v", got[0].uevent)
	}
	if now := w.m.authorized(w.m.on(s.serial)); now != "0" {
		w.Errorf("the stick is authorized: %q", now)
	}
	s.pull()
	w.m.qmpDo("device_del", args{"id": "gatekbd"})
	w.m.wait("the keyboard is pulled", func() bool { return w.m.gone("gatekbd") })
	w.m.qmpDo("device_del", args{"id": "gatehub"})
	w.m.wait("the hub is pulled", func() bool { return w.m.gone("gatehub") })
	w.m.do("end", fmt.Sprint(int(syscall.SIGTERM)))
	for _, hub := range w.m.do("glob", "/sys/bus/usb/devices/usb*/interface_authorized_default") {
		if now := w.m.text(hub); now != "1" {
			w.Errorf("%s holds %q after the agent", hub, now)
		}
	}
	since = time.Now()
	w.m.do("start", w.arguments...)
	w.compliant(since)
}

// reboot: the machine starts again with a stick in it and nothing blocked; the agent
// begins from what it wrote down and does not take that for true.
func (w *world) reboot() {
	s := w.m.newStick("reboot", "1", false)
	mark, since := w.m.mark(), time.Now()
	s.plug()
	w.blocked(mark, since, s.serial)
	w.m.powerOff()
	w.m.boot()
	if w.m.text("/etc/proof") == "" {
		w.Error("what was written to the system disk is lost")
	}
	since, mark = time.Now(), w.m.mark()
	w.arguments = w.a.agentArguments(w.m, w.session)
	w.m.do("start", w.arguments...)
	w.compliant(since)
	s.generation++ // QEMU is a new one
	s.plug()
	w.blocked(mark, since, s.serial)
	if w.m.text("/state/device.tpm") != w.key {
		w.Error("the device has another key after the start")
	}
	if got := strings.Count(w.m.text("/state/blocked.json"), "devnum"); got != 1 {
		w.Errorf("%d entries are written down, want 1", got)
	}
	w.pulled(s)
}
