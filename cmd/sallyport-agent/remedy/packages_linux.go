package remedy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/netio/report"
)

// Programs of the package managers.
const (
	aptGet    = "/usr/bin/apt-get"
	aptConfig = "/usr/bin/apt-config"
	dnf       = "/usr/bin/dnf"
	dpkg      = "/usr/bin/dpkg"
	dpkgQuery = "/usr/bin/dpkg-query"
	rpm       = "/usr/bin/rpm"

	dpkgStatus = "/var/lib/dpkg/status"
)

// automatic is what has apt install updates by itself: the file that turns it on, read after
// those of the distribution.
const (
	automaticDir  = "etc/apt/apt.conf.d"
	automaticFile = "52sallyport-automatic"
	automaticText = `// Written by sallyport-agent for the remediation patch: activate.
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
`
	unattended = "/usr/bin/unattended-upgrade"
)

// quiet keeps the tools of Debian from asking anybody.
var quiet = []string{"DEBIAN_FRONTEND=noninteractive", "APT_LISTCHANGES_FRONTEND=none", "NEEDRESTART_MODE=l"}

// apt is an errand of apt-get's. Configuration files that somebody changed stay.
func apt(arguments ...string) errand {
	return errand{aptGet, append([]string{"-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"},
		arguments...), quiet}
}

// mend finishes what a dpkg that was broken off left half done; it is nothing otherwise.
var mend = errand{dpkg, []string{"--force-confdef", "--force-confold", "--configure", "-a"}, quiet}

// patch keeps the system up to date by its own package manager.
func (t *Tools) patch(ctx context.Context, verb string) Outcome {
	apts, dnfs := t.there(aptGet), t.there(dnf)
	var errands []errand
	switch {
	case !apts && !dnfs:
		return Outcome{Refused, "no package manager is installed that this agent can use: apt or dnf"}
	case verb == report.VerbPatchActivate && apts:
		return t.activateApt(ctx)
	case verb == report.VerbPatchActivate:
		return t.activateDnf(ctx)
	case verb == report.VerbPatchInstall && apts:
		errands = []errand{mend, apt("update"), apt("--no-install-recommends", "install", "unattended-upgrades")}
	case verb == report.VerbPatchInstall:
		errands = []errand{{dnf, []string{"-y", "install", "dnf-automatic"}, nil}}
	case apts:
		errands = []errand{mend, apt("update"), apt("--with-new-pkgs", "upgrade")}
	default:
		errands = []errand{{dnf, []string{"-y", "--refresh", "upgrade"}, nil}}
	}
	var summary string
	for _, e := range errands {
		if outcome := t.apart(ctx, e, func(line string) { summary = summed(summary, line) }); outcome.Result != Done {
			outcome.Detail = strings.TrimSuffix(filepath.Base(e.program)+" "+wordOf(e.arguments)+": "+outcome.Detail, ": ")
			return outcome
		}
	}
	return Outcome{Done, collect.Printable(summary)}
}

// wordOf is what an errand is about, for people.
func wordOf(arguments []string) string {
	for _, a := range arguments {
		if slices.Contains([]string{"update", "upgrade", "install", "--configure", "--remove", "-e"}, a) {
			return strings.TrimLeft(a, "-")
		}
	}
	return ""
}

// summed adds a line to a summary when it is what apt or dnf say at the end of what they did:
//
//	3 upgraded, 1 newly installed, 0 to remove and 2 not upgraded.
//	Upgrade  3 Packages
//	Nothing to do.
func summed(before, line string) string {
	words := strings.Fields(line)
	counted := len(words) == 3 && (words[2] == "Packages" || words[2] == "Package") && slices.Contains([]string{"Install", "Upgrade", "Remove"}, words[0])
	if !counted && !strings.Contains(line, " upgraded, ") && line != "Nothing to do." {
		return before
	}
	return strings.TrimPrefix(before+", "+strings.TrimSuffix(strings.Join(words, " "), "."), ", ")
}

// there says whether the root has a file.
func (t *Tools) there(path string) bool {
	_, err := os.Stat(filepath.Join(t.root, path))
	return err == nil
}

