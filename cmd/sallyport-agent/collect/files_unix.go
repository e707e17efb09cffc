//go:build unix

package collect

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sallyport/netio/report"
)

// errNotDirectory: something on the way to the path is a file, so the path is not there.
const errNotDirectory = unix.ENOTDIR

func openNoFollow(name string) (*os.File, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// rootDirectory is what a word of a FileProbe stands for.
func rootDirectory(word string) string {
	switch word {
	case report.RootSystem, report.RootSystemDrive:
		return "/"
	case report.RootSystem32:
		return "/usr/lib"
	case report.RootSystemPrograms:
		return "/usr"
	}
	return ""
}

// peopleFrom is the first user number that systems give to people.
const peopleFrom = 500

// homes lists people who can log in, by passwd(5): their numbers begin at 1000, on some
// systems at 500; services have no shell.
func (s *survey) homes() []home {
	text, err := readLimited(s.path("/etc/passwd"), procMax)
	if err != nil {
		return nil
	}
	var homes []home
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 7 || !filepath.IsAbs(f[5]) || f[5] == "/" {
			continue
		}
		uid, err := strconv.Atoi(f[2])
		shell := filepath.Base(f[6])
		if err != nil || uid != 0 && uid < peopleFrom || shell == "nologin" || shell == "false" || shell == "sync" {
			continue
		}
		homes = append(homes, home{f[0], s.path(f[5])})
	}
	return homes
}
