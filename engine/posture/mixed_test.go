package posture

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport/engine/expr"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// mixedPolicy looks at every group of facts, alone and together.
const mixedPolicy = `
  conditions:
    AM: {anti-malware: {definitions: within 20d}}
    FW: {firewall: {}}
    DE: {disk-encryption: {}}
    SSH: {service: {name: ssh}}
    FF: {application: {name: "fire*", version: ">= 100"}}
    Any: {compound: "AM | FW | SSH"}
    All: {compound: "AM & FW & DE"}
  requirements:
    A: {conditions: [AM, FW]}
    B: {conditions: [DE], cannot-tell: skip}
    C: {conditions: [SSH, FF]}
    D: {conditions: [Any, All], cannot-tell: skip}
  policy:
    - {rule: a, requirements: [{name: A}, {name: C, enforcement: optional}]}
    - {rule: b, requirements: [{name: B}]}
    - {rule: c, requirements: [{name: D}]}
`

func anyFacts(t *rapid.T) *report.Facts {
	products := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) report.Product {
		return report.Product{
			Name:  rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "name"),
			State: rapid.SampledFrom([]string{report.StateOn, report.StateOff, report.StateUnknown}).Draw(t, "state"), Reason: "r",
			DefinitionsAt: now.AddDate(0, 0, -rapid.IntRange(0, 40).Draw(t, "days")),
		}
	}), 0, 3)
	trouble := rapid.SampledFrom([]string{"", "", "", "no access"})
	f := &report.Facts{}
	if rapid.Bool().Draw(t, "am") {
		f.AntiMalware = &report.AntiMalware{Products: products.Draw(t, "products"), Error: trouble.Draw(t, "trouble")}
	}
	if rapid.Bool().Draw(t, "fw") {
		f.Firewall = &report.Firewall{Products: products.Draw(t, "firewalls"), Error: trouble.Draw(t, "trouble")}
	}
	if rapid.Bool().Draw(t, "de") {
		f.Encryption = &report.Encryption{Error: trouble.Draw(t, "trouble")}
		for i := range rapid.IntRange(0, 3).Draw(t, "volumes") {
			f.Encryption.Volumes = append(f.Encryption.Volumes, report.Volume{Mount: fmt.Sprint("/", i), Reason: "r",
				State: rapid.SampledFrom([]string{report.VolumeEncrypted, report.VolumePlain, report.StateUnknown}).Draw(t, "state")})
		}
	}
	if rapid.Bool().Draw(t, "services") {
		f.Services = &report.Services{Error: trouble.Draw(t, "trouble")}
		if rapid.Bool().Draw(t, "ssh") {
			f.Services.Items = []report.Service{{Name: "ssh", Reason: "r", State: rapid.SampledFrom([]string{"running", "stopped", "absent", "unknown"}).Draw(t, "state")}}
		}
	}
	if rapid.Bool().Draw(t, "packages") {
		f.Packages = &report.Packages{Error: trouble.Draw(t, "trouble")}
		for range rapid.IntRange(0, 3).Draw(t, "packages") {
			f.Packages.Items = append(f.Packages.Items, report.Package{Probe: "fire*", Name: "firefox", State: report.StateInstalled,
				Version: rapid.SampledFrom([]string{"99", "115", ""}).Draw(t, "version")})
		}
	}
	return f
}

// badness counts what an assessment holds against the endpoint.
func badness(a *Assessment) (n int) {
	if a.Status == sessions.NonCompliant {
		n += 1000
	}
	for _, r := range a.Rules {
		n += 10 * len(r.Failed)
		n += len(r.Skipped)
	}
	return n
}