// activateApt turns automatic updates on, and asks whether they are.
func (t *Tools) activateApt(ctx context.Context) Outcome {
	if !t.there(unattended) {
		return Outcome{Refused, "unattended-upgrades is not installed; patch: install brings it"}
	}
	if _, err := t.onlyRoots(aptConfig); err != nil {
		return Outcome{Refused, err.Error()}
	}
	dir := keep.Dir(filepath.Join(t.root, automaticDir))
	if err := dir.Write(automaticFile, []byte(automaticText), keep.Public); err != nil {
		return Outcome{Failed, reason(err)}
	}
	if outcome := t.command(ctx, systemctl, "enable", "--now", "apt-daily.timer", "apt-daily-upgrade.timer"); outcome.Result != Done {
		return outcome
	}
	for name, absent := range map[string]bool{"APT::Periodic::Unattended-Upgrade": false, "APT::Periodic::Enable": true} {
		said, err := t.answer(ctx, aptConfig, "dump", "--no-empty", name)
		if _, value, ok := strings.Cut(said, `"`); err != nil || !ok && !absent || strings.HasPrefix(value, `0"`) {
			return Outcome{Failed, "another file in /" + automaticDir + " keeps updates from being installed by themselves: " + name}
		}
	}
	return Outcome{Done, "updates are installed by themselves, by unattended-upgrades"}
}

func (t *Tools) activateDnf(ctx context.Context) Outcome {
	const timer = "dnf-automatic-install.timer"
	if !t.there("/usr/lib/systemd/system/" + timer) {
		return Outcome{Refused, "dnf-automatic is not installed; patch: install brings it"}
	}
	if outcome := t.command(ctx, systemctl, "enable", "--now", timer); outcome.Result != Done {
		return outcome
	}
	return Outcome{Done, "updates are installed by themselves, by dnf-automatic"}
}

// command runs a program of the system's.
func (t *Tools) command(ctx context.Context, program string, arguments ...string) Outcome {
	path, err := t.onlyRoots(program)
	if err != nil {
		return Outcome{Refused, err.Error()}
	}
	return t.carryOut(ctx, path, arguments)
}

// answer is what a program of the system's prints on its standard output, or its end.
func (t *Tools) answer(ctx context.Context, program string, arguments ...string) (string, error) {
	path, err := t.onlyRoots(program)
	if err != nil {
		return "", err
	}
	var said, aside tail
	err = t.run(ctx, path, arguments, &said, &aside, manner{})
	return strings.TrimSpace(string(said.octets)), err
}

// errNotInstalled is what packages are that are not there.
var errNotInstalled = errors.New("it is not installed")

// uninstall removes a package, when nothing else needs it: neither the system, nor another
// package, nor this agent.
func (t *Tools) uninstall(ctx context.Context, name string) Outcome {
	if !report.PackageName(name) {
		return Outcome{Refused, fmt.Sprintf("%.80q is not the name of a package", name)}
	}
	check, e := t.dpkgNeeds, errand{dpkg, []string{"--remove", "--", name}, quiet}
	switch {
	case t.there(dpkgStatus) && t.there(dpkg):
	case t.there(rpm):
		check, e = t.rpmNeeds, errand{rpm, []string{"-e", "--", name}, nil}
	default:
		return Outcome{Refused, "no package manager is installed that this agent can use: dpkg or rpm"}
	}
	switch needed, err := check(ctx, name); {
	case errors.Is(err, errNotInstalled):
		return Outcome{Done, name + " is not installed"}
	case err != nil:
		return Outcome{Failed, collect.Printable(err.Error())}
	case needed != "":
		return Outcome{Refused, name + " " + collect.Printable(needed)}
	}
	var needed string
	outcome := t.apart(ctx, e, func(line string) {
		if strings.Contains(line, " depends on ") || strings.Contains(line, " is needed by ") {
			needed = line
		}
	})
	switch {
	case outcome.Result == Done:
		outcome.Detail = name + " was removed"
	case needed != "":
		outcome.Detail = collect.Printable(strings.TrimSuffix(needed, "."))
	}
	return outcome
}

