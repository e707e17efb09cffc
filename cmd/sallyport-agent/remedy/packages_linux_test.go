package remedy

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/netio/report"
)

// says is a program that notes how it was called and prints a text.
func says(text string) string {
	return noting + "cat <<'.'\n" + text + "\n.\n"
}

// TestPatch: each verb with each package manager is these errands, in order, and comes to these
// words; the first that fails is the end.
func TestPatch(t *testing.T) {
	const upgraded = "Reading package lists...\n3 upgraded, 1 newly installed, 0 to remove and 2 not upgraded.\nSetting up x"
	const forced = "-q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "
	const mended = "dpkg --force-confdef --force-confold --configure -a\n"
	apts := map[string]string{aptGet: says(upgraded), dpkg: noting}
	dnfs := map[string]string{dnf: says("Upgrade  12 Packages\nInstall  1 Package\n\nComplete!")}
	for what, c := range map[string]struct {
		programs                   map[string]string
		verb, result, detail, runs string
	}{
		"nothing":      {nil, report.VerbPatchUpdate, Refused, "no package manager", ""},
		"apt update":   {apts, report.VerbPatchUpdate, Done, "3 upgraded, 1 newly installed, 0 to remove and 2 not upgraded", mended + "apt-get " + forced + "update\napt-get " + forced + "--with-new-pkgs upgrade\n"},
		"apt install":  {apts, report.VerbPatchInstall, Done, "3 upgraded", mended + "apt-get " + forced + "update\napt-get " + forced + "--no-install-recommends install unattended-upgrades\n"},
		"apt activate": {apts, report.VerbPatchActivate, Refused, "patch: install brings it", ""},
		"apt fails": {map[string]string{aptGet: noting + "echo 'E: no network' >&2\nexit 100\n", dpkg: noting}, report.VerbPatchUpdate, Failed, "apt-get update: exit status 100: E: no network",
			mended + "apt-get " + forced + "update\n"},
		"dpkg fails":   {map[string]string{aptGet: noting, dpkg: "#!/bin/sh\nexit 1\n"}, report.VerbPatchUpdate, Failed, "dpkg configure: exit status 1", ""},
		"no dpkg":      {map[string]string{aptGet: noting}, report.VerbPatchUpdate, Refused, "no such file", ""},
		"dnf update":   {dnfs, report.VerbPatchUpdate, Done, "Upgrade 12 Packages, Install 1 Package", "dnf -y --refresh upgrade\n"},
		"dnf install":  {dnfs, report.VerbPatchInstall, Done, "Install 1 Package", "dnf -y install dnf-automatic\n"},
		"dnf activate": {dnfs, report.VerbPatchActivate, Refused, "dnf-automatic is not installed", ""},
		"dnf turns on": {map[string]string{dnf: noting, systemctl: noting, "/usr/lib/systemd/system/dnf-automatic-install.timer": ""}, report.VerbPatchActivate, Done, "by dnf-automatic",
			"systemctl enable --now dnf-automatic-install.timer\n"},
	} {
		w := newWorkshop(t, ToolsConfig{})
		for path, text := range c.programs {
			w.put(path, text, 0o755)
		}
		w.want(what, w.do(report.Action{Verb: c.verb}), c.result, c.detail)
		if got := strings.NewReplacer(w.root+"/usr/bin/", "", w.root, "").Replace(w.did()); got != c.runs {
			t.Errorf("%s: got\n%swant\n%s", what, got, c.runs)
		}
	}
}

// TestActivateApt: the file is written, the timers are started, and apt is asked whether it
// means it.
func TestActivateApt(t *testing.T) {
	for said, c := range map[string]struct{ result, detail string }{
		`APT::Periodic::Unattended-Upgrade "1";`: {Done, "by unattended-upgrades"},
		`APT::Periodic::Unattended-Upgrade "0";`: {Failed, "another file"},
		``:                                       {Failed, "another file"},
	} {
		w := newWorkshop(t, ToolsConfig{})
		for path, text := range map[string]string{aptGet: noting, unattended: noting, systemctl: noting, aptConfig: says(said), "/etc/apt/apt.conf.d/20auto-upgrades": ""} {
			w.put(path, text, 0o755)
		}
		w.want(said, w.do(report.Action{Verb: report.VerbPatchActivate}), c.result, c.detail)
		text, err := os.ReadFile(filepath.Join(w.root, automaticDir, automaticFile))
		if err != nil || string(text) != automaticText || !strings.Contains(w.did(), "systemctl enable --now apt-daily.timer apt-daily-upgrade.timer\n") {
			t.Errorf("%q %v %s", text, err, w.did())
		}
	}
}

