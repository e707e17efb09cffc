package usbfixture

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T) *Tree {
	t.Helper()
	tree, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tree.Close()
		if err := tree.Err(); err != nil {
			t.Error(err)
		}
	})
	return tree
}

func (t *Tree) read(name string) string {
	b, err := os.ReadFile(t.path(name))
	if err != nil {
		return ""
	}
	return string(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// poke writes as an agent does: over what is there, or at the end of drivers_probe.
func poke(t *testing.T, tree *Tree, name, text string) {
	t.Helper()
	flags := os.O_WRONLY
	if name == probeFile {
		flags |= os.O_APPEND
	}
	f, err := os.OpenFile(tree.path(name), flags, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteString(text)
	must(t, err)
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
	}
}

func exists(tree *Tree, name string) bool {
	_, err := os.Stat(tree.path(name))
	return err == nil
}

// TestAuthorizeAsTheKernelDoes: 0 unbinds and takes the disk away, 1 alone does
// nothing, 1 and drivers_probe bring it back.
func TestAuthorizeAsTheKernelDoes(t *testing.T) {
	for _, uas := range []bool{false, true} {
		tree := open(t)
		port, err := tree.Plug(Stick{UAS: uas, Mount: "/media/stick"})
		must(t, err)
		iface := port + ":1.0"
		flag := filepath.Join(devicesDir, iface, "authorized")
		if !exists(tree, "sys/block/sda/sda1/dev") || !strings.Contains(tree.read("proc/self/mountinfo"), "/media/stick") {
			t.Fatal("a new stick has no disk or is not mounted")
		}
		poke(t, tree, flag, "0")
		until(t, "driver gone", func() bool { return tree.Driver(iface) == "" })
		if exists(tree, "sys/block/sda") || exists(tree, "sys/class/block/sda1") || strings.Contains(tree.read("proc/self/mountinfo"), "stick") {
			t.Error("the disk is still there")
		}
		if got := tree.Losses(); !slices.Equal(got, []string{"still mounted: /media/stick"}) {
			t.Errorf("losses %q", got)
		}
		poke(t, tree, flag, "1")
		until(t, "authorized", func() bool { return tree.Authorized(iface) })
		if tree.Driver(iface) != "" {
			t.Error("authorizing alone bound the driver")
		}
		poke(t, tree, probeFile, iface+"\n")
		until(t, "disk back", func() bool { return tree.Driver(iface) != "" && exists(tree, "sys/block/sda") })
		if want := map[bool]string{true: "uas", false: "usb-storage"}[uas]; tree.Driver(iface) != want {
			t.Errorf("driver %q", tree.Driver(iface))
		}
	}
}

// TestProbeBindsNothingUnauthorized: drivers_probe does not overrule authorized.
func TestProbeBindsNothingUnauthorized(t *testing.T) {
	tree := open(t)
	port, err := tree.Plug(Stick{})
	must(t, err)
	poke(t, tree, filepath.Join(devicesDir, port+":1.0", "authorized"), "0")
	until(t, "unbound", func() bool { return tree.Driver(port+":1.0") == "" })
	poke(t, tree, probeFile, port+":1.0\n")
	other, err := tree.Plug(Stick{})
	must(t, err)
	poke(t, tree, probeFile, other+":1.0\n")
	if tree.Driver(port+":1.0") != "" || tree.Driver(other+":1.0") == "" {
		t.Error("drivers_probe bound an interface that is not authorized")
	}
}

// TestDeviceWithoutAuthorization has no interfaces at all, and gets them back.
func TestDeviceWithoutAuthorization(t *testing.T) {
	tree := open(t)
	port, err := tree.Attach(Composite())
	must(t, err)
	poke(t, tree, filepath.Join(devicesDir, port, "authorized"), "0")
	until(t, "interfaces gone", func() bool { return !exists(tree, filepath.Join(devicesDir, port+":1.1")) })
	if tree.read(filepath.Join(devicesDir, port, "product")) == "" || len(tree.read(filepath.Join(devicesDir, port, "descriptors"))) < 18 {
		t.Error("the device itself is gone too")
	}
	poke(t, tree, filepath.Join(devicesDir, port, "authorized"), "1")
	until(t, "interfaces back", func() bool { return tree.Driver(port+":1.1") == "usb-storage" && tree.Driver(port+":1.0") == "usbhid" })
}

func TestUnplugTakesWhatIsBehindAHub(t *testing.T) {
	tree := open(t)
	port, err := tree.Plug(Stick{BehindHub: true})
	must(t, err)
	if port != "2-1.4" || !exists(tree, filepath.Join(hostDir, "2-1/2-1.4/2-1.4:1.0")) {
		t.Fatalf("port %s", port)
	}
	must(t, tree.Unplug("2-1"))
	left, err := os.ReadDir(tree.path(devicesDir))
	must(t, err)
	if len(left) != 1 || exists(tree, "sys/block/sda") {
		t.Errorf("left behind: %v", left)
	}
	if tree.Unplug("2-1") == nil {
		t.Error("an empty port was unplugged")
	}
}

// TestReplugIsAnotherAttachment: a new number, and authorized again.
func TestReplugIsAnotherAttachment(t *testing.T) {
	tree := open(t)
	port, err := tree.Plug(Stick{})
	must(t, err)
	first := tree.read(filepath.Join(devicesDir, port, "devnum"))
	poke(t, tree, filepath.Join(devicesDir, port+":1.0", "authorized"), "0")
	until(t, "unbound", func() bool { return tree.Driver(port+":1.0") == "" })
	must(t, tree.Unplug(port))
	again, err := tree.Plug(Stick{})
	must(t, err)
	if again != port || tree.read(filepath.Join(devicesDir, port, "devnum")) == first || !tree.Authorized(port+":1.0") {
		t.Error("the replugged stick is the old one")
	}
}

func TestCalls(t *testing.T) {
	tree := open(t)
	_, err := tree.Plug(Stick{Mount: "/media/a b"})
	must(t, err)
	call := func(text string) string {
		t.Helper()
		deadline := time.Now().Add(5 * time.Second)
		answer, err := Call(tree.Root(), text, func() bool { time.Sleep(time.Millisecond); return time.Now().Before(deadline) })
		must(t, err)
		return answer
	}
	tree.Hold("/media/a b")
	for _, c := range []struct{ call, want string }{
		{"syncfs /media/a b", "ok"}, {"claim /dev/sda1", "busy"}, {"umount /media/a b", "busy"}, {"umount /nowhere", "unknown"}, {"reboot", "unknown"},
	} {
		if got := call(c.call); got != c.want {
			t.Errorf("%s: %s, want %s", c.call, got, c.want)
		}
	}
	tree.Release("/media/a b")
	if got := call("umount /media/a b"); got != "ok" || strings.Contains(tree.read("proc/self/mountinfo"), "media") {
		t.Errorf("umount: %s", got)
	}
	if got := call("claim /dev/sda1"); got != "ok" {
		t.Errorf("claim: %s", got)
	}
	if len(tree.Calls()) != 7 {
		t.Errorf("calls %q", tree.Calls())
	}
	if _, err := Call(t.TempDir(), "syncfs /", func() bool { return false }); err == nil {
		t.Error("a call without a kernel was answered")
	}
}

// TestUeventsAreBounded: files are named in order and old ones go.
func TestUeventsAreBounded(t *testing.T) {
	tree := open(t)
	for range 40 {
		port, err := tree.Plug(Stick{})
		must(t, err)
		must(t, tree.Unplug(port))
	}
	files, err := os.ReadDir(tree.path(UeventsDir))
	must(t, err)
	if len(files) > ueventsKept {
		t.Errorf("%d files", len(files))
	}
	last := tree.read(filepath.Join(UeventsDir, files[len(files)-1].Name()))
	if !strings.HasPrefix(last, "remove@/devices/pci") || !strings.Contains(last, "\x00DEVTYPE=usb_device\x00") {
		t.Errorf("last event %q", last)
	}
}
