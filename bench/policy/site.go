package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sallyport/engine/expr"
	"sallyport/engine/posture"
	"sallyport/netio/report"
	"sallyport/ops/clock"
)

// kinds are conditions that are all about facts of their own; %[1]d is the number of one.
var kinds = []string{
	`file: {path: 'C:\dir\file-%[1]d.exe', version: ">= 4.1", modified: within 30d}`, `service: {name: service-%[1]d}`,
	`process: {name: process-%[1]d.exe}`, `application: {name: package-%[1]d, version: ">= 1.5"}`, `registry: {key: 'SOFTWARE\K%[1]d'}`,
}

// write makes the configuration of a large site.
func write(dir string, nases, rules, requirements int) error {
	var b strings.Builder
	b.WriteString("appliance: {name: posture.example.com, state: state}\nnas:\n")
	for i := range nases {
		fmt.Fprintf(&b, "  - {name: nas-%d, address: 10.%d.%d.%d, secret: {file: secret}, recipe: cisco-asa}\n", i, i>>16, i>>8&255, i&255)
	}
	b.WriteString("posture:\n  conditions:\n    AM: {anti-malware: {definitions: within 3d}}\n    FW: {firewall: {}}\n    DE: {disk-encryption: {}}\n    Patch: {patch: {}}\n")
	b.WriteString("    Guard: {compound: \"AM & (FW | DE)\"}\n")
	for i := range requirements - 5 {
		fmt.Fprintf(&b, "    C%d: {%s}\n", i, fmt.Sprintf(kinds[i%len(kinds)], i/len(kinds)))
	}
	b.WriteString("  requirements:\n")
	names := []string{"AM", "FW", "DE", "Patch", "Guard"}
	for i := range requirements - 5 {
		names = append(names, fmt.Sprintf("C%d", i))
	}
	for _, name := range names {
		fmt.Fprintf(&b, "    R_%s: {os: [windows], conditions: [%s]}\n", name, name)
	}
	b.WriteString("  policy:\n")
	for i, name := range names {
		fmt.Fprintf(&b, "    - {rule: p%d, when: '\"employees\" in session.groups', requirements: [{name: R_%s}]}\n", i, name)
	}
	b.WriteString("authorization:\n  profiles:\n    Full: {vlan: 10}\n  rules:\n")
	for i := range rules {
		fmt.Fprintf(&b, "    - {rule: rule %d, when: 'session.posture == \"Compliant\" && session.nas == \"nas-%d\"', profile: Full}\n", i, i)
	}
	b.WriteString("tests:\n  - name: a login\n    given: {user: x, groups: [employees], nas: nas-1, os: windows}\n    steps: [{authenticate: ok, expect: {profile: DenyAccess}}]\n")
	for name, text := range map[string]string{"sallyport.yaml": b.String(), "secret": "a long random shared secret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// everything is a healthy endpoint that tells 1,000 facts.
func everything() posture.Input {
	now := clock.System{}.Now()
	f := &report.Facts{
		Files: &report.Files{}, Services: &report.Services{}, Processes: &report.Processes{}, Packages: &report.Packages{}, Registry: &report.Registry{},
		AntiMalware: &report.AntiMalware{}, Firewall: &report.Firewall{}, Encryption: &report.Encryption{}, Patch: &report.Patch{Manager: "windows-update"},
	}
	for i := range 128 { // as many as a report may hold of each
		f.Files.Items = append(f.Files.Items, report.File{Path: fmt.Sprintf(`C:\dir\file-%d.exe`, i), State: report.StatePresent, Version: "4.18.2", Modified: now})
		f.Services.Items = append(f.Services.Items, report.Service{Name: fmt.Sprintf("service-%d", i), State: report.StateRunning})
		f.Processes.Items = append(f.Processes.Items, report.Process{Name: fmt.Sprintf("process-%d.exe", i), State: report.StateRunning})
		name := fmt.Sprintf("package-%d", i)
		f.Packages.Items = append(f.Packages.Items, report.Package{Probe: name, Name: name, State: report.StateInstalled, Version: "2.0.1"})
		key := report.RegistryProbe{Hive: "HKLM", Key: fmt.Sprintf(`SOFTWARE\K%d`, i)}
		f.Registry.Items = append(f.Registry.Items, report.RegistryItem{RegistryProbe: key, State: report.StatePresent})
		f.AntiMalware.Products = append(f.AntiMalware.Products, report.Product{Name: fmt.Sprintf("product-%d", i), State: report.StateOn, DefinitionsAt: now})
		f.Encryption.Volumes = append(f.Encryption.Volumes, report.Volume{Mount: fmt.Sprintf("V%d:", i), State: report.VolumeEncrypted})
	}
	for i := range 103 {
		f.Firewall.Products = append(f.Firewall.Products, report.Product{Name: fmt.Sprintf("firewall-%d", i), State: report.StateOn})
	}
	return posture.Input{Session: expr.Input{OS: "windows", Groups: []string{"employees"}, Time: now}, Facts: f, FactsAt: now}
}

func facts(f *report.Facts) int {
	return len(f.Files.Items) + len(f.Services.Items) + len(f.Processes.Items) + len(f.Packages.Items) + len(f.Registry.Items) +
		len(f.AntiMalware.Products) + len(f.Encryption.Volumes) + len(f.Firewall.Products) + 1
}
