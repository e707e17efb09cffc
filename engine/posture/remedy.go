package posture

import (
	"strconv"
	"strings"
	"time"

	"sallyport/netio/report"
	"sallyport/ops/config"
)

// Verbs of remediations beyond those that report names. With them the list is closed: an
// agent obeys no other.
const (
	VerbLaunch            = "program.launch"
	VerbFile              = "file.fetch"
	VerbScript            = "script.run"
	VerbAntiMalwareUpdate = "antimalware.update"
	VerbFirewallEnable    = "firewall.enable"
	VerbPatchActivate     = "patch.activate"
	VerbPatchInstall      = "patch.install"
	VerbPatchUpdate       = "patch.update"
	VerbAppStop           = "app.stop"
	VerbAppUninstall      = "app.uninstall"
)

// Verbs is the closed list of what an agent may be asked to do.
func Verbs() []string {
	return []string{
		report.VerbUSBBlock, report.VerbUSBUnblock, report.VerbMessage, VerbLaunch, VerbFile, VerbScript, VerbAntiMalwareUpdate,
		VerbFirewallEnable, VerbPatchActivate, VerbPatchInstall, VerbPatchUpdate, VerbAppStop, VerbAppUninstall,
	}
}

// Remedy is one remediation in full. Its Action is what goes to the agent.
type Remedy struct {
	report.Action

	Target    string   // URL, path, file or program, by the verb; empty: none
	SHA256    string   // of what is run or fetched, 64 lower-case hexadecimal digits
	Publisher string   // who must have signed it; empty: the digest alone counts
	Arguments []string // of a program that is launched
	Interval  time.Duration
	Retries   int
}

const modeManual = "manual"

// remedyOf is a remediation for a requirement. Its id is the same whenever it is the same
// action, so that an agent does nothing twice.
func remedyOf(requirement string, r *config.Remediation) *Remedy {
	m := &Remedy{Interval: r.Interval, Retries: r.Retries}
	verb := report.VerbMessage
	switch {
	case r.USB != "":
		verb = report.VerbUSBBlock
	case r.Link.Value != "":
		m.Target = r.Link.Value // a message that names the page
	case r.Launch != nil:
		verb, m.Target, m.SHA256 = VerbLaunch, r.Launch.Path.Value, strings.ToLower(r.Launch.SHA256.Value)
		m.Publisher, m.Arguments = r.Launch.Publisher, texts(r.Launch.Arguments)
	case r.File != nil:
		verb, m.Target, m.SHA256 = VerbFile, r.File.URL.Value, strings.ToLower(r.File.SHA256.Value)
	case r.Script != nil:
		verb, m.Target, m.SHA256 = VerbScript, r.Script.File.Value, strings.ToLower(r.Script.SHA256.Value)
	case r.AntiMalware != "":
		verb = VerbAntiMalwareUpdate
	case r.Firewall != "":
		verb = VerbFirewallEnable
	case r.Patch != "":
		verb = "patch." + r.Patch
	case r.Application != nil:
		verb, m.Target = "app."+r.Application.Do, r.Application.Name.Value
	}
	m.Action = report.Action{ID: requirement + "/" + verb, Verb: verb, Mode: r.Mode, Requirement: requirement, Message: r.Message}
	if r.Link.Value != "" {
		m.Message = strings.TrimLeft(m.Message+"\n"+r.Link.Value, "\n")
	}
	return m
}

// Remedies lists every remediation of the policy, each requirement's once, in the order
// of the rules.
func (p *Policy) Remedies() (out []*Remedy) {
	seen := map[string]bool{}
	for i := range p.rules {
		for j := range p.rules[i].requirements {
			if m := p.rules[i].requirements[j].remedy; m != nil && !seen[m.ID] {
				seen[m.ID] = true
				out = append(out, m)
			}
		}
	}
	return out
}

func (c *compiler) remediations() {
	for name, written := range c.section.Remediations.All() {
		path := "posture.remediations." + name
		var kinds []string
		for _, one := range []struct {
			key     string
			written bool
		}{
			{"usb", written.USB != ""}, {"link", written.Link.Value != ""}, {"launch", written.Launch != nil}, {"file", written.File != nil},
			{"script", written.Script != nil}, {"anti-malware", written.AntiMalware != ""}, {"firewall", written.Firewall != ""},
			{"patch", written.Patch != ""}, {"application", written.Application != nil},
		} {
			if one.written {
				kinds = append(kinds, one.key)
			}
		}
		switch {
		case len(kinds) > 1:
			c.fault(written.Pos, path, "the remediation does several things: "+strings.Join(kinds, ", "), "make one remediation of each, and a requirement for each")
		case len(kinds) == 0 && written.Message == "":
			c.fault(written.Pos, path, "the remediation does nothing", "write usb: block, or a message")
		}
		c.remediation(written, path)
	}
}

// remediation checks what the agent is to run or fetch.
func (c *compiler) remediation(r *config.Remediation, path string) {
	if r.Link.Value != "" && !strings.HasPrefix(r.Link.Value, "https://") {
		c.fault(r.Link.Pos, path+".link", strconv.Quote(r.Link.Value)+" is not an https URL", "a page that tells people what to do must come from where it says")
	}
	if f := r.File; f != nil {
		if !strings.HasPrefix(f.URL.Value, "https://") {
			c.fault(f.URL.Pos, path+".file.url", strconv.Quote(f.URL.Value)+" is not an https URL", "")
		}
		c.digest(f.SHA256, path+".file.sha256")
	}
	if s := r.Script; s != nil {
		if strings.ContainsAny(s.File.Value, `/\`) {
			c.fault(s.File.Pos, path+".script.file", strconv.Quote(s.File.Value)+" is not a plain file name", "the file is in provisioning.agents-directory")
		}
		c.digest(s.SHA256, path+".script.sha256")
	}
	if l := r.Launch; l != nil {
		c.digest(l.SHA256, path+".launch.sha256")
	}
	if r.Retries > 0 && r.Interval == 0 {
		c.warn(r.Pos, path+".retries", "retries without an interval follow each other at once", "write interval: 30s")
	}
}

func (c *compiler) digest(t config.Text, path string) {
	if !isHex(t.Value, 64) {
		c.fault(t.Pos, path, "sha256 is not 64 hexadecimal digits", "sha256sum prints them; the agent runs nothing else")
	}
}
