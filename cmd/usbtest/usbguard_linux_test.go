package usbtest

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBesideUSBGuard: the daemon itself decides about every device, and the agent drives it.
func TestBesideUSBGuard(t *testing.T) {
	m := newFurnished(t, "usbguard-daemon", "usbguard-dbus")
	daemon := m.do("spawn", "/usr/sbin/usbguard-daemon", "-c", "/etc/usbguard/usbguard-daemon.conf")[0]
	m.wait("usbguard-daemon", func() bool { _, err := m.try("exec", "/usr/bin/usbguard", "list-devices"); return err == nil })
	bridge := m.do("spawn", "/usr/sbin/usbguard-dbus", "--system")[0]

	w := &world{T: t, m: m}
	w.a = newAppliance(t)
	w.session = w.a.login()
	w.arguments = w.a.agentArguments(m, w.session)
	m.do("start", w.arguments...)
	w.compliant(time.Time{})
	w.status("USBGuard is seen", `"rules": true`)
	for _, part := range []struct {
		name string
		run  func(*world)
	}{
		{"handed over and taken back", (*world).handedOver},
		{"the administrator's word", (*world).administrator},
		{"without the bridge", func(w *world) { w.withoutBridge(bridge) }},
		{"without the daemon", func(w *world) { w.withoutDaemon(daemon) }},
	} {
		t.Run(part.name, func(t *testing.T) {
			w.T, w.m.t, w.a.t = t, t, t
			part.run(w)
			if t.Failed() {
				t.Logf("the agent said:\n%s", m.agentLog())
			}
		})
		w.T, w.m.t, w.a.t = t, t, t
	}
}

func (w *world) status(what, part string) {
	w.Helper()
	w.m.wait(what, func() bool { return strings.Contains(w.m.text("/state/status.json"), part) })
}

// guards is what USBGuard says of the stick with a serial number: the rule that it lists,
// empty when it does not know it.
func (w *world) guards(serial string) string {
	w.Helper()
	for _, line := range w.m.do("exec", "/usr/bin/usbguard", "list-devices") {
		if strings.Contains(line, `serial "`+serial+`"`) {
			return line
		}
	}
	return ""
}

func (w *world) untilGuards(serial, target string) {
	w.Helper()
	w.m.wait("USBGuard says "+target+" of "+serial, func() bool { return strings.Contains(w.guards(serial), ": "+target+" id ") })
}

// decide is the administrator at USBGuard's own command line.
func (w *world) decide(serial, target string) {
	w.Helper()
	number, _, _ := strings.Cut(w.guards(serial), ":")
	w.m.do("exec", "/usr/bin/usbguard", target+"-device", number)
}

// logout ends the session, and waits until the agent knows.
func (w *world) logout() {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(w.T, w.session.Logout(ctx))
}

// handedOver: what the agent blocks, USBGuard lists as blocked; when the session is over
// USBGuard lets it in, and its disk comes.
func (w *world) handedOver() {
	s := w.m.newStick("handed", "1", false)
	mark, since := w.m.mark(), time.Now()
	s.plug()
	w.m.first(mark, "the stick is blocked", storageUnbound)
	w.untilGuards(s.serial, "block")
	w.m.wait("NonCompliant", func() (ok bool) { _, ok = w.a.judged(since, "NonCompliant"); return ok })
	w.compliant(since)
	if disks := w.m.disks(); len(disks) > 0 {
		w.Errorf("still there: %v", disks)
	}
	mark = w.m.mark()
	w.logout()
	w.untilGuards(s.serial, "allow")
	w.m.first(mark, "its disk is there", diskAdded)
	w.m.wait("nothing is written down", func() bool { return !strings.Contains(w.m.text("/state/blocked.json"), "devnum") })
	s.pull()
	w.again()
}

// administrator: what USBGuard keeps out by its own rules, and what its administrator
// blocks after the agent did, is not let in at the session's end.
func (w *world) administrator() {
	unwanted, taken := w.m.newStick("unwanted", "2", false), w.m.newStick("taken", "4", false)
	unwanted.plug()
	w.untilGuards(unwanted.serial, "block")
	mark, since := w.m.mark(), time.Now()
	taken.plug()
	w.m.first(mark, "the stick is blocked", storageUnbound)
	w.untilGuards(taken.serial, "block")
	w.compliant(since)
	w.decide(taken.serial, "block")
	w.m.wait("the agent lets go of it", func() bool { return !strings.Contains(w.m.text("/state/blocked.json"), "devnum") })
	w.logout()
	w.status("the session is over", `"phase": "looking for the appliance"`)
	w.again()
	for _, serial := range []string{unwanted.serial, taken.serial} {
		if got := w.guards(serial); !strings.Contains(got, ": block id ") {
			w.Errorf("it was let in: %q", got)
		}
	}
	if disks := w.m.disks(); len(disks) > 0 {
		w.Errorf("a disk is there: %v", disks)
	}
	unwanted.pull()
	taken.pull()
}

// withoutBridge: USBGuard's service on the bus ends. The agent says so, and blocks by the
// interfaces alone.
func (w *world) withoutBridge(process string) {
	w.m.do("signal", process, fmt.Sprint(int(syscall.SIGTERM)))
	w.status("USBGuard cannot be asked", "usbguard-dbus")
	w.byInterfaces("bridgeless", "5")
}

// withoutDaemon: it is gone altogether.
func (w *world) withoutDaemon(process string) {
	w.m.do("signal", process, fmt.Sprint(int(syscall.SIGTERM)))
	w.m.wait("it is gone", func() bool {
		return len(w.m.do("glob", "/proc/"+process+"/exe")) == 0 || w.m.text("/proc/"+process+"/cmdline") == ""
	})
	for _, hub := range w.m.do("glob", "/sys/bus/usb/devices/usb*/authorized_default") {
		w.m.do("write", hub, "1") // the daemon leaves new devices shut out
	}
	w.byInterfaces("daemonless", "6")
}

func (w *world) byInterfaces(id, port string) {
	w.Helper()
	s := w.m.newStick(id, port, false)
	mark, since := w.m.mark(), time.Now()
	s.plug()
	w.blocked(mark, since, s.serial)
	mark = w.m.mark()
	w.logout()
	w.m.first(mark, "its disk is there", diskAdded)
	s.pull()
	w.again()
}
