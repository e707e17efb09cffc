package collect

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"howett.net/plist"

	"sallyport/netio/report"
)

// macOS knows USB storage by its registry of devices, which ioreg prints as a property list:
//
//	device      bDeviceClass, idVendor, idProduct, locationID, sessionID
//	  interface   bInterfaceClass 8, bInterfaceSubClass, bInterfaceProtocol
//	    ...
//	      medium    BSD Name: disk4, disk4s1, and of an APFS container on it disk5, disk5s1
//
// ioregInventory is what that says of USB storage. mounted is what is mounted, oldest first.
// A device that carries a mount point of the system's counts as protected.
func ioregInventory(text string, mounted []Mount) Inventory {
	inv := Inventory{Began: time.Now()}
	var roots []map[string]any
	if strings.TrimSpace(text) == "" {
		return inv // no USB at all
	}
	if _, err := plist.Unmarshal([]byte(text), &roots); err != nil {
		inv.Error = "ioreg says what is no list of devices: " + Printable(err.Error())
		return inv
	}
	w := ioregWalk{seen: map[string]*Device{}}
	for _, r := range roots {
		w.visit(r, nil, 0)
	}
	for _, d := range w.devices {
		switch {
		case len(d.Ifaces) == 0:
			continue // no storage
		case len(inv.Devices) == devicesMax:
			inv.Error = "more USB disks than can be told"
			return inv
		}
		d.stand(mounted)
		d.Interfaces = []Interface{{Name: d.Port, Authorized: true}}
		inv.Devices = append(inv.Devices, *d)
	}
	slices.SortFunc(inv.Devices, func(a, b Device) int { return strings.Compare(a.Port, b.Port) })
	return inv
}

// macPoints are where the running system is mounted; what begins with one and a slash is
// the system's too.
var macPoints = []string{"/System/Volumes", "/private/var/vm"}

// stand adds what is mounted from the device's disks.
func (d *Device) stand(mounted []Mount) {
	for _, m := range mounted {
		name, disk := strings.CutPrefix(m.Device, "/dev/")
		if !disk || !slices.Contains(d.Disks, name) {
			continue
		}
		d.Mounted = append(d.Mounted, m)
		d.Mounts = append(d.Mounts, Printable(m.Point))
		if m.Point == "/" || slices.ContainsFunc(macPoints, func(s string) bool { return m.Point == s || strings.HasPrefix(m.Point, s+"/") }) {
			d.State = report.USBProtected
		}
	}
}

// ioregWalk gathers devices; one below a hub is printed with the hub and by itself.
type ioregWalk struct {
	seen    map[string]*Device
	devices []*Device
}

const ioregDeep = 64 // levels; a disk behind three hubs is at about 30

func (w *ioregWalk) visit(entry map[string]any, d *Device, depth int) {
	if depth > ioregDeep {
		return
	}
	if _, ok := entry["bDeviceClass"]; ok {
		known := false
		if d, known = w.device(entry); known {
			return
		}
	}
	if d != nil {
		if class, ok := number(entry, "bInterfaceClass"); ok && class == 8 {
			iface := fmt.Sprintf("%02x/%02x/%02x", class, or0(entry, "bInterfaceSubClass"), or0(entry, "bInterfaceProtocol"))
			if len(d.Ifaces) < devicesMax && !slices.Contains(d.Ifaces, iface) {
				d.Ifaces = append(d.Ifaces, iface)
			}
		}
		if name, ok := entry["BSD Name"].(string); ok && !slices.Contains(d.Disks, name) && len(d.Disks) < devicesMax {
			d.Disks = append(d.Disks, Printable(name))
		}
	}
	children, _ := entry["IORegistryEntryChildren"].([]any)
	for _, child := range children {
		if c, ok := child.(map[string]any); ok {
			w.visit(c, d, depth+1)
		}
	}
}

// device makes a device of an entry; known says that it was met before.
func (w *ioregWalk) device(entry map[string]any) (d *Device, known bool) {
	at, attachment := or0(entry, "locationID"), fmt.Sprint(or0(entry, "sessionID"))
	key := fmt.Sprintf("%08x %s", at, attachment)
	if d, known = w.seen[key]; known {
		return d, true
	}
	text := func(names ...string) string {
		for _, name := range names {
			if s, ok := entry[name].(string); ok && s != "" {
				return Printable(s)
			}
		}
		return ""
	}
	d = &Device{DevNum: attachment, Authorized: true, USBDevice: report.USBDevice{
		Bus: fmt.Sprintf("%02x", at>>24), Port: fmt.Sprintf("%08x", at), VID: fmt.Sprintf("%04x", or0(entry, "idVendor")), PID: fmt.Sprintf("%04x", or0(entry, "idProduct")),
		Serial: text("USB Serial Number", "kUSBSerialNumberString"), Manufacturer: text("USB Vendor Name", "kUSBVendorString"),
		Product: text("USB Product Name", "kUSBProductString"), Connect: "unknown", State: report.USBActive,
	}}
	w.seen[key], w.devices = d, append(w.devices, d)
	return d, false
}

func number(entry map[string]any, name string) (uint64, bool) {
	switch n := entry[name].(type) {
	case uint64:
		return n, true
	case int64:
		return uint64(n), true
	}
	return 0, false
}

func or0(entry map[string]any, name string) uint64 {
	n, _ := number(entry, name)
	return n
}
