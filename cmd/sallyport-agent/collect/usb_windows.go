package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/windows/registry"

	"sallyport/netio/report"
)

// storageDrivers are the services that drive USB disks, with the interface that each
// stands for. Below its key each has "Enum": what it drives now, by number.
var storageDrivers = []struct{ service, iface string }{
	{"USBSTOR", "08/06/50"},  // bulk only
	{"UASPStor", "08/06/62"}, // UAS
}

const (
	servicesKey  = `SYSTEM\CurrentControlSet\Services\`
	instancesKey = `SYSTEM\CurrentControlSet\Enum\`
)

// USB lists what the system's drivers for USB disks drive now. Below another root than
// "/" it reads a tree that looks like Linux, as anywhere.
func USB(root string) Inventory {
	if root != "/" && root != "" {
		return scanSysfs(root)
	}
	inv := Inventory{Began: time.Now()}
	for _, driver := range storageDrivers {
		instances, err := driven(driver.service)
		if err != nil {
			inv.Error = fmt.Sprintf("cannot tell what %s drives: %s", driver.service, reason(err))
		}
		for _, instance := range instances {
			d, ok := parseInstance(instance)
			if !ok || len(inv.Devices) == devicesMax {
				inv.Error = "a USB disk could not be listed: " + Printable(instance)
				continue
			}
			d.Port = location(instance)
			d.Ifaces, d.Driver, d.State, d.Connect = []string{driver.iface}, driver.service, report.USBActive, "unknown"
			inv.Devices = append(inv.Devices, Device{USBDevice: d, Authorized: true})
		}
	}
	slices.SortFunc(inv.Devices, func(a, b Device) int { return strings.Compare(a.Port+a.Serial, b.Port+b.Serial) })
	return inv
}

// driven lists the device instances of a driver. One that drives nothing has no such key.
func driven(service string) ([]string, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, servicesKey+service+`\Enum`, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer k.Close()
	count, _, err := k.GetIntegerValue("Count")
	if err != nil {
		return nil, err
	}
	var all []string
	for n := range min(count, devicesMax) {
		instance, _, err := k.GetStringValue(fmt.Sprint(n))
		if err != nil {
			return all, err
		}
		all = append(all, instance)
	}
	return all, nil
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

// location is where a device is plugged in, "Port_#0002.Hub_#0001"; else its instance.
func location(instance string) string {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, instancesKey+instance, registry.QUERY_VALUE)
	if err == nil {
		defer k.Close()
		if text, _, err := k.GetStringValue("LocationInformation"); err == nil && text != "" {
			return Printable(text)
		}
	}
	return printable(instance, wordLen)
}

// wordLen is what the document gives a port.
const wordLen = 60

// How often the drivers' lists are read, two keys of the registry: where the system tells
// of devices, and where it does not. A driver has its device a moment after the system told
// of it, so that the lists are read some more times then.
const (
	pollTold   = 15 * time.Second
	pollUSB    = time.Second
	settleUSB  = 50 * time.Millisecond
	settleMost = 40
)

// watchKernel looks at the drivers' lists when the system tells of a device, and now and
// then, and tells of a change.
func watchKernel(ctx context.Context, log *slog.Logger, _ func(string, bool)) (<-chan struct{}, error) {
	changed, told := newSignal(), newSignal()
	every := pollUSB
	if onDevices(ctx, log, told.raise) {
		every = pollTold
	}
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		settling := 0
		for before := fmt.Sprint(USB("/").Devices); ; {
			select {
			case <-ctx.Done():
				return
			case <-told:
				settling = settleMost
				tick.Reset(settleUSB)
			case <-tick.C:
				if settling > 0 {
					if settling--; settling == 0 {
						tick.Reset(every)
					}
				}
			}
			if now := fmt.Sprint(USB("/").Devices); now != before {
				before = now
				changed.raise()
			}
		}
	}()
	return changed, nil
}
