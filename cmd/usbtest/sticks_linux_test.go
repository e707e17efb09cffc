package usbtest

import (
	"fmt"
	"path/filepath"
	"strings"
)

// stick is a USB disk that comes and goes.
type stick struct {
	m          *machine
	id, port   string // port "1", or "1.2" behind a hub
	image      string
	uas        bool
	serial     string
	generation int
}

// newStick makes a disk that is not plugged in.
func (m *machine) newStick(id, port string, uas bool) *stick {
	m.t.Helper()
	s := &stick{m: m, id: id, port: port, image: m.path(id + ".img"), uas: uas, serial: "S-" + strings.ToUpper(id)}
	newDisk(m.t, s.image, 8)
	return s
}

// plug puts it in.
func (s *stick) plug() {
	s.m.t.Helper()
	s.generation++
	node := s.node()
	s.m.qmpDo("blockdev-add", args{"driver": "raw", "node-name": node, "file": args{"driver": "file", "filename": s.image}})
	if !s.uas {
		s.m.qmpDo("device_add", args{"driver": "usb-storage", "id": s.name(), "bus": "hc.0", "port": s.port, "drive": node, "serial": s.serial, "removable": true})
		return
	}
	// The disk has to be there before the device shows itself.
	s.m.qmpDo("device_add", args{"driver": "usb-uas", "id": s.name(), "bus": "hc.0", "port": s.port, "serial": s.serial})
	s.m.qmpDo("device_add", args{"driver": "scsi-hd", "id": s.name() + "-lun", "bus": s.name() + ".0", "drive": node, "serial": s.serial})
	s.m.qmpDo("qom-set", args{"path": "/machine/peripheral/" + s.name(), "property": "attached", "value": true})
}

func (s *stick) name() string { return fmt.Sprintf("%s-%d", s.id, s.generation) }
func (s *stick) node() string { return "disk-" + s.name() }

// pull takes it out and waits until QEMU has let go of it.
func (s *stick) pull() {
	s.m.t.Helper()
	s.m.qmpDo("device_del", args{"id": s.name()})
	s.m.wait(s.name()+" is pulled", func() bool { return s.m.gone(s.name()) })
	s.m.qmpDo("blockdev-del", args{"node-name": s.node()})
}

// on finds the guest's name of the interface with storage ("2-1:1.0") by serial number;
// empty while it is not there.
func (m *machine) on(serial string) string {
	m.t.Helper()
	for _, name := range m.do("glob", "/sys/bus/usb/devices/*/serial") {
		if m.text(name) != serial {
			continue
		}
		dir := filepath.Dir(name)
		for _, class := range m.do("glob", dir+"/*/bInterfaceClass") {
			if m.text(class) == "08" {
				return filepath.Base(filepath.Dir(class))
			}
		}
	}
	return ""
}

// authorized says what the kernel thinks of an interface.
func (m *machine) authorized(iface string) string {
	return m.text("/sys/bus/usb/devices/" + iface + "/authorized")
}

// disks are the guest's SCSI disks besides that of the system.
func (m *machine) disks() []string {
	m.t.Helper()
	var names []string
	for _, dir := range m.do("glob", "/sys/block/sd*") {
		if name := filepath.Base(dir); name != "sda" {
			names = append(names, name)
		}
	}
	return names
}

// Events of the guest's kernel.

func storageAdded(e *uevent) bool {
	return e.Action == "add" && e.Type == "usb_interface" && strings.HasPrefix(e.Interface, "8/")
}

func storageUnbound(e *uevent) bool {
	return e.Action == "unbind" && e.Type == "usb_interface" && strings.HasPrefix(e.Interface, "8/")
}

func storageRemoved(e *uevent) bool {
	return e.Action == "remove" && e.Type == "usb_interface" && strings.HasPrefix(e.Interface, "8/")
}

func diskAdded(e *uevent) bool {
	return e.Action == "add" && e.Subsystem == "block" && e.Type == "disk"
}
