package remedy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/netio/report"
	"sallyport/ops/usbfixture"
)

// gate is a fixture tree with a root hub that can keep interfaces out.
func gate(t *testing.T) (*bench, *Strict, keep.Dir, string) {
	t.Helper()
	b := newBench(t)
	hub := filepath.Join(b.tree.Root(), devicesDir, "usb2", defaultFile)
	if err := os.MkdirAll(filepath.Dir(hub), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hub, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir, err := keep.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := LoadStrict(b.tree.Root(), dir, bootID)
	if err != nil {
		t.Fatal(err)
	}
	return b, s, dir, hub
}

func holds(t *testing.T, file, want string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil || strings.TrimSpace(string(b)) != want {
		t.Errorf("%s holds %q, want %q (%v)", filepath.Base(file), b, want, err)
	}
}

// TestStrict: a keyboard gets in, a disk does not, an allowed one does; afterwards the
// root hub is as it was, also when another agent has to see to it.
func TestStrict(t *testing.T) {
	b, s, dir, hub := gate(t)
	if err := s.Set(true, []string{"0951:1666"}); err != nil {
		t.Fatal(err)
	}
	holds(t, hub, "0")
	for _, c := range []struct {
		device usbfixture.Device
		in     bool
	}{{usbfixture.Keyboard(), true}, {usbfixture.Stick{}.Device(), false}, {usbfixture.Stick{VID: "0951", PID: "1666"}.Device(), true}} {
		iface := b.plug(c.device) + ":1.0"
		authorized := filepath.Join(b.tree.Root(), devicesDir, iface, "authorized")
		if err := os.WriteFile(authorized, []byte("0"), 0o644); err != nil { // what the kernel would have done
			t.Fatal(err)
		}
		for deadline := time.Now().Add(5 * time.Second); b.tree.Driver(iface) != ""; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the fixture did not act within 5 s")
			}
		}
		in, err := s.Admit(iface)
		if err != nil || in != c.in {
			t.Errorf("%s: let in %v, want %v (%v)", c.device.Product, in, c.in, err)
		}
	}
	if again, err := s.Admit("9-9:1.0"); again || err != nil {
		t.Errorf("a device that is gone: %v %v", again, err)
	}
	next, err := LoadStrict(b.tree.Root(), dir, bootID)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Set(false, nil); err != nil {
		t.Fatal(err)
	}
	holds(t, hub, "1")
	if _, err := os.Stat(dir.Path(strictFile)); err == nil {
		t.Error("it is still written down")
	}
	if in, err := next.Admit("2-1:1.0"); in || err != nil {
		t.Error("let in although it is off")
	}
}

// TestStrictCannot: a kernel without the file is said.
func TestStrictCannot(t *testing.T) {
	_, s, _, hub := gate(t)
	if err := os.Remove(hub); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(true, nil); err == nil || !strings.Contains(err.Error(), "cannot keep") {
		t.Error(err)
	}
}

// TestBusyByPolicy: who does not close his files is ended, or loses the disk.
func TestBusyByPolicy(t *testing.T) {
	for busy, want := range map[string]string{report.BusyKill: "kill /media/s", report.BusyDetach: "detach /media/s"} {
		b := newBench(t)
		b.plug(usbfixture.Stick{Mount: "/media/s"}.Device())
		b.tree.Hold("/media/s")
		b.SetBusy(busy, 1)
		b.want(b.Block(ctx, nil), Done, "")
		if calls := strings.Join(b.tree.Calls(), ", "); !strings.Contains(calls, want) {
			t.Errorf("%s: %s", busy, calls)
		}
	}
}
