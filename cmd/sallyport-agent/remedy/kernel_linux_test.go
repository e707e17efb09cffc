package remedy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/cmd/sallyport-agent/collect"
)

// TestMain lets this binary be the process in another mount namespace.
func TestMain(m *testing.M) {
	if point := os.Getenv("SALLYPORT_TEST_MOUNT"); point != "" {
		if err := elsewhere(point); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// elsewhere mounts a tmpfs with a file in it, says its device number, and keeps the
// file open until a line comes; then it waits for the end of its input.
func elsewhere(point string) error {
	if err := unix.Mount("tmpfs", point, "tmpfs", 0, "size=64k"); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(point, "open"))
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(point, &st); err != nil {
		return err
	}
	fmt.Printf("%d:%d\n", unix.Major(st.Dev), unix.Minor(st.Dev))
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	f.Close()
	fmt.Println("closed")
	_, err = io.Copy(io.Discard, in)
	return err
}

// TestUnmountInAnotherMountNamespace with real mounts, of a tmpfs of our own.
func TestUnmountInAnotherMountNamespace(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a tmpfs in a mount namespace of its own")
	}
	point := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "SALLYPORT_TEST_MOUNT="+point)
	child.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Skipf("no mount namespace can be made here: %v", err)
	}
	defer child.Wait()
	defer in.Close()
	lines := bufio.NewScanner(out)
	lines.Scan()
	device := lines.Text()
	if strings.HasPrefix(device, "error") || device == "" {
		t.Skipf("no tmpfs can be mounted here: %s", device)
	}
	mounted := func() int {
		t.Helper()
		mounts, err := collect.MountsOf("/proc/"+strconv.Itoa(child.Process.Pid), map[string]bool{device: true})
		if err != nil {
			t.Fatal(err)
		}
		return len(mounts)
	}
	if here, err := collect.MountsOf(own, map[string]bool{device: true}); err != nil || len(here) != 0 || mounted() != 1 {
		t.Fatalf("the mount should be in the other namespace only: here %v %v, there %d", here, err, mounted())
	}
	if err := (linux{}).UnmountElsewhere(map[string]bool{device: true}); !errors.Is(err, ErrBusy) || mounted() != 1 {
		t.Fatalf("with an open file: %v, %d mounts", err, mounted())
	}
	fmt.Fprintln(in)
	lines.Scan()
	if err := (linux{}).UnmountElsewhere(map[string]bool{device: true}); err != nil || mounted() != 0 {
		t.Fatalf("after the file was closed: %v, %d mounts", err, mounted())
	}
}

// TestOwnNamespaceStays: whichever thread it runs on, the process as a whole stays where
// it is. The first thread is the one that /proc/self shows and that never ends.
func TestOwnNamespaceStays(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to enter a mount namespace")
	}
	before, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "SALLYPORT_TEST_MOUNT="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Skipf("no mount namespace can be made here: %v", err)
	}
	defer child.Wait()
	defer in.Close()
	namespace := fmt.Sprintf("/proc/%d/ns/mnt", child.Process.Pid)
	for range 100 {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if err := inMountNamespace(namespace, nil); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if after, err := os.Readlink("/proc/self/ns/mnt"); err != nil || after != before {
			t.Fatalf("the process moved from %s to %s, %v", before, after, err)
		}
	}
}

// TestHolders finds this very process.
func TestHolders(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "open"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	names := strings.Join((linux{}).Holders(collect.Mount{Point: dir}), " ")
	if !strings.Contains(names, fmt.Sprintf("(%d)", os.Getpid())) {
		t.Errorf("%q", names)
	}
}

// TestUnmountLooksFirst: what is not mounted is no failure, and only the file system
// that was meant is unmounted.
func TestUnmountLooksFirst(t *testing.T) {
	if err := (linux{}).Unmount(collect.Mount{Point: t.TempDir(), Device: "8:1"}); err != nil {
		t.Error(err)
	}
	if err := (linux{}).Unmount(collect.Mount{Point: "/", Device: "8:9999"}); err == nil {
		t.Error("another file system than the one meant would have been unmounted")
	}
}

func TestKernelOf(t *testing.T) {
	if _, ok := KernelOf("/").(linux); !ok {
		t.Error("the machine itself is not reached by system calls")
	}
	if _, ok := KernelOf("/somewhere").(fixtureKernel); !ok {
		t.Error("another root would reach the mounts of this machine")
	}
}
