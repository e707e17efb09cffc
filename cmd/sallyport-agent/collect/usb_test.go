package collect

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/netio/report"
	"sallyport/ops/usbfixture"
)

var rewrite = flag.Bool("rewrite", false, "write golden files instead of comparing")

func newTree(t *testing.T) *usbfixture.Tree {
	t.Helper()
	tree, err := usbfixture.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tree.Close()
		if err := tree.Err(); err != nil {
			t.Errorf("fixture: %v", err)
		}
	})
	return tree
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func plug(t *testing.T, tree *usbfixture.Tree, d usbfixture.Device) string {
	t.Helper()
	port, err := tree.Attach(d)
	must(t, err)
	return port
}

// scenarios are machines whose USB facts are kept as golden files.
var scenarios = map[string]func(*testing.T, *usbfixture.Tree){
	"none":     func(t *testing.T, tree *usbfixture.Tree) {},
	"keyboard": func(t *testing.T, tree *usbfixture.Tree) { plug(t, tree, usbfixture.Keyboard()) },
	"bulk-only": func(t *testing.T, tree *usbfixture.Tree) {
		plug(t, tree, usbfixture.Stick{Mount: "/media/me/MY STICK"}.Device())
	},
	"uas": func(t *testing.T, tree *usbfixture.Tree) { plug(t, tree, usbfixture.Stick{UAS: true}.Device()) },
	// UAS in an alternate setting that is not in use, and the one in use of another class.
	"alternate-only": func(t *testing.T, tree *usbfixture.Tree) {
		plug(t, tree, usbfixture.Device{VID: "1234", PID: "0001", Interfaces: []usbfixture.Interface{
			{Alternates: []usbfixture.Class{usbfixture.Vendor, usbfixture.UAS}}}})
	},
	"composite":   func(t *testing.T, tree *usbfixture.Tree) { plug(t, tree, usbfixture.Composite()) },
	"phone":       func(t *testing.T, tree *usbfixture.Tree) { plug(t, tree, usbfixture.Phone()) },
	"card-reader": func(t *testing.T, tree *usbfixture.Tree) { plug(t, tree, usbfixture.CardReader()) },
	"hub": func(t *testing.T, tree *usbfixture.Tree) {
		_, err := tree.Plug(usbfixture.Stick{BehindHub: true, Mount: "/mnt"})
		must(t, err)
	},
	"many": func(t *testing.T, tree *usbfixture.Tree) {
		for range 11 {
			plug(t, tree, usbfixture.Stick{}.Device()) // the same serial each time
		}
	},
	"hostile": func(t *testing.T, tree *usbfixture.Tree) {
		plug(t, tree, usbfixture.Device{VID: "zz<script>", PID: "\x00\x01", Serial: "a\x1b[2Jb\xff\xfe", Product: "\u202egpj.exe",
			Manufacturer: strings.Repeat("A", 4000), Interfaces: []usbfixture.Interface{{Alternates: []usbfixture.Class{usbfixture.BulkOnly}}}})
	},
	"luks": func(t *testing.T, tree *usbfixture.Tree) {
		plug(t, tree, usbfixture.Stick{}.Device())
		must(t, tree.Map("dm-0", []string{"sda1"}, map[string]string{"dm/name": "luks-1", "dm/uuid": "CRYPT-LUKS2-1"}))
		must(t, tree.Mount("dm-0", "/media/secret", ""))
	},
	"system-lvm": func(t *testing.T, tree *usbfixture.Tree) {
		systemStick(t, tree)
		must(t, tree.Map("dm-0", []string{"sda1"}, map[string]string{"dm/name": "vg-root"}))
		must(t, tree.Mount("dm-0", "/", ""))
	},
	"system-luks-lvm-md": func(t *testing.T, tree *usbfixture.Tree) {
		systemStick(t, tree)
		must(t, tree.Map("md0", []string{"sda1"}, nil))
		must(t, tree.Map("dm-0", []string{"md0"}, map[string]string{"dm/name": "crypt"}))
		must(t, tree.Map("dm-1", []string{"dm-0"}, map[string]string{"dm/name": "vg-usr"}))
		must(t, tree.Mount("dm-1", "/usr", ""))
	},
	"system-swap": func(t *testing.T, tree *usbfixture.Tree) {
		systemStick(t, tree)
		must(t, tree.Map("dm-0", []string{"sda1"}, map[string]string{"dm/name": "vg-swap"}))
		must(t, tree.Swap("/dev/mapper/vg-swap"))
	},
	"system-swap-file": func(t *testing.T, tree *usbfixture.Tree) {
		plug(t, tree, usbfixture.Stick{Mount: "/data"}.Device())
		must(t, tree.Swap("/data/swap file"))
	},
	"system-btrfs": func(t *testing.T, tree *usbfixture.Tree) {
		systemStick(t, tree)
		must(t, tree.Pool("f00d", "nvme0n1p2", "sda1"))
		must(t, tree.MountRaw("0:35", "/dev/nvme0n1p2", "/", "btrfs", "rw,subvol=/@"))
	},
	// A live system: overlay on squashfs in a loop device whose file is on the stick.
	"system-live": func(t *testing.T, tree *usbfixture.Tree) {
		must(t, tree.Unmount("/"))
		plug(t, tree, usbfixture.Stick{Mount: "/run/live/medium"}.Device())
		must(t, tree.Map("loop0", nil, map[string]string{"loop/backing_file": "/run/live/medium/live/filesystem.squashfs"}))
		must(t, tree.Mount("loop0", "/run/live/rootfs", "squashfs"))
		must(t, tree.MountRaw("0:40", "overlay", "/", "overlay", "rw,lowerdir=/run/live/rootfs,upperdir=/run/live/rw"))
	},
	"boot-partition": func(t *testing.T, tree *usbfixture.Tree) {
		plug(t, tree, usbfixture.Stick{Mount: "/boot"}.Device())
	},
	"blocked": func(t *testing.T, tree *usbfixture.Tree) {
		port := plug(t, tree, usbfixture.Stick{}.Device())
		write(t, tree, port+":1.0", "0")
		until(t, func() bool { return tree.Driver(port+":1.0") == "" })
	},
	"device-deauthorized": func(t *testing.T, tree *usbfixture.Tree) {
		port := plug(t, tree, usbfixture.Stick{}.Device())
		write(t, tree, port, "0")
		until(t, func() bool { return tree.Driver(port+":1.0") == "" })
	},
	// One of two storage interfaces is enough to use the device.
	"half-blocked": func(t *testing.T, tree *usbfixture.Tree) {
		d := usbfixture.Stick{}.Device()
		d.Interfaces = append(d.Interfaces, d.Interfaces[0])
		port := plug(t, tree, d)
		write(t, tree, port+":1.0", "0")
		until(t, func() bool { return tree.Driver(port+":1.0") == "" })
	},
}

