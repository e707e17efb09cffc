package report

import "strings"

// AllowedBy says whether a list of vid:pid or vid:pid:serial names the device. Vendor and
// product are compared without regard to case, as they are hexadecimal; a serial is
// compared octet by octet and proves nothing, since a device says what it likes.
func (d *USBDevice) AllowedBy(allow []string) bool {
	for _, entry := range allow {
		parts := strings.SplitN(entry, ":", 3)
		if len(parts) < 2 || !strings.EqualFold(parts[0], d.VID) || !strings.EqualFold(parts[1], d.PID) {
			continue
		}
		if len(parts) == 2 || parts[2] == d.Serial {
			return true
		}
	}
	return false
}
