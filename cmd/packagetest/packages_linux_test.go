package packagetest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const (
	before = "1.0.0"
	after  = "1.1.0"
)

// manager is how one kind of package is handled.
type manager struct {
	kind string
	*machine
}

// each runs a test with every kind of package.
func each(t *testing.T, systemd bool, f func(t *testing.T, m manager)) {
	for _, kind := range []string{"deb", "rpm"} {
		t.Run(kind, func(t *testing.T) {
			m := manager{kind, boot(t, systemd)}
			program := map[string]string{"deb": "dpkg", "rpm": "rpm"}[kind]
			if out, err := m.try(program, "--version"); err != nil {
				t.Skipf("no %s here: %v %s", program, err, out)
			}
			f(t, m)
		})
	}
}

// install installs or upgrades, as people and unattended upgrades do it.
func (m manager) install(version, name string) string {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.from, version, name+"."+m.kind))
	must(m.t, err)
	m.write("tmp/package."+m.kind, string(text), 0o644)
	if m.kind == "deb" {
		return m.run("dpkg", "--force-confdef", "--force-confold", "-i", "/tmp/package.deb")
	}
	// What this machine has is in another list than rpm's.
	return m.run("rpm", "-U", "--nodeps", "/tmp/package.rpm")
}

func (m manager) remove(name string) string {
	m.t.Helper()
	if m.kind == "deb" {
		return m.run("dpkg", "-r", name)
	}
	return m.run("rpm", "-e", name)
}

// owned says who may do what with a file: "0755 root:root".
func (m manager) owned(name string) string {
	info, err := os.Stat(m.path(name))
	if err != nil {
		return "none"
	}
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%04o %d:%d", info.Mode().Perm(), st.Uid, st.Gid)
}

func (m manager) wantFiles(want map[string]string) {
	m.t.Helper()
	for name, owned := range want {
		if got := m.owned(name); got != owned {
			m.t.Errorf("%s is %s, want %s", name, got, owned)
		}
	}
}

const (
	conf  = "etc/sallyport/agent.conf"
	key   = "var/lib/sallyport-agent/device.key"
	agent = "usr/bin/sallyport-agent"
	unit  = "usr/lib/systemd/system/sallyport-agent.service"
)

// TestAgentPackage: an agent without a configuration is not started; one that was configured
// goes on after an upgrade, with its configuration and its key; a removal leaves both, and
// Debian's purge neither.
func TestAgentPackage(t *testing.T) {
	each(t, true, func(t *testing.T, m manager) {
		said := m.install(before, "agent")
		if !strings.Contains(said, "set ca, pin or server in /etc/sallyport/agent.conf") {
			t.Errorf("nobody was told to configure it: %s", said)
		}
		m.wantAsked("installed", "daemon-reload", "enable sallyport-agent.service")
		m.wantFiles(map[string]string{agent: "0755 0:0", unit: "0644 0:0", conf: "0644 0:0", "usr/share/doc/sallyport-agent/copyright": "0644 0:0"})
		if got := m.run("sallyport-agent", "--version"); strings.TrimSpace(got) != before {
			t.Errorf("version %q", got)
		}
		if out, err := m.try("systemd-analyze", "verify", "--man=no", "/"+unit); err != nil && !strings.Contains(out, "not found") {
			t.Errorf("the unit: %v %s", err, out)
		}

		configured := "pin = sha256:" + strings.Repeat("00", 32) + "\n"
		m.write(conf, configured, 0o640)
		m.write(key, "key", 0o600)
		m.write("etc/sallyport/appliance-ca.pem", "ca", 0o644)
		m.asked()
		m.install(after, "agent")
		m.wantAsked("upgraded", slices.Concat(m.reloads("before"), []string{"daemon-reload", "enable sallyport-agent.service", "restart sallyport-agent.service"}, m.reloads("after"))...)
		if got := m.run("sallyport-agent", "--version"); strings.TrimSpace(got) != after {
			t.Errorf("version %q after the upgrade", got)
		}
		if m.text(conf) != configured || m.text(key) != "key" || m.owned(key) != "0600 0:0" {
			t.Errorf("after the upgrade: %q, %q %s", m.text(conf), m.text(key), m.owned(key))
		}
		if beside := map[string]string{"deb": ".dpkg-dist", "rpm": ".rpmnew"}[m.kind]; !strings.Contains(m.text(conf+beside), "as of "+after) {
			t.Errorf("the new default configuration is not beside: %q", m.text(conf+beside))
		}

		m.remove("sallyport-agent")
		m.wantAsked("removed", "disable --now sallyport-agent.service", "daemon-reload")
		m.wantFiles(map[string]string{agent: "none", unit: "none", key: "0600 0:0", "etc/sallyport/appliance-ca.pem": "0644 0:0"})
		kept := map[string]string{"deb": conf, "rpm": conf + ".rpmsave"}[m.kind]
		if m.text(kept) != configured {
			t.Errorf("the configuration is gone: %q", m.left())
		}
		m.install(after, "agent")
		if m.text(key) != "key" {
			t.Error("another key after it was installed again")
		}
		mine := []string{"/etc/sallyport", "/etc/sallyport/appliance-ca.pem"}
		if m.kind == "deb" {
			m.run("dpkg", "-P", "sallyport-agent")
		} else {
			m.remove("sallyport-agent")
			mine = append(mine, "/"+conf+".rpmnew", "/"+conf+".rpmsave", "/var/lib/sallyport-agent", "/"+key)
			slices.Sort(mine)
		}
		if left := m.left(); !slices.Equal(left, mine) {
			t.Errorf("in the end %q is left, want %q", left, mine)
		}
	})
}

