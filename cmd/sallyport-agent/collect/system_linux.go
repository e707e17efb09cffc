package collect

import "path/filepath"

func osRelease(root string) (name, version string) {
	for _, file := range []string{"etc/os-release", "usr/lib/os-release"} {
		if text, err := readLimited(filepath.Join(root, file), attributeMax); err == nil {
			return parseOSRelease(string(text))
		}
	}
	return "", ""
}
