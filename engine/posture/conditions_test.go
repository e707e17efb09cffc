package posture

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/engine/expr"
	"sallyport/netio/report"
	"sallyport/ops/config"
	"sallyport/sessions"
)

var (
	sum = strings.Repeat("ab", 32)
	old = now.Add(-10 * 24 * time.Hour)
)

func fileItem(f report.File) Input {
	f.Root, f.Path = "", "/etc/x"
	return Input{Facts: &report.Facts{Files: &report.Files{Items: []report.File{f}}}}
}

func registryItem(r report.RegistryItem) Input {
	r.RegistryProbe = report.RegistryProbe{Hive: "HKLM", Key: `SOFTWARE\X`, Value: "V"}
	return Input{Session: expr.Input{OS: "windows"}, Facts: &report.Facts{Registry: &report.Registry{Items: []report.RegistryItem{r}}}}
}

func serviceItem(s report.Service) Input {
	s.Name = "ssh"
	return Input{Facts: &report.Facts{Services: &report.Services{Items: []report.Service{s}}}}
}

func packages(list ...report.Package) Input {
	for i := range list {
		list[i].Probe = "fire*"
	}
	return Input{Facts: &report.Facts{Packages: &report.Packages{Items: list}}}
}

func malware(list ...report.Product) Input {
	return Input{Facts: &report.Facts{AntiMalware: &report.AntiMalware{Products: list}}}
}

func firewalls(list ...report.Product) Input {
	return Input{Facts: &report.Facts{Firewall: &report.Firewall{Products: list}}}
}

func volumes(list ...report.Volume) Input {
	return Input{Facts: &report.Facts{Encryption: &report.Encryption{Volumes: list}}}
}

func patch(p report.Patch) Input { return Input{Facts: &report.Facts{Patch: &p}} }

func hardware(attribute, state, value string) Input {
	return Input{Facts: &report.Facts{Hardware: &report.Hardware{Items: []report.HardwareItem{{Attribute: attribute, State: state, Value: value}}}}}
}

func script(s report.Script) Input {
	return Input{Facts: &report.Facts{Scripts: &report.Scripts{Items: []report.Script{s}}}}
}

// one is a condition as written, what an agent said, and what must come of it.
type one struct {
	condition string
	in        Input
	want      verdict
	reason    string
}

const (
	fileX = `file: {path: /etc/x, `
	regX  = `registry: {key: 'SOFTWARE\X', value: V, `
)

var present = report.StatePresent

