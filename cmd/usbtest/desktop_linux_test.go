package usbtest

import (
	"strings"
	"testing"
	"time"
)

// TestBesideUdisks: while the agent takes a disk away that a person has mounted through
// udisks2, udisks2 is told by udev to leave it alone, and afterwards not any more.
func TestBesideUdisks(t *testing.T) {
	m := newFurnished(t, "systemd-udevd", "udisksd")
	m.do("link", "/proc/self/mounts", "/etc/mtab")
	m.do("spawn", "/lib/systemd/systemd-udevd")
	m.wait("udev", func() bool { return len(m.do("glob", "/run/udev/control")) > 0 })
	m.do("spawn", "/usr/libexec/udisks2/udisksd")
	w := &world{T: t, m: m}
	w.a = newAppliance(t)
	w.session = w.a.login()
	w.arguments = w.a.agentArguments(m, w.session)

	s := m.newStick("desktop", "1", false)
	mark := m.mark()
	s.plug()
	disk := m.first(mark, "the disk", diskAdded)
	name := disk.Path[strings.LastIndexByte(disk.Path, '/')+1:]
	m.wait("udisks2 offers the disk", func() bool { return w.hint(name) == "false" })
	m.wait("udisks2 mounts it", func() bool {
		_, err := m.try("exec", "/usr/bin/udisksctl", "mount", "-b", "/dev/"+name)
		return err == nil
	})
	point := w.mountPoint(name)
	if !strings.HasPrefix(point, "/media/") {
		t.Fatalf("mounted at %q", point)
	}
	m.do("hold", point+"/open", precious)
	since := time.Now()
	m.do("start", w.arguments...)
	m.wait("the agent says that the stick is in use", func() bool {
		return strings.Contains(m.text("/tmp/agent.log"), "is being blocked, but it is in use")
	})
	m.wait("udisks2 is told to leave it alone", func() bool { return w.hint(name) == "true" })
	if out, err := m.try("exec", "/usr/bin/udevadm", "info", "-q", "property", "-n", "/dev/"+name); err != nil || !strings.Contains(strings.Join(out, " "), "UDISKS_IGNORE=1") {
		t.Errorf("udev says %q, %v", out, err)
	}
	m.do("drop", point+"/open")
	w.blocked(mark, since, s.serial)
	if w.mountPoint(name) != "" {
		t.Error("it is mounted again")
	}
	if rules := m.text("/run/udev/rules.d/61-sallyport-agent.rules"); !strings.Contains(rules, `KERNELS=="2-1"`) {
		t.Errorf("the rule is gone while the disk is blocked: %q", rules)
	}
	mark = m.mark()
	w.logout()
	disk = m.first(mark, "the disk is back", diskAdded)
	name = disk.Path[strings.LastIndexByte(disk.Path, '/')+1:]
	m.wait("udisks2 offers it again", func() bool { return w.hint(name) == "false" })
	if left := m.do("glob", "/run/udev/rules.d/61-sallyport-agent*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// hint is what udisks2 says of a disk: "true" when it leaves it alone, empty when it does
// not know it.
func (w *world) hint(name string) string {
	w.Helper()
	lines, err := w.m.try("exec", "/usr/bin/udisksctl", "info", "-b", "/dev/"+name)
	if err != nil {
		return ""
	}
	for _, line := range lines {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && key == "HintIgnore" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (w *world) mountPoint(name string) string {
	w.Helper()
	for line := range strings.Lines(w.m.text("/proc/mounts")) {
		if rest, ok := strings.CutPrefix(line, "/dev/"+name+" "); ok {
			return strings.Fields(rest)[0]
		}
	}
	return ""
}