// TestApart: where systemd is the service manager, a package manager runs in a unit of its own,
// which is bounded in time and gives way.
func TestApart(t *testing.T) {
	w := newWorkshop(t, ToolsConfig{})
	w.put(dnf, "#!/bin/sh\nexit 1\n", 0o755)
	w.put("/"+systemdHere+"/x", "", 0o644)
	w.want("no systemd-run", w.do(report.Action{Verb: report.VerbPatchUpdate}), Refused, "systemd-run: no such file")
	w.put(systemdRun, says("Upgrade  1 Package"), 0o755)
	w.tools.packed = 90 * time.Second
	w.want("apart", w.do(report.Action{Verb: report.VerbPatchUpdate}), Done, "Upgrade 1 Package")
	for _, want := range []string{"--unit=sallyport-remedy --wait --collect ", " --nice=10 ", "--property=StandardOutput=append:" + w.tools.dir.Path(apartFile), " --property=IOSchedulingClass=idle", "--property=RuntimeMaxSec=89 ",
		"--property=TimeoutStopSec=120 ", "--setenv=LC_ALL=C ", " -- " + w.root + dnf + " -y --refresh upgrade\n"} {
		if !strings.Contains(w.did(), want) {
			t.Errorf("%q is not in %s", want, w.did())
		}
	}
	w.put(systemdRun, "#!/bin/sh\necho 'Failed to start transient service unit: Unit sallyport-remedy.service was already loaded' >&2\nexit 1\n", 0o755)
	w.want("the one before goes on", w.do(report.Action{Verb: report.VerbPatchUpdate}), Failed, "was already loaded")
}

// TestLow: without systemd, a package manager gives way all the same, with all that it starts, and
// is asked to end before it is ended.
func TestLow(t *testing.T) {
	w := newWorkshop(t, ToolsConfig{})
	w.put(dnf, "#!/bin/sh\ntrap 'echo asked >>did; kill $child; exit 1' INT\nsleep 1000 &\nchild=$!\necho $child >child\nwait\n", 0o755)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan Outcome, 1)
	go func() {
		ended <- w.tools.Do(ctx, &report.Action{Verb: report.VerbPatchUpdate}, nil)
	}()
	var child int
	w.until("it runs", func() bool {
		text, err := os.ReadFile(filepath.Join(w.root, "child"))
		if err == nil {
			child, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		if err != nil {
			return false
		}
		exe, err := os.Readlink("/proc/" + strconv.Itoa(child) + "/exe") // before it is sleep, it may miss a signal
		return err == nil && strings.HasPrefix(filepath.Base(exe), "sleep")
	})
	w.until("it gives way", func() bool {
		nice, err := unix.Getpriority(unix.PRIO_PROCESS, child) // 20 less, as the system call has it
		return err == nil && nice == 20-lowNice
	})
	cancel()
	w.want("ended", <-ended, Failed, "took too long")
	if w.did() != "asked\n" {
		t.Errorf("it was not asked: %q", w.did())
	}
	w.until("what it started is gone", func() bool {
		_, err := os.Readlink("/proc/" + strconv.Itoa(child) + "/exe")
		return err != nil
	})
}

// until looks until done says so.
func (w *workshop) until(what string, done func() bool) {
	w.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("not within 20 s: %s", what)
		}
	}
}

