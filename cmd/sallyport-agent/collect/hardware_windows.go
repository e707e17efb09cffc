package collect

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// Where the system has noted what the firmware told it.
const (
	biosKey       = `HARDWARE\DESCRIPTION\System\BIOS`
	processorsKey = `HARDWARE\DESCRIPTION\System\CentralProcessor`
	secureBootKey = `SYSTEM\CurrentControlSet\Control\SecureBoot\State`
)

var biosValues = map[string]string{
	"manufacturer": "SystemManufacturer", "model": "SystemProductName", "board-manufacturer": "BaseBoardManufacturer", "board": "BaseBoardProduct",
	"bios-vendor": "BIOSVendor", "bios-version": "BIOSVersion", "bios-date": "BIOSReleaseDate",
}

// hardwareValue is an attribute's value, empty when the machine has none; why says that it
// cannot be told.
func hardwareValue(_, attribute string) (value, why string) {
	if name, ok := biosValues[attribute]; ok {
		return registryText(biosKey, name)
	}
	switch attribute {
	case "cpu":
		return registryText(processorsKey+`\0`, "ProcessorNameString")
	case "cpus":
		return strconv.Itoa(int(windows.GetActiveProcessorCount(windows.ALL_PROCESSOR_GROUPS))), ""
	case "memory":
		return memory()
	case "secure-boot":
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, secureBootKey, registry.QUERY_VALUE)
		if errors.Is(err, registry.ErrNotExist) {
			return "", "" // it was not started by UEFI
		}
		if err != nil {
			return "", reason(err)
		}
		defer k.Close()
		on, _, err := k.GetIntegerValue("UEFISecureBootEnabled")
		if err != nil {
			return "", reason(err)
		}
		return map[bool]string{true: "on", false: "off"}[on == 1], ""
	case "serial", "uuid", "chassis", "tpm":
		return wmiHardware(attribute)
	}
	return "", "this agent knows of no attribute " + Printable(attribute)
}

func registryText(key, name string) (value, why string) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE)
	if err == nil {
		defer k.Close()
		value, _, err = k.GetStringValue(name)
	}
	if err != nil && !errors.Is(err, registry.ErrNotExist) {
		return "", reason(err)
	}
	return strings.TrimSpace(value), ""
}

var globalMemoryStatus = windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")

// memory is the physical memory in MiB (MEMORYSTATUSEX).
func memory() (value, why string) {
	var status struct {
		length, load uint32
		total        uint64
		_            [6]uint64
	}
	status.length = uint32(unsafe.Sizeof(status))
	if ok, _, err := globalMemoryStatus.Call(uintptr(unsafe.Pointer(&status))); ok == 0 {
		return "", reason(err)
	}
	return strconv.FormatUint(status.total>>20, 10), ""
}

// onlyWMI is what nothing but WMI tells. It takes seconds, and hardly ever changes: it is asked
// once an hour.
type onlyWMI struct {
	serial, uuid, chassis, tpm string
	err                        error
	at                         time.Time
}

const (
	wmiWithin = 8 * time.Second // of the 10 that a look has
	wmiFor    = time.Hour
	wmiAgain  = 5 * time.Minute // after a fault
)

var (
	wmiAsking sync.Mutex // guards wmiKnown
	wmiKnown  onlyWMI
)

// product is Win32_ComputerSystemProduct, enclosure Win32_SystemEnclosure, module Win32_Tpm.
type (
	product   struct{ IdentifyingNumber, UUID string }
	enclosure struct{ ChassisTypes []uint16 }
	module    struct{ SpecVersion string }
)

func askWMI() (w onlyWMI) {
	ctx, cancel := context.WithTimeout(context.Background(), wmiWithin)
	defer cancel()
	products, err := cim[product](ctx, `root\cimv2`, "Win32_ComputerSystemProduct", "IdentifyingNumber,UUID")
	if len(products) > 0 {
		w.serial, w.uuid = products[0].IdentifyingNumber, products[0].UUID
	}
	enclosures, fault := cim[enclosure](ctx, `root\cimv2`, "Win32_SystemEnclosure", "ChassisTypes")
	if len(enclosures) > 0 && len(enclosures[0].ChassisTypes) > 0 {
		w.chassis = strconv.Itoa(int(enclosures[0].ChassisTypes[0]))
	}
	modules, absent := cim[module](ctx, `root\cimv2\Security\MicrosoftTpm`, "Win32_Tpm", "SpecVersion")
	if len(modules) > 0 {
		w.tpm, _, _ = strings.Cut(modules[0].SpecVersion, ",") // "2.0, 0, 1.38"
	}
	w.err, w.at = cmp.Or(err, fault, absent), time.Now()
	return w
}

func wmiHardware(attribute string) (value, why string) {
	wmiAsking.Lock()
	defer wmiAsking.Unlock()
	if age := time.Since(wmiKnown.at); age > wmiFor || wmiKnown.err != nil && age > wmiAgain {
		wmiKnown = askWMI()
	}
	w := wmiKnown
	value = map[string]string{"serial": w.serial, "uuid": w.uuid, "chassis": w.chassis, "tpm": w.tpm}[attribute]
	if value == "" && w.err != nil {
		return "", "WMI cannot be asked: " + reason(w.err)
	}
	return strings.TrimSpace(value), ""
}
