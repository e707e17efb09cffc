package posture

import (
	"fmt"
	"slices"
	"strings"

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
	return CompileIn(c, expr.NewScope())
}

// CompileIn is Compile with conditions that have names: expressions may use those of the
// scope.
func CompileIn(c *config.Config, scope *expr.Scope) (*Policy, config.Warnings, config.Faults) {
	w := &compiler{
		config: c, section: &c.Posture, scope: scope, conditionAt: map[string]int{},
		used: map[string]bool{},
		policy: &Policy{
			reads: 1 << expr.OS, reportValid: c.Posture.Agent.ReportValid, heartbeat: c.Posture.Agent.Heartbeat,
			memo: &memo{known: map[string]*match{}},
		},
	}
	w.policy.times = timesOf(&c.Posture.Agent)
	w.policy.defaultStatus, _ = sessions.ParsePostureStatus(c.Posture.DefaultStatus)
	w.library = w.libraryOf(&c.Posture.Library.Content)
	w.policy.control = w.usbControl()
	w.conditions()
	w.policy.publishers = w.publishers()
	w.remediations()
	w.requirements()
	w.rules()
	w.reassessments()
	w.unused()
	return w.policy, config.Warnings(c.WithSource(config.Faults(w.warnings))), c.WithSource(w.faults)
}

type compiler struct {
	config      *config.Config
	section     *config.Posture
	scope       *expr.Scope
	library     *library
	compounds   []compoundAt
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
	for i, name := range c.section.Conditions.Names() {
		c.conditionAt[name] = i
	}
	for name, written := range c.section.Conditions.All() {
		out := c.compileCondition(name, written)
		c.policy.conditions = append(c.policy.conditions, out)
	}
	for _, one := range c.compounds {
		x := &c.policy.conditions[one.at]
		if x.compound = c.compileCompound(one.text, one.path); x.compound != nil {
			x.children = x.compound.names(nil)
		}
	}
	c.order()
}

// compoundAt is a compound condition that waits for all the others to be known.
type compoundAt struct {
	at   int // in policy.conditions
	text config.Text
	path string
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
		out := rule{
			name: written.Rule.Value, pos: written.Rule.Pos, grace: written.Grace,
			os: texts(written.OS), groups: texts(written.Groups), kinds: texts(written.Type),
		}
		c.reads(&out)
		if at, ok := first[out.name]; ok && out.name != "" {
			c.fault(written.Rule.Pos, path+".rule", fmt.Sprintf("there are two rules named %q", out.name), "first at "+at.String())
		}
		first[out.name] = written.Rule.Pos
		if written.When.Value != "" {
			out.when = c.when(written.When, path+".when")
		}
		if len(written.Requirements) == 0 {
			c.fault(written.Pos, path+".requirements", "the rule asks for nothing", "name a requirement, or remove the rule")
		}
		for j := range written.Requirements {
			c.ruleRequirement(&out, &written.Requirements[j], fmt.Sprintf("%s.requirements[%d]", path, j))
		}
		if !written.Disabled {
			c.policy.rules = append(c.policy.rules, out)
		}
	}
}

// reads notes what the rule looks at besides its expression.
func (c *compiler) reads(r *rule) {
	if len(r.groups) > 0 {
		c.policy.reads |= 1 << expr.Groups
	}
	if len(r.kinds) > 0 {
		c.policy.reads |= 1 << expr.AgentKind
	}
}

// compileExpr compiles an expression that may use the names of the scope.
func (c *compiler) compileExpr(text config.Text, path string) (*expr.Condition, config.Faults) {
	return c.scope.Compile(text, path)
}

// when compiles the expression of a rule; nil with faults.
func (c *compiler) when(text config.Text, path string) *expr.Condition {
	when, faults := c.compileExpr(text, path)
	c.faults = append(c.faults, faults...)
	if when != nil {
		c.policy.reads |= when.Reads()
	}
	return when
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
			c.fits(&q, &c.policy.conditions[i], name.Pos, path)
		}
	}
	if remediation, ok := c.section.Remediations.Get(r.Remediation.Value); ok {
		q.remediation = ActionOf(q.name, remediation)
		if q.blocksUSB = q.remediation.Verb == report.VerbUSBBlock; q.blocksUSB {
			q.remediation.Allow = c.allowed(q.conditionNames)
		}
		if q.remediation.Mode == modeManual && len(out.kinds) == 1 && out.kinds[0] == config.AgentTemporal && q.remediation.Verb != report.VerbMessage {
			c.warn(name.Pos, path, "an agent that is not installed shows messages only", "")
		}
	}
	out.requirements = append(out.requirements, q)
}

// fits warns of a requirement for systems on which a condition of it can tell nothing.
func (c *compiler) fits(q *requirement, x *condition, at config.Pos, path string) {
	if len(x.os) == 0 {
		return
	}
	on := q.os
	if len(on) == 0 {
		on = allSystems
	}
	var blind systems
	for _, os := range on {
		if !x.os.includes(os) {
			blind = append(blind, os)
		}
	}
	switch {
	case len(blind) == len(on):
		c.fault(at, path, fmt.Sprintf("the condition %s is for %s, and the requirement for %s: it can never tell", x.name, x.os.words(), on.words()), "give the requirement the systems of its conditions")
	case len(blind) > 0:
		c.warn(at, path, fmt.Sprintf("the condition %s is for %s: on %s the requirement cannot tell", x.name, x.os.words(), blind.words()),
			"give the requirement os: "+"["+x.os.words()+"]"+", and the other systems a requirement of their own")
	}
}

// allowed are the devices that every USB condition of a requirement lets be: the agent
// must not block what no condition counts.
func (c *compiler) allowed(conditions []string) []string {
	var lists [][]string
	for _, name := range conditions {
		if written, ok := c.section.Conditions.Get(name); ok && written.USB != nil && written.USB.MassStorage == "absent" {
			lists = append(lists, c.allowedBy(written.USB))
		}
	}
	if len(lists) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(lists[0]), func(id string) bool {
		return slices.ContainsFunc(lists[1:], func(other []string) bool { return !slices.Contains(other, id) })
	})
}

// allowedBy are the devices that a condition does not count: its own, and those of everywhere.
func (c *compiler) allowedBy(w *config.USBCondition) []string {
	out := texts(w.Allow)
	if c.section.USBControl != nil {
		for _, one := range texts(c.section.USBControl.Allow) {
			out = appendNew(out, one)
		}
	}
	return out
}

// unused warns of what nothing refers to: mostly a name that was changed in one place.
func (c *compiler) unused() {
	for name, r := range c.section.Requirements.All() {
		if !c.used["requirement "+name] {
			c.warn(r.Pos, "posture.requirements."+name, "no rule asks for this requirement", "add it to a rule of posture.policy, or remove it")
		}
	}
	for name, r := range c.section.Conditions.All() {
		if !c.used["condition "+name] && !strings.HasPrefix(name, config.LibraryPrefix) {
			c.warn(r.Pos, "posture.conditions."+name, "no requirement uses this condition", "")
		}
	}
	for name, r := range c.section.Remediations.All() {
		if !c.used["remediation "+name] {
			c.warn(r.Pos, "posture.remediations."+name, "no requirement uses this remediation", "")
		}
	}
	for name, p := range c.section.Publishers.All() {
		if !c.used["publisher "+name] {
			c.warn(p.Pos, "posture.publishers."+name, "no remediation names this publisher", "")
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
