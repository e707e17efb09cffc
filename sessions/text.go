package sessions

import (
	"encoding/binary"
	"unsafe"
)

// A text in a record is a head, an unsigned varint of value<<3 | form, and what the
// form asks for. The shapes that sessions are full of take half their length or less,
// and come back exactly as they were spelled.
const (
	formPlain    = iota // value octets
	formHex             // value octets, spelled 2 lower case digits each
	formHexUpper        // the same in upper case
	formMAC             // 6 octets, aa:bb:cc:dd:ee:ff
	formMACUpper        // 6 octets, AA-BB-CC-DD-EE-FF
	formIPv4            // 4 octets, 10.48.66.202
	formDecision        // 12 octets: 16 lower case digits, "-", 8 more
	formWord            // nothing: value is the number of a text in the dictionary
)

// bytesOf are the octets of s, not to be written to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// textOf is the text that b holds for as long as nobody writes to b.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Values of hexadecimal digits. A digit has both lower and upper; no digit is bad.
const (
	hexLower = 0x10
	hexUpper = 0x20
)

var hexValue = func() (v [256]byte) {
	for c := byte('0'); c <= '9'; c++ {
		v[c] = c - '0' | hexLower | hexUpper
	}
	for c := byte(0); c < 6; c++ {
		v['a'+c] = c + 10 | hexLower
		v['A'+c] = c + 10 | hexUpper
	}
	return v
}()

// hexPairs are the two digits of an octet, by case; the first in the low octet.
var hexPairs = func() (t [2][256]uint16) {
	for i, digits := range [2]string{"0123456789abcdef", "0123456789ABCDEF"} {
		for c := range 256 {
			t[i][c] = uint16(digits[c>>4]) | uint16(digits[c&15])<<8
		}
	}
	return t
}()

// appendHex packs s, an even number of digits all of a kind that want names.
func appendHex(b []byte, s string, want byte) ([]byte, bool) {
	begin := len(b)
	for i := 0; i+1 < len(s); i += 2 {
		hi, lo := hexValue[s[i]], hexValue[s[i+1]]
		if hi&lo&want == 0 {
			return b[:begin], false
		}
		b = append(b, hi<<4|lo&15)
	}
	return b, true
}

// appendDigits spells octets; upper is 0 or 1.
func appendDigits(b, octets []byte, upper int) []byte {
	pairs := &hexPairs[upper]
	for _, c := range octets {
		p := pairs[c]
		b = append(b, byte(p), byte(p>>8))
	}
	return b
}

// appendText packs s in the shortest form there is without the dictionary.
func appendText(b []byte, s string) []byte {
	begin, ok := len(b), false
	switch n := len(s); {
	case n == 0:
	case n == 17 && (s[2] == ':' || s[2] == '-'):
		if b, ok = appendMAC(b, s); ok {
			return b
		}
	case n == 25 && s[16] == '-':
		b = append(b, formDecision)
		if b, ok = appendHex(b, s[:16], hexLower); ok {
			if b, ok = appendHex(b, s[17:], hexLower); ok {
				return b
			}
		}
	case n >= 7 && n <= 15 && (s[1] == '.' || s[2] == '.' || s[3] == '.'):
		if b, ok = appendIPv4(b, s); ok {
			return b
		}
	case n&1 == 0 && hexValue[s[0]]&hexValue[s[n-1]] != 0:
		b = binary.AppendUvarint(b, uint64(n/2)<<3|formHex)
		if b, ok = appendHex(b, s, hexLower); ok {
			return b
		}
		b = binary.AppendUvarint(b[:begin], uint64(n/2)<<3|formHexUpper)
		if b, ok = appendHex(b, s, hexUpper); ok {
			return b
		}
	}
	b = binary.AppendUvarint(b[:begin], uint64(len(s))<<3|formPlain)
	return append(b, s...)
}

func appendMAC(b []byte, s string) ([]byte, bool) {
	begin, kind, separator := len(b), byte(hexLower), byte(':')
	b = append(b, formMAC)
	if s[2] == '-' {
		kind, separator, b[begin] = hexUpper, '-', formMACUpper
	}
	for i := 0; i < 17; i += 3 {
		hi, lo := hexValue[s[i]], hexValue[s[i+1]]
		if hi&lo&kind == 0 || i < 15 && s[i+2] != separator {
			return b[:begin], false
		}
		b = append(b, hi<<4|lo&15)
	}
	return b, true
}

// appendIPv4 packs the spelling without leading zeros.
func appendIPv4(b []byte, s string) ([]byte, bool) {
	begin, number, digits, dots := len(b), 0, 0, 0
	b = append(b, formIPv4)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			if digits > 0 && number == 0 {
				return b[:begin], false
			}
			if number = number*10 + int(c-'0'); number > 255 {
				return b[:begin], false
			}
			digits++
		case c == '.' && digits > 0 && dots < 3:
			b = append(b, byte(number))
			number, digits, dots = 0, 0, dots+1
		default:
			return b[:begin], false
		}
	}
	if dots != 3 || digits == 0 {
		return b[:begin], false
	}
	return append(b, byte(number)), true
}

// appendSpelled spells what appendText packed, but for plain texts and words.
func appendSpelled(b []byte, form uint64, octets []byte) []byte {
	switch form {
	case formHex:
		return appendDigits(b, octets, 0)
	case formHexUpper:
		return appendDigits(b, octets, 1)
	case formDecision:
		return appendDigits(append(appendDigits(b, octets[:8], 0), '-'), octets[8:], 0)
	case formIPv4:
		for i, c := range octets {
			if i > 0 {
				b = append(b, '.')
			}
			if c >= 100 {
				b = append(b, '0'+c/100)
			}
			if c >= 10 {
				b = append(b, '0'+c/10%10)
			}
			b = append(b, '0'+c%10)
		}
		return b
	}
	separator, upper := byte(':'), 0
	if form == formMACUpper {
		separator, upper = '-', 1
	}
	for i, c := range octets {
		if i > 0 {
			b = append(b, separator)
		}
		p := hexPairs[upper][c]
		b = append(b, byte(p), byte(p>>8))
	}
	return b
}

// reader takes the parts of a record one by one. After a part that is not there it is
// bad, and gives zeros.
type reader struct {
	b   []byte
	at  int
	bad bool
}

func (r *reader) uvarint() uint64 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 {
		r.at++
		return uint64(r.b[r.at-1])
	}
	return r.longUvarint()
}

func (r *reader) longUvarint() uint64 {
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.at += n
	return v
}

func (r *reader) octets(n uint64) []byte {
	if n > uint64(len(r.b)-r.at) {
		r.bad = true
		return nil
	}
	begin := r.at
	r.at += int(n)
	return r.b[begin:r.at:r.at]
}

func (r *reader) octet() byte {
	if r.at >= len(r.b) {
		r.bad = true
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func (r *reader) fixed64() uint64 {
	b := r.octets(8)
	if r.bad {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// spelled is the octets that a form asks for beyond what its head says.
var spelled = [8]uint64{formMAC: 6, formMACUpper: 6, formIPv4: 4, formDecision: 12}

// appendText spells a text that is no word.
func (r *reader) appendText(b []byte) ([]byte, bool) {
	head := r.uvarint()
	switch form := head & 7; form {
	case formWord:
		return b, false
	case formPlain:
		b = append(b, r.octets(head>>3)...)
	case formHex, formHexUpper:
		b = appendSpelled(b, form, r.octets(head>>3))
	default:
		b = appendSpelled(b, form, r.octets(spelled[form]))
	}
	return b, !r.bad
}
