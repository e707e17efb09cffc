package posture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/netio/report"
	"sallyport/ops/config"
)

// storageDevice is one USB storage device that is not held blocked.
type storageDevice struct {
	name             string
	vid, pid, serial string // numbers in lower case
	protected        bool
	device           *report.USBDevice
}

// storage lists the devices that may count, in the order of their names: so nothing
// depends on the order of the report.
func (e *evidence) storage() []storageDevice {
	if e.counted || e.facts.USB == nil {
		return e.devices
	}
	e.counted = true
	for i := range e.facts.USB.Devices {
		d := &e.facts.USB.Devices[i]
		if d.State == report.USBBlocked || !isStorage(d) {
			continue
		}
		e.devices = append(e.devices, storageDevice{
			name: deviceName(d), vid: strings.ToLower(d.VID), pid: strings.ToLower(d.PID), serial: d.Serial,
			protected: d.State == report.USBProtected, device: d,
		})
	}
	slices.SortStableFunc(e.devices, func(a, b storageDevice) int { return strings.Compare(a.name, b.name) })
	return e.devices
}

// parts shows every storage device that the endpoint can use now.
func (c *usbCondition) parts(e *evidence) []Part {
	if e.facts.USB == nil {
		return nil
	}
	want := "absent"
	if c.wantPresent {
		want = "present"
	}
	var out []Part
	for i := range e.storage() {
		d := &e.devices[i]
		p := Part{Of: d.name, What: "USB storage", Have: "in use", Want: want, Result: verdictOf(c.wantPresent).String()}
		if !c.counts(d) {
			p.Have, p.Want, p.Result = "in use, does not count", "anything", pass.String()
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		out = append(out, Part{Of: "USB", What: "USB storage", Have: "none in use", Want: want, Result: verdictOf(!c.wantPresent).String()})
	}
	return out[:min(len(out), partsMax)]
}

// storageClass begins the interfaces of USB mass storage, as sysfs spells them: class,
// subclass, protocol. The class of the device itself is 00 for sticks and says nothing.
const storageClass = "08"

type usbCondition struct {
	wantPresent bool
	countSystem bool // a disk that backs the running system counts too
	allow       []usbID
	rules       []string // of what else is allowed, in the words of report.ParseAllow
}

// usbID is a kind of device, or one device when it has a serial.
type usbID struct{ vid, pid, serial string }

// judge counts the storage devices that the endpoint can use now. One that is held
// blocked does not count; one in a state nobody knows does.
func (c *usbCondition) judge(usb *report.USB, devices []storageDevice) (verdict, string) {
	if usb == nil {
		return cannotTell, "the agent did not look at USB"
	}
	var names [describedMax]string
	counted := 0
	for i := range devices {
		if d := &devices[i]; c.counts(d) {
			if counted < describedMax {
				names[counted] = d.name
			}
			counted++
		}
	}
	switch {
	case counted > 0 && c.wantPresent:
		return pass, ""
	case counted > describedMax:
		return fail, "in use: " + strings.Join(names[:], ", ") + " and " + strconv.Itoa(counted-describedMax) + " more"
	case counted > 0:
		return fail, "in use: " + strings.Join(names[:counted], ", ")
	case usb.Error != "":
		return cannotTell, "the agent could not look everywhere: " + clean(usb.Error)
	case c.wantPresent:
		return fail, "no USB mass storage is there"
	}
	return pass, ""
}

func (c *usbCondition) counts(d *storageDevice) bool {
	if d.protected && !c.countSystem {
		return false
	}
	for i := range c.allow {
		id := &c.allow[i]
		if id.vid == d.vid && id.pid == d.pid && (id.serial == "" || id.serial == d.serial) {
			return false
		}
	}
	return len(c.rules) == 0 || !d.device.AllowedBy(c.rules)
}

// isStorage looks at the interfaces, in any alternate setting. A device that lists none
// is taken at its word: only storage belongs into the list.
func isStorage(d *report.USBDevice) bool {
	if len(d.Ifaces) == 0 {
		return true
	}
	return slices.ContainsFunc(d.Ifaces, func(iface string) bool {
		class, _, _ := strings.Cut(iface, "/")
		return class == storageClass
	})
}

// describedMax bounds the devices that a reason names.
const describedMax = 3

func deviceName(d *report.USBDevice) string {
	name := clean(strings.TrimSpace(d.Manufacturer + " " + d.Product))
	if name == "" {
		name = "USB mass storage"
	}
	if d.VID != "" || d.PID != "" {
		name += " (" + clean(d.VID) + ":" + clean(d.PID) + ")"
	}
	if d.Port != "" {
		name += " at port " + clean(d.Port)
	}
	if d.State == report.USBProtected {
		name += ", which backs the running system"
	}
	return name
}

// wordMax bounds what is shown of one text that a device or an agent made up.
const wordMax = 64

// clean makes text of devices fit for tables and pages: no control characters, not
// longer than wordMax.
func clean(s string) string {
	if isPlain(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\ufffd' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if runes := []rune(s); len(runes) > wordMax {
		return string(runes[:wordMax-3]) + "..."
	}
	return s
}

func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return len(s) <= wordMax
}