func systemStick(t *testing.T, tree *usbfixture.Tree) { plug(t, tree, usbfixture.Stick{}.Device()) }

func write(t *testing.T, tree *usbfixture.Tree, name, value string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(tree.Root(), usbDevicesDir, name, "authorized"), []byte(value), 0o644))
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the fixture did not act within 5 s")
		}
	}
}

func TestUSBFacts(t *testing.T) {
	for name, build := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := newTree(t)
			build(t, tree)
			got, err := json.MarshalIndent(USB(tree.Root()).Report(), "", "  ")
			must(t, err)
			golden(t, filepath.Join("testdata", "usb", name+".json"), append(got, '\n'))
		})
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *rewrite {
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, got, 0o644))
		return
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if string(got) != string(want) {
		t.Errorf("%s:\ngot  %s\nwant %s", file, got, want)
	}
}

// TestNoUSBInTheKernel: without sys/bus/usb there is no USB, without sys nobody knows.
func TestNoUSBInTheKernel(t *testing.T) {
	tree := newTree(t)
	must(t, os.RemoveAll(filepath.Join(tree.Root(), "sys/bus/usb")))
	if inv := USB(tree.Root()); inv.Error != "" || len(inv.Devices) != 0 {
		t.Errorf("without USB: %+v", inv)
	}
	must(t, os.RemoveAll(filepath.Join(tree.Root(), "sys")))
	if inv := USB(tree.Root()); inv.Error == "" {
		t.Error("without sysfs the collector claims to know")
	}
	if inv := USB(filepath.Join(tree.Root(), "nowhere")); inv.Error == "" {
		t.Error("without any tree the collector claims to know")
	}
}

