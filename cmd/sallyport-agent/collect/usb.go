// Package collect reads facts from the endpoint: which USB storage is there and how
// far it can be used, what the system is, where it is on the network. It reads files
// below a root directory, so that tests and demonstrations can give it another one.
//
// USB storage is found by interfaces, never by the class of the device, which is 00 on
// an ordinary stick: an interface counts when any of its alternate settings has class
// 08, whether or not that setting is in use. Alternate settings are only in the
// descriptors; a de-authorized device has no interface directories and is found by its
// descriptors alone.
//
//	sys/bus/usb/devices/2-1           device: descriptors, authorized, strings
//	sys/bus/usb/devices/2-1:1.0       interface: authorized, driver
//	sys/class/block/*                 disks, by path below the interface
//	sys/class/block/*/slaves          LVM, LUKS, md, loop: what stands on what
//	proc/self/mountinfo, proc/swaps   what is in use, what backs the running system
package collect

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/netio/report"
)

// Limits on what a machine, or what is plugged into it, can make the agent carry.
const (
	devicesMax    = 64       // storage devices in one report
	ifacesMax     = 64       // kinds of interface listed for one device
	nodesMax      = 64       // disks or mounts listed for one device
	attributeMax  = 4096     // one sysfs attribute is at most a page
	descriptorMax = 64 << 10 // every configuration a device may have
	procMax       = 4 << 20  // mountinfo of a machine with thousands of mounts
	textMax       = 126      // characters in a USB string descriptor (USB 2.0 section 9.6.7)
	pathMax       = 255      // characters of a mount point that are shown
)

// classStorage is the interface class of mass storage.
const classStorage = 0x08

// Inventory is the USB storage of the endpoint at one moment.
type Inventory struct {
	Devices []Device
	Error   string    // set: the list may be incomplete, and why
	Began   time.Time // the look
}

// Device is one USB device with storage: what is reported, and what blocking it needs.
type Device struct {
	report.USBDevice
	DevNum     string // the kernel's number of this attachment; a replug gets another
	Authorized bool   // the device as a whole
	Interfaces []Interface
	Mounted    []Mount  // what is mounted from its disks, oldest first
	Leaves     []string // block devices that nothing stands on: free means nobody uses the disks
}

// Interface is one storage interface that exists now.
type Interface struct {
	Name       string // "2-1:1.0"
	Authorized bool
	Driver     string // empty: none is bound
}

// Mount is a mount point and the device number of what is mounted there.
type Mount struct {
	Point  string
	Device string // "8:1"
}

// Report is the inventory as a group of facts.
func (inv Inventory) Report() *report.USB {
	u := &report.USB{Devices: []report.USBDevice{}, Error: inv.Error}
	for _, d := range inv.Devices {
		u.Devices = append(u.Devices, d.USBDevice)
	}
	return u
}

// scanSysfs reads the USB storage below root. Devices that go away while it reads are
// left out; whatever else cannot be read makes Error.
func scanSysfs(root string) Inventory {
	inv := Inventory{Began: time.Now()}
	m, err := readMachine(root)
	if err != nil {
		inv.Error = err.Error()
		return inv
	}
	dir := filepath.Join(root, usbDevicesDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(root, "sys/bus")); err != nil {
			inv.Error = fmt.Sprintf("cannot look for USB devices: %v", err)
		}
		return inv // sysfs without bus/usb: the kernel has no USB, so there is none
	}
	if err != nil {
		inv.Error = fmt.Sprintf("cannot look for USB devices: %v", err)
		return inv
	}
	protected := m.systemNodes()
	for _, e := range entries {
		if strings.Contains(e.Name(), ":") || strings.HasPrefix(e.Name(), "usb") {
			continue // an interface; a root hub
		}
		d, err := m.device(e.Name(), protected)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			inv.Error = fmt.Sprintf("USB device %s: %v", e.Name(), err)
		}
		if err != nil || d == nil {
			continue
		}
		if len(inv.Devices) == devicesMax {
			inv.Error = fmt.Sprintf("more than %d USB storage devices", devicesMax)
			break
		}
		inv.Devices = append(inv.Devices, *d)
	}
	slices.SortFunc(inv.Devices, func(a, b Device) int { return comparePorts(a.Port, b.Port) })
	return inv
}

