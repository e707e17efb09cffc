package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of /proc's times: USER_HZ is 100 on every Linux.
const tick = 10 * time.Millisecond

// cpus are those that this process may run on.
func cpus() (list []int) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	for i := range 1024 {
		if set.IsSet(i) {
			list = append(list, i)
		}
	}
	return list
}

// pinSelf keeps every thread of this process on one CPU; threads to come inherit it.
func pinSelf(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && err != unix.ESRCH {
			return fmt.Errorf("sched_setaffinity: %w", err)
		}
	}
	return nil
}

// startOn starts a program on one CPU, -1 for any: a child inherits the affinity of the
// thread that makes it. It ends with this process at the latest.
func startOn(cpu int, cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // the only one that a stopped server obeys
	if cpu < 0 {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	return cmd.Start()
}

// readUsage reads what a process, its CPU and ours have used so far.
func readUsage(pid, cpu, ours int) (u usage) {
	u.at = time.Now()
	u.process = processTime(pid)
	u.self = processTime(os.Getpid())
	u.busy, u.steal = cpuTime(cpu)
	u.near, u.lost = cpuTime(ours)
	u.written = written(pid)
	return u
}

// processTime is user and system time of all threads of a process, those ended included.
func processTime(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold blanks; utime and stime are 14 and 15.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}

// written is the octets that a process made the system write to disks.
func written(pid int) (octets float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			octets, _ = strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return octets
}

// cpuTime is how long one CPU was busy, interrupts included, and how long the host kept
// it from us.
func cpuTime(cpu int) (busy, steal time.Duration) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 9 || fields[0] != "cpu"+strconv.Itoa(cpu) {
			continue
		}
		for i, field := range fields[1:9] {
			n, _ := strconv.ParseInt(field, 10, 64)
			switch i {
			case 3, 4: // idle, iowait
			case 7:
				steal = time.Duration(n) * tick
			default:
				busy += time.Duration(n) * tick
			}
		}
	}
	return busy, steal
}

// pause and resume keep a server that is not measured from using the core.
func pause(pid int) error  { return unix.Kill(pid, unix.SIGSTOP) }
func resume(pid int) error { return unix.Kill(pid, unix.SIGCONT) }

// fileSystem names what a directory lies on.
func fileSystem(dir string) string {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return ""
	}
	switch s.Type {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return inMemory
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	}
	return fmt.Sprintf("file system %#x", uint64(s.Type))
}

// describeMachine says where results come from.
func describeMachine() Machine {
	m := Machine{CPUs: runtime.NumCPU(), Go: runtime.Version()}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.MemoryMB = info.Totalram * uint64(info.Unit) >> 20
	}
	return m
}
