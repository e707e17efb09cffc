package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/godbus/dbus/v5"

	"sallyport/cmd/sallyport-agent/remedy"
	"sallyport/cmd/sallyport-agent/usbguard"
)

// others finds who else on this machine has a say about USB storage: a USBGuard daemon, and
// what mounts for the desktop.
func (d *daemon) others(ctx context.Context) {
	if runtime.GOOS != "linux" {
		return
	}
	hint := remedy.DesktopOf(d.opts.Sysroot)
	if d.opts.Sysroot != "/" { // the system bus is this machine's
		d.usb.With(nil, hint)
		return
	}
	d.guard = usbguard.Watch(ctx, usbguard.Config{
		Connect: func(ctx context.Context) (*dbus.Conn, error) { return dbus.ConnectSystemBus(dbus.WithContext(ctx)) },
		Running: func() bool { return runs("usbguard-daemon") },
		Changed: d.decided,
		Taken:   func(port string) { d.taken(port) },
		Log:     d.log,
	})
	d.usb.With(d.guard, hint)
}

// decided has the loop look again.
func (d *daemon) decided() {
	select {
	case d.looks <- struct{}{}:
	default:
	}
}

func (d *daemon) taken(port string) {
	if err := d.usb.Taken(port); err != nil {
		d.log.Error("what is blocked cannot be written down", "error", err)
	}
}

// usbControl says who decides about USB storage besides the appliance; nil where nobody
// does.
func (d *daemon) usbControl() *usbControl {
	if d.guard == nil {
		return nil
	}
	rules, problem := d.guard.State()
	if !rules && problem == "" {
		return nil
	}
	return &usbControl{Master: "USBGuard", Rules: rules, Problem: problem}
}

// usbControl stands in the status.
type usbControl struct {
	Master  string `json:"master"`
	Rules   bool   `json:"rules"`             // what is blocked is handed over to it
	Problem string `json:"problem,omitempty"` // why not, although it runs
}

func (c *usbControl) String() string {
	if c.Rules {
		return c.Master + " decides which devices are let in; what this agent blocks it hands over to it"
	}
	return c.Master + " runs and cannot be asked: " + c.Problem + "; this agent blocks interfaces by itself"
}

// runs says whether there is a process of a name, by its first 15 octets as the kernel keeps
// them.
func runs(name string) bool {
	all, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, file := range all {
		if text, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(text)) == name[:min(len(name), 15)] {
			return true
		}
	}
	return false
}
