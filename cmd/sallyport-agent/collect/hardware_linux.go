package collect

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// dmiFiles are the attributes that the firmware tells, below /sys/class/dmi/id.
var dmiFiles = map[string]string{
	"manufacturer": "sys_vendor", "model": "product_name", "serial": "product_serial", "uuid": "product_uuid",
	"board-manufacturer": "board_vendor", "board": "board_name", "bios-vendor": "bios_vendor", "bios-version": "bios_version",
	"bios-date": "bios_date", "chassis": "chassis_type",
}

// secureBoot is the variable of the firmware that says whether it starts only what is
// signed: four octets of attributes, then 1 or 0.
const secureBoot = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

// hardwareValue is an attribute's value, empty when the machine has none; why says that
// it cannot be told.
func hardwareValue(root, attribute string) (value, why string) {
	if file, ok := dmiFiles[attribute]; ok {
		return firstLine(filepath.Join(root, "sys/class/dmi/id", file))
	}
	switch attribute {
	case "cpu", "cpus":
		text, why := whole(filepath.Join(root, "proc/cpuinfo"))
		if attribute == "cpu" || why != "" {
			return cpuField(text, "model name"), why
		}
		return strconv.Itoa(strings.Count("\n"+text, "\nprocessor\t")), ""
	case "memory":
		text, why := whole(filepath.Join(root, "proc/meminfo"))
		kib, err := strconv.ParseUint(strings.TrimSuffix(cpuField(text, "MemTotal"), " kB"), 10, 64)
		if why != "" || err != nil {
			return "", orReason(why, "the kernel does not say how much memory there is")
		}
		return strconv.FormatUint(kib>>10, 10), ""
	case "tpm":
		major, why := firstLine(filepath.Join(root, "sys/class/tpm/tpm0/tpm_version_major"))
		return map[string]string{"1": "1.2", "2": "2.0"}[major], why
	case "secure-boot":
		b, why := whole(filepath.Join(root, secureBoot))
		if len(b) < 5 {
			return "", why
		}
		return map[bool]string{true: "on", false: "off"}[b[4] == 1], why
	}
	return "", "this agent knows of no attribute " + Printable(attribute)
}

// whole reads a file of the kernel's; one that is not there is empty.
func whole(path string) (text, why string) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", reason(err)
	}
	return string(b), ""
}

func firstLine(path string) (line, why string) {
	text, why := whole(path)
	line, _, _ = strings.Cut(text, "\n")
	return strings.TrimSpace(line), why
}

// cpuField is the first value of a name in a text of "name : value" lines.
func cpuField(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func orReason(why, otherwise string) string {
	if why == "" {
		return otherwise
	}
	return why
}