// conditionCases is every kind of condition with each of its comparisons and results.
var conditionCases = []one{
	{fileX + `is: present}`, fileItem(report.File{State: present}), pass, ""},
	{fileX + `is: present}`, fileItem(report.File{State: report.StateAbsent}), fail, "file /etc/x is absent, wanted present"},
	{fileX + `is: absent}`, fileItem(report.File{State: report.StateAbsent}), pass, ""},
	{fileX + `is: absent}`, fileItem(report.File{State: present}), fail, "is present, wanted absent"},
	{fileX + `is: absent}`, fileItem(report.File{State: report.StateUnknown, Reason: "no permission"}), cannotTell, "no permission"},
	{fileX + `type: link}`, fileItem(report.File{State: present, Type: "file"}), fail, "type file, wanted link"},
	{fileX + `modified: within 5d}`, fileItem(report.File{State: present, Modified: old}), fail, "10d ago"},
	{fileX + `modified: within 20d}`, fileItem(report.File{State: present, Modified: old}), pass, ""},
	{fileX + `modified: within 20d}`, fileItem(report.File{State: present}), cannotTell, "not known"},
	{fileX + `modified: within 20d}`, fileItem(report.File{State: present, Modified: now.Add(48 * time.Hour)}), cannotTell, "in the future"},
	{fileX + `created: after 2026-11-12}`, fileItem(report.File{State: present, Created: old}), pass, ""},
	{fileX + `created: after 2026-11-13}`, fileItem(report.File{State: present, Created: old}), fail, "wanted after"},
	{fileX + `accessed: before 2026-11-13}`, fileItem(report.File{State: present, Accessed: old}), pass, ""},
	{fileX + `accessed: before 2026-11-12}`, fileItem(report.File{State: present, Accessed: old}), fail, ""},
	{fileX + `accessed: on 2026-11-12}`, fileItem(report.File{State: present, Accessed: old}), pass, ""},
	{fileX + `accessed: on 2026-11-11}`, fileItem(report.File{State: present, Accessed: old}), fail, ""},
	{fileX + `version: ">= 4.18"}`, fileItem(report.File{State: present, Version: "4.18.0"}), pass, ""},
	{fileX + `version: "> 4.18"}`, fileItem(report.File{State: present, Version: "4.18.0"}), fail, "version 4.18.0, wanted > 4.18"},
	{fileX + `version: "= 4.18"}`, fileItem(report.File{State: present, Version: "4.18.0"}), pass, ""},
	{fileX + `version: "!= 4.18"}`, fileItem(report.File{State: present, Version: "4.18.0"}), fail, ""},
	{fileX + `version: "< 4.2"}`, fileItem(report.File{State: present, Version: "4.18.0"}), fail, ""},
	{fileX + `version: "<= 4.20"}`, fileItem(report.File{State: present, Version: "4.18.0"}), pass, ""},
	{fileX + `version: ">= 4"}`, fileItem(report.File{State: present, Version: "unstable"}), cannotTell, "unstable"},
	{fileX + `version: ">= 4"}`, fileItem(report.File{State: present}), cannotTell, "not known"},
	{fileX + `crc32: [deadbeef]}`, fileItem(report.File{State: present, CRC32: "deadbeef"}), pass, ""},
	{fileX + `crc32: [deadbeef]}`, fileItem(report.File{State: present, CRC32: "00000000"}), fail, "CRC-32"},
	{fileX + `sha256: ["` + sum + `"]}`, fileItem(report.File{State: present, SHA256: sum}), pass, ""},
	{fileX + `sha256: ["` + sum + `"]}`, fileItem(report.File{State: present, SHA256: strings.Repeat("0", 64)}), fail, "SHA-256"},
	{fileX + `sha256: ["` + sum + `"]}`, fileItem(report.File{State: present}), cannotTell, "not known"},
	{`file: {path: other}`, Input{}, cannotTell, ""},

	{regX + `is: present}`, registryItem(report.RegistryItem{State: present}), pass, ""},
	{regX + `is: absent}`, registryItem(report.RegistryItem{State: present}), fail, `HKLM\SOFTWARE\X V is present`},
	{regX + `number: ">= 5"}`, registryItem(report.RegistryItem{State: present, Data: "7"}), pass, ""},
	{regX + `number: ">= 5"}`, registryItem(report.RegistryItem{State: present, Data: "18446744073709551615"}), pass, ""},
	{regX + `number: "= 5"}`, registryItem(report.RegistryItem{State: present, Data: "4"}), fail, "value 4, wanted = 5"},
	{regX + `number: "= 5"}`, registryItem(report.RegistryItem{State: present, Data: "five"}), cannotTell, "five"},
	{regX + `text: contains Corp}`, registryItem(report.RegistryItem{State: present, Data: "the corp build"}), pass, ""},
	{regX + `text: lacks Corp}`, registryItem(report.RegistryItem{State: present, Data: "the corp build"}), fail, ""},
	{regX + `text: starts The}`, registryItem(report.RegistryItem{State: present, Data: "the corp build"}), pass, ""},
	{regX + `text: ends build}`, registryItem(report.RegistryItem{State: present, Data: "the corp build"}), pass, ""},
	{regX + `text: "!= the corp build"}`, registryItem(report.RegistryItem{State: present, Data: "the corp build"}), fail, ""},
	{regX + `text: the corp build}`, registryItem(report.RegistryItem{State: present, Data: "The Corp Build"}), pass, ""},
	{regX + `version: ">= 10.0.19045"}`, registryItem(report.RegistryItem{State: present, Data: "10.0.19045.5011"}), pass, ""},
	{regX + `is: present}`, Input{Session: expr.Input{OS: "linux"}, Facts: &report.Facts{Registry: &report.Registry{}}}, cannotTell, "for windows, and the endpoint runs linux"},

	{`service: {name: ssh}`, serviceItem(report.Service{State: report.StateRunning}), pass, ""},
	{`service: {name: ssh}`, serviceItem(report.Service{State: report.StateStopped}), fail, "service ssh is stopped, wanted running"},
	{`service: {name: ssh}`, serviceItem(report.Service{State: report.StateUnknown, Reason: "no bus"}), cannotTell, "no bus"},
	{`service: {name: ssh, is: not-running}`, serviceItem(report.Service{State: report.StateAbsent}), pass, ""},
	{`service: {name: ssh, is: not-running}`, serviceItem(report.Service{State: report.StateRunning}), fail, ""},
	{`service: {name: ssh, is: present}`, serviceItem(report.Service{State: report.StateStopped}), pass, ""},
	{`service: {name: ssh, is: absent}`, serviceItem(report.Service{State: report.StateStopped}), fail, ""},
	{`service: {name: ssh, start: automatic}`, serviceItem(report.Service{State: report.StateRunning, Start: "manual"}), fail, "start manual, wanted automatic"},
	{`service: {name: ssh}`, Input{Facts: &report.Facts{Services: &report.Services{}}}, cannotTell, "told nothing of it"},
	{`service: {name: ssh}`, Input{Facts: &report.Facts{Services: &report.Services{Error: "cut"}}}, cannotTell, "cut"},
	{`service: {name: ssh}`, Input{}, cannotTell, "did not look at services"},

	{`process: {name: sshd}`, Input{Facts: &report.Facts{Processes: &report.Processes{Items: []report.Process{{Name: "sshd", State: report.StateRunning}}}}}, pass, ""},
	{`process: {name: sshd}`, Input{Facts: &report.Facts{Processes: &report.Processes{Items: []report.Process{{Name: "sshd", State: report.StateAbsent}}}}}, fail, "program sshd is absent"},
	{`process: {name: sshd, is: not-running}`, Input{Facts: &report.Facts{Processes: &report.Processes{Items: []report.Process{{Name: "sshd", State: report.StateAbsent}}}}}, pass, ""},

	{`application: {name: "fire*", version: ">= 100"}`, packages(report.Package{Name: "firefox", State: report.StateInstalled, Version: "99"}, report.Package{Name: "firefox-esr", State: report.StateInstalled, Version: "115.1"}), pass, ""},
	{`application: {name: "fire*", version: ">= 200"}`, packages(report.Package{Name: "firefox", State: report.StateInstalled, Version: "99"}), fail, "firefox: version 99, wanted >= 200"},
	{`application: {name: "fire*", vendor: Mozilla}`, packages(report.Package{Name: "firefox", State: report.StateInstalled, Vendor: "Other"}), fail, "vendor Other"},
	{`application: {name: "fire*"}`, packages(report.Package{State: report.StateAbsent}), fail, "fire* is absent"},
	{`application: {name: "fire*", is: absent}`, packages(report.Package{State: report.StateAbsent}), pass, ""},
	{`application: {name: "fire*", is: absent}`, packages(report.Package{Name: "firefox", State: report.StateInstalled}), fail, "firefox is installed, wanted absent"},

	{`anti-malware: {}`, malware(report.Product{Name: "D", State: report.StateOn}), pass, ""},
	{`anti-malware: {}`, malware(report.Product{Name: "D", State: report.StateOff}), fail, "D is off, wanted on"},
	{`anti-malware: {}`, malware(report.Product{Name: "D", State: report.StateUnknown, Reason: "no access"}), cannotTell, "no access"},
	{`anti-malware: {}`, malware(), fail, "no anti-malware product is there"},
	{`anti-malware: {is: installed}`, malware(report.Product{Name: "D", State: report.StateOff}), pass, ""},
	{`anti-malware: {is: protecting}`, malware(report.Product{Name: "D", State: report.StateOn, RealTime: "off"}), fail, "real-time protection off"},
	{`anti-malware: {is: protecting}`, malware(report.Product{Name: "D", State: report.StateOn, RealTime: "unknown"}), cannotTell, "not known"},
	{`anti-malware: {definitions: within 3d}`, malware(report.Product{Name: "D", State: report.StateOn, DefinitionsAt: old}), fail, "10d ago, wanted within 3d"},
	{`anti-malware: {definitions: within 3d}`, malware(report.Product{Name: "D", State: report.StateOn, DefinitionsAt: old}, report.Product{Name: "E", State: report.StateOn, DefinitionsAt: now}), pass, ""},
	{`anti-malware: {vendor: contains micro, version: ">= 4.18"}`, malware(report.Product{Name: "D", Vendor: "Microsoft", State: report.StateOn, Version: "4.9"}), fail, "version 4.9"},
	{`anti-malware: {vendor: contains micro}`, malware(report.Product{Name: "D", Vendor: "Other", State: report.StateOn}), fail, "no product is there that has vendor"},
	{`anti-virus: {}`, malware(report.Product{Name: "D", State: report.StateOn}), pass, ""},
	{`anti-spyware: {is: installed}`, malware(), fail, "no anti-spyware product"},
	{`anti-malware: {}`, Input{Facts: &report.Facts{AntiMalware: &report.AntiMalware{Error: "no WMI"}}}, cannotTell, "no WMI"},

	{`firewall: {}`, firewalls(report.Product{Name: "nftables", State: report.StateOn}), pass, ""},
	{`firewall: {}`, firewalls(report.Product{Name: "nftables", State: report.StateOff}), fail, "nftables is off"},
	{`firewall: {profiles: [public, private]}`, firewalls(report.Product{Name: "W", State: report.StateOn, Profiles: []string{"public on", "private off"}}), fail, "profiles public, wanted public and private on"},
	{`firewall: {profiles: [Public]}`, firewalls(report.Product{Name: "W", State: report.StateOn, Profiles: []string{"public on", "private off"}}), pass, ""},
	{`firewall: {profiles: [public]}`, firewalls(report.Product{Name: "W", State: report.StateOn}), cannotTell, "not known"},
	{`firewall: {product: ufw}`, firewalls(report.Product{Name: "nftables", State: report.StateOn}), fail, "has name contains ufw"},

	{`disk-encryption: {}`, volumes(report.Volume{Mount: "/", State: report.VolumeEncrypted, System: true}, report.Volume{Mount: "/u", State: report.VolumePlain, External: true}), pass, ""},
	{`disk-encryption: {}`, volumes(report.Volume{Mount: "/", State: report.VolumeEncrypted}, report.Volume{Mount: "/home", State: report.VolumePlain}), fail, "volume /home is plain, wanted encrypted"},
	{`disk-encryption: {location: system}`, volumes(report.Volume{Mount: "/", State: report.VolumeEncrypted, System: true}, report.Volume{Mount: "/home", State: report.VolumePlain}), pass, ""},
	{`disk-encryption: {location: "/HOME", state: [partly, plain]}`, volumes(report.Volume{Mount: "/home", State: report.VolumePartly}), pass, ""},
	{`disk-encryption: {location: "D:"}`, volumes(report.Volume{Mount: "C:", State: report.VolumeEncrypted}), fail, "there is no volume D:"},
	{`disk-encryption: {location: system}`, volumes(report.Volume{Mount: "/x", State: report.VolumeEncrypted}), cannotTell, "no such volume"},
	{`disk-encryption: {by: bitlocker}`, volumes(report.Volume{Mount: "C:", State: report.VolumeEncrypted, By: "other"}), fail, "encryption other"},
	{`disk-encryption: {}`, Input{Facts: &report.Facts{Encryption: &report.Encryption{Error: "no access", Volumes: []report.Volume{{Mount: "/", State: report.VolumeEncrypted}}}}}, cannotTell, "no access"},

	{`patch: {}`, patch(report.Patch{Manager: "apt"}), pass, ""},
	{`patch: {}`, patch(report.Patch{Manager: "apt", Security: 3, Pending: 9}), fail, "missing security updates 3, wanted none"},
	{`patch: {severity: all}`, patch(report.Patch{Manager: "apt", Pending: 9}), fail, "missing updates 9"},
	{`patch: {is: installed}`, patch(report.Patch{}), fail, "updates is absent"},
	{`patch: {is: enabled}`, patch(report.Patch{Manager: "apt", Automatic: "off"}), fail, "automatic updates off"},
	{`patch: {is: enabled}`, patch(report.Patch{Manager: "apt", Automatic: "unknown"}), cannotTell, ""},
	{`patch: {checked: within 7d}`, patch(report.Patch{Manager: "apt", Checked: old}), fail, "list of updates"},
	{`patch: {build: ">= 6.1"}`, patch(report.Patch{Manager: "apt", Build: "6.1.0-30-amd64"}), pass, ""},
	{`patch: {restart: not-pending}`, patch(report.Patch{Manager: "apt", RestartPending: "on"}), fail, "restart on, wanted off"},
	{`patch: {manager: apt}`, patch(report.Patch{Manager: "dnf"}), fail, "manager dnf"},
	{`patch: {}`, patch(report.Patch{Manager: "apt", Error: "no list"}), cannotTell, "no list"},

	{`system: {version: ">= 12", arch: amd64}`, Input{System: &report.System{OSVersion: "12.5", Arch: "amd64"}}, pass, ""},
	{`system: {name: contains server}`, Input{System: &report.System{OSName: "Debian"}}, fail, "name Debian"},
	{`system: {domain: corp.example, hostname: starts lap, user: "!= root"}`, Input{System: &report.System{Domain: "CORP.example", Hostname: "LAP-1", User: "ann"}}, pass, ""},
	{`system: {version: ">= 12"}`, Input{}, cannotTell, "did not look at the system"},
	{`hardware: {attribute: serial, text: starts X}`, hardware("serial", "present", "X1"), pass, ""},
	{`hardware: {attribute: memory, number: ">= 8"}`, hardware("memory", "present", "4"), fail, "memory: value 4"},
	{`hardware: {attribute: tpm, version: ">= 2.0"}`, hardware("tpm", "absent", ""), fail, "tpm is absent"},
	{`hardware: {attribute: serial}`, Input{}, cannotTell, "did not look at the hardware"},
	{`script: {file: a.sh, sha256: "` + sum + `"}`, script(report.Script{Name: "a.sh", SHA256: sum, State: "present"}), pass, ""},
	{`script: {file: a.sh, sha256: "` + sum + `"}`, script(report.Script{Name: "a.sh", SHA256: sum, Exit: 2, State: "present"}), fail, "exit status 2, wanted = 0"},
	{`script: {file: a.sh, sha256: "` + sum + `", output: contains ok}`, script(report.Script{Name: "a.sh", SHA256: sum, Output: "bad", State: "present"}), fail, "output bad"},
	{`script: {file: a.sh, sha256: "` + sum + `"}`, script(report.Script{Name: "a.sh", SHA256: strings.Repeat("0", 64), State: "present"}), cannotTell, "told nothing"},
	{`script: {file: a.sh, sha256: "` + sum + `"}`, script(report.Script{Name: "a.sh", SHA256: sum, State: "unknown", Reason: "timed out"}), cannotTell, "timed out"},

	{`session: 'session.nas == "vpn"'`, Input{Session: expr.Input{NAS: "vpn"}}, pass, ""},
	{`session: 'session.nas == "vpn"'`, Input{Session: expr.Input{NAS: "switch"}}, fail, "does not hold"},
	{`session: 'session.groups[3] == "a"'`, Input{}, cannotTell, ""},

	{`os: [linux], service: {name: ssh}`, Input{Session: expr.Input{OS: "macos"}, Facts: serviceItem(report.Service{State: "running"}).Facts}, cannotTell, "for linux, and the endpoint runs macos"},
	{`os: [linux], service: {name: ssh}`, Input{Facts: serviceItem(report.Service{State: "running"}).Facts}, cannotTell, "nobody knows what"},
	{`max-age: 1m, service: {name: ssh}`, Input{FactsAt: now.Add(-2 * time.Minute), Facts: serviceItem(report.Service{State: "running"}).Facts}, cannotTell, "2m old, at most 60s"},
}

