package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sys/windows/registry"
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

// USB lists what the system's drivers for USB disks drive now, and what of it is disabled.
// Below another root than "/" it reads a tree that looks like Linux, as anywhere.
func USB(root string) Inventory {
	if root != "/" && root != "" {
		return scanSysfs(root)
	}
	return drivenInventory(thisMachine{})
}

// thisMachine is the system itself.
type thisMachine struct{}

// functions are what the drivers' lists have, which disabled ones are not in, and what is
// disabled among all that the drivers ever had.
func (thisMachine) functions() (all []drivenFunction, err error) {
	known := map[string]bool{}
	for _, driver := range storageDrivers {
		instances, fault := driven(driver.service)
		if fault != nil {
			err = fmt.Errorf("cannot tell what %s drives: %w", driver.service, fault)
		}
		for _, instance := range instances {
			known[strings.ToUpper(instance)] = true
			all = append(all, drivenFunction{instance: instance, service: driver.service, iface: driver.iface, location: location(instance)})
		}
	}
	for _, f := range storageEver() {
		if !known[strings.ToUpper(f.instance)] && DevNodeDisabled(f.instance) {
			f.location, f.disabled = location(f.instance), true
			all = append(all, f)
		}
	}
	return all, err
}

// storageEver are the functions that one of the drivers was ever installed for.
func storageEver() (all []drivenFunction) {
	models, err := registry.OpenKey(registry.LOCAL_MACHINE, instancesKey+"USB", registry.READ)
	if err != nil {
		return nil // no USB at all
	}
	defer models.Close()
	names, _ := models.ReadSubKeyNames(-1)
	for _, model := range names {
		k, err := registry.OpenKey(models, model, registry.READ)
		if err != nil {
			continue
		}
		instances, _ := k.ReadSubKeyNames(-1)
		for _, instance := range instances {
			one, err := registry.OpenKey(k, instance, registry.QUERY_VALUE)
			if err != nil {
				continue
			}
			service, _, _ := one.GetStringValue("Service")
			one.Close()
			for _, driver := range storageDrivers {
				if strings.EqualFold(driver.service, service) {
					all = append(all, drivenFunction{instance: `USB\` + model + `\` + instance, service: driver.service, iface: driver.iface})
				}
			}
		}
		k.Close()
	}
	return all
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
