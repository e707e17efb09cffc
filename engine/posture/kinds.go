package posture

import (
	"fmt"
	"strings"

	"sallyport/engine/expr"
	"sallyport/netio/report"
	"sallyport/ops/config"
)

// probe is one thing that the agent must look for, on some systems.
type probe struct {
	os       systems // empty: all
	file     *report.FileProbe
	registry *report.RegistryProbe
	service  string
	process  string
	pkg      string
	hardware string
	script   *report.ScriptProbe
}

// windowsOnly is what has no counterpart elsewhere.
var windowsOnly = systems{"windows"}

// compileCondition makes one condition of what is written. Exactly one kind is wanted.
func (c *compiler) compileCondition(name string, w *config.Condition) condition {
	path := "posture.conditions." + name
	out := condition{name: name, pos: w.Pos, os: texts(w.OS), maxAge: w.MaxAge}
	kinds := c.kinds(w, &out, path)
	switch len(kinds) {
	case 0:
		c.fault(w.Pos, path, "the condition tests nothing", "write usb: {mass-storage: absent}, or another kind")
	case 1:
	default:
		c.fault(w.Pos, path, "the condition is of several kinds: "+strings.Join(kinds, ", "), "make one condition of each, and join them by compound")
	}
	if out.items != nil {
		out.sources = []source{out.items.source}
	}
	if out.usb != nil {
		out.sources = []source{sourceUSB}
	}
	return out
}

// kinds compiles every kind that is written and names them.
func (c *compiler) kinds(w *config.Condition, out *condition, path string) (names []string) {
	kind := func(key string, written bool, compile func(p *parser)) {
		if !written {
			return
		}
		names = append(names, key)
		compile(&parser{c: c, path: path + "." + key})
	}
	kind("usb", w.USB != nil, func(p *parser) { out.usb = c.compileUSB(w.USB, p.path) })
	kind("file", w.File != nil, func(p *parser) { p.file(w.File, out) })
	kind("registry", w.Registry != nil, func(p *parser) { p.registry(w.Registry, out) })
	kind("service", w.Service != nil, func(p *parser) { p.service(w.Service, out) })
	kind("process", w.Process != nil, func(p *parser) { p.process(w.Process, out) })
	kind("application", w.Application != nil, func(p *parser) { p.application(w.Application, out) })
	kind("anti-malware", w.AntiMalware != nil, func(p *parser) { p.antiMalware(w.AntiMalware, out, "") })
	kind("anti-virus", w.AntiVirus != nil, func(p *parser) { p.antiMalware(w.AntiVirus, out, "anti-virus") })
	kind("anti-spyware", w.AntiSpyware != nil, func(p *parser) { p.antiMalware(w.AntiSpyware, out, "anti-spyware") })
	kind("firewall", w.Firewall != nil, func(p *parser) { p.firewall(w.Firewall, out) })
	kind("disk-encryption", w.DiskEncryption != nil, func(p *parser) { p.diskEncryption(w.DiskEncryption, out) })
	kind("patch", w.Patch != nil, func(p *parser) { p.patch(w.Patch, out) })
	kind("system", w.System != nil, func(p *parser) { p.system(w.System, out) })
	kind("hardware", w.Hardware != nil, func(p *parser) { p.hardware(w.Hardware, out) })
	kind("script", w.Script != nil, func(p *parser) { p.script(w.Script, out) })
	kind("session", w.Session.Value != "", func(p *parser) {
		when, faults := c.compileExpr(w.Session, p.path)
		c.faults = append(c.faults, faults...)
		if out.when = when; when != nil {
			c.policy.reads |= when.Reads()
			if when.Reads().Has(expr.Posture) {
				c.fault(w.Session.Pos, p.path, "a condition that reads session.posture judges itself", "posture follows from conditions")
			}
		}
	})
	kind("compound", w.Compound.Value != "", func(p *parser) {
		c.compounds = append(c.compounds, compoundAt{len(c.policy.conditions), w.Compound, p.path})
	})
	return names
}

// only says for which systems a kind exists, and refuses a condition for others.
func (p *parser) only(out *condition, kind systems, what string) {
	for i, os := range out.os {
		if !kind.includes(os) {
			p.c.fault(config.Pos{File: out.pos.File, Line: out.pos.Line, Column: out.pos.Column}, strings.TrimSuffix(p.path, what)+fmt.Sprintf("os[%d]", i),
				"there is no "+what+" on "+os, "it exists on "+kind.words())
		}
	}
	if len(out.os) == 0 {
		out.os = kind
	}
}

func (p *parser) file(w *config.FileCondition, out *condition) {
	states := []string{report.StatePresent}
	if w.Is == "absent" {
		states = []string{report.StateAbsent}
	}
	p.oneOf(fieldType, w.Type)
	p.when(fieldCreated, w.Created, "created")
	p.when(fieldModified, w.Modified, "modified")
	p.when(fieldAccessed, w.Accessed, "accessed")
	p.version(fieldVersion, w.Version, "version")
	p.digests(fieldCRC32, w.CRC32, 8, "crc32")
	p.digests(fieldSHA256, w.SHA256, 64, "sha256")
	p.nothingOf(w.Is, "absent", w.Pos, "file that is absent")
	ask := &report.FileProbe{Path: w.Path.Value}
	if w.Root != report.RootAbsolute {
		ask.Root = w.Root
	}
	p.filePath(w)
	for _, one := range []struct {
		word string
		want bool
	}{
		{report.WantAccessed, w.Accessed.Value != ""}, {report.WantVersion, w.Version.Value != ""},
		{report.WantCRC32, len(w.CRC32) > 0}, {report.WantSHA256, len(w.SHA256) > 0},
	} {
		if one.want {
			ask.Want = append(ask.Want, one.word)
		}
	}
	out.items = &itemTest{source: sourceFiles, key: fileKey(ask.Root, ask.Path), states: states, checks: p.out, some: w.Users == "any",
		perUser: strings.HasPrefix(w.Root, "user-")}
	out.probes = []probe{{os: out.os, file: ask}}
}