// good adds one fact that passes, of some kind, to a copy of facts.
func good(t *rapid.T, f report.Facts) *report.Facts {
	on := report.Product{Name: "Good", State: report.StateOn, DefinitionsAt: now}
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		g := report.AntiMalware{}
		if f.AntiMalware != nil {
			g = *f.AntiMalware
		}
		g.Products = append(append([]report.Product(nil), g.Products...), on)
		f.AntiMalware = &g
	case 1:
		g := report.Firewall{}
		if f.Firewall != nil {
			g = *f.Firewall
		}
		g.Products = append(append([]report.Product(nil), g.Products...), on)
		f.Firewall = &g
	case 2:
		g := report.Encryption{}
		if f.Encryption != nil {
			g = *f.Encryption
		}
		g.Volumes = append(append([]report.Volume(nil), g.Volumes...), report.Volume{Mount: "/good", State: report.VolumeEncrypted})
		f.Encryption = &g
	case 3:
		g := report.Services{}
		if f.Services != nil {
			g = *f.Services
		}
		if len(g.Items) == 0 {
			g.Items = []report.Service{{Name: "ssh", State: report.StateRunning}}
		}
		f.Services = &g
	default:
		g := report.Packages{}
		if f.Packages != nil {
			g = *f.Packages
		}
		g.Items = append(append([]report.Package(nil), g.Items...), report.Package{Probe: "fire*", Name: "firefox", State: report.StateInstalled, Version: "120"})
		f.Packages = &g
	}
	return &f
}

// TestPassingFactNeverWorsens: one more observation that passes makes no assessment worse.
func TestPassingFactNeverWorsens(t *testing.T) {
	p := policy(t, mixedPolicy)
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts(t)
		before := p.Assess(now, on("linux", f))
		after := p.Assess(now, on("linux", good(t, *f)))
		if badness(&after) > badness(&before) {
			t.Fatalf("%+v\n%+v", before, after)
		}
	})
}

// TestOrderOfFactsDoesNotMatter: no word of an assessment depends on the order of the
// report, and no status on the order of the rules.
func TestOrderOfFactsDoesNotMatter(t *testing.T) {
	p := policy(t, mixedPolicy)
	head, rules, _ := strings.Cut(mixedPolicy, "  policy:\n")
	lines := strings.SplitAfter(strings.TrimRight(rules, "\n"), "\n")
	lines[len(lines)-1] += "\n"
	turned := policy(t, head+"  policy:\n"+lines[2]+lines[0]+lines[1])
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts(t)
		before := p.Assess(now, on("linux", f))
		shuffled := *f
		if f.AntiMalware != nil {
			shuffled.AntiMalware = &report.AntiMalware{Error: f.AntiMalware.Error, Products: rapid.Permutation(f.AntiMalware.Products).Draw(t, "am")}
		}
		if f.Encryption != nil {
			shuffled.Encryption = &report.Encryption{Error: f.Encryption.Error, Volumes: rapid.Permutation(f.Encryption.Volumes).Draw(t, "de")}
		}
		if f.Packages != nil {
			shuffled.Packages = &report.Packages{Error: f.Packages.Error, Items: rapid.Permutation(f.Packages.Items).Draw(t, "packages")}
		}
		if after := p.Assess(now, on("linux", &shuffled)); !reflect.DeepEqual(before, after) {
			t.Fatalf("%+v\n%+v", before, after)
		}
		if other := turned.Assess(now, on("linux", f)); other.Status != before.Status || badness(&other) != badness(&before) {
			t.Fatalf("%+v\n%+v", before, other)
		}
	})
}

// TestDocumentAsksForWhatConditionsNeed: an agent that collects what the document names
// leaves no condition without its facts.
func TestDocumentAsksForWhatConditionsNeed(t *testing.T) {
	p := policy(t, `
  conditions:
    F1: {file: {path: /etc/x, version: "> 1"}}
    F2: {file: {path: /etc/x, crc32: [deadbeef]}}
    Reg: {registry: {key: X}}
    S: {service: {name: ssh}}
    AM: {anti-malware: {}}
    One: {compound: "S | !AM"}
  requirements: {E: {conditions: [F1, F2, One]}, W: {os: [windows], conditions: [Reg]}}
  policy: [{rule: d, requirements: [{name: E}, {name: W}]}]
`)
	linux := on("linux", nil)
	d := p.Document(&linux)
	want := &report.Probe{Files: []report.FileProbe{{Path: "/etc/x", Want: []string{"crc32", "version"}}}, Services: []string{"ssh"}}
	if !reflect.DeepEqual(d.Collect, []string{"antimalware", "files", "services"}) || !reflect.DeepEqual(d.Probe, want) {
		t.Errorf("%+v %+v", d, d.Probe)
	}
	windows := on("windows", nil)
	if d = p.Document(&windows); len(d.Probe.Registry) != 1 || len(d.Collect) != 4 {
		t.Errorf("%+v %+v", d, d.Probe)
	}
}

