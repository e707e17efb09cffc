package report

import "testing"

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
