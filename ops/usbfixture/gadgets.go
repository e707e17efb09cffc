package usbfixture

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Stick is a memory stick with one disk and one partition. Zero fields get values of
// an ordinary stick.
type Stick struct {
	VID, PID     string // four hexadecimal digits
	Serial       string
	Manufacturer string
	Product      string
	UAS          bool   // offers USB Attached SCSI as alternate setting 1 and uses it
	Mount        string // where a desktop would mount its partition; empty: nowhere
	BehindHub    bool   // plug a hub first, and this into the hub
	Port         string // empty: the next free one
}

// Class is an interface's class, subclass and protocol.
type Class [3]byte

// Classes that occur in the devices here.
var (
	BulkOnly = Class{0x08, 0x06, 0x50} // SCSI over bulk-only transport
	UAS      = Class{0x08, 0x06, 0x62} // SCSI over USB Attached SCSI
	Floppy   = Class{0x08, 0x04, 0x00} // UFI over control/bulk/interrupt
	HIDBoot  = Class{0x03, 0x01, 0x01} // boot keyboard
	Hub      = Class{0x09, 0x00, 0x00}
	PTP      = Class{0x06, 0x01, 0x01} // still image: also MTP phones
	Vendor   = Class{0xff, 0x42, 0x01}
)

// Device is any USB device. Strings may hold any octets but line breaks.
type Device struct {
	VID, PID     string
	Serial       string
	Manufacturer string
	Product      string
	Removable    string // sysfs "removable": removable, fixed, unknown
	Port         string // "2-1", or "2-1.4" behind the hub at 2-1; empty: the next free one
	Interfaces   []Interface
}

// Interface is one interface with its alternate settings, the one in use among them.
type Interface struct {
	Alternates []Class
	Current    int    // index of the alternate setting in use
	Driver     string // what binds to it; empty: nothing
	Disks      []Disk // logical units, one disk each
}

// Disk is a disk an interface brings. Without partitions it is mounted as a whole.
type Disk struct {
	Empty      bool // a card reader's slot without a card: size 0
	Mount      string
	Partitions []Partition
}

// Partition is one partition; Mount is where it is mounted when it appears.
type Partition struct {
	Mount string
	FS    string // default ext4
}

// Device is the stick as a device.
func (s Stick) Device() Device {
	iface := Interface{Alternates: []Class{BulkOnly}, Driver: "usb-storage",
		Disks: []Disk{{Partitions: []Partition{{Mount: s.Mount, FS: "vfat"}}}}}
	if s.UAS {
		iface.Alternates, iface.Current, iface.Driver = []Class{BulkOnly, UAS}, 1, "uas"
	}
	d := Device{VID: s.VID, PID: s.PID, Serial: s.Serial, Manufacturer: s.Manufacturer, Product: s.Product,
		Removable: "removable", Port: s.Port, Interfaces: []Interface{iface}}
	for field, ordinary := range map[*string]string{&d.VID: "0781", &d.PID: "5581", &d.Serial: "4C530001",
		&d.Manufacturer: "SanDisk", &d.Product: "Ultra"} {
		if *field == "" {
			*field = ordinary
		}
	}
	return d
}

// Keyboard is a device without storage.
func Keyboard() Device {
	return Device{VID: "046d", PID: "c31c", Manufacturer: "Logitech", Product: "USB Keyboard", Removable: "removable",
		Interfaces: []Interface{{Alternates: []Class{HIDBoot}, Driver: "usbhid"}}}
}

// HubDevice is a hub; devices behind it have ports like "2-1.4".
func HubDevice() Device {
	return Device{VID: "2109", PID: "0813", Product: "USB3.0 Hub", Removable: "removable",
		Interfaces: []Interface{{Alternates: []Class{Hub}, Driver: "hub"}}}
}

// Composite is a keyboard with a memory stick inside.
func Composite() Device {
	d := Stick{VID: "1b1c", PID: "1b2d", Serial: "KBD7", Manufacturer: "Corsair", Product: "Keyboard with storage"}.Device()
	d.Interfaces = append([]Interface{{Alternates: []Class{HIDBoot}, Driver: "usbhid"}}, d.Interfaces...)
	return d
}

// Phone offers storage beside MTP and a debugging interface.
func Phone() Device {
	return Device{VID: "18d1", PID: "4ee1", Serial: "PHONE1", Manufacturer: "Google", Product: "Pixel", Removable: "removable",
		Interfaces: []Interface{
			{Alternates: []Class{PTP}},
			{Alternates: []Class{BulkOnly}, Driver: "usb-storage", Disks: []Disk{{Empty: true}}},
			{Alternates: []Class{Vendor}},
		}}
}

// CardReader is built in and has two slots, one of them empty.
func CardReader() Device {
	return Device{VID: "0bda", PID: "0177", Manufacturer: "Generic", Product: "Card Reader", Removable: "fixed",
		Interfaces: []Interface{{Alternates: []Class{BulkOnly}, Driver: "usb-storage",
			Disks: []Disk{{Empty: true}, {Partitions: []Partition{{Mount: "/media/card", FS: "vfat"}}}}}}}
}

// DescriptorBytes is the content of the sysfs file descriptors: the device descriptor,
// then one configuration with every alternate setting (USB 2.0 section 9.6).
func (d Device) DescriptorBytes() []byte {
	dev := []byte{18, 1, 0x00, 0x03, 0, 0, 0, 9, 0, 0, 0, 0, 0, 1, 1, 2, 3, 1}
	copy(dev[8:], littleEndian(d.VID))
	copy(dev[10:], littleEndian(d.PID))
	var body []byte
	for n, iface := range d.Interfaces {
		for alt, c := range iface.Alternates {
			body = append(body, 9, 4, byte(n), byte(alt), 2, c[0], c[1], c[2], 0)
			body = append(body, 7, 5, 0x81, 2, 0, 4, 0, 7, 5, 0x02, 2, 0, 4, 0)
		}
	}
	config := []byte{9, 2, 0, 0, byte(len(d.Interfaces)), 1, 0, 0x80, 112}
	binary.LittleEndian.PutUint16(config[2:], uint16(len(config)+len(body)))
	return append(append(dev, config...), body...)
}

func littleEndian(hexID string) []byte {
	b, err := hex.DecodeString(fmt.Sprintf("%04s", hexID))
	if err != nil || len(b) != 2 {
		return []byte{0, 0}
	}
	return []byte{b[1], b[0]}
}