// judgeOne compiles a condition and judges it alone.
func judgeOne(t *testing.T, text string, in Input) (verdict, string) {
	t.Helper()
	p, _, faults := load(t, "\n  conditions:\n    C: {"+text+"}\n")
	if err := faults.Err(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if in.FactsAt.IsZero() {
		in.FactsAt = now
	}
	e := gather(now, &in)
	defer e.release()
	j := judgement{policy: p, evidence: e, known: make([]judged, len(p.conditions))}
	i := 0
	v, reason := p.conditions[i].judge(&j)
	if parts := p.conditions[i].parts(&j); v == pass && len(parts) == 0 {
		t.Errorf("%s: nothing to show", text)
	}
	return v, reason
}

// TestConditions is every kind, comparison and result.
func TestConditions(t *testing.T) {
	for i, c := range conditionCases {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if c.condition == `file: {path: other}` {
				return // wrong: TestWrongConditions says so
			}
			got, reason := judgeOne(t, c.condition, c.in)
			if got != c.want || !strings.Contains(reason, c.reason) || got == pass && reason != "" || got != pass && reason == "" {
				t.Errorf("%s: %v %q, want %v %q", c.condition, got, reason, c.want, c.reason)
			}
		})
	}
}

// TestLibraryConditions: those of the library are used by its name, and tell classes of
// products apart; one that it does not know counts.
func TestLibraryConditions(t *testing.T) {
	p := policy(t, `
  conditions: {Own: {compound: "library.Any_AS_Running & !library.Any_Firewall_On"}}
  requirements: {Q: {conditions: [Own, library.Any_AM_Running]}}
  policy: [{rule: P, requirements: [{name: Q}]}]
`)
	for name, want := range map[string]sessions.PostureStatus{"ClamAV 1.4": sessions.NonCompliant, "Windows Defender": sessions.Compliant, "Unheard of": sessions.Compliant} {
		in := malware(report.Product{Name: name, State: report.StateOn})
		in.Facts.Firewall, in.FactsAt = &report.Firewall{}, now
		if a := p.Assess(now, in); a.Status != want {
			t.Errorf("%s: %+v", name, a.Rules)
		}
	}
}