// dpkgNeeds says why a package has to stay, empty when it may go.
func (t *Tools) dpkgNeeds(ctx context.Context, name string) (string, error) {
	said, err := t.answer(ctx, dpkgQuery, "-W", `-f=${db:Status-Abbrev}\t${Essential}\t${Protected}\t${Priority}\t${Package}\n`, "--", name)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return "", errNotInstalled
	}
	if err != nil {
		return "", err
	}
	plain, installed := "", false
	for line := range strings.Lines(said) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 || len(f[0]) < 2 {
			return "", fmt.Errorf("dpkg-query says %.80q", line)
		}
		if f[0][1] == 'n' || f[0][1] == 'c' { // never installed, or only its configuration is left
			continue
		}
		installed, plain = true, f[4]
		switch {
		case f[1] == "yes":
			return "is essential to the system", nil
		case f[2] == "yes":
			return "is protected: the system may not start without it", nil
		case f[3] == "required":
			return "is required by the system (priority)", nil
		}
	}
	if !installed {
		return "", errNotInstalled
	}
	if needed := t.kernelNeeds(plain, "linux-image-"); needed != "" {
		return needed, nil
	}
	owner, _ := t.answer(ctx, dpkgQuery, "-S", "--", t.program) // it may be of no package
	owner, _, _ = strings.Cut(owner, ": ")
	owner, _, _ = strings.Cut(owner, ":") // its architecture
	return ownNeeds(plain, owner), nil
}

// rpmNeeds is dpkgNeeds of the other package manager, which knows no essential packages: dnf
// keeps the list.
func (t *Tools) rpmNeeds(ctx context.Context, name string) (string, error) {
	plain, err := t.answer(ctx, rpm, "-q", "--qf", `%{NAME}\n`, "--", name)
	switch { // of any fault the exit code is 1
	case err != nil && strings.Contains(plain, "is not installed"):
		return "", errNotInstalled
	case err != nil:
		return "", fmt.Errorf("rpm cannot be asked: %w %s", err, plain)
	}
	plain, _, _ = strings.Cut(plain, "\n") // more lines are more versions of it
	protected, err := t.protected()
	if err != nil {
		return "", err
	}
	if slices.Contains(protected, plain) {
		return "is protected: the system may not start without it", nil
	}
	if needed := t.kernelNeeds(plain, "kernel"); needed != "" {
		return needed, nil
	}
	owner, _ := t.answer(ctx, rpm, "-q", "--qf", `%{NAME}`, "-f", "--", t.program) // it may be of no package
	return ownNeeds(plain, owner), nil
}

// protected are the packages that dnf removes for nobody, and those that it could not mend.
func (t *Tools) protected() ([]string, error) {
	names := []string{"dnf", "dnf5", "rpm", "systemd", "glibc", "filesystem", "setup", "bash", "coreutils", "shadow-utils", "grub2-common"}
	for _, pattern := range []string{"etc/dnf/protected.d/*.conf", "etc/yum/protected.d/*.conf", "usr/share/dnf5/libdnf.conf.d/*protected*"} {
		files, err := filepath.Glob(filepath.Join(t.root, pattern))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			for line := range strings.Lines(string(text)) {
				if name := strings.TrimSpace(line); name != "" && !strings.HasPrefix(name, "#") {
					names = append(names, name)
				}
			}
		}
	}
	return names, nil
}

// kernelNeeds keeps the kernel that runs; its packages have the prefix. Of rpm, where all
// kernels have one name, none may go.
func (t *Tools) kernelNeeds(name, prefix string) string {
	var u unix.Utsname
	_ = unix.Uname(&u) // it never fails with memory to write to
	release := unix.ByteSliceToString(u.Release[:])
	rest, ok := strings.CutPrefix(name, prefix)
	every := prefix == "kernel" && (rest == "" || rest[0] == '-')
	if ok && (every || rest == release || rest == "unsigned-"+release) {
		return "is the kernel that runs, or a part of it"
	}
	return ""
}

// ownPackage is what this agent's package is called, wherever its program lies.
const ownPackage = "sallyport-agent"

func ownNeeds(name, owner string) string {
	if name == ownPackage || name == owner {
		return "is this agent"
	}
	return ""
}
