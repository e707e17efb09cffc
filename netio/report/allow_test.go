package report

import (
	"strings"
	"testing"
)

func TestAllowedBy(t *testing.T) {
	d := USBDevice{VID: "0951", PID: "16a6", Serial: "408D:5C"}
	for entry, want := range map[string]bool{
		"0951:16a6": true, "0951:16A6": true, "0951:16a6:408D:5C": true, "0951:16a6:408d:5c": false,
		"0951:16a6:": false, "0951": false, "0951:16a7": false, "": false, ":": false,
	} {
		if got := d.AllowedBy([]string{"ffff:ffff", entry}); got != want {
			t.Errorf("%q: %v, want %v", entry, got, want)
		}
	}
	if d.AllowedBy(nil) || (&USBDevice{}).AllowedBy([]string{"0951:16a6"}) {
		t.Error("an empty list, or a device without numbers, is allowed")
	}
}

// TestRules are entries in the words of USBGuard, and what they say of a stick and of a
// phone that is a disk too.
func TestRules(t *testing.T) {
	stick := &USBDevice{VID: "0781", PID: "5581", Serial: `4C"5`, Product: "Ultra", Port: "2-1.4", Ifaces: []string{"08/06/50"}, Connect: "hotplug"}
	both := &USBDevice{VID: "18d1", PID: "4ee1", Port: "1-2", Ifaces: []string{"06/01/01", "08/06/50"}, Connect: "unknown"}
	for _, c := range []struct {
		entry       string
		stick, both bool
	}{
		{"port 2-1.4", true, false}, {"port 2-1", false, false}, {"allow id 0781:*", true, false}, {"allow id *:*", true, true},
		{`allow id 0781:5581 serial "4C\"5" name "Ultra"`, true, false}, {`allow serial ""`, false, true},
		{`allow via-port one-of { "1-1" "2-1.4" }`, true, false}, {`allow via-port "1-2"`, false, true},
		{"allow with-interface 08:06:50", true, false}, {"allow with-interface equals { 08:*:* }", true, false},
		{"allow with-interface one-of { 06:01:01 }", false, true}, {"allow with-interface all-of { 08:*:* 06:*:* }", false, true},
		{"allow with-interface none-of { 06:*:* }", true, false}, {"allow with-interface match-all { 08:*:* 03:*:* }", true, false},
		{`allow with-connect-type "hotplug"`, true, false}, {"allow id 0781:5581 hash \"x\"", false, false},
	} {
		if got := stick.AllowedBy([]string{c.entry}); got != c.stick {
			t.Errorf("%s: stick %v", c.entry, got)
		}
		if got := both.AllowedBy([]string{c.entry}); got != c.both {
			t.Errorf("%s: phone %v", c.entry, got)
		}
	}
	for entry, want := range map[string]string{
		"0781": "is not vid:pid", "zzzz:0001": "is not vid:pid", "port ": "names no port", "allow id": "a value is missing", "allow id 1": "want one vid:pid",
		`allow serial "x`: "not closed", "allow via-port one-of {": "{ without", `allow label "x"`: "not understood", "block id 0781:5581": "is not vid:pid",
	} {
		if err := ParseAllow(entry); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", entry, err, want)
		}
	}
}

func FuzzAllow(f *testing.F) {
	f.Add(`allow id 0781:5581 serial "a\"b" via-port one-of { "1-2" } with-interface equals { 08:06:50 }`)
	f.Add("0951:16a6:408D:5C")
	f.Fuzz(func(t *testing.T, entry string) {
		d := USBDevice{VID: "ffff", PID: "ffff", Port: "1-1", Ifaces: []string{"08/06/50"}}
		if d.AllowedBy([]string{entry}) && ParseAllow(entry) != nil {
			t.Fatalf("%q allows and cannot be read", entry)
		}
	})
}
