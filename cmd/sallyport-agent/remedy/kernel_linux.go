package remedy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sallyport/cmd/sallyport-agent/collect"
)

// KernelOf gives the operating system behind root: system calls for "/", the pretended
// kernel of a usbfixture tree for any other.
func KernelOf(root string) Kernel {
	if root == "/" || root == "" {
		return linux{}
	}
	return fixtureKernel{root: root}
}

// linux makes system calls. It needs CAP_SYS_ADMIN, and for other mount namespaces
// CAP_SYS_PTRACE and CAP_SYS_CHROOT.
type linux struct{}

// own is this thread's view of the mounts.
const own = "/proc/thread-self"

func (linux) Sync(m collect.Mount) error { return syncAt(m.Point) }

func syncAt(point string) error {
	fd, err := unix.Open(point, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Syncfs(fd)
}

func (linux) Unmount(m collect.Mount) error {
	if top, ok := collect.TopMount(own, m.Point); !ok {
		return nil // somebody was faster
	} else if top != m.Device {
		return errors.New("another file system is mounted over it")
	}
	return unmountAt(m.Point)
}

func unmountAt(point string) error {
	err := unix.Unmount(point, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		return ErrBusy
	}
	return err
}

// UnmountElsewhere goes through one process of every other mount namespace.
func (linux) UnmountElsewhere(devices map[string]bool) error {
	mine, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return err
	}
	seen := map[string]bool{mine: true}
	for _, pid := range processes() {
		dir := "/proc/" + strconv.Itoa(pid)
		ns, err := os.Readlink(dir + "/ns/mnt")
		if err != nil || seen[ns] {
			continue // it ended, or a kernel thread
		}
		seen[ns] = true
		mounts, err := collect.MountsOf(dir, devices)
		if err != nil || len(mounts) == 0 {
			continue
		}
		slices.Reverse(mounts)
		if err := inMountNamespace(dir+"/ns/mnt", mounts); err != nil {
			return fmt.Errorf("process %d: %w", pid, err)
		}
	}
	return nil
}

// processes lists process ids, oldest first: of a container that is its init, whose
// root is the namespace's.
func processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// inMountNamespace writes out and unmounts in another namespace, on a thread of its
// own that ends afterwards: it is never unlocked, so the runtime does not use it again.
func inMountNamespace(namespace string, mounts []collect.Mount) error {
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread does not end, and /proc/self shows its namespace. It is held
			// here while another one does the work.
			defer runtime.UnlockOSThread()
			ended <- inMountNamespace(namespace, mounts)
			return
		}
		ended <- enterAndUnmount(namespace, mounts)
	}()
	return <-ended
}

func enterAndUnmount(namespace string, mounts []collect.Mount) error {
	fd, err := unix.Open(namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // setns(2): the thread may not share its root
		return err
	}
	if err := unix.Setns(fd, unix.CLONE_NEWNS); err != nil {
		return err
	}
	for _, m := range mounts {
		err := syncAt(m.Point)
		if err == nil {
			err = unmountAt(m.Point)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", collect.Printable(m.Point), err)
		}
	}
	return nil
}

// Detach: what is written after the last sync is lost with the disk.
func (linux) Detach(m collect.Mount) error {
	if top, ok := collect.TopMount(own, m.Point); !ok {
		return nil
	} else if top != m.Device {
		return errors.New("another file system is mounted over it")
	}
	fd, err := unix.Open(m.Point, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Syncfs(fd); err != nil {
		return err
	}
	if err := unix.Unmount(m.Point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return err
	}
	return unix.Syncfs(fd)
}

// End never ends this process or the first one.
func (linux) End(m collect.Mount, kill bool) error {
	signal := unix.SIGTERM
	if kill {
		signal = unix.SIGKILL
	}
	for _, pid := range processes() {
		if pid > 1 && pid != os.Getpid() && uses("/proc/"+strconv.Itoa(pid), m.Point) {
			_ = unix.Kill(pid, signal) // it may have ended; what is left in use is looked at again
		}
	}
	return nil
}

// Claim: the kernel gives an exclusive open of a block device to one holder, and a
// mount, swap, LVM, md or zfs is one (open(2), O_EXCL on block devices).
func (linux) Claim(name string) (func(), error) {
	node := filepath.Join("/dev", strings.ReplaceAll(name, "!", "/"))
	fd, err := unix.Open(node, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	switch {
	case err == nil:
		return func() { unix.Close(fd) }, nil
	case errors.Is(err, unix.EBUSY):
		return nil, fmt.Errorf("%w by the kernel: mounted, swapped to, or part of a volume", ErrBusy)
	case errors.Is(err, unix.ENOMEDIUM), errors.Is(err, unix.ENXIO):
		return func() {}, nil // a slot without a card; a disk that is going away
	case errors.Is(err, unix.ENOENT):
		if _, err := os.Lstat(filepath.Join("/sys/class/block", name)); err != nil {
			return func() {}, nil
		}
	}
	return nil, fmt.Errorf("cannot make sure that %s is not in use: %w", node, err)
}

// holdersMax bounds what is named in a message.
const holdersMax = 5

func (linux) Holders(m collect.Mount) []string {
	var names []string
	for _, pid := range processes() {
		dir := "/proc/" + strconv.Itoa(pid)
		if !uses(dir, m.Point) {
			continue
		}
		comm, _ := os.ReadFile(dir + "/comm")
		names = append(names, fmt.Sprintf("%s (%d)", collect.Printable(string(comm)), pid))
		if len(names) == holdersMax {
			break
		}
	}
	return names
}

// uses says whether a process has its directory, its root or a file below point.
func uses(dir, point string) bool {
	links := []string{dir + "/cwd", dir + "/root"}
	fds, _ := os.ReadDir(dir + "/fd")
	for _, fd := range fds {
		links = append(links, dir+"/fd/"+fd.Name())
	}
	return slices.ContainsFunc(links, func(link string) bool {
		target, err := os.Readlink(link)
		return err == nil && (target == point || strings.HasPrefix(target, point+"/"))
	})
}
