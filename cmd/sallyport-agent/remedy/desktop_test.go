package remedy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/netio/report"
	"sallyport/ops/usbfixture"
)

// desktopBench is a bench with udisks2 on it.
type desktopBench struct {
	*bench
	reloads int
}

func newDesktopBench(t *testing.T) *desktopBench {
	t.Helper()
	b := &desktopBench{bench: newBench(t)}
	if DesktopOf(b.tree.Root()) != nil {
		t.Fatal("there is neither udev nor udisks2")
	}
	for _, name := range []string{"run/udev/control", "usr/libexec/udisks2/udisksd"} {
		path := filepath.Join(b.tree.Root(), name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, nil, 0o755))
	}
	b.again()
	return b
}

// again is an agent that was started again.
func (b *desktopBench) again() {
	b.restart(bootID)
	hint, ok := DesktopOf(b.tree.Root()).(*udisks)
	if !ok {
		b.t.Fatal("udisks2 is not seen")
	}
	hint.reload = func() error { b.reloads++; return nil }
	b.With(nil, hint)
}

// rules are the ports that are hidden now.
func (b *desktopBench) rules() string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.tree.Root(), hiddenFile))
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	var ports []string
	for line := range strings.Lines(string(text)) {
		if _, rest, ok := strings.Cut(line, `KERNELS=="`); ok {
			port, rest, _ := strings.Cut(rest, `"`)
			if !strings.HasPrefix(line, `SUBSYSTEM=="block", SUBSYSTEMS=="usb", `) || rest != `, ENV{UDISKS_IGNORE}="1"`+"\n" {
				b.t.Errorf("rule %q", line)
			}
			ports = append(ports, port)
		}
	}
	return strings.Join(ports, " ")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestDesktopLeavesBlockedDisksAlone: while a disk is taken away and as long as it is
// blocked, also by an agent that was started again; not after it was given back or pulled.
func TestDesktopLeavesBlockedDisksAlone(t *testing.T) {
	b := newDesktopBench(t)
	port := b.plug(usbfixture.Stick{Mount: "/media/s"}.Device())
	other := b.plug(usbfixture.Stick{Mount: "/media/t", Serial: "OTHER"}.Device())
	b.want(b.Block(ctx, []string{"port " + other}), Done, "")
	if got := b.rules(); got != port || b.reloads != 1 {
		t.Errorf("hidden: %q after %d reloads, want %q", got, b.reloads, port)
	}
	b.want(b.Block(ctx, nil), Done, "")
	if got := b.rules(); got != port+" "+other {
		t.Errorf("hidden: %q, want both", got)
	}
	b.again()
	must(t, b.tree.Unplug(other))
	must(t, b.Forget())
	if got := b.rules(); got != port {
		t.Errorf("hidden: %q after the other was pulled", got)
	}
	b.want(b.Unblock(ctx), Done, "")
	b.wantStates(port + "=" + report.USBActive)
	if got := b.rules(); got != "" {
		t.Errorf("hidden: %q after it was given back", got)
	}
	if left, _ := filepath.Glob(filepath.Join(b.tree.Root(), "run/udev/rules.d/*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestDesktopHasABusyDiskBack: one that was not blocked in the end may be mounted again.
func TestDesktopHasABusyDiskBack(t *testing.T) {
	b := newDesktopBench(t)
	port := b.plug(usbfixture.Stick{Mount: "/media/s"}.Device())
	b.tree.Hold("/media/s")
	b.want(b.Block(ctx, nil), Failed, "still in use")
	if got := b.rules(); got != "" || b.reloads != 2 {
		t.Errorf("hidden: %q after %d reloads", got, b.reloads)
	}
	b.wantStates(port + "=" + report.USBActive)
}

// TestDesktopThatCannotBeAsked keeps nothing from being blocked.
func TestDesktopThatCannotBeAsked(t *testing.T) {
	b := newDesktopBench(t)
	port := b.plug(usbfixture.Stick{}.Device())
	b.hint.(*udisks).reload = func() error { return errors.New("no udevadm") }
	b.want(b.Block(ctx, nil), Done, "")
	b.wantStates(port + "=" + report.USBBlocked)
}

// TestHiddenPorts: only what the kernel calls a port gets into a rule.
func TestHiddenPorts(t *testing.T) {
	if got := hidden([]string{`2-1", RUN+="/bin/sh`, "", "a"}); got != "" {
		t.Errorf("%q", got)
	}
	if got := hidden([]string{"2-1.4"}); !strings.Contains(got, `KERNELS=="2-1.4"`) {
		t.Errorf("%q", got)
	}
}
