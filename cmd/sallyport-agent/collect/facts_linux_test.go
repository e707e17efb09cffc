package collect

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/netio/report"
	"sallyport/ops/usbfixture"
)

// fixture writes files below a directory, which is the root of a look.
func fixture(t *testing.T, files map[string]string) *survey {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		must(t, os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
	}
	return &survey{root: root}
}

func TestFiles(t *testing.T) {
	s := fixture(t, map[string]string{
		"etc/passwd":         "root:x:0:0::/root:/bin/sh\nana:x:1000:1000::/home/ana:/bin/bash\nwww:x:33:33::/var/www:/usr/sbin/nologin\n",
		"etc/motd":           "123456789",
		"home/ana/Desktop/a": "",
	})
	must(t, os.Symlink("motd", filepath.Join(s.root, "etc/link")))
	all := []string{report.WantCRC32, report.WantSHA256, report.WantAccessed}
	s.probe.Files = []report.FileProbe{
		{Path: "/etc/motd", Want: all}, {Path: "/etc/link", Want: all}, {Path: "/etc"}, {Path: "/etc/none"}, {Path: "/etc/motd/below"},
		{Root: report.RootUserDesktop, Path: "a"}, {Root: report.RootSystem, Path: `etc\motd`},
	}
	var got []string
	for _, f := range files(context.Background(), s).Items {
		got = append(got, fmt.Sprintf("%s|%s|%s|%s|%d|%s|%.8s|%v", f.Path, f.User, f.State, f.Type, f.Size, f.CRC32, f.SHA256, !f.Accessed.IsZero()))
	}
	want := []string{
		"/etc/motd||present|file|9|cbf43926|15e2b0d3|true", // the check value of CRC-32 is that of these nine digits
		"/etc/link||present|link|0|||true", "/etc||present|directory|0|||false", "/etc/none||absent||0|||false", "/etc/motd/below||absent||0|||false",
		"a|root|absent||0|||false", "a|ana|present|file|0|||false", `etc\motd||present|file|9|||false`,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestProcesses(t *testing.T) {
	s := &survey{root: "/", probe: report.Probe{Processes: []string{filepath.Base(os.Args[0]), os.Args[0], "no-such-program"}}}
	exe, err := os.Executable()
	must(t, err)
	s.probe.Processes[0], s.probe.Processes[1] = filepath.Base(exe), exe
	got := processes(context.Background(), s)
	for i, want := range []string{report.StateRunning, report.StateRunning, report.StateAbsent} {
		if p := got.Items[i]; p.State != want && p.Reason == "" {
			t.Errorf("%+v, want %s", p, want)
		}
	}
	if got := answerProcesses(context.Background(), []string{"CMD.exe"}, []string{`C:\Windows\cmd.EXE`}, true).Items[0]; got.State != report.StateRunning {
		t.Errorf("%+v", got)
	}
}

const dpkgStatus = `Package: openssl
Status: install ok installed
Maintainer: Debian OpenSSL Team <x@example.org>
Version: 3.0.17-1~deb12u2
Description: toolkit
 Package: not-a-field

Package: openssh-server
Status: deinstall ok config-files
Version: 1:9.2p1-2

Package: openbox
Status: install ok installed
Version: 3.6`

func TestDpkgPackages(t *testing.T) {
	s := fixture(t, map[string]string{"var/lib/dpkg/status": dpkgStatus})
	s.probe.Packages = []string{"open*", "openssh-server", "*box"}
	got := packages(context.Background(), s)
	var lines []string
	for _, p := range got.Items {
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s", p.Probe, p.Name, p.State, p.Version, p.Source))
	}
	want := []string{"open* openbox installed 3.6 dpkg", "open* openssl installed 3.0.17-1~deb12u2 dpkg",
		"openssh-server  absent  ", "*box openbox installed 3.6 dpkg"}
	if fmt.Sprint(lines) != fmt.Sprint(want) || got.Error != "" {
		t.Errorf("%q %q", lines, got.Error)
	}
	none := fixture(t, nil)
	none.probe.Packages = []string{"x"}
	if got := packages(context.Background(), none); got.Items[0].State != report.StateUnknown || got.Error == "" {
		t.Errorf("without a list: %+v", got)
	}
}

// TestRpmPackages asks the real rpm of an empty database.
func TestRpmPackages(t *testing.T) {
	if !there("rpm") {
		t.Skip("needs rpm (Debian package rpm)")
	}
	s := fixture(t, nil)
	dir := filepath.Join(s.root, "var/lib/rpm")
	must(t, os.MkdirAll(dir, 0o755))
	if out, err := exec.Command("rpm", "--dbpath", dir, "--initdb").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	all, err := rpmPackages(context.Background(), s)
	if err != nil || len(all) != 0 {
		t.Errorf("%v %v", all, err)
	}
}

func TestAptUpdates(t *testing.T) {
	got := parseAptUpdates("Inst openssl [3.0.16-1] (3.0.17-1 Debian-Security:12/stable-security [amd64]) []\n" +
		"Conf openssl (3.0.17-1 Debian-Security:12/stable-security [amd64])\nInst linux-new (6.1-2 Debian:12/stable [amd64])\nInst\n")
	want := "[{openssl 3.0.16-1 3.0.17-1 true} {linux-new  6.1-2 false}]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v", got)
	}
}