// TestUsersOfAFile: below every person's directory, all or any of them.
func TestUsersOfAFile(t *testing.T) {
	in := Input{Facts: &report.Facts{Files: &report.Files{Items: []report.File{
		{Root: "user-profile", Path: "x", User: "ann", State: present}, {Root: "user-profile", Path: "x", User: "bob", State: report.StateAbsent}}}}}
	if v, reason := judgeOne(t, `file: {root: user-profile, path: x}`, in); v != fail || !strings.Contains(reason, "of bob is absent") {
		t.Errorf("%v %s", v, reason)
	}
	if v, reason := judgeOne(t, `file: {root: user-profile, path: x, users: any}`, in); v != pass {
		t.Errorf("%v %s", v, reason)
	}
	in.Facts.Files.Error = "a directory cannot be read"
	in.Facts.Files.Items = in.Facts.Files.Items[:1]
	if v, reason := judgeOne(t, `file: {root: user-profile, path: x}`, in); v != cannotTell {
		t.Errorf("%v %s", v, reason)
	}
}

// TestCompound is the table of truth with three values.
func TestCompound(t *testing.T) {
	const section = `
  conditions:
    P: {service: {name: p}}
    F: {service: {name: f}}
    C: {service: {name: c}}
    "P 2": {service: {name: p}}
    X: {compound: %q}
`
	in := Input{FactsAt: now, Facts: &report.Facts{Services: &report.Services{Items: []report.Service{
		{Name: "p", State: "running"}, {Name: "f", State: "stopped"}, {Name: "c", State: "unknown", Reason: "no bus"}}}}}
	for text, want := range map[string]verdict{
		"P": pass, "F": fail, "C": cannotTell, "!P": fail, "!F": pass, "!C": cannotTell, "P & P": pass, "P & F": fail, "P & C": cannotTell,
		"F & C": fail, "P | F": pass, "P | C": pass, "F | C": cannotTell, "F | F": fail, "!(P & F)": pass, "!(F | C)": cannotTell,
		"P & !F | C": pass, "P & (F | !F)": pass, "(P)": pass, "P && P || F": pass, "!!P": pass, "'P 2' & P": pass, "F | P & C": cannotTell,
	} {
		p := policy(t, fmt.Sprintf(section, text))
		e := gather(now, &in)
		j := judgement{policy: p, evidence: e, known: make([]judged, len(p.conditions))}
		x := j.condition(slices.IndexFunc(p.conditions, func(c condition) bool { return c.name == "X" }))
		if x.verdict != want || (want == pass) != (x.reason == "") {
			t.Errorf("%s: %v %q, want %v", text, x.verdict, x.reason, want)
		}
		e.release()
	}
}

