package posture

import (
	"fmt"
	"slices"

	"sallyport/engine/expr"
	"sallyport/netio/report"
	"sallyport/ops/config"
	"sallyport/sessions"
)

const (
	modeAutomatic = "automatic"
	audit         = config.Audit
)

// allSystems are those that agents exist for.
var allSystems = []string{"windows", "linux", "macos"}

// Compile makes a policy of the posture section, and reports everything wrong with it:
// names that nothing has, conditions without a kind, expressions that do not hold
// types. The policy is sound only when there are no faults.
func Compile(c *config.Config) (*Policy, config.Warnings, config.Faults) {
	w := &compiler{
		config: c, section: &c.Posture, conditionAt: map[string]int{},
		used: map[string]bool{},
		policy: &Policy{
			reads: 1 << expr.OS, reportValid: c.Posture.Agent.ReportValid, heartbeat: c.Posture.Agent.Heartbeat,
			memo: &memo{known: map[string]*match{}},
		},
	}
	w.policy.defaultStatus, _ = sessions.ParsePostureStatus(c.Posture.DefaultStatus)
	w.conditions()
	w.remediations()
	w.requirements()
	w.rules()
	w.unused()
	return w.policy, config.Warnings(c.WithSource(config.Faults(w.warnings))), c.WithSource(w.faults)
}

type compiler struct {
	config      *config.Config
	section     *config.Posture
	policy      *Policy
	conditionAt map[string]int  // in policy.conditions
	used        map[string]bool // kind and name of what something refers to
	faults      config.Faults
	warnings    config.Warnings
}

func (c *compiler) fault(pos config.Pos, path, message, hint string) {
	c.faults = append(c.faults, config.Fault{Pos: pos, Path: path, Message: message, Hint: hint})
}

func (c *compiler) warn(pos config.Pos, path, message, hint string) {
	c.warnings = append(c.warnings, config.Fault{Pos: pos, Path: path, Message: message, Hint: hint})
}

func (c *compiler) conditions() {
	for name, written := range c.section.Conditions.All() {
		path := "posture.conditions." + name
		out := condition{name: name}
		if written.USB == nil {
			c.fault(written.Pos, path, "the condition tests nothing", "write usb: {mass-storage: absent}")
		} else {
			out.usb = c.compileUSB(written.USB, path+".usb")
		}
		c.conditionAt[name] = len(c.policy.conditions)
		c.policy.conditions = append(c.policy.conditions, out)
	}
}

// kind is the group of facts that a condition looks at.
func (c *condition) kind() string { return "usb" }

func (c *compiler) remediations() {
	for name, written := range c.section.Remediations.All() {
		if written.USB == "" && written.Message == "" {
			c.fault(written.Pos, "posture.remediations."+name, "the remediation does nothing", "write usb: block, or a message")
		}
	}
}

// action is a remediation as the agent gets it. Its id is the same whenever it is the
// same action, so that an agent does nothing twice.
func action(requirement string, r *config.Remediation) *report.Action {
	verb := report.VerbMessage
	if r.USB == "block" {
		verb = report.VerbUSBBlock
	}
	return &report.Action{ID: requirement + "/" + verb, Verb: verb, Mode: r.Mode, Requirement: requirement, Message: r.Message}
}

// requirements checks each requirement on its own; rules look them up again.
func (c *compiler) requirements() {
	for name, r := range c.section.Requirements.All() {
		path := "posture.requirements." + name
		if len(r.Conditions) == 0 {
			c.fault(r.Pos, path+".conditions", "the requirement has no conditions", "a requirement without conditions would always be met")
		}
		for i, text := range r.Conditions {
			at := fmt.Sprintf("%s.conditions[%d]", path, i)
			c.used["condition "+text.Value] = true
			if _, ok := c.conditionAt[text.Value]; !ok {
				c.fault(text.Pos, at, fmt.Sprintf("there is no condition %q", text.Value), config.DidYouMean(text.Value, c.section.Conditions.Names()))
			}
			if slices.ContainsFunc(r.Conditions[:i], func(t config.Text) bool { return t.Value == text.Value }) {
				c.warn(text.Pos, at, "the condition is here twice", "")
			}
		}
		if name := r.Remediation; name.Value != "" {
			c.used["remediation "+name.Value] = true
			if _, ok := c.section.Remediations.Get(name.Value); !ok {
				c.fault(name.Pos, path+".remediation", fmt.Sprintf("there is no remediation %q", name.Value), config.DidYouMean(name.Value, c.section.Remediations.Names()))
			}
		}
	}
}

