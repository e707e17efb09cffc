package collect

import (
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// fileTimes is when a file was made, where the file system knows, and last read.
func fileTimes(name string, _ fs.FileInfo) (created, accessed time.Time) {
	var st unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME|unix.STATX_ATIME, &st) != nil {
		return created, accessed
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		created = time.Unix(st.Btime.Sec, int64(st.Btime.Nsec))
	}
	if st.Mask&unix.STATX_ATIME != 0 {
		accessed = time.Unix(st.Atime.Sec, int64(st.Atime.Nsec))
	}
	return created, accessed
}

// fileVersion: programs of this system carry none; packages do.
func fileVersion(string) string { return "" }

func lowPriority() {
	lockedForGood()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), niceness) // of this thread; a look goes on without it
}

// niceness is the kernel's lowest ordinary priority.
const niceness = 19