// reloads is where an upgrade runs the script of the package that goes: dpkg before the new
// one's, rpm after it.
func (m manager) reloads(when string) []string {
	if (m.kind == "deb") == (when == "before") {
		return []string{"daemon-reload"}
	}
	return nil
}

// TestAgentPackageTakesNewDefaults where nobody changed the old ones.
func TestAgentPackageTakesNewDefaults(t *testing.T) {
	each(t, true, func(t *testing.T, m manager) {
		m.install(before, "agent")
		if !strings.Contains(m.text(conf), "as of "+before) {
			t.Fatalf("the default configuration: %q", m.text(conf))
		}
		m.asked()
		m.install(after, "agent")
		if !strings.Contains(m.text(conf), "as of "+after) {
			t.Errorf("the old default configuration is still there: %q", m.text(conf))
		}
		if asked := m.asked(); slices.ContainsFunc(asked, func(s string) bool { return strings.Contains(s, "restart") || strings.Contains(s, "disable") }) {
			t.Errorf("an agent without a configuration: %q", asked)
		}
	})
}

// TestPackagesWithoutSystemd, as in a container or an image that is being built.
func TestPackagesWithoutSystemd(t *testing.T) {
	each(t, false, func(t *testing.T, m manager) {
		for _, name := range []string{"agent", "appliance"} {
			m.install(before, name)
			m.install(after, name)
		}
		m.remove("sallyport-agent")
		m.remove("sallyport")
		m.wantAsked("all of it")
		m.wantFiles(map[string]string{agent: "none", "usr/bin/sallyport": "none"})
	})
}

// TestAppliancePackage: it is never started by itself; a running one is restarted by an
// upgrade when its configuration is sound for the new program; configuration and journal
// stay, whatever happens.
func TestAppliancePackage(t *testing.T) {
	each(t, true, func(t *testing.T, m manager) {
		said := m.install(before, "appliance")
		if !strings.Contains(said, "write /etc/sallyport/sallyport.yaml") {
			t.Errorf("nobody was told to configure it: %s", said)
		}
		m.wantAsked("installed", "daemon-reload")
		m.wantFiles(map[string]string{"usr/bin/sallyport": "0755 0:0", "usr/lib/systemd/system/sallyport.service": "0644 0:0", "etc/sallyport": "0755 0:0"})
		if got := m.run("id", "-un", "sallyport"); strings.TrimSpace(got) != "sallyport" {
			t.Errorf("its user: %q", got)
		}
		if agents, _ := filepath.Glob(m.path("usr/share/sallyport/agents/sallyport-agent-linux-*")); len(agents) != 1 {
			t.Errorf("agents to download: %q", agents)
		}

		m.run("sh", "-c", "cp /usr/share/doc/sallyport/examples/*.yaml /etc/sallyport/ && mkdir /etc/sallyport/secrets && cd /etc/sallyport/secrets && umask 077 && head -c 24 /dev/zero | tr '\\0' x >asa")
		m.run("chown", "-R", "sallyport:", "/etc/sallyport/secrets")
		if out, err := m.try("sallyport", "check", "--config", "/etc/sallyport/sallyport.yaml"); err != nil {
			t.Fatalf("the example: %v %s", err, out)
		}
		m.write("var/lib/sallyport/journal", "journal", 0o600)
		m.install(after, "appliance")
		m.wantAsked("upgraded", slices.Concat(m.reloads("before"), []string{"daemon-reload", "try-restart sallyport.service"}, m.reloads("after"))...)

		m.write("etc/sallyport/sallyport.yaml", "nonsense: true\n", 0o644)
		said = m.again("appliance")
		if asked := m.asked(); !strings.Contains(said, "the old program goes on") || slices.Contains(asked, "try-restart sallyport.service") {
			t.Errorf("with a faulty configuration: %q, %s", asked, said)
		}

		m.remove("sallyport")
		m.wantAsked("removed", "disable --now sallyport.service", "daemon-reload")
		if m.kind == "deb" {
			m.run("dpkg", "-P", "sallyport")
		}
		m.wantFiles(map[string]string{"usr/bin/sallyport": "none", "usr/share/sallyport": "none", "var/lib/sallyport/journal": "0600 0:0"})
		if m.text("etc/sallyport/sallyport.yaml") != "nonsense: true\n" || m.owned("etc/sallyport/secrets/asa")[:4] != "0600" {
			t.Errorf("the configuration is gone: %q", m.left())
		}
		for _, name := range m.left() {
			if !strings.HasPrefix(name, "/etc/sallyport") && !strings.HasPrefix(name, "/var/lib/sallyport") {
				t.Errorf("%s is left", name)
			}
		}
	})
}

// again installs the same version once more.
func (m manager) again(name string) string {
	m.t.Helper()
	if m.kind == "deb" {
		return m.install(after, name)
	}
	return m.run("rpm", "-U", "--nodeps", "--replacepkgs", "/tmp/package.rpm")
}