// TestScanWhileDevicesComeAndGo: a scan in the middle of a change neither fails nor
// reports half a device.
func TestScanWhileDevicesComeAndGo(t *testing.T) {
	tree := newTree(t)
	done := make(chan error, 1)
	go func() {
		for range 40 {
			port, err := tree.Plug(usbfixture.Stick{Mount: "/media/x"})
			if err == nil {
				err = tree.Unplug(port)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		inv := USB(tree.Root())
		if inv.Error != "" {
			t.Fatal(inv.Error)
		}
		for _, d := range inv.Devices {
			if d.VID != "0781" || (d.State != report.USBActive && d.State != report.USBBlocked) {
				t.Fatalf("half a device: %+v", d)
			}
		}
		select {
		case err := <-done:
			must(t, err)
			return
		default:
		}
	}
}

// TestUnplugOfABlockedStick: the kernel takes the interfaces away before the device. In
// between the device must not look like one that can be used.
func TestUnplugOfABlockedStick(t *testing.T) {
	tree := newTree(t)
	for range 20 {
		port := plug(t, tree, usbfixture.Stick{}.Device())
		write(t, tree, port+":1.0", "0")
		until(t, func() bool { return tree.Driver(port+":1.0") == "" })
		gone := make(chan error, 1)
		go func() { gone <- tree.Unplug(port) }()
		for looking := true; looking; {
			select {
			case err := <-gone:
				must(t, err)
				looking = false
			default:
				if d := USB(tree.Root()).Devices; len(d) > 0 && d[0].State != report.USBBlocked {
					t.Fatalf("%+v", d[0])
				}
			}
		}
	}
}

// TestDescribedOnly: a device whose interfaces are not there cannot be used.
func TestDescribedOnly(t *testing.T) {
	tree := newTree(t)
	port := plug(t, tree, usbfixture.Stick{}.Device())
	real, err := filepath.EvalSymlinks(filepath.Join(tree.Root(), usbDevicesDir, port))
	must(t, err)
	must(t, os.RemoveAll(filepath.Join(real, port+":1.0")))
	if got := USB(tree.Root()); len(got.Devices) != 0 || got.Error != "" {
		t.Errorf("%+v", got)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"SanDisk":                  "SanDisk",
		"  two words ":             "two words",
		"a\nb\tc":                  "a\uFFFDb\uFFFDc",
		"\xff":                     "\uFFFD",
		"\u202eabc":                "\uFFFDabc",
		"Ünïcode 名":                "Ünïcode 名",
		strings.Repeat("x", 1000):  strings.Repeat("x", textMax),
		strings.Repeat("\xff", 99): strings.Repeat("\uFFFD", 99),
	} {
		if got := Printable(in); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestStorageIsNotHiddenBehindOthers: a device that describes very many interfaces.
func TestStorageIsNotHiddenBehindOthers(t *testing.T) {
	tree := newTree(t)
	var alternates []usbfixture.Class
	for n := range 250 {
		alternates = append(alternates, usbfixture.Class{0x03, byte(n), 0})
	}
	plug(t, tree, usbfixture.Device{VID: "1", PID: "2", Interfaces: []usbfixture.Interface{{Alternates: append(alternates, usbfixture.BulkOnly)}}})
	d := USB(tree.Root()).Devices[0]
	if len(d.Ifaces) != ifacesMax || d.Ifaces[0] != "08/06/50" {
		t.Errorf("%d kinds of interface, first %s", len(d.Ifaces), d.Ifaces[0])
	}
}

func TestComparePorts(t *testing.T) {
	ordered := []string{"1-1", "2-1", "2-1.2", "2-1.10", "2-2", "2-10", "x"}
	for i := range ordered[1:] {
		if comparePorts(ordered[i], ordered[i+1]) >= 0 {
			t.Errorf("%s does not come before %s", ordered[i], ordered[i+1])
		}
	}
}

func FuzzDescriptors(f *testing.F) {
	for _, d := range []usbfixture.Device{usbfixture.Phone(), usbfixture.Composite(), usbfixture.Stick{UAS: true}.Device()} {
		whole := d.DescriptorBytes()
		for n := range whole {
			f.Add(whole[:n])
		}
		f.Add(whole)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if found := parseDescriptors(b); len(found) > len(b)/lenInterface {
			t.Fatalf("%d settings in %d octets", len(found), len(b))
		}
	})
}

func FuzzMountinfo(f *testing.F) {
	f.Add(`25 1 8:1 / /mnt\040x rw shared:1 - ext4 /dev/sda1 rw,lowerdir=a:b`)
	f.Add(`25 1 0:3 / / rw - overlay overlay rw,lowerdir=/a:/b,upperdir=\134`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, e := range parseMountinfo(text) {
			if len(e.layers()) > len(text) {
				t.Fatal("more layers than text")
			}
		}
		parseSwaps(text)
	})
}
