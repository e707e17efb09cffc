package policy

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sallyport/engine/authz"
	"sallyport/engine/expr"
	"sallyport/ops/config"
)

// Resource is one thing that the portal hands out.
type Resource struct {
	Name string
	config.Resource
}

// builtIn are the resources that need no entry: the file is found by its usual name.
var builtIn = map[string]string{"agent-windows": "windows", "agent-linux": "linux", "agent-macos": "macos"}

// provisioning is which resource is offered to whom: the first rule that matches.
type provisioning struct {
	resources []*Resource
	rules     []provisionRule
}

type provisionRule struct {
	os       []string
	groups   []string // any of them; empty: everybody
	when     *expr.Condition
	give     *Resource
	settings *Settings // nil: none
}

// Offer is what provisioning gives an endpoint, nil when no rule is for it. A condition
// that cannot be evaluated does not match.
func (s *Snapshot) Offer(in *authz.Input) *Resource {
	if r := s.provisioning.rule(in); r != nil {
		return r.give
	}
	return nil
}

// rule is the first that is for the endpoint.
func (p *provisioning) rule(in *authz.Input) *provisionRule {
	for i := range p.rules {
		r := &p.rules[i]
		if len(r.os) > 0 && !slices.Contains(r.os, in.OS) {
			continue
		}
		if len(r.groups) > 0 && !slices.ContainsFunc(in.Groups, func(g string) bool { return slices.Contains(r.groups, g) }) {
			continue
		}
		if matches, err := r.when.Eval(in); matches && err == nil {
			return r
		}
	}
	return nil
}

// compileProvisioning checks resources and rules.
func compileProvisioning(c *config.Config, scope *expr.Scope) (*provisioning, config.Warnings, config.Faults) {
	p := &provisioning{}
	var faults config.Faults
	var warnings config.Warnings
	for name, written := range c.Provisioning.Resources.All() {
		path := "provisioning.resources." + name
		f, w := checkResource(written, c.Provisioning.AgentsDirectory.Value, path)
		faults, warnings = append(faults, f...), append(warnings, w...)
		p.resources = append(p.resources, &Resource{name, *written})
	}
	settings, f := compileSettings(c)
	faults = append(faults, f...)
	used := map[*Resource]bool{}
	for i := range c.Provisioning.Rules {
		written := &c.Provisioning.Rules[i]
		path := fmt.Sprintf("provisioning.rules[%d]", i)
		when, f := scope.Compile(written.When, path+".when")
		faults = append(faults, f...)
		if when == nil {
			when = &expr.Condition{}
		}
		give := p.resource(written.Give.Value)
		if give == nil && written.Give.Value != "" {
			faults = append(faults, config.Fault{Pos: written.Give.Pos, Path: path + ".give",
				Message: fmt.Sprintf("there is no resource %q", written.Give.Value), Hint: config.DidYouMean(written.Give.Value, p.names())})
		}
		used[give] = true
		rule := provisionRule{when: when, give: give, settings: settings[written.Configuration.Value]}
		if name := written.Configuration; name.Value != "" && rule.settings == nil {
			faults = append(faults, config.Fault{Pos: name.Pos, Path: path + ".configuration",
				Message: fmt.Sprintf("there is no configuration %q", name.Value), Hint: config.DidYouMean(name.Value, c.Provisioning.Configurations.Names())})
		}
		for _, group := range written.Groups {
			rule.groups = append(rule.groups, group.Value)
		}
		for _, os := range written.OS {
			rule.os = append(rule.os, os.Value)
		}
		p.rules = append(p.rules, rule)
	}
	for _, r := range p.resources {
		if !used[r] {
			warnings = append(warnings, config.Fault{Pos: r.Pos, Path: "provisioning.resources." + r.Name, Message: "no rule gives this resource"})
		}
	}
	return p, config.Warnings(c.WithSource(config.Faults(warnings))), c.WithSource(faults)
}

// resource finds one by name, a built-in one too.
func (p *provisioning) resource(name string) *Resource {
	for _, r := range p.resources {
		if r.Name == name {
			return r
		}
	}
	if os, ok := builtIn[name]; ok {
		return &Resource{name, config.Resource{OS: os}}
	}
	return nil
}

func (p *provisioning) names() []string {
	var names []string
	for _, r := range p.resources {
		names = append(names, r.Name)
	}
	for name := range builtIn {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// checkResource looks at the file that a resource names: handing out another than the
// one whose digest was written down would be worse than handing out none.
func checkResource(r *config.Resource, dir, path string) (config.Faults, config.Warnings) {
	one := func(message, hint string) []config.Fault {
		return []config.Fault{{Pos: r.Pos, Path: path, Message: message, Hint: hint}}
	}
	if r.File == "" {
		return nil, nil
	}
	if filepath.Base(r.File) != r.File {
		return one(fmt.Sprintf("%q is not a plain file name", r.File), "the file is in provisioning.agents-directory"), nil
	}
	if r.SHA256 != "" && (len(r.SHA256) != 64 || strings.Trim(strings.ToLower(r.SHA256), "0123456789abcdef") != "") {
		return one("sha256 is not 64 hexadecimal digits", "sha256sum prints them"), nil
	}
	if b, err := base64.StdEncoding.DecodeString(r.Signature.Value); r.Signature.Value != "" && (err != nil || len(b) != ed25519.SignatureSize) {
		return []config.Fault{{Pos: r.Signature.Pos, Path: path + ".signature", Message: "this is no signature", Hint: "sallyport library sign-agent prints one"}}, nil
	}
	sum, err := sumOf(filepath.Join(dir, r.File))
	switch {
	case err != nil:
		return nil, one("the file cannot be read, and cannot be handed out: "+err.Error(), "")
	case r.SHA256 != "" && !strings.EqualFold(sum, r.SHA256):
		return one(fmt.Sprintf("%s is not the file whose sha256 is written here: its is %s", r.File, sum), "another build? then write its digest"), nil
	}
	return nil, nil
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
