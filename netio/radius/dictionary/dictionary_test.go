package dictionary

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestNamesAndNumbersAreUnique, and each is found both ways.
func TestNamesAndNumbersAreUnique(t *testing.T) {
	for i := range attributes {
		a := attributes[i]
		byName, ok := Lookup(strings.ToUpper(a.Name))
		byNumber, ok2 := Find(a.Vendor, a.Type)
		if !ok || !ok2 || byName != a || byNumber != a || Name(a.Vendor, a.Type) != a.Name {
			t.Errorf("%s (%d.%d) is found as %s and %s", a.Name, a.Vendor, a.Type, byName.Name, byNumber.Name)
		}
	}
	for i := range values {
		v := &values[i]
		a, _ := Find(v.vendor, v.typ)
		name, _ := a.ValueName(v.number)
		number, ok := a.Value(strings.ToLower(v.name))
		if name != v.name || number != v.number || !ok {
			t.Errorf("%s %s is found as %s and %d", a.Name, v.name, name, number)
		}
	}
}

func TestNames(t *testing.T) {
	var out strings.Builder
	show := func(v ...any) { fmt.Fprintln(&out, v...) }
	show(Name(0, 17), Name(9, 77), Name(3076, 146))
	show(Nearest("Cisco-AVPiar"), Nearest("filterid"), Nearest("Nonsense"), Nearest(""))
	number, ok := LookupVendor("cisco")
	name, ok2 := VendorName(14823)
	show(number, ok, name, ok2)
	_, ok = LookupVendor("acme")
	_, ok2 = VendorName(1)
	_, ok3 := Lookup("acme")
	show(ok, ok2, ok3, ErrorCause(503), ErrorCause(200) == "")
	const want = `Attr-17 Attr-9.77 ASA-Tunnel-Group-Name
Cisco-AVPair Filter-Id  
9 true Aruba true
false false false Session-Context-Not-Found true
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// TestEncode writes words as octets and reads them back.
func TestEncode(t *testing.T) {
	tests := []struct{ name, words, octets, back string }{
		{"Filter-Id", "PRE", "505245", `"PRE"`},
		{"Session-Timeout", "60", "0000003c", "60"},
		{"NAS-Port-Type", "ethernet", "0000000f", "Ethernet"},
		{"ASA-IPsec-Split-Tunneling-Policy", "Local-LAN", "00000002", "Local-LAN"},
		{"Framed-IP-Address", "10.1.2.3", "0a010203", "10.1.2.3"},
		{"NAS-IPv6-Address", "2001:db8::1", "20010db8000000000000000000000001", "2001:db8::1"},
		{"Framed-IPv6-Prefix", "2001:db8::/32", "002020010db8", "2001:db8::/32"},
		{"Event-Timestamp", "2016-03-11T14:57:39Z", "56e2dce3", "2016-03-11T14:57:39Z"},
		{"Event-Timestamp", "1457708259", "56e2dce3", "2016-03-11T14:57:39Z"},
		{"Class", "0x00ff", "00ff", "0x00ff"},
		{"Class", "OU=GP;", "4f553d47503b", `"OU=GP;"`},
		{"Tunnel-Private-Group-ID", "1:663", "01363633", `1:"663"`},
		{"Tunnel-Private-Group-ID", "663", "00363633", `"663"`},
		{"Tunnel-Type", "1:VLAN", "0100000d", "1:VLAN"},
		{"Tunnel-Type", "13", "0000000d", "VLAN"},
		{"WFA-HS20-TC-Filtering", "0x00000001", "00000001", "0x00000001"},
		// What cannot be written down.
		{"Session-Timeout", "soon", `Session-Timeout: "soon" is neither a number below 2^32 nor a value's name`, ""},
		{"Session-Timeout", "4294967296", `Session-Timeout: "4294967296" is neither a number below 2^32 nor a value's name`, ""},
		{"Framed-IP-Address", "::1", `Framed-IP-Address: "::1" is not an IPv4 address`, ""},
		{"NAS-IPv6-Address", "10.1.1.1", `NAS-IPv6-Address: "10.1.1.1" is not an IPv6 address`, ""},
		{"Framed-IPv6-Prefix", "10.0.0.0/8", `Framed-IPv6-Prefix: "10.0.0.0/8" is not an IPv6 prefix`, ""},
		{"User-Password", "x", "User-Password: hidden text cannot be written down", ""},
		{"Tunnel-Password", "x", "Tunnel-Password: salted octets cannot be written down", ""},
		{"Vendor-Specific", "0x00", "Vendor-Specific: vendor attributes cannot be written down", ""},
		{"Filter-Id", "", "Filter-Id: the value is empty", ""},
		{"Class", "0x0", "Class: encoding/hex: odd length hex string", ""},
		{"WFA-HS20-TC-Filtering", "0x01", "WFA-HS20-TC-Filtering: 1 octets, want 4", ""},
		{"Tunnel-Type", "16777216", "Tunnel-Type: 16777216 is more than 24 bits", ""},
		{"Cisco-AVPair", strings.Repeat("x", 248), "Cisco-AVPair: 248 octets, at most 247 fit", ""},
		{"Filter-Id", strings.Repeat("x", 254), "Filter-Id: 254 octets, at most 253 fit", ""},
	}
	for _, test := range tests {
		a, ok := Lookup(test.name)
		if !ok {
			t.Fatalf("no %s", test.name)
		}
		octets, err := a.Encode(test.words)
		got, back := fmt.Sprintf("%x", octets), a.Words(octets)
		if err != nil {
			got, back = err.Error(), ""
		}
		if got != test.octets || back != test.back {
			t.Errorf("%s %.20q: %s, back %s; want %s, %s", test.name, test.words, got, back, test.octets, test.back)
		}
	}
}

// TestHiddenStaysHidden: no password is shown, whatever its octets.
func TestHiddenStaysHidden(t *testing.T) {
	for _, name := range []string{"User-Password", "Tunnel-Password"} {
		a, _ := Lookup(name)
		if got := a.Words([]byte("secret word")); got != "[hidden]" {
			t.Errorf("%s shows %s", name, got)
		}
	}
}

// TestAgainstFreeRADIUS compares numbers with the dictionaries of an independent
// server, for every attribute that has the same name there.
func TestAgainstFreeRADIUS(t *testing.T) {
	const dir = "/usr/share/freeradius"
	if _, err := os.Stat(dir + "/dictionary"); err != nil {
		t.Skip("no FreeRADIUS dictionaries; Debian package freeradius-common has them")
	}
	theirs := map[string]string{}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range files {
		readFreeRADIUS(t, dir+"/"+entry.Name(), theirs)
	}
	known := 0
	for i := range attributes {
		a := &attributes[i]
		number, ok := theirs[strings.ToLower(a.Name)]
		if !ok {
			continue
		}
		known++
		if want := fmt.Sprint(a.Type); number != want {
			t.Errorf("%s is %s, FreeRADIUS says %s", a.Name, want, number)
		}
	}
	if known < len(attributes)*3/4 {
		t.Errorf("FreeRADIUS knows %d of %d names", known, len(attributes))
	}
	t.Logf("FreeRADIUS knows %d of %d names, with the same numbers", known, len(attributes))
}

func readFreeRADIUS(t *testing.T, path string, names map[string]string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if words := strings.Fields(lines.Text()); len(words) >= 4 && words[0] == "ATTRIBUTE" {
			if _, ok := names[strings.ToLower(words[1])]; !ok {
				names[strings.ToLower(words[1])] = words[2]
			}
		}
	}
}
