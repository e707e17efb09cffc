package posture

import (
	"fmt"
	"slices"
	"strings"

	"sallyport/netio/report"
	"sallyport/ops/config"
)

// productStates are what a product must be in to count as is.
var productStates = map[string][]string{
	"installed":  {report.StateOn, report.StateOff, report.StateUnknown},
	"running":    {report.StateOn},
	"protecting": {report.StateOn},
}

// selected moves what was read so far to what selects observations.
func (p *parser) selected() []comparison {
	out := p.out
	p.out = nil
	return out
}

func (p *parser) antiMalware(w *config.AntiMalwareCondition, out *condition, class string) {
	test := &itemTest{source: sourceAntiMalware, states: productStates[w.Is], some: true, none: fail, noneIs: "no anti-malware product is there"}
	if class != "" {
		test.classes = p.c.library.class(class)
		test.noneIs = "no " + class + " product is there"
	}
	p.product(w.Vendor, w.Product)
	test.selects = p.selected()
	if len(test.selects) > 0 {
		test.noneIs = "no product is there that " + wanted(test.selects)
	}
	p.version(fieldVersion, w.Version, "version")
	p.when(fieldDefinitions, w.Definitions, "definitions")
	if w.Is == "protecting" {
		p.oneOf(fieldRealTime, report.StateOn)
	}
	if w.Against == "latest" {
		p.against(w)
	}
	test.checks = p.out
	out.items = test
}

// against has the age of definitions counted from the newest that the library knows.
func (p *parser) against(w *config.AntiMalwareCondition) {
	for i := range p.out {
		c := &p.out[i]
		if c.op != opWithin {
			continue
		}
		latest, ok := p.c.library.latest(w.Product.Value)
		if !ok {
			p.c.fault(w.Pos, p.path+".against", "the library knows no newest definitions of "+orWord(w.Product.Value, "any product"),
				"name a product whose definitions it follows, or against: now")
			return
		}
		c.latest, c.want = latest, c.want+" of the newest, "+latest.UTC().Format("2006-01-02")
		return
	}
	p.c.fault(w.Pos, p.path+".against", "against: latest goes with definitions: within SPAN", "")
}

// product reads vendor and product: a product of the library by its name there, or a
// comparison with what the endpoint says.
func (p *parser) product(vendor, product config.Text) {
	p.text(fieldVendor, vendor, "vendor")
	if names, ok := p.c.library.product(product.Value); ok {
		p.out = append(p.out, comparison{field: fieldName, op: opContains, wants: []string{strings.ToLower(names)}, want: "contains " + names})
		return
	}
	if product.Value != "any" {
		p.text(fieldName, product, "product")
	}
}

func wanted(list []comparison) string {
	var out []string
	for i := range list {
		out = append(out, "has "+list[i].field.String()+" "+list[i].want)
	}
	return strings.Join(out, " and ")
}

func (p *parser) firewall(w *config.FirewallCondition, out *condition) {
	test := &itemTest{source: sourceFirewall, states: productStates[w.Is], some: true, none: fail, noneIs: "no firewall is there"}
	p.product(w.Vendor, w.Product)
	test.selects = p.selected()
	if len(test.selects) > 0 {
		test.noneIs = "no firewall is there that " + wanted(test.selects)
	}
	p.version(fieldVersion, w.Version, "version")
	if len(w.Profiles) > 0 {
		c := comparison{field: fieldProfiles, op: opHolds, want: strings.Join(texts(w.Profiles), " and ") + " on"}
		for _, one := range w.Profiles {
			c.wants = append(c.wants, strings.ToLower(one.Value))
		}
		p.add(c)
	}
	test.checks = p.out
	out.items = test
}

