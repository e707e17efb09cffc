package authz

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport/engine/expr"
	"sallyport/ops/config"
)

// Options are what Compile must know besides the rules themselves.
type Options struct {
	// Host is host and port as redirect URLs carry them, the longest if it is not
	// settled yet. Empty: the length of URLs is not checked. NamePos and NamePath are
	// where the name was written: appliance.name or portal.name.
	Host     string
	NamePos  config.Pos
	NamePath string

	Scope     *expr.Scope // conditions with names; nil: none
	Groups    []string    // that stores know, for warnings; none given: not looked at
	Portals   []string    // valid in a redirect; none given: client-provisioning
	NAS       []string    // names in the configuration, for warnings; none given: not looked at
	NASGroups []string
}

// ClientProvisioning is the portal where agents are handed out.
const ClientProvisioning = "client-provisioning"

// rulesMax bounds what an evaluation that was never made before may cost.
const rulesMax = 1000

// compiler collects what is found on the way.
type compiler struct {
	in       *config.Authorization
	opts     Options
	out      *Policy
	sources  map[string]*config.Profile // by name, as written
	dacls    map[string]*DACL           // by plain name
	used     map[string]bool            // conditions with names that something uses
	parts    map[string]bool            // parts that a profile uses
	faults   config.Faults
	warnings config.Warnings
}

// use notes the conditions with names that an expression uses, and those they use.
func (c *compiler) use(when *expr.Condition) {
	for _, name := range when.Uses() {
		if c.used[name] {
			continue
		}
		c.used[name] = true
		if named, ok := c.opts.Scope.Named(name); ok {
			c.use(named)
		}
	}
}

// Compile checks profiles and rules and makes a policy of them. Every fault is reported,
// not the first; with faults there is no policy. Warnings are what is allowed and
// probably not meant.
func Compile(in *config.Authorization, opts Options) (*Policy, config.Faults, config.Warnings) {
	if len(opts.Portals) == 0 {
		opts.Portals = []string{ClientProvisioning}
	}
	if opts.NamePath == "" {
		opts.NamePath = "appliance.name"
	}
	if opts.Scope == nil {
		opts.Scope = expr.NewScope()
	}
	c := &compiler{
		in: in, used: map[string]bool{}, parts: map[string]bool{}, opts: opts, sources: map[string]*config.Profile{}, dacls: map[string]*DACL{},
		out: &Policy{
			serial: serials.Add(1), byName: map[string]*Profile{},
			dacls: map[string]*DACL{}, versions: map[string]*DACL{},
		},
	}
	c.compileDACLs()
	c.compileProfiles()
	c.compileRules(in.Exceptions, "exceptions", true)
	c.compileRules(in.Rules, "rules", false)
	c.compileDefault()
	c.checkURL()
	if len(c.faults) > 0 {
		return nil, c.faults, c.warnings
	}
	c.lint()
	return c.out, nil, c.warnings
}

func (c *compiler) fault(pos config.Pos, path, message, hint string) {
	c.faults = append(c.faults, config.Fault{Pos: pos, Path: "authorization." + path, Message: message, Hint: hint})
}

func (c *compiler) warn(pos config.Pos, path, message, hint string) {
	c.warnings = append(c.warnings, config.Fault{Pos: pos, Path: "authorization." + path, Message: message, Hint: hint})
}

func (c *compiler) compileRules(rules []config.AuthzRule, section string, exception bool) {
	for i := range rules {
		written := &rules[i]
		path := section + "[" + strconv.Itoa(i) + "]"
		r := rule{name: written.Rule.Value, pos: written.Pos, path: path, exception: exception}
		if r.pos.IsZero() {
			r.pos = written.Rule.Pos
		}
		if len(c.out.rules) >= rulesMax {
			c.fault(r.pos, section, fmt.Sprintf("more than %d rules", rulesMax), "join rules that give the same profile with ||")
			return
		}
		c.ruleName(&r, written)
		r.limits = limitsOf(written)
		if strings.TrimSpace(written.When.Value) == "" && len(r.limits) == 0 {
			at := written.When.Pos
			if at.IsZero() {
				at = r.pos
			}
			c.fault(at, path+".when", "the condition is empty", "write true for a rule that always matches")
		}
		when, faults := c.opts.Scope.Compile(written.When, "authorization."+path+".when")
		c.faults = append(c.faults, faults...)
		r.when, r.profile = when, c.profileOf(written.Profile, path+".profile")
		if when != nil {
			c.out.reads |= r.reads()
			c.use(when)
		}
		c.out.rules = append(c.out.rules, r)
	}
}

// ruleName wants a name by which records can tell the rule.
func (c *compiler) ruleName(r *rule, written *config.AuthzRule) {
	if strings.TrimSpace(r.name) == "" {
		c.fault(written.Rule.Pos, r.path+".rule", "the rule has no name", "records name the rule that decided")
		return
	}
	for _, other := range c.out.rules {
		if other.name == r.name {
			c.fault(written.Rule.Pos, r.path+".rule", fmt.Sprintf("the rule %q is here twice, first at %s", r.name, other.pos),
				"records name the rule that decided; give each its own name")
			return
		}
	}
	if r.name == defaultRule {
		c.fault(written.Rule.Pos, r.path+".rule", `the name "`+defaultRule+`" is taken`, "records call by it what happens when no rule matches")
	}
}

// profileOf finds the profile that a rule names.
func (c *compiler) profileOf(name config.Text, path string) *Profile {
	if p := c.out.byName[name.Value]; p != nil {
		return p
	}
	if _, written := c.sources[name.Value]; !written { // otherwise its own faults say enough
		c.fault(name.Pos, path, fmt.Sprintf("there is no profile %q", name.Value), config.DidYouMean(name.Value, c.profileNames()))
	}
	return nil
}

func (c *compiler) profileNames() []string {
	names := c.in.Profiles.Names()
	for _, builtIn := range []string{config.PermitAccess, config.DenyAccess} {
		if !slices.Contains(names, builtIn) {
			names = append(names, builtIn)
		}
	}
	return names
}

func (c *compiler) compileDefault() {
	name := c.in.Default
	if name.Value == "" {
		name.Value = config.DenyAccess
	}
	always, _ := expr.Compile(config.Text{}, "")
	c.out.rules = append(c.out.rules, rule{
		name: defaultRule, pos: name.Pos, path: "default", when: always, profile: c.profileOf(name, "default"),
	})
}

// checkURL wants the longest redirect URL to fit into its attribute.
func (c *compiler) checkURL() {
	if c.opts.Host == "" {
		return
	}
	for _, p := range c.out.profiles {
		if p.Redirect == nil {
			continue
		}
		over := LongestRedirectURL(c.opts.Host, p.Redirect.Portal) - urlMax
		if over <= 0 {
			continue
		}
		c.faults = append(c.faults, config.Fault{
			Pos: c.opts.NamePos, Path: c.opts.NamePath,
			Message: fmt.Sprintf("the redirect URL to %s can become %d octets too long: %d fit into url-redirect", c.opts.Host, over, urlMax),
			Hint:    "a shorter DNS name for the portal (portal.name) makes room",
		})
		return
	}
}
