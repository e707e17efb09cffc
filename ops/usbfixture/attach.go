package usbfixture

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// attached is a device in a port.
type attached struct {
	port       string
	dir        string // below root: sys/devices/.../2-1
	spec       Device
	authorized bool
	ifaces     []*iface
}

// iface is one interface of an attached device; it has no directory while the device
// is not authorized.
type iface struct {
	name       string // "2-1:1.0"
	dir        string
	spec       Interface
	present    bool
	authorized bool
	bound      bool
	disks      []string
	hostDir    string
}

// portsMax is how many ports the root hub has.
const portsMax = 15

// Plug puts a stick in and returns its port.
func (t *Tree) Plug(s Stick) (string, error) {
	d := s.Device()
	if s.BehindHub {
		hub, err := t.Attach(HubDevice())
		if err != nil {
			return "", err
		}
		d.Port = hub + ".4"
	}
	return t.Attach(d)
}

// Attach puts a device in and returns its port, "2-1". The new device is authorized
// and its interfaces are bound, as the kernel does by default.
func (t *Tree) Attach(d Device) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.Port == "" {
		d.Port = t.freePort()
	}
	if d.Port == "" {
		return "", errors.New("usbfixture: every port of the root hub is taken")
	}
	if t.devices[d.Port] != nil {
		return "", fmt.Errorf("usbfixture: port %s is taken", d.Port)
	}
	parent := hostDir
	if i := strings.LastIndexByte(d.Port, '.'); i > 0 {
		hub := t.devices[d.Port[:i]]
		if hub == nil {
			return "", fmt.Errorf("usbfixture: no hub at %s for port %s", d.Port[:i], d.Port)
		}
		parent = hub.dir
	}
	a := &attached{port: d.Port, dir: filepath.Join(parent, d.Port), spec: d, authorized: true}
	t.devnum++
	if err := t.writeDevice(a); err != nil {
		return "", err
	}
	t.devices[d.Port] = a
	product := fmt.Sprintf("PRODUCT=%s/%s/100", strings.TrimLeft(d.VID, "0"), strings.TrimLeft(d.PID, "0"))
	if err := t.uevent("add", a.dir, "usb", "DEVTYPE=usb_device", product, "TYPE=0/0/0"); err != nil {
		return "", err
	}
	if err := t.addInterfaces(a); err != nil {
		return "", err
	}
	return d.Port, t.writeProc()
}

func (t *Tree) freePort() string {
	for n := 1; n <= portsMax; n++ {
		if port := "2-" + strconv.Itoa(n); t.devices[port] == nil {
			return port
		}
	}
	return ""
}

func (t *Tree) writeDevice(a *attached) error {
	d := a.spec
	values := map[string]string{"idVendor": d.VID, "idProduct": d.PID, "bDeviceClass": "00", "bDeviceSubClass": "00",
		"bDeviceProtocol": "00", "busnum": "2", "devnum": strconv.Itoa(t.devnum), "devpath": strings.TrimPrefix(a.port, "2-"),
		"authorized": "1", "bNumInterfaces": fmt.Sprintf("%2d", len(d.Interfaces)), "bConfigurationValue": "1", "speed": "5000",
		"removable": d.Removable}
	for name, v := range map[string]string{"serial": d.Serial, "manufacturer": d.Manufacturer, "product": d.Product} {
		if v != "" { // the kernel leaves the file out when there is no string
			values[name] = v
		}
	}
	w := writer{t: t}
	w.attributes(a.dir, values)
	w.put(filepath.Join(a.dir, "descriptors"), string(d.DescriptorBytes()))
	w.link(a.dir, filepath.Join(devicesDir, a.port))
	if w.err != nil {
		return w.err
	}
	return t.watcher.Add(t.path(a.dir))
}

