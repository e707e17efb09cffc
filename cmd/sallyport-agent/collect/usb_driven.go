package collect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/netio/report"
)

// Windows knows USB storage by what its drivers for it drive:
//
//	USB\VID_0781&PID_5581\4C530001   the function, driven by USBSTOR or UASPStor
//	  USBSTOR\DISK&VEN_...           its disks:            PhysicalDrive2
//	    \\?\Volume{...}              volumes on those:     E:\
//
// drivenTree is that as the system tells it; what follows from it is the same everywhere.
type drivenTree interface {
	// functions are those of present devices, also of disabled ones.
	functions() ([]drivenFunction, error)
	// disks are the numbers of a function's disks; none, and no error, for one that has
	// just arrived.
	disks(instance string) ([]uint32, error)
	// volumes are all that the system has.
	volumes() ([]drivenVolume, error)
	// system are the disks that the running system stands on: Windows, the partition it
	// started from, page files.
	system() (map[uint32]bool, error)
	// denied says that a policy of the machine or its domain keeps everybody from removable
	// storage.
	denied() bool
}

// drivenFunction is a device or a function of one.
type drivenFunction struct {
	instance string
	service  string // that drives it, or would
	iface    string // that the service stands for
	location string
	disabled bool
}

// drivenVolume is a volume, the disks it lies on, and where it is mounted.
type drivenVolume struct {
	name   string // \\?\Volume{GUID}, without an end
	disks  []uint32
	points []string // E:\
}

// drivenInventory is what blocking and the report need of it. A device whose disks cannot
// be told, or that may be what the system stands on, counts as protected: it is not blocked,
// and the fault keeps it from counting as absent.
func drivenInventory(t drivenTree) Inventory {
	inv := Inventory{Began: time.Now()}
	functions, err := t.functions()
	if err != nil {
		inv.Error = reason(err)
	}
	if len(functions) == 0 {
		return inv
	}
	on, denied := standsOn{}, t.denied()
	for _, f := range functions {
		d, ok := parseInstance(f.instance)
		if !ok || len(inv.Devices) == devicesMax {
			inv.Error = "a USB disk could not be listed: " + Printable(f.instance)
			continue
		}
		d.Port, d.Ifaces, d.Driver, d.State, d.Connect = f.location, []string{f.iface}, f.service, report.USBActive, "unknown"
		one := Device{USBDevice: d, DevNum: strings.ToUpper(f.instance), Authorized: true,
			Interfaces: []Interface{{Name: f.instance, Authorized: !f.disabled, Driver: f.service}}}
		switch {
		case f.disabled:
			one.State = report.USBBlocked
		default:
			if err := on.fill(t, &one); err != nil {
				inv.Error, one.State = fmt.Sprintf("cannot tell what is on the USB device at %s: %s", one.Port, reason(err)), report.USBProtected
			} else if denied && one.State == report.USBActive {
				one.State = report.USBBlocked
			}
		}
		inv.Devices = append(inv.Devices, one)
	}
	slices.SortFunc(inv.Devices, func(a, b Device) int { return strings.Compare(a.Port+a.Serial, b.Port+b.Serial) })
	return inv
}

// standsOn is what is the same for all devices of a look. It is not asked for before a disk
// is there: a function that has none, since it has just arrived, is blocked without.
type standsOn struct {
	asked   bool
	volumes []drivenVolume
	system  map[uint32]bool
	err     error
}

func (on *standsOn) ask(t drivenTree) {
	if on.asked {
		return
	}
	on.asked = true
	var err error
	on.volumes, on.err = t.volumes()
	on.system, err = t.system()
	on.err = errors.Join(on.err, err)
}

// fill adds disks, volumes and mount points, and protects what the system stands on.
func (on *standsOn) fill(t drivenTree, d *Device) error {
	disks, err := t.disks(d.Interfaces[0].Name)
	if err != nil || len(disks) == 0 {
		return err
	}
	on.ask(t)
	for _, n := range disks {
		d.Disks = append(d.Disks, fmt.Sprintf("PhysicalDrive%d", n))
		if on.system[n] {
			d.State = report.USBProtected
		}
	}
	for _, v := range on.volumes {
		if !slices.ContainsFunc(v.disks, func(n uint32) bool { return slices.Contains(disks, n) }) {
			continue
		}
		d.Leaves = append(d.Leaves, v.name)
		for _, point := range v.points {
			d.Mounts = append(d.Mounts, Printable(point))
			d.Mounted = append(d.Mounted, Mount{Point: point, Device: v.name})
		}
	}
	return on.err
}

// parseInstance reads USB\VID_0781&PID_5581\SERIAL. A last part with "&" in it was made up
// by the system, since the device has no serial number.
func parseInstance(instance string) (d report.USBDevice, ok bool) {
	parts := strings.SplitN(instance, `\`, 3)
	if len(parts) != 3 || !strings.EqualFold(parts[0], "USB") {
		return d, false
	}
	for field := range strings.SplitSeq(parts[1], "&") {
		switch name, value, _ := strings.Cut(field, "_"); strings.ToUpper(name) {
		case "VID":
			d.VID = Printable(strings.ToLower(value))
		case "PID":
			d.PID = Printable(strings.ToLower(value))
		}
	}
	if !strings.Contains(parts[2], "&") {
		d.Serial = Printable(parts[2])
	}
	return d, d.VID != "" && d.PID != ""
}
