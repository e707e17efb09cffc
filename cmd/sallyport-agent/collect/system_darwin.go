package collect

import "golang.org/x/sys/unix"

func osRelease(string) (name, version string) {
	version, err := unix.Sysctl("kern.osproductversion")
	if err != nil {
		return "macOS", ""
	}
	return "macOS", Printable(version)
}
