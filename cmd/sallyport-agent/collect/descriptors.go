package collect

// alternate is one alternate setting of one interface of one configuration.
type alternate struct {
	config, number, setting byte
	class, sub, proto       byte
}

// Descriptor types and lengths (USB 2.0 section 9.6).
const (
	typeConfig    = 2
	typeInterface = 4
	lenConfig     = 9
	lenInterface  = 9
)

// parseDescriptors reads the content of the sysfs file descriptors: the device
// descriptor, then every configuration whole. A device writes this itself, so each
// length is checked; reading stops at the first descriptor that cannot be.
func parseDescriptors(b []byte) []alternate {
	var found []alternate
	var config byte
	for len(b) >= 2 {
		n := int(b[0])
		if n < 2 || n > len(b) {
			return found
		}
		switch {
		case b[1] == typeConfig && n >= lenConfig:
			config = b[5]
		case b[1] == typeInterface && n >= lenInterface:
			found = append(found, alternate{config: config, number: b[2], setting: b[3], class: b[5], sub: b[6], proto: b[7]})
		}
		b = b[n:]
	}
	return found
}
