package collect

import (
	"os"
	"path/filepath"
	"strings"
)

// mountEntry is one line of mountinfo (proc(5)).
type mountEntry struct {
	id     string
	device string // major:minor
	point  string
	fstype string
	source string
	super  string // options of the file system
}

// parseMountinfo reads what it can; a line it does not understand is left out.
func parseMountinfo(text string) []mountEntry {
	var entries []mountEntry
	for line := range strings.Lines(text) {
		left, right, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		before, after := strings.Fields(left), strings.Fields(right)
		if !ok || len(before) < 6 || len(after) < 2 {
			continue
		}
		e := mountEntry{id: before[0], device: before[2], point: unescape(before[4]), fstype: after[0], source: unescape(after[1])}
		if len(after) > 2 {
			e.super = unescape(after[2])
		}
		entries = append(entries, e)
	}
	return entries
}

// layers are the directories an overlay is made of.
func (e mountEntry) layers() []string {
	if e.fstype != "overlay" {
		return nil
	}
	var dirs []string
	for option := range strings.SplitSeq(e.super, ",") {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "lowerdir", "lowerdir+", "datadir+":
			dirs = append(dirs, strings.Split(value, ":")...)
		case "upperdir":
			dirs = append(dirs, value)
		}
	}
	return dirs
}

// parseSwaps reads proc/swaps: a heading, then one path a line.
func parseSwaps(text string) []string {
	var paths []string
	first := true
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if !first && len(fields) > 0 {
			paths = append(paths, unescape(fields[0]))
		}
		first = false
	}
	return paths
}

// unescape undoes the octal escapes of proc files: \040 is a space.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && isOctal(s[i+1]) && isOctal(s[i+2]) && isOctal(s[i+3]) {
			out = append(out, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 3
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }

// TopMount says what is mounted at point now, as device number: of several mounts the
// newest hides the others. procDir is a directory like /proc/self. It is false when
// nothing is mounted there or it cannot be read.
func TopMount(procDir, point string) (string, bool) {
	entries, err := readMounts(procDir)
	if err != nil {
		return "", false
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].point == point {
			return entries[i].device, true
		}
	}
	return "", false
}

// MountsOf lists where any of the devices ("8:1") is mounted, as seen by the process
// that procDir (like /proc/123) belongs to, oldest first.
func MountsOf(procDir string, devices map[string]bool) ([]Mount, error) {
	entries, err := readMounts(procDir)
	if err != nil {
		return nil, err
	}
	var found []Mount
	for _, e := range entries {
		if devices[e.device] {
			found = append(found, Mount{Point: e.point, Device: e.device})
		}
	}
	return found, nil
}

func readMounts(procDir string) ([]mountEntry, error) {
	text, err := readLimited(filepath.Join(procDir, "mountinfo"), procMax)
	if err != nil {
		return nil, err
	}
	return parseMountinfo(string(text)), nil
}

// DeviceNumber reads the number ("8:1") of a block device by its name in sysfs.
func DeviceNumber(root, name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(root, "sys/class/block", name, "dev"))
	return strings.TrimSpace(string(b)), err
}
