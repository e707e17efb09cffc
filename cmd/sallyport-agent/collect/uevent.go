package collect

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// Uevent is one message of the kernel about a device.
//
//	add@/devices/pci.../2-1/2-1:1.0 NUL ACTION=add NUL DEVPATH=... NUL SUBSYSTEM=usb NUL
//	DEVTYPE=usb_interface NUL INTERFACE=8/6/80 NUL SEQNUM=1234 NUL
//
// The numbers in INTERFACE are decimal; those in sysfs are hexadecimal.
type Uevent struct {
	Action       string // add, remove, change, bind, unbind, move, offline, online
	DevPath      string // below sys
	Subsystem    string
	DevType      string
	Interface    [3]byte // class, subclass, protocol
	HasInterface bool    // INTERFACE was there and could be read
	Seq          uint64
}

// ueventMax is the kernel's own bound for one message (UEVENT_BUFFER_SIZE), with room
// for the header line.
const ueventMax = 8 << 10

// Why a message is not a kernel's uevent.
var (
	errUeventForm = errors.New("not a kernel uevent: no ACTION@DEVPATH in front")
	errUeventUdev = errors.New("not a kernel uevent: a message of udev")
	errUeventSays = errors.New("not a kernel uevent: heading and fields disagree")
	errUeventLong = errors.New("not a kernel uevent: too long")
)

// ParseUevent reads one message. It keeps no part of b.
func ParseUevent(b []byte) (Uevent, error) {
	var ev Uevent
	if len(b) > ueventMax {
		return ev, errUeventLong
	}
	if bytes.HasPrefix(b, []byte("libudev\x00")) {
		return ev, errUeventUdev
	}
	head, rest, _ := bytes.Cut(b, []byte{0})
	action, path, ok := strings.Cut(string(head), "@")
	if !ok || action == "" || !strings.HasPrefix(path, "/") {
		return ev, errUeventForm
	}
	ev.Action, ev.DevPath = action, path
	for field := range bytes.SplitSeq(rest, []byte{0}) {
		key, value, ok := strings.Cut(string(field), "=")
		if !ok {
			continue
		}
		switch key {
		case "ACTION":
			if value != action {
				return Uevent{}, errUeventSays
			}
		case "DEVPATH":
			if value != path {
				return Uevent{}, errUeventSays
			}
		case "SUBSYSTEM":
			ev.Subsystem = value
		case "DEVTYPE":
			ev.DevType = value
		case "INTERFACE":
			ev.Interface, ev.HasInterface = parseInterface(value)
		case "SEQNUM":
			ev.Seq, _ = strconv.ParseUint(value, 10, 64)
		}
	}
	return ev, nil
}

// parseInterface reads "8/6/80".
func parseInterface(s string) (class [3]byte, ok bool) {
	parts := strings.Split(s, "/")
	if len(parts) != len(class) {
		return class, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil {
			return [3]byte{}, false
		}
		class[i] = byte(n)
	}
	return class, true
}

// Storage says whether the event is about an interface whose setting in use is storage.
func (ev Uevent) Storage() bool { return ev.HasInterface && ev.Interface[0] == classStorage }

// NewInterface is the name of the interface ("2-1:1.0") when the event says that one is
// new; else empty.
func (ev Uevent) NewInterface() string {
	if ev.Action != "add" || ev.DevType != "usb_interface" {
		return ""
	}
	return ev.DevPath[strings.LastIndexByte(ev.DevPath, '/')+1:]
}

// Concerns says whether the USB storage of the machine may be another one after this
// event. Any USB event counts: storage may be in an alternate setting that is not in use.
func (ev Uevent) Concerns() bool { return ev.Subsystem == "usb" || ev.Subsystem == "block" }