// Glance reads one device by the kernel's name of one of its interfaces ("2-1:1.0"), that
// the kernel told about just now: so it has no disks yet, and nothing stands on it. False
// when it has no storage or is going away.
func Glance(root, iface string) (Device, bool) {
	port, _, ok := strings.Cut(iface, ":")
	if !ok || port == "" || strings.ContainsAny(port, "/\\") {
		return Device{}, false
	}
	d, err := (&machine{root: root}).device(port, nil)
	if err != nil || d == nil {
		return Device{}, false
	}
	return *d, true
}

// Peek reads what a device is that an interface belongs to, storage or not, and the class
// of the interface ("03"). False when it is going away.
func Peek(root, iface string) (report.USBDevice, string, bool) {
	port, _, ok := strings.Cut(iface, ":")
	if !ok || port == "" || strings.ContainsAny(iface, "/\\") {
		return report.USBDevice{}, "", false
	}
	dir := filepath.Join(root, usbDevicesDir, port)
	raw, err := readLimited(filepath.Join(dir, "descriptors"), descriptorMax)
	if err != nil {
		return report.USBDevice{}, "", false
	}
	classes := map[string]bool{}
	for _, a := range parseDescriptors(raw) {
		classes[fmt.Sprintf("%02x/%02x/%02x", a.class, a.sub, a.proto)] = true
	}
	d := report.USBDevice{Port: port, VID: Printable(attribute(dir, "idVendor")), PID: Printable(attribute(dir, "idProduct")),
		Serial: Printable(attribute(dir, "serial")), Product: Printable(attribute(dir, "product")), Ifaces: listed(classes),
		Connect: connectTypes[attribute(dir, "removable")]}
	class := attribute(filepath.Join(root, usbDevicesDir, iface), "bInterfaceClass")
	return d, strings.TrimSpace(class), class != "" && d.VID != ""
}

const usbDevicesDir = "sys/bus/usb/devices"

// device reads one USB device; nil when it has no storage interface. One that only
// describes interfaces is being plugged in or out: nobody can use it, and the uevents of
// its interfaces bring the next look.
func (m *machine) device(port string, protected map[string]bool) (*Device, error) {
	dir := filepath.Join(m.root, usbDevicesDir, port)
	raw, err := readLimited(filepath.Join(dir, "descriptors"), descriptorMax)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	alternates := parseDescriptors(raw)
	if active, err := strconv.Atoi(strings.TrimSpace(attribute(dir, "bConfigurationValue"))); err == nil && active > 0 {
		alternates = slices.DeleteFunc(alternates, func(a alternate) bool { return a.config != byte(active) })
	}
	d := &Device{Authorized: attribute(dir, "authorized") != "0", DevNum: attribute(dir, "devnum")}
	d.Port = port
	found, err := m.interfaces(d, dir, alternates)
	if err != nil || !found || d.Authorized && len(d.Interfaces) == 0 {
		return nil, err
	}
	if d.VID = attribute(dir, "idVendor"); d.VID == "" {
		return nil, fs.ErrNotExist // gone, or not yet all there: its uevent is still to come
	}
	d.Bus, d.VID, d.PID = Printable(attribute(dir, "busnum")), Printable(d.VID), Printable(attribute(dir, "idProduct"))
	d.Serial = Printable(attribute(dir, "serial"))
	d.Manufacturer = Printable(attribute(dir, "manufacturer"))
	d.Product = Printable(attribute(dir, "product"))
	d.Connect = connectTypes[attribute(dir, "removable")]
	if d.Connect == "" {
		d.Connect = "unknown"
	}
	m.disks(d)
	d.State = state(d, protected)
	return d, nil
}

var connectTypes = map[string]string{"removable": "hotplug", "fixed": "hardwired"}

