package report

// AllowedBy says whether an allow-list names the device; see ParseAllow for its entries.
// Numbers are compared without regard to case, as they are hexadecimal; a serial octet by
// octet, and it proves nothing, since a device says what it likes. An entry that cannot be
// understood allows nothing.
func (d *USBDevice) AllowedBy(allow []string) bool {
	for _, entry := range allow {
		if r, err := parseAllow(entry); err == nil && r.names(d) {
			return true
		}
	}
	return false
}
