package collect

import (
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"

	"sallyport/netio/report"
)

// System describes the endpoint. What cannot be found out stays empty.
func System(root string) report.System {
	s := report.System{OS: osNames[runtime.GOOS], Arch: runtime.GOARCH}
	if s.OS == "" {
		s.OS = runtime.GOOS
	}
	if name, err := os.Hostname(); err == nil {
		host, domain, _ := strings.Cut(name, ".")
		s.Hostname, s.Domain = Printable(host), Printable(domain)
	}
	if u, err := user.Current(); err == nil && u.Uid != "0" { // the service's own user says nothing
		s.User = Printable(u.Username)
	}
	s.OSName, s.OSVersion = osRelease(root)
	return s
}

var osNames = map[string]string{"linux": "linux", "windows": "windows", "darwin": "macos"}

// BootID is a value that changes with every start of the system; empty where there is none.
func BootID(root string) string {
	return Printable(attribute(filepath.Join(root, "proc/sys/kernel/random"), "boot_id"))
}

// parseOSRelease reads NAME and VERSION_ID of os-release(5).
func parseOSRelease(text string) (name, version string) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "NAME":
			name = Printable(value)
		case "VERSION_ID":
			version = Printable(value)
		}
	}
	return name, version
}
