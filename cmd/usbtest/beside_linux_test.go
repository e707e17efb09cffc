package usbtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// besideVariable names a directory with USBGuard, udev, udisks2, polkit and the bus unpacked,
// and the libraries they need.
const besideVariable = "SALLYPORT_USB_BESIDE"

// besideFiles are what an installation would have set up besides.
var besideFiles = map[string]string{
	"etc/passwd": "root:x:0:0::/:/bin/sh\nmessagebus:x:100:100::/:/bin/false\npolkitd:x:101:101::/:/bin/false\n",
	"etc/group":  "root:x:0:\nmessagebus:x:100:\npolkitd:x:101:\nplugdev:x:46:\n",
	"etc/usbguard/usbguard-daemon.conf": "RuleFile=/etc/usbguard/rules.conf\nImplicitPolicyTarget=allow\nPresentDevicePolicy=keep\nPresentControllerPolicy=keep\n" +
		"InsertedDevicePolicy=apply-policy\nAuthorizedDefault=none\nDeviceManagerBackend=uevent\nIPCAllowedUsers=root\nAuditBackend=FileAudit\nAuditFilePath=/tmp/audit.log\n",
	// The administrator wants this one kept out.
	"etc/usbguard/rules.conf": "block serial \"S-UNWANTED\"\n",
}

// besideRoot makes the content of a system disk.
func besideRoot(t *testing.T) string {
	t.Helper()
	from := os.Getenv(besideVariable)
	if from == "" {
		t.Skip("nothing to run beside: make test-usb unpacks it and names it in " + besideVariable)
	}
	root := t.TempDir()
	run(t, "cp", "-a", from+"/.", root)
	for _, dir := range []string{"run", "tmp", "var/log/usbguard", "etc/usbguard/rules.d", "etc/usbguard/IPCAccessControl.d", "etc/polkit-1/rules.d", "var/lib/polkit-1", "var/lib/dbus"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	must(t, os.RemoveAll(filepath.Join(root, "var/run")))
	must(t, os.Symlink("/run", filepath.Join(root, "var/run"))) // where GLib looks for the bus
	for name, text := range besideFiles {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "etc/usbguard/") {
			mode = 0o600 // or the daemon does not start
		}
		must(t, os.WriteFile(filepath.Join(root, name), []byte(text), mode))
		must(t, os.Chmod(filepath.Join(root, name), mode))
	}
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} { // as Debian has it
		from, to := filepath.Join(root, dir), filepath.Join(root, "usr", dir)
		if info, err := os.Lstat(from); err == nil && info.IsDir() {
			must(t, os.MkdirAll(to, 0o755))
			run(t, "cp", "-a", from+"/.", to)
			must(t, os.RemoveAll(from))
		}
		must(t, os.MkdirAll(to, 0o755))
		_ = os.Remove(from)
		must(t, os.Symlink("usr/"+dir, from))
	}
	return root
}

// newFurnished boots a machine with a bus and polkit. What the named programs said is told
// when the test fails.
func newFurnished(t *testing.T, programs ...string) *machine {
	t.Helper()
	root := besideRoot(t)
	m := prepareMachine(t)
	run(t, "truncate", "-s", "256M", m.path("system"))
	run(t, "mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", root, m.path("system"))
	m.boot()
	t.Cleanup(func() {
		if t.Failed() {
			m.t = t
			for _, name := range append([]string{"dbus-daemon", "polkitd"}, programs...) {
				t.Logf("%s said:\n%s", name, tail(m.text("/tmp/"+name+".log"), 20))
			}
		}
	})
	m.do("mount", "tmpfs", "/run", "tmpfs")
	m.do("mkdir", "/run/dbus")
	m.do("mkdir", "/dev/shm") // through which USBGuard and its tools speak
	m.do("mount", "tmpfs", "/dev/shm", "tmpfs")
	m.do("spawn", "/usr/bin/dbus-daemon", "--system", "--nofork", "--nopidfile")
	m.wait("the bus", func() bool { return len(m.do("glob", "/run/dbus/system_bus_socket")) > 0 })
	m.do("spawn", "/usr/lib/polkit-1/polkitd", "--no-debug")
	return m
}