// interfaces fills in the classes of d and its storage interfaces, and says whether it
// has any, present or only described.
func (m *machine) interfaces(d *Device, dir string, alternates []alternate) (bool, error) {
	storage := map[byte]bool{} // interface numbers with a storage setting
	classes := map[string]bool{}
	note := func(number byte, class, sub, proto byte) {
		classes[fmt.Sprintf("%02x/%02x/%02x", class, sub, proto)] = true
		if class == classStorage {
			storage[number] = true
		}
	}
	for _, a := range alternates {
		note(a.number, a.class, a.sub, a.proto)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), d.Port+":") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		number, err := hexAttribute(path, "bInterfaceNumber")
		class, err1 := hexAttribute(path, "bInterfaceClass")
		sub, err2 := hexAttribute(path, "bInterfaceSubClass")
		proto, err3 := hexAttribute(path, "bInterfaceProtocol")
		if errors.Join(err, err1, err2, err3) != nil {
			continue // it is going away: the kernel gives every interface all four
		}
		note(number, class, sub, proto)
		i := Interface{Name: e.Name(), Authorized: attribute(path, "authorized") != "0", Driver: Printable(linkBase(path, "driver"))}
		if i.Driver == "" && attribute(path, "authorized") == "" {
			continue // half of it is gone already; kernels since 4.4 have the file
		}
		if storage[number] {
			d.Interfaces = append(d.Interfaces, i)
		}
	}
	d.Ifaces = listed(classes)
	for _, i := range d.Interfaces {
		if d.Driver == "" {
			d.Driver = i.Driver
		}
	}
	return len(storage) > 0, nil
}

// listed sorts the classes of a device. One that describes more than can be reported
// cannot hide its storage behind the others.
func listed(classes map[string]bool) []string {
	list := slices.Sorted(maps.Keys(classes))
	if len(list) > ifacesMax {
		isStorage := func(c string) bool { return strings.HasPrefix(c, "08/") }
		slices.SortStableFunc(list, func(a, b string) int {
			switch {
			case isStorage(a) == isStorage(b):
				return 0
			case isStorage(a):
				return -1
			}
			return 1
		})
		list = list[:ifacesMax]
	}
	return list
}

// state is what the endpoint can do with the device, by fact and not by who did it.
func state(d *Device, protected map[string]bool) string {
	for _, disk := range d.Disks {
		if protected[disk] {
			return report.USBProtected
		}
	}
	if len(d.Disks) > 0 {
		return report.USBActive
	}
	if !d.Authorized {
		return report.USBBlocked
	}
	for _, i := range d.Interfaces {
		if i.Authorized || i.Driver != "" {
			return report.USBActive
		}
	}
	return report.USBBlocked
}

// Printable makes text from a device safe to log, to show and to send: at most 126
// characters, each valid and printable, anything else replaced by U+FFFD. Controls,
// line breaks and direction overrides do not survive it.
func Printable(s string) string { return printable(s, textMax) }

func printable(s string, max int) string {
	var out strings.Builder
	n := 0
	for _, r := range strings.TrimSpace(s) {
		if n++; n > max {
			break
		}
		if !unicode.IsPrint(r) {
			r = utf8.RuneError
		}
		out.WriteRune(r)
	}
	return out.String()
}

// comparePorts orders "2-2" before "2-10" and a hub before what is behind it.
func comparePorts(a, b string) int {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == '-' || r == '.' })
	}
	return slices.CompareFunc(split(a), split(b), func(x, y string) int {
		nx, errX := strconv.Atoi(x)
		ny, errY := strconv.Atoi(y)
		if errX != nil || errY != nil {
			return strings.Compare(x, y)
		}
		return cmp.Compare(nx, ny)
	})
}

// attribute reads a sysfs attribute without its line end; empty when it is not there.
func attribute(dir, name string) string {
	b, err := readLimited(filepath.Join(dir, name), attributeMax)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}

func hexAttribute(dir, name string) (byte, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(attribute(dir, name)), 16, 8)
	return byte(n), err
}

func linkBase(dir, name string) string {
	target, err := os.Readlink(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}

// readLimited reads a whole file, or fails when it is longer than max octets.
func readLimited(name string, max int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > max {
		return nil, fmt.Errorf("%s is longer than %d octets", name, max)
	}
	return b, nil
}