func TestDnfUpdates(t *testing.T) {
	got := parseDnfUpdates("\nopenssl-libs.x86_64    1:3.0.7-28.el9   baseos\nkernel.x86_64 5.14-1 baseos\nObsoleting Packages\na.x86_64 1 b\n")
	if fmt.Sprint(got) != "[{openssl-libs  1:3.0.7-28.el9 false} {kernel  5.14-1 false}]" {
		t.Errorf("%v", got)
	}
}

// TestPatchOfThisMachine: whatever the machine is, the answer is one or says why not.
func TestPatchOfThisMachine(t *testing.T) {
	p := patch(context.Background(), &survey{root: "/"})
	if p.Build == "" || p.Error == "" && p.Manager == "" || p.Pending < p.Security {
		t.Errorf("%+v", p)
	}
	if p := patch(context.Background(), &survey{root: t.TempDir()}); p.Error == "" {
		t.Error("the updates of a fixture are known")
	}
}

func TestEncryption(t *testing.T) {
	tree := newTree(t)
	plug(t, tree, usbfixture.Stick{}.Device())
	must(t, tree.Map("dm-0", []string{"nvme0n1p2"}, map[string]string{"dm/name": "crypt", "dm/uuid": "CRYPT-LUKS2-aa-crypt"}))
	must(t, tree.Map("dm-1", []string{"dm-0"}, map[string]string{"dm/name": "vg-home", "dm/uuid": "LVM-xyz"}))
	must(t, tree.Map("dm-2", []string{"dm-0", "sda1"}, map[string]string{"dm/name": "vg-both", "dm/uuid": "LVM-abc"}))
	must(t, tree.Mount("dm-1", "/home", ""))
	must(t, tree.Mount("dm-2", "/var", ""))
	must(t, tree.Mount("sda1", "/media/stick", ""))
	must(t, tree.Swap("/dev/mapper/crypt"))
	got := map[string]string{}
	for _, v := range encryption(context.Background(), &survey{root: tree.Root()}).Volumes {
		got[v.Mount] = fmt.Sprintf("%s %s %v %v", v.State, v.By, v.System, v.External)
	}
	for mount, want := range map[string]string{"/home": "encrypted luks2 false false", "/var": "partly luks2 true true",
		"/media/stick": "plain  false true", "/": "plain  true false", "swap": "encrypted luks2 true false"} {
		if got[mount] != want {
			t.Errorf("%s: %q, want %q", mount, got[mount], want)
		}
	}
}

