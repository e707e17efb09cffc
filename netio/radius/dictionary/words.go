package dictionary

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/netio/radius"
)

func unnamed(vendor uint32, typ byte) string {
	if vendor == 0 {
		return fmt.Sprintf("Attr-%d", typ)
	}
	return fmt.Sprintf("Attr-%d.%d", vendor, typ)
}

// Words is the value in words: numbers with their names, addresses, quoted text, or
// 0x and hexadecimal for octets that do not look like text and for whatever does not
// fit the attribute's kind.
// Passwords are shown as "[hidden]".
func (a Attribute) Words(octets []byte) string {
	switch {
	case a.Kind == Hidden || a.Kind == Salted:
		return "[hidden]"
	case a.Kind == TaggedString:
		tag, text := radius.Tag(octets)
		if tag == 0 {
			return quoted(text)
		}
		return strconv.Itoa(int(tag)) + ":" + quoted(text)
	case a.Kind == TaggedInteger && len(octets) == 4:
		tag, n, _ := radius.TaggedU32(octets)
		if tag != 0 {
			return strconv.Itoa(int(tag)) + ":" + a.number(n)
		}
		return a.number(n)
	case a.Kind == String, a.Kind == Octets && printable(octets):
		return quoted(octets)
	case a.Kind == Integer && len(octets) == 4:
		return a.number(binary.BigEndian.Uint32(octets))
	case a.Kind == Date && len(octets) == 4:
		return time.Unix(int64(binary.BigEndian.Uint32(octets)), 0).UTC().Format(time.RFC3339)
	case a.Kind == IPAddr && len(octets) == 4, a.Kind == IPv6Addr && len(octets) == 16:
		addr, _ := netip.AddrFromSlice(octets)
		return addr.String()
	case a.Kind == IPv6Prefix && len(octets) >= 2 && len(octets) <= 18 && int(octets[1]) <= 8*(len(octets)-2):
		var b [16]byte
		copy(b[:], octets[2:])
		return netip.PrefixFrom(netip.AddrFrom16(b), int(octets[1])).String()
	}
	return "0x" + hex.EncodeToString(octets)
}

func (a Attribute) number(n uint32) string {
	if name, ok := a.ValueName(n); ok {
		return name
	}
	return strconv.FormatUint(uint64(n), 10)
}

func quoted(octets []byte) string {
	if !utf8.Valid(octets) {
		return "0x" + hex.EncodeToString(octets)
	}
	return strconv.Quote(string(octets))
}

// printable says whether octets look like text that someone put there to be read, as
// most Class and State values do.
func printable(octets []byte) bool {
	for _, c := range octets {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(octets) >= 4
}

// Encode makes the value's octets of words: text as it is, a number or the name of a
// value, an address, a prefix, a date as RFC 3339 or seconds, octets as 0x and
// hexadecimal. Tagged kinds take "TAG:" in front. Hidden kinds and the vendor container
// cannot be encoded. The error says what was expected.
func (a Attribute) Encode(words string) ([]byte, error) {
	octets, err := a.encode(words)
	most := radius.ValueMax
	if a.Vendor != 0 {
		most = radius.VendorMax
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", a.Name, err)
	case a.Size != 0 && len(octets) != a.Size:
		return nil, fmt.Errorf("%s: %d octets, want %d", a.Name, len(octets), a.Size)
	case len(octets) == 0:
		return nil, fmt.Errorf("%s: the value is empty", a.Name)
	case len(octets) > most:
		return nil, fmt.Errorf("%s: %d octets, at most %d fit", a.Name, len(octets), most)
	}
	return octets, nil
}

func (a Attribute) encode(words string) ([]byte, error) {
	switch a.Kind {
	case String:
		return []byte(words), nil
	case Octets:
		if digits, ok := strings.CutPrefix(words, "0x"); ok {
			return hex.DecodeString(digits)
		}
		return []byte(words), nil
	case Integer:
		n, err := a.parseNumber(words)
		return binary.BigEndian.AppendUint32(nil, n), err
	case Date:
		if t, err := time.Parse(time.RFC3339, words); err == nil {
			return binary.BigEndian.AppendUint32(nil, uint32(t.Unix())), nil
		}
		n, err := a.parseNumber(words)
		return binary.BigEndian.AppendUint32(nil, n), err
	case IPAddr, IPv6Addr:
		addr, err := netip.ParseAddr(words)
		if err != nil || addr.Is4() != (a.Kind == IPAddr) {
			return nil, fmt.Errorf("%q is not an %s", words, a.Kind)
		}
		return addr.AsSlice(), nil
	case IPv6Prefix:
		p, err := netip.ParsePrefix(words)
		if err != nil || !p.Addr().Is6() {
			return nil, fmt.Errorf("%q is not an %s", words, a.Kind)
		}
		return append([]byte{0, byte(p.Bits())}, p.Masked().Addr().AsSlice()[:(p.Bits()+7)/8]...), nil
	case TaggedString, TaggedInteger:
		return a.encodeTagged(words)
	}
	return nil, fmt.Errorf("%s cannot be written down", a.Kind)
}

func (a Attribute) encodeTagged(words string) ([]byte, error) {
	tag := byte(0)
	if front, rest, ok := strings.Cut(words, ":"); ok {
		if n, err := strconv.ParseUint(front, 10, 8); err == nil && n <= 0x1f {
			tag, words = byte(n), rest
		}
	}
	if a.Kind == TaggedString {
		return append([]byte{tag}, words...), nil
	}
	n, err := a.parseNumber(words)
	if err == nil && n > 0xffffff {
		err = fmt.Errorf("%d is more than 24 bits", n)
	}
	return binary.BigEndian.AppendUint32(nil, uint32(tag)<<24|n), err
}

func (a Attribute) parseNumber(words string) (uint32, error) {
	if n, ok := a.Value(words); ok {
		return n, nil
	}
	n, err := strconv.ParseUint(words, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is neither a number below 2^32 nor a value's name", words)
	}
	return uint32(n), nil
}

// Format is the packet in words: a line with the code and identifier, then a line for
// each attribute, vendor attributes one by one.
//
//	Access-Accept 7
//		Message-Authenticator = 0x…
//		Cisco-AVPair = "url-redirect-acl=ACL_WEBAUTH_REDIRECT"
func Format(v *radius.View) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s %d\n", v.Code(), v.Identifier())
	for t, value := range v.Attrs() {
		if t == radius.VendorSpecific {
			formatVendor(&out, value)
			continue
		}
		formatLine(&out, 0, byte(t), value)
	}
	return out.String()
}

func formatVendor(out *strings.Builder, value []byte) {
	found := false
	for vt, value := range radius.VendorAttributes(value) {
		found = true
		formatLine(out, vt.Vendor, vt.Type, value)
	}
	if !found {
		formatLine(out, 0, byte(radius.VendorSpecific), value)
	}
}

func formatLine(out *strings.Builder, vendor uint32, typ byte, value []byte) {
	a, ok := Find(vendor, typ)
	if !ok {
		a = Attribute{Name: unnamed(vendor, typ), Kind: Octets}
	}
	fmt.Fprintf(out, "\t%s = %s\n", a.Name, a.Words(value))
}
