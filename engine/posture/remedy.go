package posture

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sallyport/netio/report"
	"sallyport/ops/config"
)

const modeManual = "manual"

// ActionOf is a remediation for a requirement, as agents are asked for it. Its id is the same
// whenever it is the same action, so that an agent does nothing twice.
func ActionOf(requirement string, r *config.Remediation) *report.Action {
	m := &report.Action{
		Verb: report.VerbMessage, Mode: r.Mode, Requirement: requirement, Message: r.Message,
		IntervalS: int(r.Interval / time.Second), Retries: r.Retries,
	}
	switch {
	case r.USB != "":
		m.Verb = report.VerbUSBBlock
	case r.Link.Value != "":
		m.Target = r.Link.Value // a message that names the page
	case r.Launch != nil:
		m.Verb, m.Target, m.SHA256 = report.VerbLaunch, r.Launch.Path.Value, strings.ToLower(r.Launch.SHA256.Value)
		m.Publisher, m.PublisherSignature = r.Launch.Publisher, r.Launch.PublisherSignature.Value
		m.Signature, m.Arguments = r.Launch.Signature.Value, texts(r.Launch.Arguments)
	case r.File != nil:
		m.Verb, m.Target, m.SHA256 = report.VerbFile, r.File.URL.Value+r.File.File.Value, strings.ToLower(r.File.SHA256.Value)
		m.To, m.Permissions, m.Signature = r.File.To.Value, r.File.Permissions, r.File.Signature.Value
	case r.Script != nil:
		m.Verb, m.Target, m.SHA256 = report.VerbScript, r.Script.File.Value, strings.ToLower(r.Script.SHA256.Value)
		m.Publisher, m.PublisherSignature, m.Signature = r.Script.Publisher, r.Script.PublisherSignature.Value, r.Script.Signature.Value
	case r.AntiMalware != "":
		m.Verb = report.VerbAntiMalwareUpdate
	case r.Firewall != "":
		m.Verb = report.VerbFirewallEnable
	case r.Patch != "":
		m.Verb = "patch." + r.Patch
	case r.Application != nil:
		m.Verb, m.Target = "app."+r.Application.Do, r.Application.Name.Value
	}
	m.ID = token(requirement) + "/" + m.Verb
	if r.Link.Value != "" {
		m.Message = strings.TrimLeft(m.Message+"\n"+r.Link.Value, "\n")
	}
	return m
}

// token is a name as an identifier of an action may hold it: agents take no blanks, nothing
// beyond ASCII and nothing long.
func token(name string) string {
	const most = 64
	if len(name) <= most && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}