// TestFirewall reads rules that nft wrote into a network namespace of its own.
func TestFirewall(t *testing.T) {
	nft, err := exec.LookPath("nft")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and nft (Debian package nftables)")
	}
	for _, c := range []struct{ rules, want string }{
		{"", "off []"},
		{"table inet f { chain in { type filter hook input priority 0; policy drop; }; }", "on [inet f in policy drop, 0 rules]"},
		{"table ip f { chain in { type filter hook input priority 0; }; }", "off [ip f in policy accept, 0 rules]"},
		{"table ip f { chain in { type filter hook input priority 0; tcp dport 22 accept; }; }", "off [ip f in policy accept, 1 rules]"},
		{"table ip f { chain in { type filter hook input priority 0; tcp dport 22 drop; }; }", "on [ip f in policy accept, 1 rules]"},
		{"table ip f { chain in { type filter hook input priority 0; jump x; }; chain x { reject; }; }", "on [ip f in policy accept, 2 rules]"},
		{"table ip f { chain out { type filter hook output priority 0; policy drop; }; }", "off []"},
	} {
		got, err := inNamespace(nft, c.rules)
		if err != nil {
			t.Skipf("a network namespace with nf_tables cannot be had here: %v", err)
		}
		if got != strings.Replace(c.want, "1 rules", "1 rules", 1) && c.want != got {
			// "jump x" needs x to be there first, which nft sees to.
			t.Errorf("%s: %s, want %s", c.rules, got, c.want)
		}
	}
}

// inNamespace writes rules and reads them back on a thread that ends afterwards.
func inNamespace(nft, rules string) (got string, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return
		}
		if rules != "" {
			cmd := exec.Command(nft, "-f", "-")
			cmd.Stdin = strings.NewReader(strings.ReplaceAll(strings.ReplaceAll(rules, "; }", "\n}"), ";", "\n"))
			if out, e := cmd.CombinedOutput(); e != nil {
				err = fmt.Errorf("%w: %s", e, out)
				return
			}
		}
		f := firewall(context.Background(), &survey{root: "/"})
		if f.Error != "" {
			err = fmt.Errorf("%s", f.Error)
			return
		}
		p := f.Products[len(f.Products)-1]
		got = fmt.Sprintf("%s %v", p.State, p.Profiles)
	}()
	<-done
	return got, err
}

// TestClamd talks to something that speaks as clamd does, to nobody, and to silence.
func TestClamd(t *testing.T) {
	s := fixture(t, map[string]string{"etc/clamav/clamd.conf": "# comment\nLocalSocket /run/clamd.ctl\n", "proc/1/comm": "init"})
	must(t, os.Mkdir(filepath.Join(s.root, "run"), 0o755))
	state := func() report.Product {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		return antiMalware(ctx, s).Products[0]
	}
	if p := state(); p.State != report.StateOff || p.Reason != "clamd does not run" {
		t.Errorf("nobody: %+v", p)
	}
	listen, err := net.Listen("unix", filepath.Join(s.root, "run/clamd.ctl"))
	must(t, err)
	defer listen.Close()
	answers := make(chan map[string]string, 1)
	answers <- map[string]string{"zPING\x00": "PONG\x00", "zVERSION\x00": "ClamAV 1.0.9/27400/Sun Nov 22 08:24:51 2026\x00"}
	go func() {
		for {
			conn, err := listen.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 64)
			n, _ := conn.Read(buf)
			all := <-answers
			io.WriteString(conn, all[string(buf[:n])])
			answers <- all
			if len(all) > 0 {
				conn.Close()
			}
		}
	}()
	if p := state(); p.State != report.StateOn || p.Version != "1.0.9" || p.Definitions != "27400" || p.DefinitionsAt.IsZero() || p.RealTime != report.StateOff {
		t.Errorf("%+v", p)
	}
	<-answers
	answers <- nil
	if p := state(); p.State != report.StateUnknown || p.Reason == "" {
		t.Errorf("silence: %+v", p)
	}
	if got := antiMalware(context.Background(), fixture(t, nil)); len(got.Products) != 0 || got.Error != "" {
		t.Errorf("not installed: %+v", got)
	}
}

func TestUnitState(t *testing.T) {
	for _, c := range []struct{ load, active, file, want string }{
		{"loaded", "active", "enabled", "running automatic"}, {"loaded", "inactive", "disabled", "stopped manual"},
		{"masked", "inactive", "masked", "stopped disabled"}, {"not-found", "inactive", "", "absent "},
		{"loaded", "failed", "static", "stopped automatic"}, {"loaded", "odd", "static", " automatic"},
	} {
		s, why := unitState(c.load, c.active, c.file)
		if got := s.State + " " + s.Start; got != c.want || (why != "") != (s.State == "") {
			t.Errorf("%+v: %q %q", c, got, why)
		}
	}
}

