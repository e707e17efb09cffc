package remedy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sallyport/netio/report"
	"sallyport/ops/usbfixture"
)

// switching is a kernel without sysfs for the one who asks: it alone knows how an interface
// is taken away and given back.
type switching struct {
	fixtureKernel
	calls []string
	fault map[string]error
}

func (k *switching) Switch(name string, on bool) error {
	k.calls = append(k.calls, fmt.Sprintf("%s %t", name, on))
	if err := k.fault[name]; err != nil {
		return err
	}
	value := "0"
	if on {
		value = "1"
	}
	if err := os.WriteFile(filepath.Join(k.root, devicesDir, name, "authorized"), []byte(value), 0); err != nil || !on {
		return err
	}
	f, err := os.OpenFile(filepath.Join(k.root, "sys/bus/usb/drivers_probe"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(name + "\n")
	return errors.Join(err, f.Close())
}

// TestSwitch: where the system has a call for it, interfaces go and come by that.
func TestSwitch(t *testing.T) {
	b := newBench(t)
	k := &switching{fixtureKernel: fixtureKernel{root: b.tree.Root()}}
	b.kernel = k
	port := b.plug(usbfixture.Stick{Mount: "/media/s"}.Device())
	b.want(b.Block(ctx, nil), Done, "")
	b.wantStates(port + "=" + report.USBBlocked)
	b.want(b.Unblock(ctx), Done, "")
	if want := []string{port + ":1.0 false", port + ":1.0 true"}; !slices.Equal(k.calls, want) {
		t.Errorf("%q, want %q", k.calls, want)
	}
	b.wantStates(port + "=" + report.USBActive)
	if lost := b.tree.Losses(); len(lost) > 0 || len(b.list.Entries()) > 0 {
		t.Errorf("lost %q, listed %+v", lost, b.list.Entries())
	}
}

// TestSwitchIsRefused: a device that something holds is not said to be blocked, one that is
// gone when it is to be given back is forgotten.
func TestSwitchIsRefused(t *testing.T) {
	b := newBench(t)
	k := &switching{fixtureKernel: fixtureKernel{root: b.tree.Root()}, fault: map[string]error{}}
	b.kernel = k
	port := b.plug(usbfixture.Stick{}.Device())
	k.fault[port+":1.0"] = fmt.Errorf("%w: a program refused", ErrBusy)
	b.want(b.Block(ctx, nil), Failed, "in use: a program refused")
	b.wantStates(port + "=" + report.USBActive)
	if len(b.list.Entries()) > 0 {
		t.Errorf("nothing was blocked, and listed is %+v", b.list.Entries())
	}
	k.fault[port+":1.0"] = nil
	b.want(b.Block(ctx, nil), Done, "")
	k.fault[port+":1.0"] = fs.ErrNotExist
	b.want(b.Unblock(ctx), Done, "")
	if len(b.list.Entries()) > 0 {
		t.Errorf("listed %+v", b.list.Entries())
	}
}
