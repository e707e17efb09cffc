package collect

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestIoreg reads registries made in the form in which ioreg prints one: a stick below a hub,
// printed with it and by itself; a keyboard; and a disk with an APFS container on it.
func TestIoreg(t *testing.T) {
	text, err := os.ReadFile("testdata/ioreg.plist")
	must(t, err)
	stick := Mount{Point: "/Volumes/STICK", Device: "/dev/disk4s1"}
	for name, c := range map[string]struct {
		mounted []Mount
		want    string
	}{
		"nothing mounted": {nil, `active 14210000 0781:5581 4C530001 SanDisk Ultra [08/06/50] [disk4 disk4s1] [] 271867130
active 14300000 174c:55aa MSFT30 ASMT 2115 [08/06/62 08/06/50] [disk5 disk5s2 disk6 disk6s1 disk6s1s1] [] 271867999`},
		"a stick": {[]Mount{{Point: "/", Device: "/dev/disk3s1s1"}, {Point: "/dev", Device: "devfs"}, stick},
			`active 14210000 0781:5581 4C530001 SanDisk Ultra [08/06/50] [disk4 disk4s1] [/Volumes/STICK] 271867130
active 14300000 174c:55aa MSFT30 ASMT 2115 [08/06/62 08/06/50] [disk5 disk5s2 disk6 disk6s1 disk6s1s1] [] 271867999`},
		"the system runs from the disk": {[]Mount{{Point: "/", Device: "/dev/disk6s1s1"}, stick},
			`active 14210000 0781:5581 4C530001 SanDisk Ultra [08/06/50] [disk4 disk4s1] [/Volumes/STICK] 271867130
protected_system_disk 14300000 174c:55aa MSFT30 ASMT 2115 [08/06/62 08/06/50] [disk5 disk5s2 disk6 disk6s1 disk6s1s1] [/] 271867999`},
		"its data lie on the disk": {[]Mount{{Point: "/System/Volumes/Data", Device: "/dev/disk6s1"}},
			`active 14210000 0781:5581 4C530001 SanDisk Ultra [08/06/50] [disk4 disk4s1] [] 271867130
protected_system_disk 14300000 174c:55aa MSFT30 ASMT 2115 [08/06/62 08/06/50] [disk5 disk5s2 disk6 disk6s1 disk6s1s1] [/System/Volumes/Data] 271867999`},
	} {
		inv := ioregInventory(string(text), c.mounted)
		var lines []string
		for _, d := range inv.Devices {
			lines = append(lines, fmt.Sprintf("%s %s %s:%s %s %s %s %v %v %v %s", d.State, d.Port, d.VID, d.PID, d.Serial, d.Manufacturer, d.Product, d.Ifaces, d.Disks, d.Mounts, d.DevNum))
		}
		if got := strings.Join(lines, "\n"); got != c.want || inv.Error != "" {
			t.Errorf("%s: got\n%s\nwant\n%s\n%s", name, got, c.want, inv.Error)
		}
	}
	if inv := ioregInventory("", nil); inv.Error != "" || len(inv.Devices) > 0 {
		t.Errorf("no USB at all: %+v", inv)
	}
	for _, bad := range []string{"+-o Root", "<plist><dict/></plist>", "<plist"} {
		if inv := ioregInventory(bad, nil); inv.Error == "" {
			t.Errorf("%q passes for no USB disks", bad)
		}
	}
}