func (p *parser) diskEncryption(w *config.DiskEncryptionCondition, out *condition) {
	test := &itemTest{source: sourceEncryption, states: texts(w.State), none: cannotTell, noneIs: "the agent told of no such volume"}
	if len(test.states) == 0 {
		test.states = []string{report.VolumeEncrypted}
	}
	where := strings.ToLower(w.Location.Value)
	switch {
	case where == "system":
		test.selects = []comparison{{field: fieldSystem, wants: []string{"true"}, want: "true"}}
	case where == "all-internal":
		test.selects = []comparison{{field: fieldExternal, wants: []string{"false"}, want: "false"}}
	case strings.HasPrefix(where, "/"), len(where) == 2 && where[1] == ':':
		test.selects = []comparison{{field: fieldMount, wants: []string{where}, want: where}}
		test.none, test.noneIs = fail, "there is no volume "+w.Location.Value
	default:
		p.fault(w.Location, "location", fmt.Sprintf("%q is not a place", w.Location.Value), "system, all-internal, a mount point such as /home, or a drive such as C:")
	}
	p.text(fieldBy, w.By, "by")
	if len(p.out) > 0 && slices.Contains(test.states, report.VolumePlain) {
		p.c.fault(w.By.Pos, p.path+".by", "a plain volume is encrypted by nothing", "")
	}
	test.checks = p.out
	out.items = test
}

// patch: an update that mends security and whose severity nobody tells counts as
// critical, since it may be.
func (p *parser) patch(w *config.PatchCondition, out *condition) {
	test := &itemTest{source: sourcePatch, states: []string{report.StateInstalled}}
	p.text(fieldManager, w.Manager, "manager")
	switch {
	case w.Is == "enabled":
		p.oneOf(fieldAutomatic, report.StateOn)
	case w.Is == "up-to-date" && w.Severity == "all":
		p.add(comparison{field: fieldPending, op: opOneOf, wants: []string{"0"}, want: "none"})
	case w.Is == "up-to-date":
		p.add(comparison{field: fieldSecurity, op: opOneOf, wants: []string{"0"}, want: "none"})
	}
	p.when(fieldChecked, w.Checked, "checked")
	p.version(fieldBuild, w.Build, "build")
	if w.Restart != "" {
		p.oneOf(fieldRestart, report.StateOff)
	}
	test.checks = p.out
	out.items = test
}

func (p *parser) system(w *config.SystemCondition, out *condition) {
	p.text(fieldName, w.Name, "name")
	p.version(fieldVersion, w.Version, "version")
	p.text(fieldArch, w.Arch, "arch")
	p.text(fieldHostname, w.Hostname, "hostname")
	p.text(fieldDomain, w.Domain, "domain")
	p.text(fieldUser, w.User, "user")
	if len(p.out) == 0 {
		p.c.fault(w.Pos, p.path, "the condition compares nothing", `such as version: ">= 10.0.19045"`)
	}
	out.items = &itemTest{source: sourceSystem, states: []string{report.StatePresent}, checks: p.out}
}

func (p *parser) hardware(w *config.HardwareCondition, out *condition) {
	p.text(fieldData, w.Text, "text")
	p.number(fieldData, w.Number, "number")
	p.version(fieldData, w.Version, "version")
	if known := report.HardwareAttributes(); !slices.Contains(known, w.Attribute.Value) {
		p.fault(w.Attribute, "attribute", fmt.Sprintf("agents know of no hardware attribute %q", w.Attribute.Value), config.DidYouMean(w.Attribute.Value, known))
	}
	out.probes = append(out.probes, probe{os: out.os, hardware: w.Attribute.Value})
	out.items = &itemTest{source: sourceHardware, key: factKey{a: w.Attribute.Value}, states: []string{report.StatePresent}, checks: p.out}
}

func (p *parser) script(w *config.ScriptCondition, out *condition) {
	if strings.ContainsAny(w.File.Value, `/\`) {
		p.fault(w.File, "file", fmt.Sprintf("%q is not a plain file name", w.File.Value), "the file is in provisioning.agents-directory")
	}
	sum := strings.ToLower(w.SHA256.Value)
	if !isHex(sum, 64) {
		p.fault(w.SHA256, "sha256", "sha256 is not 64 hexadecimal digits", "sha256sum prints them")
	}
	p.c.signature(w.Signature, p.path+".signature")
	out.probes = append(out.probes, probe{os: out.os, script: &report.ScriptProbe{Name: w.File.Value, SHA256: sum, Signature: w.Signature.Value}})
	p.number(fieldExit, w.Exit, "exit")
	p.text(fieldOutput, w.Output, "output")
	out.items = &itemTest{source: sourceScripts, key: factKey{a: sum}, states: []string{report.StatePresent}, checks: p.out}
}
