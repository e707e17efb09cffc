package packagetest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// systemctl stands for systemd: what is asked of it is written down.
const systemctl = `#!/bin/sh
echo "$*" >>/systemctl.log
`

// begin makes the copy and stays until its input is closed. $1 is an empty directory.
const begin = `set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs none "$1/root/run"
mount -t tmpfs none "$1/root/tmp"
echo ready
read -r end`

// machine is a copy of this one.
type machine struct {
	t    *testing.T
	pid  int
	dir  string // where the copy is mounted, in its own namespace
	from string // the packages
}

// boot makes a copy; with systemd it believes that systemd runs.
func boot(t *testing.T, systemd bool) *machine {
	t.Helper()
	from := os.Getenv("SALLYPORT_PACKAGES")
	if from == "" {
		t.Skip("no packages: make test-packages builds them and names them in SALLYPORT_PACKAGES")
	}
	if os.Geteuid() != 0 {
		t.Skip("not root, which mounting and chroot need")
	}
	m := &machine{t: t, dir: t.TempDir(), from: from}
	cmd := exec.Command("unshare", "--mount", "sh", "-c", begin, "sh", m.dir)
	input, err := cmd.StdinPipe()
	must(t, err)
	output, err := cmd.StdoutPipe()
	must(t, err)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = input.Close()
		_ = cmd.Wait()
	})
	if line, _ := bufio.NewReader(output).ReadString('\n'); line != "ready\n" {
		_, _ = io.Copy(io.Discard, output)
		t.Skipf("no copy of this machine can be made (overlay): %s", strings.TrimSpace(problem.String()))
	}
	m.pid = cmd.Process.Pid
	for _, program := range []string{"usr/bin/systemctl", "usr/bin/deb-systemd-invoke"} {
		_ = os.Remove(m.path(program))
	}
	must(t, os.WriteFile(m.path("usr/bin/systemctl"), []byte(systemctl), 0o755))
	if systemd {
		must(t, os.MkdirAll(m.path("run/systemd/system"), 0o755))
	}
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// path is a file of the copy as this process reaches it.
func (m *machine) path(name string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", m.pid), m.dir, "root", name)
}

// try runs a program in the copy.
func (m *machine) try(args ...string) (string, error) {
	cmd := exec.Command("nsenter", append([]string{"--mount", "--target", fmt.Sprint(m.pid), "chroot", m.dir + "/root",
		"env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run runs a program that has to succeed.
func (m *machine) run(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// asked gives what systemd was asked since the last time.
func (m *machine) asked() []string {
	m.t.Helper()
	text, err := os.ReadFile(m.path("systemctl.log"))
	if err != nil && !os.IsNotExist(err) {
		m.t.Fatal(err)
	}
	_ = os.Remove(m.path("systemctl.log"))
	return slices.DeleteFunc(strings.Split(string(text), "\n"), func(s string) bool { return s == "" })
}

func (m *machine) wantAsked(when string, want ...string) {
	m.t.Helper()
	if got := m.asked(); !slices.Equal(got, want) {
		m.t.Errorf("%s: systemd was asked %q, want %q", when, got, want)
	}
}

func (m *machine) write(name, text string, mode fs.FileMode) {
	m.t.Helper()
	must(m.t, os.MkdirAll(filepath.Dir(m.path(name)), 0o755))
	must(m.t, os.WriteFile(m.path(name), []byte(text), mode))
}

// text is a file's content; "none" when it is not there.
func (m *machine) text(name string) string {
	m.t.Helper()
	b, err := os.ReadFile(m.path(name))
	if os.IsNotExist(err) {
		return "none"
	}
	must(m.t, err)
	return string(b)
}

// left lists files that are not this machine's own and have our name, apart from what the
// package managers keep of every package that ever was there.
func (m *machine) left() []string {
	m.t.Helper()
	upper := filepath.Join(fmt.Sprintf("/proc/%d/root", m.pid), m.dir, "upper")
	var names []string
	must(m.t, filepath.WalkDir(upper, func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, upper)
		if err != nil || strings.HasPrefix(name, "/var/lib/dpkg") || strings.HasPrefix(name, "/var/log") {
			return err
		}
		info, err := d.Info()
		if err == nil && strings.Contains(name, "sallyport") && info.Mode()&fs.ModeCharDevice == 0 { // a character device stands for what is removed
			names = append(names, name)
		}
		return err
	}))
	return names
}
