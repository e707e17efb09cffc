// Package usbguardtest is a USBGuard daemon to talk to: its D-Bus service on a private bus,
// over the devices of a tree of sysfs (ops/usbfixture), whose files it writes as the daemon
// does. The bus is a real dbus-daemon.
package usbguardtest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
)

// Targets of a device.
const (
	Allow uint32 = iota
	Block
	Reject
)

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>custom</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="*"/><allow receive_type="*"/></policy></busconfig>`

// Bus starts a bus for the test and says how to connect to it. Without dbus-daemon the test
// is skipped.
func Bus(t testing.TB) func(context.Context) (*dbus.Conn, error) {
	t.Helper()
	program, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("no dbus-daemon here: install Debian's dbus-daemon")
	}
	dir, err := os.MkdirTemp("", "bus") // short, for a socket's name has 107 octets
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	config := filepath.Join(dir, "bus.conf")
	must(t, os.WriteFile(config, fmt.Appendf(nil, busConfig, filepath.Join(dir, "bus")), 0o600))
	daemon := exec.Command(program, "--config-file="+config, "--nofork", "--nopidfile", "--print-address")
	daemon.Stderr = os.Stderr
	out, err := daemon.StdoutPipe()
	must(t, err)
	must(t, daemon.Start())
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return func(ctx context.Context) (*dbus.Conn, error) {
		return dbus.Connect(strings.TrimSpace(address), dbus.WithContext(ctx))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Daemon is the service. Everything is allowed until somebody decides otherwise.
type Daemon struct {
	t    testing.TB
	root string
	conn *dbus.Conn

	mu      sync.Mutex // guards what follows
	targets map[string]uint32
	refuse  string // why applyDevicePolicy fails
	calls   []string
	unseen  map[string]int // how many lists more a port is missing in
}

// Start claims USBGuard's name on a bus; the devices are those below root.
func Start(t testing.TB, connect func(context.Context) (*dbus.Conn, error), root string) *Daemon {
	t.Helper()
	conn, err := connect(context.Background())
	must(t, err)
	d := &Daemon{t: t, root: root, conn: conn, targets: map[string]uint32{}}
	t.Cleanup(d.Stop)
	must(t, conn.ExportMethodTable(map[string]any{"listDevices": d.list, "applyDevicePolicy": d.apply},
		"/org/usbguard1/Devices", "org.usbguard.Devices1"))
	reply, err := conn.RequestName("org.usbguard1", dbus.NameFlagDoNotQueue)
	must(t, err)
	if reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("the name is taken: %d", reply)
	}
	return d
}

// Stop ends the daemon; the devices stay as they are.
func (d *Daemon) Stop() { d.conn.Close() }

// Refuse has every later decision fail; empty: no more.
func (d *Daemon) Refuse(why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse = why
}

// Overlook leaves the device at a port out of the next lists.
func (d *Daemon) Overlook(port string, lists int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unseen = map[string]int{port: lists}
}

// Calls are the decisions that were asked for over the bus, such as "block 2-1".
func (d *Daemon) Calls() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// Target is what is decided about the device at a port.
func (d *Daemon) Target(port string) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.targets[port]
}

// Decide is the administrator who decides about a device at the daemon's own command line.
func (d *Daemon) Decide(port string, target uint32) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	must(d.t, d.decide(port, target))
}

// ports are the devices below root; a device's number is one more than its place. REQUIRES: mu.
func (d *Daemon) ports() []string {
	names, _ := filepath.Glob(filepath.Join(d.root, "sys/bus/usb/devices/*-*"))
	ports := []string{"usb1"}
	for _, name := range names {
		if !strings.Contains(filepath.Base(name), ":") {
			ports = append(ports, filepath.Base(name))
		}
	}
	return ports
}

func (d *Daemon) rule(port string) string {
	read := func(name string) string {
		b, _ := os.ReadFile(filepath.Join(d.root, "sys/bus/usb/devices", port, name))
		return strings.TrimSpace(string(b))
	}
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	word := []string{"allow", "block", "reject"}[d.targets[port]]
	return fmt.Sprintf(`%s id %s:%s serial "%s" name "%s" hash "q0hPSE2UC=" parent-hash "kv3v2=" via-port "%s" with-interface 08:06:50 with-connect-type "hotplug"`,
		word, read("idVendor"), read("idProduct"), escaped.Replace(read("serial")), escaped.Replace(read("product")), port)
}

type listed struct {
	ID   uint32
	Rule string
}

func (d *Daemon) list(query string) ([]listed, *dbus.Error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if query != "match" {
		return nil, dbus.MakeFailedError(fmt.Errorf("query %q", query))
	}
	var all []listed
	for i, port := range d.ports() {
		if d.unseen[port] > 0 {
			d.unseen[port]--
			continue
		}
		all = append(all, listed{uint32(i + 1), d.rule(port)})
	}
	return all, nil
}

func (d *Daemon) apply(number, target uint32, permanent bool) (uint32, *dbus.Error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ports := d.ports()
	switch {
	case number == 0 || int(number) > len(ports) || target > Reject || permanent:
		return 0, dbus.MakeFailedError(fmt.Errorf("device %d, target %d, permanent %t", number, target, permanent))
	case d.refuse != "":
		return 0, dbus.MakeFailedError(fmt.Errorf("%s", d.refuse))
	}
	port := ports[number-1]
	d.calls = append(d.calls, []string{"allow", "block", "reject"}[target]+" "+port)
	if err := d.decide(port, target); err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	return 0, nil
}

// decide writes the device's file and tells everybody. REQUIRES: mu.
func (d *Daemon) decide(port string, target uint32) error {
	d.targets[port] = target
	flag := "0"
	if target == Allow {
		flag = "1"
	}
	if err := os.WriteFile(filepath.Join(d.root, "sys/bus/usb/devices", port, "authorized"), []byte(flag), 0o644); err != nil {
		return err
	}
	number := uint32(slices.Index(d.ports(), port) + 1)
	return d.conn.Emit("/org/usbguard1/Devices", "org.usbguard.Devices1.DevicePolicyApplied", number, target, d.rule(port), uint32(0), map[string]string{})
}