// manyFacts is 1,000 facts of every kind, and a policy of 200 requirements about them.
func manyFacts() (section string, in Input) {
	var conditions, requirements, rules strings.Builder
	f := &report.Facts{Files: &report.Files{}, Services: &report.Services{}, Processes: &report.Processes{}, Packages: &report.Packages{},
		Registry: &report.Registry{}, AntiMalware: &report.AntiMalware{}, Firewall: &report.Firewall{}, Encryption: &report.Encryption{}, Patch: &report.Patch{Manager: "apt", Pending: 1}}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 128 {
		f.Files.Items = append(f.Files.Items, report.File{Path: fmt.Sprintf("/etc/file-%d", i), State: report.StatePresent, Version: fmt.Sprint("4.", rng.IntN(30)), Modified: now})
		f.Services.Items = append(f.Services.Items, report.Service{Name: fmt.Sprintf("service-%d", i), State: report.StateRunning})
		f.Processes.Items = append(f.Processes.Items, report.Process{Name: fmt.Sprintf("process-%d", i), State: report.StateRunning})
		f.Packages.Items = append(f.Packages.Items, report.Package{Probe: fmt.Sprintf("package-%d", i), Name: fmt.Sprintf("package-%d", i), State: report.StateInstalled, Version: "2.0"})
		f.Registry.Items = append(f.Registry.Items, report.RegistryItem{RegistryProbe: report.RegistryProbe{Hive: "HKLM", Key: fmt.Sprintf(`S\K%d`, i)}, State: report.StatePresent})
		f.AntiMalware.Products = append(f.AntiMalware.Products, report.Product{Name: fmt.Sprintf("product-%d", i), State: report.StateOff, Reason: "r"})
		f.Encryption.Volumes = append(f.Encryption.Volumes, report.Volume{Mount: fmt.Sprintf("/v%d", i), State: report.VolumeEncrypted})
	}
	for i := range 103 {
		f.Firewall.Products = append(f.Firewall.Products, report.Product{Name: fmt.Sprintf("firewall-%d", i), State: report.StateOn})
	}
	f.AntiMalware.Products[77].State, f.AntiMalware.Products[77].DefinitionsAt = report.StateOn, now
	for i := range 200 {
		kind := []string{
			`file: {path: /etc/file-%d, version: ">= 4.1", modified: within 3d}`, `service: {name: service-%d}`, `process: {name: process-%d}`,
			`application: {name: package-%d, version: ">= 1.5"}`, `registry: {key: 'S\K%d'}`,
			`service: {name: service-%d, is: present}`, `process: {name: process-%d}`, `application: {name: package-%d}`,
		}[i%8]
		switch {
		case i == 100:
			kind = `anti-malware: {definitions: within 3d} #%d`
		case i == 101:
			kind = `disk-encryption: {} #%d`
		case i == 102:
			kind = `firewall: {} #%d`
		}
		fmt.Fprintf(&conditions, "    C%d:\n      "+kind+"\n", i, i%128)
		fmt.Fprintf(&requirements, "    R%d: {os: [windows], conditions: [C%d]}\n", i, i)
		fmt.Fprintf(&rules, "{name: R%d},", i)
	}
	section = "\n  conditions:\n" + conditions.String() + "  requirements:\n" + requirements.String() + "  policy:\n    - {rule: all, requirements: [" + rules.String() + "]}\n"
	return section, Input{Session: expr.Input{OS: "windows", Time: now}, Facts: f, FactsAt: now}
}

// BenchmarkAssessEverything judges 1,000 facts of every kind by 200 requirements.
func BenchmarkAssessEverything(b *testing.B) {
	section, in := manyFacts()
	p := policy(b, section)
	if a := p.Assess(now, in); len(a.Rules) != 200 {
		b.Fatal(len(a.Rules))
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Assess(now, in)
	}
}
