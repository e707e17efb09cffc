package packagetest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// beginSystemd makes a copy of this machine and lets somebody prepare it; then systemd starts in
// it, in namespaces of its own, until it powers itself off. $1 is an empty directory.
const beginSystemd = `set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
: >"$1/root/etc/machine-id"
echo ready
read -r go
exec systemd-nspawn -q -D "$1/root" --private-network --register=no --keep-unit --boot --console=pipe -M sallyport-fences </dev/null`

// ran is how an action ended within the fences.
type ran struct{ Verb, Target, Result, Detail string }

// aptHere is where the copy's only source of packages lies.
const aptHere = "/fenced/repository"

// TestRemediesWithinTheFences: systemd starts the agent's own unit in a copy of this machine,
// with everything that keeps the agent in bounds, and in it each action does what it should.
func TestRemediesWithinTheFences(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root, which mounting and namespaces need")
	}
	for _, program := range []string{"systemd-nspawn", "dpkg-deb", "apt-get"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s, which make deps installs where it can", program)
		}
	}
	m, run := preparing(t)
	m.apt()
	m.units()
	text := "#!/bin/sh\ngrep CapEff /proc/self/status\n"
	digest := sha256.Sum256([]byte(text))
	sum := hex.EncodeToString(digest[:])
	m.write("fenced/files/script", text, 0o600)
	program, err := os.ReadFile(m.path("usr/bin/true"))
	must(t, err)
	m.write("usr/bin/launched", string(program), 0o755)
	launched := sha256.Sum256(program)
	m.actions(map[string]string{"verb": "program.launch", "target": "/usr/bin/launched", "sha256": hex.EncodeToString(launched[:])},
		map[string]string{"verb": "script.run", "target": "script", "sha256": sum},
		map[string]string{"verb": "file.fetch", "target": "script", "sha256": sum, "permissions": "0755"},
		map[string]string{"verb": "app.stop", "target": "/usr/bin/sleeper"},
		map[string]string{"verb": "firewall.enable"}, map[string]string{"verb": "antimalware.update"},
		map[string]string{"verb": "patch.update"}, map[string]string{"verb": "app.uninstall", "target": "sallyport-test-package"},
		map[string]string{"verb": "app.uninstall", "target": "dpkg"})
	results := run()
	for i, want := range []ran{
		{"program.launch", "/usr/bin/launched", "done", ""}, {"script.run", "script", "done", ""},
		{"file.fetch", "script", "done", "was written"}, {"app.stop", "/usr/bin/sleeper", "done", ""},
		{"firewall.enable", "", "done", ""}, {"antimalware.update", "", "done", ""},
		{"patch.update", "", "done", "1 upgraded"}, {"app.uninstall", "sallyport-test-package", "done", "was removed"},
		{"app.uninstall", "dpkg", "refused", "essential"},
	} {
		if i >= len(results) {
			t.Fatalf("nothing came of %s", want.Verb)
		}
		got := results[i]
		if got.Verb != want.Verb || got.Result != want.Result || !strings.Contains(got.Detail, want.Detail) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	for name, want := range map[string]string{"var/lib/sallyport-agent/files/script": text, "fenced/updated-by": "nobody\n"} {
		if got := m.text(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// preparing makes a copy that does not run yet. run starts it, waits until it is off, and tells
// how the actions ended.
func preparing(t *testing.T) (m *machine, run func() []ran) {
	t.Helper()
	m = &machine{t: t, dir: t.TempDir()}
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", beginSystemd, "sh", m.dir)
	input, err := cmd.StdinPipe()
	must(t, err)
	output, err := cmd.StdoutPipe()
	must(t, err)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	must(t, cmd.Start())
	lines := bufio.NewReader(output)
	ready, _ := lines.ReadString('\n') // else the skip below says why not
	ended, said := make(chan struct{}), make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(lines) // of a console, for a message
		said <- string(text)
		_ = cmd.Wait() // the results say whether it did well
		close(ended)
	}()
	t.Cleanup(func() {
		_ = input.Close()
		_ = cmd.Process.Kill() // it may be off
		<-ended
	})
	if ready != "ready\n" {
		t.Skipf("no copy of this machine can be made (overlay): %s", strings.TrimSpace(problem.String()))
	}
	m.pid = cmd.Process.Pid
	return m, func() []ran {
		t.Helper()
		_, err := fmt.Fprintln(input, "go")
		must(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for m.text("fenced/over") == "none" {
			select {
			case <-tick.C:
			case <-ended:
				t.Skipf("systemd does not start here: %s %s", <-said, problem.String())
			case <-ctx.Done():
				t.Fatalf("the agent's unit did not end within two minutes; results so far:\n%s\n%s", m.text("fenced/results"), m.text("fenced/log"))
			}
		}
		var all []ran
		for line := range strings.Lines(m.text("fenced/results")) {
			var one ran
			must(t, json.Unmarshal([]byte(line), &one))
			all = append(all, one)
		}
		if t.Logf("%s", m.text("fenced/log")); len(all) == 0 {
			t.Fatal("the agent's unit did nothing")
		}
		return all
	}
}

// apt gives the copy one package, an update of it in a repository of its own, and nothing else.
func (m *machine) apt() {
	m.t.Helper()
	for _, version := range []string{"1.0", "2.0"} {
		m.write("fenced/package/DEBIAN/control", "Package: sallyport-test-package\nVersion: "+version+
			"\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: for a test\n", 0o644)
		m.write("fenced/repository/none", "", 0o644)
		m.run("dpkg-deb", "--root-owner-group", "-b", "/fenced/package", aptHere+"/"+version+".deb")
	}
	m.run("dpkg", "-i", aptHere+"/1.0.deb")
	newer, err := os.ReadFile(m.path(aptHere + "/2.0.deb"))
	must(m.t, err)
	digest := sha256.Sum256(newer)
	m.write(aptHere+"/Packages", m.text("fenced/package/DEBIAN/control")+
		fmt.Sprintf("Filename: ./2.0.deb\nSize: %d\nSHA256: %s\n", len(newer), hex.EncodeToString(digest[:])), 0o644)
	m.run("sh", "-c", "rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /var/lib/apt/lists/*; apt-mark hold $(dpkg-query -W -f '${Package} ' | sed s/sallyport-test-package//) >/dev/null")
	m.write("etc/apt/sources.list", "deb [trusted=yes] file:"+aptHere+" ./\n", 0o644)
}

// units are the agent's with another program, a process to be stopped, and a scanner that
// gives its rights away, as freshclam does.
func (m *machine) units() {
	m.t.Helper()
	program := filepath.Join(m.t.TempDir(), "fenced")
	build := exec.Command("go", "build", "-o", program, "./fenced")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		m.t.Fatalf("%v\n%s", err, out)
	}
	for from, to := range map[string]string{program: "usr/bin/fenced", "/usr/bin/sleep": "usr/bin/sleeper"} {
		text, err := os.ReadFile(from)
		must(m.t, err)
		m.write(to, string(text), 0o755)
	}
	unit, err := os.ReadFile("../../ops/deploy/sallyport-agent.service")
	must(m.t, err)
	const system = "etc/systemd/system/"
	m.write(system+"sallyport-agent.service", string(unit), 0o644)
	m.write(system+"sallyport-agent.service.d/fenced.conf", `[Unit]
Wants=sleeper.service
After=sleeper.service dbus.service
[Service]
Type=oneshot
Restart=no
ExecStart=
ExecStart=/usr/bin/fenced /fenced/actions /fenced/results /fenced/files
StandardError=append:/fenced/log
ExecStopPost=+/usr/bin/touch /fenced/over
`, 0o644)
	m.write(system+"sleeper.service", "[Service]\nUser=nobody\nExecStart=/usr/bin/sleeper 600\n", 0o644)
	must(m.t, os.MkdirAll(m.path(system+"multi-user.target.wants"), 0o755))
	must(m.t, os.Symlink("/etc/systemd/system/sallyport-agent.service", m.path(system+"multi-user.target.wants/sallyport-agent.service")))
	m.write("etc/nftables.conf", "flush ruleset\ntable inet filter {\n\tchain input { type filter hook input priority 0; policy drop; }\n}\n", 0o755)
	_ = os.Remove(m.path("usr/lib/systemd/system/clamav-freshclam.service")) // the program alone
	m.write("usr/bin/freshclam", "#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'id -un >/fenced/place/updated-by'\n", 0o755)
	m.run("sh", "-c", "mkdir -p /fenced/place && chown 65534 /fenced/place && ln -s place/updated-by /fenced/updated-by")
}

func (m *machine) actions(all ...map[string]string) {
	m.t.Helper()
	var text bytes.Buffer
	for _, a := range all {
		must(m.t, json.NewEncoder(&text).Encode(a))
	}
	m.write("fenced/actions", text.String(), 0o600)
}