// TestWrongConditions: what is said of each, and where.
func TestWrongConditions(t *testing.T) {
	for text, want := range map[string]string{
		`{compound: "USB | (A"}`:                                    "the bracket opened here is not closed",
		`{compound: "USB and A"}`:                                   "conditions are joined by & or |",
		`{compound: "USB & Usb"}`:                                   `did you mean "USB"?`,
		`{compound: "A & X"}`:                                       "leads back to itself",
		`{compound: "& USB"}`:                                       "where a condition is expected",
		`{compound: "USB &"}`:                                       "a condition is missing at the end",
		`{compound: "not USB"}`:                                     "the operators are & | !",
		`{file: {path: other}}`:                                     "is not absolute",
		`{file: {path: ../x, root: system}}`:                        "leads upwards",
		`{file: {path: /x, root: system}}`:                          "is absolute, and cannot be below system",
		`{file: {path: /x, version: "4"}}`:                          "does not say how to compare",
		`{file: {path: /x, version: ">= new"}}`:                     `"new" is not a version`,
		`{file: {path: /x, modified: 3d}}`:                          "compares no time",
		`{file: {path: /x, modified: within 3}}`:                    `"3" is not a span`,
		`{file: {path: /x, modified: after yesterday}}`:             "is not a date",
		`{file: {path: /x, sha256: [abc]}}`:                         "is not 64 hexadecimal digits",
		`{file: {path: /x, is: absent, version: ">= 4"}}`:           "has no version",
		`{registry: {key: 'HKLM\X'}}`:                               "begins with a hive",
		`{registry: {key: X, text: a}}`:                             "a key alone has no value",
		`{os: [linux], registry: {key: X}}`:                         "there is no registry on linux",
		`{registry: {key: X, value: V, number: many}}`:              "does not say how to compare",
		`{application: {name: "a*b"}}`:                              "is not a name, with * at its ends",
		`{disk-encryption: {location: C}}`:                          "is not a place",
		`{system: {}}`:                                              "compares nothing",
		`{script: {file: a/b.sh, sha256: x}}`:                       "is not a plain file name",
		`{session: 'session.posture == "Compliant"'}`:               "judges itself",
		`{usb: {mass-storage: absent}, service: {name: x}}`:         "of several kinds: usb, service",
		`{anti-malware: {definitions: within 3d, against: latest}}`: "knows no newest definitions",
	} {
		_, _, faults := load(t, "\n  conditions:\n    USB: {usb: {mass-storage: absent}}\n    A: {compound: X}\n    X: "+text+"\n")
		if got := faults.Error(); !strings.Contains(got, want) {
			t.Errorf("%s:\n%swant %s", text, got, want)
		}
	}
}

