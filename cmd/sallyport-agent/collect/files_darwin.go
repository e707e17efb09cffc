package collect

import (
	"io/fs"
	"syscall"
	"time"
)

func fileTimes(_ string, info fs.FileInfo) (created, accessed time.Time) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return created, accessed
	}
	return time.Unix(st.Birthtimespec.Sec, st.Birthtimespec.Nsec), time.Unix(st.Atimespec.Sec, st.Atimespec.Nsec)
}

// fileVersion: programs of this system carry theirs in a bundle's property list.
func fileVersion(string) string { return "" }

func lowPriority() {}