// parseUSBID reads vid:pid or vid:pid:serial, the numbers as four hexadecimal digits.
func parseUSBID(s string) (usbID, bool) {
	parts := strings.SplitN(s, ":", 3)
	if len(parts) < 2 || !isHex4(parts[0]) || !isHex4(parts[1]) || len(parts) == 3 && parts[2] == "" {
		return usbID{}, false
	}
	id := usbID{vid: strings.ToLower(parts[0]), pid: strings.ToLower(parts[1])}
	if len(parts) == 3 {
		id.serial = parts[2]
	}
	return id, true
}

func isHex4(s string) bool {
	return len(s) == 4 && strings.Trim(strings.ToLower(s), "0123456789abcdef") == ""
}

// compileUSB turns a condition as written into one that judges.
func (c *compiler) compileUSB(u *config.USBCondition, path string) *usbCondition {
	out := &usbCondition{wantPresent: u.MassStorage == "present", countSystem: u.SystemDisk == "count"}
	out.allow, out.rules = c.allowList(u.Allow, path+".allow")
	if uc := c.section.USBControl; uc != nil {
		allow, rules := c.allowList(uc.Allow, "")
		out.allow, out.rules = append(out.allow, allow...), append(out.rules, rules...)
	}
	return out
}

// allowList reads devices that are let be. Plain numbers are compared fast, the rest are
// rules. Without a path nothing is reported: somebody else does.
func (c *compiler) allowList(list []config.Text, path string) (plain []usbID, rules []string) {
	for i, text := range list {
		if id, ok := parseUSBID(text.Value); ok {
			plain = append(plain, id)
			continue
		}
		if err := report.ParseAllow(text.Value); err == nil {
			rules = append(rules, text.Value)
		} else if path != "" {
			message := err.Error()
			if quoted := strconv.Quote(text.Value); !strings.Contains(message, quoted) {
				message = quoted + ": " + message
			}
			c.fault(text.Pos, fmt.Sprintf("%s[%d]", path, i), message,
				`such as "0951:1666", "0951:1666:408D5C1654FDB471" or 'allow id 0951:1666 via-port "1-2"', in quotes`)
		}
	}
	return plain, rules
}

// usbControl is what the document tells agents, nil when they are left to themselves.
func (c *compiler) usbControl() *report.USBControl {
	w := c.section.USBControl
	if w == nil {
		return nil
	}
	c.allowList(w.Allow, "posture.usb-control.allow")
	return &report.USBControl{Mode: w.Mode, Allow: texts(w.Allow), Busy: w.Busy, GraceS: int(w.Grace / time.Second)}
}
