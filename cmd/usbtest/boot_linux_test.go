package usbtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// wantedModules are what the machine needs; what they need is added. The order is that
// of loading.
var wantedModules = []string{
	"virtio_pci", "virtio_net", "crc32c_generic", "ext4", "nls_cp437", "nls_ascii", "nls_utf8", "vfat",
	"xhci_pci", "ehci_pci", "usbhid", "hid_generic", "evdev", "sd_mod", "usb_storage", "uas",
	"libcomposite", "dummy_hcd", "usb_f_mass_storage", "usb_f_hid", "loop",
}

// kernelOf finds the kernel and the modules below an unpacked package.
func kernelOf(dir string) (image, modules string, err error) {
	images, _ := filepath.Glob(filepath.Join(dir, "boot/vmlinuz-*"))
	if len(images) != 1 {
		return "", "", fmt.Errorf("%s: %d kernels below boot, want 1", dir, len(images))
	}
	release := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	for _, lib := range []string{"lib", "usr/lib"} {
		modules = filepath.Join(dir, lib, "modules", release)
		if _, err = os.Stat(modules); err == nil {
			return images[0], modules, nil
		}
	}
	return "", "", err
}

// modulesOf lists the files of the wanted modules and of what they depend on, each after
// its dependencies. Modules that are built into the kernel have no file.
func modulesOf(dir string) ([]string, error) {
	files := map[string]string{}
	err := filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if name, _, ok := strings.Cut(filepath.Base(path), ".ko"); ok {
			files[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var order []string
	var add func(name string) error
	add = func(name string) error {
		path := files[strings.ReplaceAll(name, "-", "_")]
		if path == "" || slices.Contains(order, path) {
			return nil
		}
		out, err := exec.Command("modinfo", "-F", "depends", path).Output()
		if err != nil {
			return fmt.Errorf("modinfo %s: %w", path, err)
		}
		for dep := range strings.SplitSeq(strings.TrimSpace(string(out)), ",") {
			if err := add(dep); err != nil {
				return err
			}
		}
		order = append(order, path)
		return nil
	}
	for _, name := range wantedModules {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	if len(order) == 0 {
		return nil, errors.New("none of the modules is there")
	}
	return order, nil
}

// archive is a cpio archive in the "newc" form, which is what the kernel unpacks
// (Documentation/driver-api/early-userspace/buffer-format).
type archive struct {
	bytes.Buffer
	inode int
}

func (a *archive) add(name string, mode int, content []byte) {
	a.inode++
	links := 1
	fmt.Fprintf(a, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		a.inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name)+1, 0, name)
	a.pad()
	a.Write(content)
	a.pad()
}

func (a *archive) pad() {
	for a.Len()%4 != 0 {
		a.WriteByte(0)
	}
}

const (
	cpioFile = 0o100755
	cpioDir  = 0o040755
)

// writeBoot makes the initial file system: this program as init, the agent, modules.
func writeBoot(t *testing.T, file, modules, agent string) {
	t.Helper()
	order, err := modulesOf(modules)
	must(t, err)
	var a archive
	for _, dir := range []string{"dev", "proc", "sys", "tmp", "root", "modules"} {
		a.add(dir, cpioDir, nil)
	}
	addFile := func(name, from string) {
		b, err := os.ReadFile(from)
		must(t, err)
		a.add(name, cpioFile, b)
	}
	addFile("init", guestProgram(t))
	addFile("agent", agent)
	for n, path := range order {
		addFile(fmt.Sprintf("modules/%03d-%s", n, filepath.Base(path)), path)
	}
	a.add("TRAILER!!!", 0, nil)
	must(t, os.WriteFile(file, a.Bytes(), 0o600))
}

// guestProgram builds this package's test program so that it needs no library.
func guestProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "init")
	build(t, "test", "-c", "-trimpath", "-ldflags", "-s -w", "-o", program, "sallyport/cmd/usbtest")
	return program
}

func build(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// newDisk makes an image with an ext4 file system.
func newDisk(t *testing.T, file string, mebibytes int64) {
	t.Helper()
	f, err := os.Create(file)
	must(t, err)
	must(t, f.Truncate(mebibytes<<20))
	must(t, f.Close())
	run(t, "mkfs.ext4", "-q", "-F", "-O", "^has_journal", file)
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}