// TestRequirementOfAnotherSystem: a condition that can never tell is a fault, one that
// cannot everywhere a warning.
func TestRequirementOfAnotherSystem(t *testing.T) {
	const section = `
  conditions: {R: {registry: {key: X}}}
  requirements: {Q: {os: [%s], conditions: [R]}}
  policy: [{rule: P, requirements: [{name: Q}]}]
`
	_, _, faults := load(t, fmt.Sprintf(section, "linux"))
	if !strings.Contains(faults.Error(), "it can never tell") {
		t.Error(faults)
	}
	_, warnings, faults := load(t, fmt.Sprintf(section, "linux, windows"))
	if len(faults) > 0 || !strings.Contains(warnings.String(), "on linux the requirement cannot tell") {
		t.Error(faults, warnings)
	}
}

// TestNoFactIsASilentPass: whatever the kind, no report, an old report, or a group that
// was not collected passes nothing.
func TestNoFactIsASilentPass(t *testing.T) {
	for _, c := range conditionCases {
		if strings.Contains(c.condition, "session:") || c.condition == `file: {path: other}` {
			continue
		}
		p, _, faults := load(t, "\n  conditions:\n    C: {"+c.condition+"}\n  requirements: {Q: {conditions: [C]}}\n  policy: [{rule: P, requirements: [{name: Q}]}]\n")
		if err := faults.Err(); err != nil {
			t.Fatal(err)
		}
		stale := c.in
		stale.FactsAt = now.Add(-48 * time.Hour)
		for what, in := range map[string]Input{"no report": {Session: c.in.Session}, "nothing collected": {Session: c.in.Session, Facts: &report.Facts{}, FactsAt: now}, "an old report": stale} {
			if a := p.Assess(now, in); a.Status == sessions.Compliant {
				t.Errorf("%s: %s passes", c.condition, what)
			}
		}
	}
}

