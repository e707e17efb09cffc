package collect

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// sysctls are the attributes that the kernel tells.
var sysctls = map[string]string{"model": "hw.model", "cpu": "machdep.cpu.brand_string"}

// hardwareValue is an attribute's value, empty when the machine has none; why says that it
// cannot be told.
func hardwareValue(_, attribute string) (value, why string) {
	switch attribute {
	case "manufacturer":
		return "Apple Inc.", ""
	case "model", "cpu":
		value, err := unix.Sysctl(sysctls[attribute])
		if err != nil {
			return "", reason(err)
		}
		return value, ""
	case "cpus":
		n, err := unix.SysctlUint32("hw.ncpu")
		if err != nil {
			return "", reason(err)
		}
		return strconv.Itoa(int(n)), ""
	case "memory":
		n, err := unix.SysctlUint64("hw.memsize")
		if err != nil {
			return "", reason(err)
		}
		return strconv.FormatUint(n>>20, 10), ""
	}
	return "", notInThisBuild
}
