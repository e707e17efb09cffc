package config

import (
	"reflect"
	"strings"
)

// usersFile is the top level of a users file: names, each with a password hash.
type usersFile = Map[User]

// endpointsFile is the top level of an endpoints file: MAC addresses.
type endpointsFile = Map[Endpoint]

// stores reads the users files.
func (l *loader) stores() {
	stores := l.config.Identity.Stores
	for i := range stores {
		s := &stores[i]
		if s.UsersFile.Value == "" {
			continue
		}
		var users usersFile
		if !readInto(l, s.UsersFile, &users, true) {
			continue
		}
		for _, entry := range users {
			u := entry.Value
			u.Name = entry.Name.Value
			l.password(&u)
			s.Users = append(s.Users, u)
		}
	}
}

// readInto decodes a file with one Map at its top.
func readInto[T any](l *loader, path Path, into *Map[T], users bool) bool {
	root, ok := l.parse(path.Value, path.Pos, users)
	if !ok {
		return false
	}
	d := l.decoder()
	d.enter(path.Value, root)
	v := reflect.ValueOf(into).Elem()
	d.root(root, v)
	d.finishValue(v, "", Pos{File: path.Value, Line: 1, Column: 1})
	return true
}

// hashPrefixes are the password hashes that engine/authn verifies.
var hashPrefixes = []string{"$argon2id$", "$2a$", "$2b$", "$2y$"}

// password refuses what is no hash. It never shows the value.
func (l *loader) password(u *User) {
	p := u.Password
	if p.Value == "" {
		return // missing: reported already
	}
	for _, prefix := range hashPrefixes {
		if strings.HasPrefix(p.Value, prefix) {
			return
		}
	}
	path := joinName("", u.Name) + ".password"
	if strings.HasPrefix(p.Value, "$") {
		l.fault(p.Pos, path, "this kind of password hash is not known", "make one with: sallyport hash-password")
		return
	}
	l.fault(p.Pos, path, "a password may not be written here as it is", "make a hash with: sallyport hash-password")
}

// endpoints reads the file of endpoints that log in by MAC.
func (l *loader) endpoints() {
	m := &l.config.Identity.MAB
	if m.Accept == "" {
		m.Accept = MABNone
		if m.EndpointsFile.Value != "" {
			m.Accept = MABListed
		}
	}
	if m.EndpointsFile.Value == "" {
		if m.Accept == MABListed {
			l.fault(l.config.Identity.MAB.Pos, "identity.mab", "accept: listed needs a list", "give endpoints-file")
		}
		return
	}
	var listed endpointsFile
	if !readInto(l, m.EndpointsFile, &listed, false) {
		return
	}
	first := map[string]Pos{}
	for _, entry := range listed {
		mac, ok := CanonicalMAC(entry.Name.Value)
		if !ok {
			l.fault(entry.Name.Pos, entry.Name.Value, "not a MAC address", "such as 00:50:56:aa:bb:cc, 00-50-56-aa-bb-cc or 0050.56aa.bbcc")
			continue
		}
		if at, ok := first[mac]; ok {
			l.fault(entry.Name.Pos, entry.Name.Value, "the same MAC address is here twice", "first at "+at.String())
			continue
		}
		first[mac] = entry.Name.Pos
		e := entry.Value
		e.MAC = mac
		m.Endpoints = append(m.Endpoints, e)
	}
}

// CanonicalMAC turns any usual spelling of a MAC address (colons, hyphens, Cisco's
// dots, bare digits, either case) into aa:bb:cc:dd:ee:ff.
func CanonicalMAC(s string) (string, bool) {
	mac, ok := ParseMAC(s)
	if !ok {
		return "", false
	}
	return FormatMAC(mac), true
}

// ParseMAC reads any usual spelling of a MAC address without allocating: separators
// are all the same and stand after every second or every fourth digit, or nowhere.
func ParseMAC[T string | []byte](s T) (mac [6]byte, ok bool) {
	group := 0 // digits between separators
	switch len(s) {
	case 12:
		group = 12
	case 14:
		group = 4
	case 17:
		group = 2
	default:
		return mac, false
	}
	var separator byte
	digits := 0
	for i := range len(s) {
		c := s[i]
		if digits > 0 && digits%group == 0 && i == digits+digits/group-1 {
			if c != ':' && c != '-' && c != '.' || separator != 0 && c != separator {
				return mac, false
			}
			separator = c
			continue
		}
		nibble, isHex := hexDigit(c)
		if !isHex || digits == 12 {
			return mac, false
		}
		mac[digits/2] = mac[digits/2]<<4 | nibble
		digits++
	}
	return mac, digits == 12
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// FormatMAC writes a MAC address as aa:bb:cc:dd:ee:ff.
func FormatMAC(mac [6]byte) string {
	const digits = "0123456789abcdef"
	var b [17]byte
	for i, octet := range mac {
		b[i*3], b[i*3+1] = digits[octet>>4], digits[octet&15]
		if i < 5 {
			b[i*3+2] = ':'
		}
	}
	return string(b[:])
}