// TestServicesWithoutManager: nobody to ask is no answer, with the reason.
func TestServicesWithoutManager(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "none"))
	got := services(context.Background(), &survey{root: "/", probe: report.Probe{Services: []string{"ssh"}}})
	if p := got.Items[0]; p.State != report.StateUnknown || !strings.Contains(p.Reason, "no service manager") {
		t.Errorf("%+v", p)
	}
}

// TestSurveyLimits: a look that hangs costs its group alone.
func TestSurveyLimits(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	slow := groupOf(func(f *report.Facts) **report.Patch { return &f.Patch },
		func(context.Context, *survey) *report.Patch { <-hang; return &report.Patch{} },
		func(why string) *report.Patch { return &report.Patch{Error: why} })
	var f report.Facts
	slow.within(context.Background(), &survey{}, 10*time.Millisecond)(&f)
	if f.Patch == nil || !strings.Contains(f.Patch.Error, "longer than 10ms") {
		t.Errorf("%+v", f.Patch)
	}
}

// TestUpdatesAreRemembered: for as long as what they rest on is the same, and no error.
func TestUpdatesAreRemembered(t *testing.T) {
	s := &survey{by: NewSurveyor("/")}
	looks := 0
	answer := &report.Patch{Error: "not now"}
	ask := func(basis string) *report.Patch {
		return s.remembered(basis, func() *report.Patch { looks++; return answer })
	}
	ask("a")
	answer = &report.Patch{Pending: 1, Updates: []report.Update{{Name: "x"}}}
	for _, basis := range []string{"a", "a", "b", "b"} {
		if p := ask(basis); p.Pending != 1 {
			t.Errorf("%+v", p)
		}
	}
	if looks != 3 {
		t.Errorf("%d looks, want 3", looks)
	}
	ask("b").Updates[0].Name = "changed"
	if ask("b").Updates[0].Name != "x" {
		t.Error("what is remembered was lent")
	}
}

// TestSurvey: what a policy asks for is there, nothing else, and a report takes it.
func TestSurvey(t *testing.T) {
	p := &report.Policy{Collect: []string{"usb", "something"}}
	for kind := range groups {
		p.Collect = append(p.Collect, kind)
	}
	p.Probe = &report.Probe{Files: []report.FileProbe{{Path: "/etc/passwd"}}, Services: []string{"ssh"}, Processes: []string{"init"}, Packages: []string{"libc6"},
		Registry: []report.RegistryProbe{{Hive: "HKLM", Key: "SOFTWARE"}}}
	f := NewSurveyor("/").Survey(context.Background(), p)
	r := report.Report{V: report.Version, SessionID: "s", Seq: 1, Nonce: "n", Trigger: report.TriggerInitial, Agent: report.Agent{Name: "a"}, Facts: f}
	body, err := r.Encode()
	must(t, err)
	if _, err := report.DecodeReport(body); err != nil {
		t.Fatalf("the appliance would refuse it: %v\n%s", err, body)
	}
	if f.USB != nil || f.Files == nil || f.Patch == nil || f.Firewall == nil || f.AntiMalware == nil || f.Encryption == nil || f.Services == nil {
		t.Errorf("%+v", f)
	}
	if f := NewSurveyor("/").Survey(context.Background(), &report.Policy{Collect: []string{"usb"}}); fmt.Sprint(f) != fmt.Sprint(report.Facts{}) {
		t.Errorf("nothing was asked for: %+v", f)
	}
}

func FuzzNetlink(f *testing.F) {
	f.Add([]byte{20, 0, 1, 0, 8, 0, 1, 0, 'f', 0, 0, 0, 8, 0, 5, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		set := &ruleset{rules: map[string]int{}, refuse: map[string]bool{}}
		eachMessage(b, set.addChain) // only must not fail to end
		eachMessage(b, set.addRule)
		set.product()
	})
}