// debian makes the workshop a machine with Debian's own tools, whose database is its own.
func debian(t *testing.T) *workshop {
	t.Helper()
	for _, program := range []string{dpkg, dpkgQuery, aptGet, "/usr/bin/dpkg-deb"} {
		if _, err := os.Stat(program); err != nil || os.Geteuid() != 0 {
			t.Skipf("needs root and %s", program)
		}
	}
	w := newWorkshop(t, ToolsConfig{})
	// The root is named to each of them: apt starts dpkg somewhere else.
	w.put(dpkg, "#!/bin/sh\nexec /usr/bin/dpkg --root="+w.root+" --log=/dev/null \"$@\"\n", 0o755)
	w.put(dpkgQuery, "#!/bin/sh\nexec /usr/bin/dpkg-query --admindir="+w.root+"/var/lib/dpkg \"$@\"\n", 0o755)
	w.put(aptGet, "#!/bin/sh\nexec /usr/bin/apt-get -o Dir="+w.root+" -o Dir::State::status="+w.root+"/var/lib/dpkg/status -o Dir::Bin::dpkg="+w.root+"/usr/bin/dpkg -o Dpkg::Options::=--root="+w.root+
		" -o APT::Sandbox::User=root -o Dir::Log=/dev -o Dir::Log::Terminal=null -o Dir::Log::History=null -o Dir::Log::Planner=null \"$@\"\n", 0o755)
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "etc/apt/preferences.d", "etc/apt/apt.conf.d", "repo"} {
		if err := os.MkdirAll(filepath.Join(w.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.put(dpkgStatus, "", 0o644)
	w.put("/etc/apt/sources.list", "deb [trusted=yes] file:"+w.root+"/repo ./\n", 0o644)
	w.put("/repo/Packages", "", 0o644)
	return w
}

// deb makes a package and returns the path of its file.
func (w *workshop) deb(name, version, more string) string {
	w.Helper()
	tree := filepath.Join("debs", name+"_"+version)
	w.put("/"+tree+"/DEBIAN/control", "Package: "+name+"\nVersion: "+version+"\nArchitecture: all\nMaintainer: Test <test@localhost>\nDescription: of this test\n"+more, 0o644)
	w.put("/"+tree+"/usr/share/"+name+"/file", version+"\n", 0o644)
	out := filepath.Join(w.root, "repo", name+"_"+version+"_all.deb")
	w.sh("dpkg-deb", "--build", "--root-owner-group", filepath.Join(w.root, tree), out)
	return out
}

// sh runs a program of this machine's.
func (w *workshop) sh(program string, args ...string) {
	w.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = w.root
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
}

// TestDpkgUninstall has Debian's dpkg remove a package of a machine that is a directory: only
// one that nothing needs.
func TestDpkgUninstall(t *testing.T) {
	w := debian(t)
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	kernel := "linux-image-" + strings.ToLower(strings.ReplaceAll(unix.ByteSliceToString(u.Release[:]), "_", "-"))
	for name, more := range map[string]string{"game": "", "library": "", "program": "Depends: library\n", "vital": "Essential: yes\n", "boot": "Protected: yes\n",
		"base": "Priority: required\n", "sallyport-agent": "", "fenced": "", kernel: ""} {
		w.sh(filepath.Join(w.root, dpkg), "--force-depends", "--install", w.deb(name, "1", more))
	}
	w.tools.program = "/usr/share/fenced/file" // as if the agent were of that package
	for _, c := range []struct{ name, result, detail string }{
		{"game", Done, "game was removed"},
		{"game", Done, "game is not installed"},
		{"never-there", Done, "never-there is not installed"},
		{"library", Failed, "program depends on library"},
		{"vital", Refused, "vital is essential"},
		{"boot", Refused, "boot is protected"},
		{"base", Refused, "base is required"},
		{"sallyport-agent", Refused, "sallyport-agent is this agent"},
		{"fenced", Refused, "fenced is this agent"},
		{kernel, Refused, "kernel that runs"},
		{"--purge", Refused, "is not the name of a package"},
		{"game;id", Refused, "is not the name of a package"},
		{"", Refused, "is not the name of a package"},
	} {
		if c.name == kernel && kernel != "linux-image-"+unix.ByteSliceToString(u.Release[:]) {
			continue // no name for a package
		}
		w.want(c.name, w.do(report.Action{Verb: report.VerbAppUninstall, Target: c.name}), c.result, c.detail)
	}
	for name, want := range map[string]bool{"game": false, "library": true, "program": true, "vital": true, "boot": true, "fenced": true} {
		if got := w.tools.there("/usr/share/" + name + "/file"); got != want {
			t.Errorf("the file of %s: %v", name, got)
		}
	}
}

// TestAptUpdate has Debian's apt bring a machine that is a directory up to date, and mend first
// what was broken off.
func TestAptUpdate(t *testing.T) {
	w := debian(t)
	w.sh(filepath.Join(w.root, dpkg), "--install", w.deb("game", "1", ""))
	w.sh(filepath.Join(w.root, dpkg), "--unpack", w.deb("halfway", "1", ""))
	file := w.deb("game", "2", "")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w.put("/repo/Packages", "Package: game\nVersion: 2\nArchitecture: all\nMaintainer: Test <test@localhost>\nDescription: of this test\nFilename: ./game_2_all.deb\nSize: "+
		strconv.FormatInt(info.Size(), 10)+"\nSHA256: "+sum(string(text))+"\n\n", 0o644)
	w.want("update", w.do(report.Action{Verb: report.VerbPatchUpdate}), Done, "1 upgraded, 0 newly installed, 0 to remove and 0 not upgraded")
	if text, err := os.ReadFile(filepath.Join(w.root, "usr/share/game/file")); err != nil || string(text) != "2\n" {
		t.Errorf("%q %v", text, err)
	}
	status, err := os.ReadFile(filepath.Join(w.root, dpkgStatus))
	if err != nil || strings.Contains(string(status), "unpacked") {
		t.Errorf("%v %s", err, status)
	}
	w.want("again", w.do(report.Action{Verb: report.VerbPatchUpdate}), Done, "0 upgraded")
	w.want("nothing to install from", w.do(report.Action{Verb: report.VerbPatchInstall}), Failed, "apt-get install: exit status 100")
}

// TestRpmUninstall is TestDpkgUninstall with rpm.
func TestRpmUninstall(t *testing.T) {
	for _, program := range []string{"rpm", "rpmbuild"} {
		if _, err := exec.LookPath(program); err != nil || os.Geteuid() != 0 {
			t.Skipf("needs root and %s (Debian package rpm)", program)
		}
	}
	w := newWorkshop(t, ToolsConfig{})
	w.put(rpm, "#!/bin/sh\nexec /usr/bin/rpm --dbpath="+w.root+"/db \"$@\"\n", 0o755)
	w.put("/etc/dnf/protected.d/x.conf", "# comment\nprotected-one\n", 0o644)
	w.sh(filepath.Join(w.root, rpm), "--initdb")
	for name, more := range map[string]string{"game": "", "library": "", "program": "Requires: library\n", "protected-one": "", "systemd": "", "kernel-core": "", "sallyport-agent": "", "kerneloops": ""} {
		spec := "/" + name + ".spec"
		w.put(spec, "Name: "+name+"\nVersion: 1\nRelease: 1\nSummary: of this test\nLicense: none\nBuildArch: noarch\n"+more+"%description\nof this test\n%files\n", 0o644)
		w.sh("rpmbuild", "--quiet", "--define", "_topdir "+w.root+"/build", "-bb", filepath.Join(w.root, spec))
	}
	all, err := filepath.Glob(filepath.Join(w.root, "build/RPMS/noarch/*.rpm"))
	if err != nil || len(all) != 8 {
		t.Fatal(all, err)
	}
	w.sh(filepath.Join(w.root, rpm), append([]string{"-i", "--justdb", "--nodeps"}, all...)...)
	for _, c := range []struct{ name, result, detail string }{
		{"game", Done, "game was removed"},
		{"game", Done, "game is not installed"},
		{"library", Failed, "library is needed by"},
		{"protected-one", Refused, "is protected"},
		{"systemd", Refused, "is protected"},
		{"kernel-core", Refused, "the kernel that runs"},
		{"sallyport-agent", Refused, "is this agent"},
		{"kerneloops", Done, "was removed"},
	} {
		w.want(c.name, w.do(report.Action{Verb: report.VerbAppUninstall, Target: c.name}), c.result, c.detail)
	}
	none := newWorkshop(t, ToolsConfig{})
	none.want("neither", none.do(report.Action{Verb: report.VerbAppUninstall, Target: "x"}), Refused, "no package manager")
}

// TestRpmThatFails is not taken for a package that is not there.
func TestRpmThatFails(t *testing.T) {
	w := newWorkshop(t, ToolsConfig{})
	w.put(rpm, "#!/bin/sh\necho 'error: cannot open Packages database' >&2\nexit 1\n", 0o755)
	w.want("a broken database", w.do(report.Action{Verb: report.VerbAppUninstall, Target: "tool"}), Failed, "rpm cannot be asked")
	w.put(rpm, "#!/bin/sh\necho 'package tool is not installed'\nexit 1\n", 0o755)
	w.want("no such package", w.do(report.Action{Verb: report.VerbAppUninstall, Target: "tool"}), Done, "is not installed")
}
