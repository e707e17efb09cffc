package collect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/netio/report"
)

// patch asks the system's own package manager what it would install, from the lists it
// has: nothing is fetched.
func patch(ctx context.Context, s *survey) *report.Patch {
	// What is installed, what is offered, how updates are made, and whether a restart waits.
	basis := fmt.Sprint(newest("/var/lib/dpkg/status", "/var/lib/rpm/*", "/usr/lib/sysimage/rpm/*"), newest(aptLists...), newest(dnfLists...),
		newest("/etc/apt/apt.conf.d", "/etc/apt/apt.conf.d/*", "/etc/apt/preferences.d", "/etc/systemd/system/timers.target.wants"), newest("/run/reboot-required"))
	return s.remembered(basis, func() *report.Patch { return updates(ctx, s) })
}

var (
	aptLists = []string{"/var/lib/apt/lists/*_InRelease", "/var/lib/apt/lists/*_Release", "/var/lib/apt/periodic/update-success-stamp"}
	dnfLists = []string{"/var/cache/dnf/*/repodata/repomd.xml", "/var/cache/libdnf5/*/repodata/repomd.xml"}
)

// updates is patch without the memory.
func updates(ctx context.Context, s *survey) *report.Patch {
	p := &report.Patch{RestartPending: report.StateOff, Automatic: report.StateUnknown}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		p.Build = Printable(unix.ByteSliceToString(u.Release[:]))
	}
	for _, file := range []string{"run/reboot-required", "var/run/reboot-required"} {
		if _, err := os.Stat(filepath.Join(s.root, file)); err == nil {
			p.RestartPending = report.StateOn
		}
	}
	var err error
	switch {
	case s.root != "/" && s.root != "":
		err = errors.New("the root is not this machine's, and its package manager cannot be asked")
	case there("apt-get"):
		err = aptUpdates(ctx, p)
	case there("dnf"):
		err = dnfUpdates(ctx, p)
	default:
		err = errors.New("neither apt nor dnf is installed")
	}
	if err != nil {
		p.Error = reason(err)
	}
	p.Pending = max(p.Pending, len(p.Updates))
	slices.SortStableFunc(p.Updates, func(a, b report.Update) int {
		switch {
		case a.Security == b.Security:
			return cmp.Compare(a.Name, b.Name)
		case a.Security:
			return -1
		}
		return 1
	})
	return p
}

func there(program string) bool {
	_, err := systemProgram(program)
	return err == nil
}

// aptUpdates has apt-get pretend an upgrade.
func aptUpdates(ctx context.Context, p *report.Patch) error {
	p.Manager = "apt"
	p.Checked = newest(aptLists...)
	if p.Checked.IsZero() {
		return errors.New("apt has no list of updates: it was never brought up to date")
	}
	text, err := output(ctx, "apt-get", "-s", "-qq", "-o", "Debug::NoLocking=1", "--with-new-pkgs", "upgrade")
	if err != nil {
		return errors.Join(errors.New("apt cannot tell what it would install"), err)
	}
	p.Updates = parseAptUpdates(text)
	for i := range p.Updates {
		if p.Updates[i].Security {
			p.Security++
		}
	}
	if text, err := output(ctx, "apt-config", "dump", "--no-empty", "APT::Periodic::Unattended-Upgrade"); err == nil {
		p.Automatic = report.StateOff
		if _, value, ok := strings.Cut(text, `"`); ok && !strings.HasPrefix(value, `0"`) {
			p.Automatic = report.StateOn
		}
	}
	return nil
}

// parseAptUpdates reads the lines of a pretended upgrade:
//
//	Inst openssl [3.0.16-1] (3.0.17-1 Debian-Security:12/stable-security [amd64])
//
// Without brackets the package is new, and only comes with another.
func parseAptUpdates(text string) []report.Update {
	updates := []report.Update{}
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "Inst ")
		name, rest, ok2 := strings.Cut(rest, " ")
		if !ok || !ok2 {
			continue
		}
		u := report.Update{Name: Printable(name)}
		if old, after, ok := strings.Cut(rest, "] "); ok && rest[0] == '[' {
			u.Installed, rest = Printable(old[1:]), after
		}
		offer, _, _ := strings.Cut(strings.TrimPrefix(rest, "("), ")")
		version, origin, _ := strings.Cut(offer, " ")
		u.Offered = Printable(version)
		u.Security = strings.Contains(strings.ToLower(origin), "security")
		updates = append(updates, u)
	}
	return updates
}

// dnfUpdates asks dnf from its cache. Exit code 100 says that there are updates.
func dnfUpdates(ctx context.Context, p *report.Patch) error {
	p.Manager = "dnf"
	p.Checked = newest(dnfLists...)
	if p.Checked.IsZero() {
		return errors.New("dnf has no list of updates: it was never brought up to date")
	}
	text, err := output(ctx, "dnf", "-q", "-C", "check-update")
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 100) {
		return errors.Join(errors.New("dnf cannot tell what it would install"), err)
	}
	p.Updates = parseDnfUpdates(text)
	if text, err = output(ctx, "dnf", "-q", "-C", "updateinfo", "list", "--security"); err != nil {
		return errors.Join(errors.New("dnf cannot tell which updates mend security"), err)
	}
	for i := range p.Updates {
		u := &p.Updates[i]
		if u.Security = strings.Contains(text, u.Name+"-"+withoutEpoch(u.Offered)); u.Security {
			p.Security++
		}
	}
	if out, err := output(ctx, "systemctl", "is-enabled", "dnf-automatic-install.timer"); err == nil && strings.TrimSpace(out) == "enabled" {
		p.Automatic = report.StateOn
	}
	return nil
}

// parseDnfUpdates reads "openssl.x86_64   1:3.0.7-28.el9   baseos" and ends where the list
// of what is replaced begins.
func parseDnfUpdates(text string) []report.Update {
	updates := []report.Update{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "Obsoleting") {
			break
		}
		f := strings.Fields(line)
		if dot := strings.LastIndexByte(strings.Join(f[:min(1, len(f))], ""), '.'); len(f) == 3 && dot > 0 {
			updates = append(updates, report.Update{Name: Printable(f[0][:dot]), Offered: Printable(f[1])})
		}
	}
	return updates
}

func withoutEpoch(version string) string {
	if _, rest, ok := strings.Cut(version, ":"); ok {
		return rest
	}
	return version
}

// newest is the latest time that any file of the patterns was written.
func newest(patterns ...string) time.Time {
	var at time.Time
	for _, pattern := range patterns {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			if info, err := os.Stat(name); err == nil && info.ModTime().After(at) {
				at = info.ModTime().UTC().Truncate(time.Second)
			}
		}
	}
	return at
}
