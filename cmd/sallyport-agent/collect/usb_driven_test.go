package collect

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// toldTree is a tree of devices as a test tells it.
type toldTree struct {
	all       []drivenFunction
	numbers   map[string][]uint32
	vols      []drivenVolume
	stands    map[uint32]bool
	deniedAll bool

	functionsErr, disksErr, volumesErr, systemErr error
}

func (t toldTree) functions() ([]drivenFunction, error)    { return t.all, t.functionsErr }
func (t toldTree) disks(instance string) ([]uint32, error) { return t.numbers[instance], t.disksErr }
func (t toldTree) volumes() ([]drivenVolume, error)        { return t.vols, t.volumesErr }
func (t toldTree) system() (map[uint32]bool, error)        { return t.stands, t.systemErr }
func (t toldTree) denied() bool                            { return t.deniedAll }
func function(instance, service string) drivenFunction {
	return drivenFunction{instance: instance, service: service, iface: "08/06/50", location: "Port_#0002.Hub_#0001"}
}

const stick = `USB\VID_0781&PID_5581\4C530001`

// TestDriven: what a look at a tree says of its devices, a line each, and its fault.
func TestDriven(t *testing.T) {
	fault := errors.New("no answer")
	volumes := []drivenVolume{
		{name: `\\?\Volume{1}`, disks: []uint32{0}, points: []string{`C:\`}},
		{name: `\\?\Volume{2}`, disks: []uint32{1}, points: []string{`E:\`, `C:\mnt\`}},
		{name: `\\?\Volume{3}`, disks: []uint32{1}},
		{name: `\\?\Volume{4}`, disks: []uint32{1, 2}, points: []string{`F:\`}},
	}
	disabled := function(stick, "USBSTOR")
	disabled.disabled = true
	for name, c := range map[string]struct {
		tree toldTree
		want string
	}{
		"none": {toldTree{systemErr: fault, volumesErr: fault}, ""},
		"a stick with letters": {toldTree{all: []drivenFunction{function(stick, "USBSTOR")}, numbers: map[string][]uint32{stick: {1}}, vols: volumes,
			stands: map[uint32]bool{0: true}},
			`active 0781:5581 4C530001 [PhysicalDrive1] [E:\ C:\mnt\ F:\] [\\?\Volume{2} \\?\Volume{3} \\?\Volume{4}]`},
		"it has just arrived": {toldTree{all: []drivenFunction{function(stick, "USBSTOR")}, systemErr: fault, volumesErr: fault},
			`active 0781:5581 4C530001 [] [] []`},
		"the system runs from it": {toldTree{all: []drivenFunction{function(stick, "UASPStor")}, numbers: map[string][]uint32{stick: {1, 5}}, stands: map[uint32]bool{5: true}},
			`protected_system_disk 0781:5581 4C530001 [PhysicalDrive1 PhysicalDrive5] [] []`},
		"disabled": {toldTree{all: []drivenFunction{disabled}, disksErr: fault}, `blocked 0781:5581 4C530001 [] [] []`},
		"denied by the domain": {toldTree{all: []drivenFunction{function(stick, "USBSTOR")}, numbers: map[string][]uint32{stick: {1}}, vols: volumes[:2], deniedAll: true},
			`blocked 0781:5581 4C530001 [PhysicalDrive1] [E:\ C:\mnt\] [\\?\Volume{2}]`},
		"denied, and the system runs from it: still not to be touched": {toldTree{all: []drivenFunction{function(stick, "USBSTOR")},
			numbers: map[string][]uint32{stick: {1}}, stands: map[uint32]bool{1: true}, deniedAll: true},
			`protected_system_disk 0781:5581 4C530001 [PhysicalDrive1] [] []`},
		"its disks cannot be told": {toldTree{all: []drivenFunction{function(stick, "USBSTOR")}, disksErr: fault},
			`protected_system_disk 0781:5581 4C530001 [] [] []` + "\ncannot tell what is on the USB device at Port_#0002.Hub_#0001: no answer"},
		"it may be the system's": {toldTree{all: []drivenFunction{function(stick, "USBSTOR")}, numbers: map[string][]uint32{stick: {1}}, systemErr: fault},
			`protected_system_disk 0781:5581 4C530001 [PhysicalDrive1] [] []` + "\ncannot tell what is on the USB device at Port_#0002.Hub_#0001: no answer"},
		"no serial number": {toldTree{all: []drivenFunction{function(`USB\VID_0951&PID_16A6\6&1A2B&0&3`, "USBSTOR")}}, `active 0951:16a6  [] [] []`},
		"composite":        {toldTree{all: []drivenFunction{function(`USB\VID_0951&PID_16A6&MI_01\7&2`, "USBSTOR")}}, `active 0951:16a6  [] [] []`},
		"no USB name":      {toldTree{all: []drivenFunction{function(`PCI\VID_1\2`, "USBSTOR")}}, "\na USB disk could not be listed: PCI\\VID_1\\2"},
		"one list failed": {toldTree{all: []drivenFunction{function(stick, "USBSTOR")}, functionsErr: fault},
			`active 0781:5581 4C530001 [] [] []` + "\nno answer"},
	} {
		inv := drivenInventory(c.tree)
		var lines []string
		for _, d := range inv.Devices {
			lines = append(lines, fmt.Sprintf("%s %s:%s %s %v %v %v", d.State, d.VID, d.PID, d.Serial, d.Disks, d.Mounts, d.Leaves))
			if d.Interfaces[0].Authorized == (d.State == "blocked" && !c.tree.deniedAll) || d.DevNum != strings.ToUpper(d.Interfaces[0].Name) {
				t.Errorf("%s: %+v", name, d)
			}
		}
		got := strings.Join(lines, "\n")
		if inv.Error != "" {
			got += "\n" + inv.Error
		}
		if got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// TestDrivenTwoOfAKind: two functions of one device, or two sticks without a serial number,
// are told apart.
func TestDrivenTwoOfAKind(t *testing.T) {
	a, b := `USB\VID_0951&PID_16A6&MI_00\7&1`, `USB\VID_0951&PID_16A6&MI_01\7&2`
	inv := drivenInventory(toldTree{all: []drivenFunction{function(a, "USBSTOR"), function(b, "UASPStor")}})
	if len(inv.Devices) != 2 || inv.Devices[0].DevNum == inv.Devices[1].DevNum {
		t.Errorf("%+v", inv)
	}
}
