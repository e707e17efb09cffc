package sessions

import "bytes"

// stationForms are the usual spellings of a MAC: its length, what separates, and after
// how many digits. An IPv4 address never has one of these shapes.
var stationForms = []struct {
	length, group int
	separators    string
}{{12, 12, ""}, {17, 2, ":-"}, {14, 4, "."}, {13, 6, "-:"}}

// CanonicalStation spells a MAC as aa:bb:cc:dd:ee:ff whatever separators and case it
// came with, and leaves anything else (a public address, a number) in lower case.
func CanonicalStation(raw string) string {
	var room [64]byte
	canonical := AppendCanonicalStation(room[:0], bytesOf(raw))
	if string(canonical) == raw {
		return raw
	}
	return string(canonical)
}

// MACStation is CanonicalStation of a MAC, empty for anything else.
func MACStation(raw string) string {
	for _, form := range stationForms {
		if len(raw) == form.length {
			if mac, ok := macOctets(bytesOf(raw), form.group, form.separators); ok {
				return string(appendSpelled(nil, formMAC, mac[:]))
			}
		}
	}
	return ""
}

// AppendCanonicalStation appends CanonicalStation of raw to dst. It allocates nothing,
// unless raw is longer than any address and not ASCII.
func AppendCanonicalStation(dst, raw []byte) []byte {
	raw = bytes.TrimSpace(raw)
	for _, form := range stationForms {
		if len(raw) == form.length {
			if mac, ok := macOctets(raw, form.group, form.separators); ok {
				return appendSpelled(dst, formMAC, mac[:])
			}
		}
	}
	begin := len(dst)
	for _, c := range raw {
		if c >= 0x80 {
			return append(dst[:begin], bytes.ToLower(raw)...)
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

func macOctets(raw []byte, group int, separators string) (mac [6]byte, ok bool) {
	n := 0
	for i, c := range raw {
		if i%(group+1) == group {
			if c != separators[0] && c != separators[len(separators)-1] {
				return mac, false
			}
			continue
		}
		v := hexValue[c]
		if v == 0 || n == 12 {
			return mac, false
		}
		mac[n/2] = mac[n/2]<<4 | v&15
		n++
	}
	return mac, n == 12
}

// CanonicalID makes an ID of what a NAS sent, and false when it cannot be one: empty,
// longer than IDMax, or with octets that are not letters, digits or one of "-_.:".
func CanonicalID(raw string) (ID, bool) {
	var room [IDMax]byte
	id, ok := AppendCanonicalID(room[:0], bytesOf(raw))
	if string(id) == raw {
		return ID(raw), ok
	}
	return ID(id), ok
}

// AppendCanonicalID appends CanonicalID of raw to dst, or returns dst as it was and
// false. It allocates nothing.
func AppendCanonicalID(dst, raw []byte) ([]byte, bool) {
	if len(raw) == 0 || len(raw) > IDMax {
		return dst, false
	}
	begin := len(dst)
	for _, c := range raw {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z':
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == '-', c == '_', c == '.', c == ':':
		default:
			return dst[:begin], false
		}
		dst = append(dst, c)
	}
	return dst, true
}