// Remedies lists every remediation of the policy, each requirement's once, in the order
// of the rules.
func (p *Policy) Remedies() (out []*report.Action) {
	seen := map[string]bool{}
	for i := range p.rules {
		for j := range p.rules[i].requirements {
			if m := p.rules[i].requirements[j].remediation; m != nil && !seen[m.ID] {
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
		c.sendable(written, path)
	}
}

// sendable wants what agents can read: they take a whole answer or none of it.
func (c *compiler) sendable(r *config.Remediation, path string) {
	const octetsMax = 1024
	action := ActionOf("", r)
	for _, text := range append([]string{action.Target, action.Publisher, action.To}, action.Arguments...) {
		if len(text) > octetsMax || strings.ContainsFunc(text, report.Deceiving) {
			c.fault(r.Pos, path, fmt.Sprintf("%.40q is longer than %d octets, or holds characters that do not show", text, octetsMax), "agents take no such text")
		}
	}
}

// remediation checks what the agent is to run or fetch.
func (c *compiler) remediation(r *config.Remediation, path string) {
	if r.Link.Value != "" && !strings.HasPrefix(r.Link.Value, "https://") {
		c.fault(r.Link.Pos, path+".link", strconv.Quote(r.Link.Value)+" is not an https URL", "a page that tells people what to do must come from where it says")
	}
	if r.File != nil {
		c.download(r.File, path+".file")
	}
	if s := r.Script; s != nil {
		if strings.ContainsAny(s.File.Value, `/\`) {
			c.fault(s.File.Pos, path+".script.file", strconv.Quote(s.File.Value)+" is not a plain file name", "the file is in provisioning.agents-directory")
		}
		c.digest(s.SHA256, path+".script.sha256")
		c.signature(s.Signature, path+".script.signature")
		c.published(s.Pos, s.Publisher, s.PublisherSignature, s.SHA256, path+".script")
	}
	if l := r.Launch; l != nil {
		c.digest(l.SHA256, path+".launch.sha256")
		c.signature(l.Signature, path+".launch.signature")
		c.published(l.Pos, l.Publisher, l.PublisherSignature, l.SHA256, path+".launch")
		if n := len(l.Arguments); n > argumentsMax {
			c.fault(l.Pos, path+".launch.arguments", fmt.Sprintf("%d arguments are more than the %d that an agent takes", n, argumentsMax), "")
		}
	}
	if a := r.Application; a != nil && a.Do == "uninstall" && !report.PackageName(a.Name.Value) {
		c.fault(a.Name.Pos, path+".application.name", strconv.Quote(a.Name.Value)+" is not the name of a package", "dpkg -l or rpm -qa print them")
	}
	if r.Retries > 0 && r.Interval == 0 {
		c.warn(r.Pos, path+".retries", "retries without an interval follow each other at once", "write interval: 30s")
	}
}

// download checks where a file is fetched, and where it goes.
func (c *compiler) download(f *config.Download, path string) {
	switch name := f.File.Value; {
	case f.URL.Value == "" && name == "":
		c.fault(f.Pos, path, "nothing says where the file is", "write url: https://..., or file: with a name in provisioning.agents-directory")
	case f.URL.Value != "" && name != "":
		c.fault(f.Pos, path, "the file is in two places: url and file", "write one of them")
	case f.URL.Value != "" && !strings.HasPrefix(f.URL.Value, "https://"):
		c.fault(f.URL.Pos, path+".url", strconv.Quote(f.URL.Value)+" is not an https URL", "")
	case strings.ContainsAny(name, `/\`):
		c.fault(f.File.Pos, path+".file", strconv.Quote(name)+" is not a plain file name", "the file is in provisioning.agents-directory")
	}
	if _, err := report.FileName(&report.Action{Target: f.URL.Value + f.File.Value, To: f.To.Value}); err != nil {
		pos := f.To.Pos
		if f.To.Value == "" {
			pos = f.Pos
		}
		c.fault(pos, path+".to", err.Error(), "write to: NAME, or an absolute path in a directory that the agents allow")
	}
	c.digest(f.SHA256, path+".sha256")
	c.signature(f.Signature, path+".signature")
}

// published wants a signature of a publisher whose key is known, over this very digest.
func (c *compiler) published(pos config.Pos, publisher string, signature, digest config.Text, path string) {
	known, ok := c.section.Publishers.Get(publisher)
	c.used["publisher "+publisher] = true
	switch {
	case !ok && signature.Value != "" && publisher == "":
		c.fault(signature.Pos, path+".publisher-signature", "nothing says whose signature this is", "write publisher: with a name of posture.publishers")
	case !ok && (signature.Value != "" || strings.HasSuffix(path, ".script") && publisher != ""):
		c.fault(pos, path+".publisher", fmt.Sprintf("there is no publisher %q", publisher), config.DidYouMean(publisher, c.section.Publishers.Names()))
	case ok && signature.Value == "":
		c.fault(pos, path, fmt.Sprintf("the publisher %q has a key, and there is no signature of it", publisher), "publisher-signature: sallyport library sign-file prints one")
	case ok && isHex(digest.Value, 64):
		a := &report.Action{Publisher: publisher, PublisherSignature: signature.Value, SHA256: strings.ToLower(digest.Value)}
		if err := a.PublishedBy([]report.Publisher{{Name: publisher, Key: known.Key.Value}}); err != nil {
			c.fault(signature.Pos, path+".publisher-signature", err.Error(), "sallyport library sign-file prints one")
		}
	}
}

// publishers are those of the section, as agents are told them.
func (c *compiler) publishers() (out []report.Publisher) {
	for name, p := range c.section.Publishers.All() {
		if key, err := base64.StdEncoding.DecodeString(p.Key.Value); err != nil || len(key) != ed25519.PublicKeySize {
			c.fault(p.Key.Pos, "posture.publishers."+name+".key", "this is no Ed25519 public key in base64", "sallyport library key prints one")
		}
		out = append(out, report.Publisher{Name: name, Key: p.Key.Value})
	}
	if n := len(out); n > report.PublishersMax {
		c.fault(config.Pos{File: c.config.File}, "posture.publishers", fmt.Sprintf("%d publishers are more than the %d that an agent takes", n, report.PublishersMax), "")
	}
	return out
}

func (c *compiler) digest(t config.Text, path string) {
	if !isHex(t.Value, 64) {
		c.fault(t.Pos, path, "sha256 is not 64 hexadecimal digits", "sha256sum prints them; the agent runs nothing else")
	}
}

// argumentsMax is how many arguments the document between appliance and agent holds.
const argumentsMax = 32

func (c *compiler) signature(t config.Text, path string) {
	if b, err := base64.StdEncoding.DecodeString(t.Value); t.Value != "" && (err != nil || len(b) != ed25519.SignatureSize) {
		c.fault(t.Pos, path, "this is no signature", "sallyport library sign-remedy prints one")
	}
}