func (c *compiler) rules() {
	first := map[string]config.Pos{}
	for i := range c.section.Policy {
		written := &c.section.Policy[i]
		path := fmt.Sprintf("posture.policy[%d]", i)
		out := rule{name: written.Rule.Value, pos: written.Rule.Pos, os: texts(written.OS)}
		if at, ok := first[out.name]; ok && out.name != "" {
			c.fault(written.Rule.Pos, path+".rule", fmt.Sprintf("there are two rules named %q", out.name), "first at "+at.String())
		}
		first[out.name] = written.Rule.Pos
		if written.When.Value != "" {
			when, faults := expr.Compile(written.When, path+".when")
			c.faults = append(c.faults, faults...)
			if len(faults) == 0 {
				out.when = when
				c.policy.reads |= when.Reads()
			}
		}
		if len(written.Requirements) == 0 {
			c.fault(written.Pos, path+".requirements", "the rule asks for nothing", "name a requirement, or remove the rule")
		}
		for j := range written.Requirements {
			c.ruleRequirement(&out, &written.Requirements[j], fmt.Sprintf("%s.requirements[%d]", path, j))
		}
		c.policy.rules = append(c.policy.rules, out)
	}
}

func (c *compiler) ruleRequirement(out *rule, written *config.RuleRequirement, path string) {
	name := written.Name
	if name.Value == "" {
		return // missing: reported already
	}
	r, ok := c.section.Requirements.Get(name.Value)
	if !ok {
		c.fault(name.Pos, path+".name", fmt.Sprintf("there is no requirement %q", name.Value), config.DidYouMean(name.Value, c.section.Requirements.Names()))
		return
	}
	c.used["requirement "+name.Value] = true
	if slices.ContainsFunc(out.requirements, func(q requirement) bool { return q.name == name.Value }) {
		c.fault(name.Pos, path+".name", "the rule names this requirement twice", "")
		return
	}
	q := requirement{
		name: name.Value, enforcement: written.Enforcement, os: texts(r.OS), conditionNames: texts(r.Conditions),
		remediationName: r.Remediation.Value, skipsUnknown: r.CannotTell == config.CannotTellSkips,
	}
	if len(out.os) > 0 && !slices.ContainsFunc(out.os, q.os.has) {
		c.warn(name.Pos, path, fmt.Sprintf("the rule is for %v and the requirement for %v: it never applies", []string(out.os), []string(q.os)), "")
	}
	for _, condition := range q.conditionNames {
		if i, ok := c.conditionAt[condition]; ok {
			q.conditions = append(q.conditions, i)
		}
	}
	if remediation, ok := c.section.Remediations.Get(r.Remediation.Value); ok {
		q.remediation = action(q.name, remediation)
		if q.blocksUSB = q.remediation.Verb == report.VerbUSBBlock; q.blocksUSB {
			q.remediation.Allow = c.allowed(q.conditionNames)
		}
	}
	out.requirements = append(out.requirements, q)
}

// allowed are the devices that every USB condition of a requirement lets be: the agent
// must not block what no condition counts.
func (c *compiler) allowed(conditions []string) []string {
	var lists [][]string
	for _, name := range conditions {
		if written, ok := c.section.Conditions.Get(name); ok && written.USB != nil && written.USB.MassStorage == "absent" {
			lists = append(lists, texts(written.USB.Allow))
		}
	}
	if len(lists) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(lists[0]), func(id string) bool {
		return slices.ContainsFunc(lists[1:], func(other []string) bool { return !slices.Contains(other, id) })
	})
}

// unused warns of what nothing refers to: mostly a name that was changed in one place.
func (c *compiler) unused() {
	for name, r := range c.section.Requirements.All() {
		if !c.used["requirement "+name] {
			c.warn(r.Pos, "posture.requirements."+name, "no rule asks for this requirement", "add it to a rule of posture.policy, or remove it")
		}
	}
	for name, r := range c.section.Conditions.All() {
		if !c.used["condition "+name] {
			c.warn(r.Pos, "posture.conditions."+name, "no requirement uses this condition", "")
		}
	}
	for name, r := range c.section.Remediations.All() {
		if !c.used["remediation "+name] {
			c.warn(r.Pos, "posture.remediations."+name, "no requirement uses this remediation", "")
		}
	}
}

func texts(list []config.Text) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = t.Value
	}
	return out
}