// TestVersions: what comes first.
func TestVersions(t *testing.T) {
	for _, list := range [][]string{
		{"1.0~rc1", "1.0rc1", "1.0", "1.0a", "1.0.1", "1.1", "1.10", "2"},
		{"10.0.19044", "10.0.19045.1", "10.0.19045.5011", "10.1"},
		{"1:1.0", "2:0.5"},
		{"6.1.0-30-amd64", "6.1.0-31-amd64"},
	} {
		for i, a := range list {
			for j, b := range list {
				if order, ok := compareVersions(a, b); !ok || order != sign(i-j) {
					t.Errorf("%s and %s: %d %v", a, b, order, ok)
				}
			}
		}
	}
	for _, same := range [][2]string{{"1.0", "1"}, {"v1.2", "1.2.0"}, {"007", "7"}, {"1:2.3", "2.3"}} {
		if order, ok := compareVersions(same[0], same[1]); order != 0 || !ok {
			t.Errorf("%v: %d %v", same, order, ok)
		}
	}
	if _, ok := compareVersions("unstable", "1"); ok {
		t.Error("a word is no version")
	}
}

// FuzzVersions: any two texts are ordered the same from both sides, or not at all.
func FuzzVersions(f *testing.F) {
	f.Add("1.0~rc1", "1:2.3-4")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, ok1 := compareVersions(a, b)
		y, ok2 := compareVersions(b, a)
		if ok1 != ok2 || x != -y {
			t.Fatalf("%q %q: %d %v, %d %v", a, b, x, ok1, y, ok2)
		}
	})
}

// FuzzCompound: whatever is written, a fault or a condition comes back; a condition that
// comes back has a verdict.
func FuzzCompound(f *testing.F) {
	for _, seed := range []string{"A & B", "A | !(B & 'C C')", "((A", "!", "A B", "\"", "A &&& B", "é & A", "A | (B | (A | !B))"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		section := config.Posture{Conditions: config.Map[config.Condition]{{Name: config.Text{Value: "A"}}, {Name: config.Text{Value: "B"}}, {Name: config.Text{Value: "C C"}}}}
		c := &compiler{section: &section, conditionAt: map[string]int{"A": 0, "B": 1, "C C": 2}, used: map[string]bool{}, policy: &Policy{}}
		n := c.compileCompound(config.Text{Value: text}, "compound")
		if (n == nil) != (len(c.faults) > 0) {
			t.Fatalf("%v %v", n, c.faults)
		}
		if n == nil {
			return
		}
		j := judgement{policy: c.policy, known: []judged{{done: true}, {done: true, verdict: fail, reason: "b"}, {done: true, verdict: cannotTell, reason: "c"}}}
		if v, reason := n.judge(&j); (v == pass) != (reason == "") {
			t.Fatalf("%v %q", v, reason)
		}
	})
}