// filePath wants a path that goes with its root.
func (p *parser) filePath(w *config.FileCondition) {
	s := w.Path.Value
	absolute := strings.HasPrefix(s, "/") || len(s) > 2 && s[1] == ':' && (s[2] == '\\' || s[2] == '/') || strings.HasPrefix(s, `\\`)
	switch {
	case w.Root == report.RootAbsolute && !absolute:
		p.fault(w.Path, "path", fmt.Sprintf("%q is not absolute", s), "name a root that it is below, such as system32 or user-profile")
	case w.Root != report.RootAbsolute && absolute:
		p.fault(w.Path, "path", fmt.Sprintf("%q is absolute, and cannot be below %s", s, w.Root), "remove root, or what stands before the name")
	case strings.Contains("/"+strings.ReplaceAll(s, `\`, "/")+"/", "/../"):
		p.fault(w.Path, "path", fmt.Sprintf("%q leads upwards", s), "write where the file is")
	}
}

// nothingOf refuses comparisons with what must not be there.
func (p *parser) nothingOf(is, word string, at config.Pos, what string) {
	if is == word && len(p.out) > 0 {
		p.c.fault(at, p.path, "a "+what+" has no "+p.out[0].field.String(), "remove is: "+word+", or the rest")
	}
}

func (p *parser) registry(w *config.RegistryCondition, out *condition) {
	states := []string{report.StatePresent}
	if w.Is == "absent" {
		states = []string{report.StateAbsent}
	}
	p.text(fieldData, w.Text, "text")
	p.number(fieldData, w.Number, "number")
	p.version(fieldData, w.Version, "version")
	p.nothingOf(w.Is, "absent", w.Pos, "value that is absent")
	if len(p.out) > 0 && w.Value.Value == "" && !w.Default {
		p.c.fault(w.Pos, p.path, "a key alone has no value to compare", "name the value, or default: true for the one without a name")
	}
	if w.Value.Value != "" && w.Default {
		p.fault(w.Value, "value", "a value with a name is not the default one", "remove one of them")
	}
	ask := &report.RegistryProbe{Hive: w.Hive, Key: strings.Trim(w.Key.Value, `\`), Value: w.Value.Value, View: w.View, Default: w.Default}
	if hive, _, _ := strings.Cut(ask.Key, `\`); strings.HasPrefix(strings.ToUpper(hive), "HK") {
		p.fault(w.Key, "key", "the key begins with a hive", "write hive: HKLM, and the key without it")
	}
	p.only(out, windowsOnly, "registry")
	out.items = &itemTest{source: sourceRegistry, key: registryKey(ask), states: states, checks: p.out, some: w.Users == "any", perUser: w.Hive == "HKCU"}
	out.probes = []probe{{os: out.os, registry: ask}}
}

func (p *parser) service(w *config.ServiceCondition, out *condition) {
	states := map[string][]string{
		"running": {report.StateRunning}, "not-running": {report.StateStopped, report.StateAbsent},
		"present": {report.StateRunning, report.StateStopped}, "absent": {report.StateAbsent},
	}[w.Is]
	p.oneOf(fieldStart, w.Start)
	p.nothingOf(w.Is, "absent", w.Pos, "service that is absent")
	out.items = &itemTest{source: sourceServices, key: factKey{a: w.Name.Value}, states: states, checks: p.out}
	out.probes = []probe{{os: out.os, service: w.Name.Value}}
}

func (p *parser) process(w *config.ProcessCondition, out *condition) {
	state := report.StateRunning
	if w.Is == "not-running" {
		state = report.StateAbsent
	}
	out.items = &itemTest{source: sourceProcesses, key: factKey{a: w.Name.Value}, states: []string{state}}
	out.probes = []probe{{os: out.os, process: w.Name.Value}}
}

func (p *parser) application(w *config.ApplicationCondition, out *condition) {
	name := w.Name.Value
	if strings.Contains(strings.Trim(name, "*"), "*") || strings.Trim(name, "*") == "" {
		p.fault(w.Name, "name", fmt.Sprintf("%q is not a name, with * at its ends at most", name), "such as firefox or libssl*")
	}
	test := &itemTest{source: sourcePackages, key: factKey{a: name}, states: []string{report.StateInstalled}, some: true}
	if w.Is == "absent" {
		test.states, test.some = []string{report.StateAbsent}, false
	}
	p.text(fieldVendor, w.Vendor, "vendor")
	p.version(fieldVersion, w.Version, "version")
	p.nothingOf(w.Is, "absent", w.Pos, "program that is absent")
	test.checks = p.out
	out.items = test
	out.probes = []probe{{os: out.os, pkg: name}}
}