// addInterfaces makes the interface directories of an authorized device and binds them.
func (t *Tree) addInterfaces(a *attached) error {
	a.ifaces = nil
	for n, spec := range a.spec.Interfaces {
		name := fmt.Sprintf("%s:1.%d", a.port, n)
		i := &iface{name: name, dir: filepath.Join(a.dir, name), spec: spec, present: true, authorized: true}
		c := spec.Alternates[spec.Current]
		w := writer{t: t}
		w.attributes(i.dir, map[string]string{"bInterfaceClass": fmt.Sprintf("%02x", c[0]), "bInterfaceSubClass": fmt.Sprintf("%02x", c[1]),
			"bInterfaceProtocol": fmt.Sprintf("%02x", c[2]), "bInterfaceNumber": fmt.Sprintf("%02x", n),
			"bAlternateSetting": fmt.Sprintf("%2d", spec.Current), "authorized": "1"})
		w.link(i.dir, filepath.Join(devicesDir, name))
		if w.err != nil {
			return w.err
		}
		if err := t.watcher.Add(t.path(i.dir)); err != nil {
			return err
		}
		a.ifaces = append(a.ifaces, i)
		if err := t.ifaceEvent("add", i); err != nil {
			return err
		}
		if err := t.bind(i); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) ifaceEvent(action string, i *iface) error {
	c := i.spec.Alternates[i.spec.Current]
	return t.uevent(action, i.dir, "usb", "DEVTYPE=usb_interface", fmt.Sprintf("INTERFACE=%d/%d/%d", c[0], c[1], c[2]))
}

// bind attaches the driver and brings the disks, when the interface may be used.
func (t *Tree) bind(i *iface) error {
	if !i.authorized || i.bound || i.spec.Driver == "" {
		return nil
	}
	i.bound = true
	driver := filepath.Join(driversDir, i.spec.Driver)
	w := writer{t: t}
	w.dir(driver)
	w.link(i.dir, filepath.Join(driver, i.name))
	w.link(driver, filepath.Join(i.dir, "driver"))
	if w.err != nil {
		return w.err
	}
	if err := t.ifaceEvent("bind", i); err != nil {
		return err
	}
	return t.addDisks(i)
}

// unbind is the reverse. A disk that is still mounted loses what was not written.
func (t *Tree) unbind(i *iface) error {
	if !i.bound {
		return nil
	}
	i.bound = false
	if err := t.removeDisks(i); err != nil { // the driver removes its disks before it lets go
		return err
	}
	w := writer{t: t}
	w.remove(filepath.Join(driversDir, i.spec.Driver, i.name))
	w.remove(filepath.Join(i.dir, "driver"))
	if w.err != nil {
		return w.err
	}
	return t.ifaceEvent("unbind", i)
}

// Unplug takes a device out, and all that is behind it when it is a hub.
func (t *Tree) Unplug(port string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.devices[port] == nil {
		return fmt.Errorf("usbfixture: nothing is in port %s", port)
	}
	var gone []string
	for p := range t.devices {
		if p == port || strings.HasPrefix(p, port+".") {
			gone = append(gone, p)
		}
	}
	sort.Sort(sort.Reverse(sort.StringSlice(gone))) // what is behind a hub first
	for _, p := range gone {
		if err := t.detach(t.devices[p]); err != nil {
			return err
		}
	}
	return t.writeProc()
}

func (t *Tree) detach(a *attached) error {
	if err := t.removeInterfaces(a); err != nil {
		return err
	}
	w := writer{t: t}
	w.remove(filepath.Join(devicesDir, a.port))
	t.unwatch(a.dir)
	w.remove(a.dir)
	if w.err != nil {
		return w.err
	}
	delete(t.devices, a.port)
	return t.uevent("remove", a.dir, "usb", "DEVTYPE=usb_device")
}

func (t *Tree) removeInterfaces(a *attached) error {
	for _, i := range a.ifaces {
		if err := t.unbind(i); err != nil {
			return err
		}
		w := writer{t: t}
		w.remove(filepath.Join(devicesDir, i.name))
		t.unwatch(i.dir)
		w.remove(i.dir)
		if w.err != nil {
			return w.err
		}
		i.present = false
		if err := t.ifaceEvent("remove", i); err != nil {
			return err
		}
	}
	a.ifaces = nil
	return nil
}

// unwatch forgets a directory; inotify may have forgotten it already.
func (t *Tree) unwatch(dir string) { _ = t.watcher.Remove(t.path(dir)) }

// readFlag reads an authorized file: what it says, and whether it says anything.
func (t *Tree) readFlag(dir string) (on, ok bool) {
	b, err := os.ReadFile(t.path(dir, "authorized"))
	if err != nil {
		return false, false
	}
	switch strings.TrimSpace(string(b)) {
	case "0":
		return false, true
	case "1":
		return true, true
	}
	return false, false
}
