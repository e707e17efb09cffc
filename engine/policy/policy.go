// Package policy turns a configuration into what the appliance runs on: compiled
// rules, keyed NASes, users. serve, check, explain and reload all come through Load, so
// that what check says is what serve does.
package policy

import (
	"net"
	"net/netip"
	"slices"

	"sallyport/engine/authn"
	"sallyport/engine/authz"
	"sallyport/engine/expr"
	"sallyport/engine/posture"
	"sallyport/engine/step"
	"sallyport/ops/config"
)

// Snapshot is one compiled configuration. Nothing in it changes after Load.
type Snapshot struct {
	Config   *config.Config
	Revision string // of every file that took part, 12 hexadecimal digits
	Authz    *authz.Policy
	Posture  *posture.Policy
	Users    *authn.Users
	Rules    step.Rules

	// CoASources are the addresses that NASes are told from, in order; a NAS that names none
	// leaves it to the system.
	CoASources []netip.Addr

	nas          *nasTable
	provisioning *provisioning
}

// Load reads, checks and compiles the configuration at path and runs its policy tests.
// With faults there is no Snapshot; they are all of them, not the first.
func Load(path string) (*Snapshot, config.Warnings, config.Faults) {
	c, warnings, faults := config.Load(path)
	if c == nil {
		return nil, warnings, faults
	}
	s := &Snapshot{Config: c, Revision: c.Revision()}
	first := faults
	add := func(w config.Warnings, f config.Faults) {
		warnings, faults = append(warnings, w...), append(faults, news(c, first, f)...)
	}
	book, f := compileRecipes(c)
	add(nil, f)
	s.nas, f = compileNAS(c.NAS, book)
	add(nil, f)
	s.CoASources, f = coaSources(c.NAS)
	add(nil, f)
	var w config.Warnings
	scope := expr.NewScope()
	add(nil, scope.Define(c.Authorization.Conditions, "authorization.conditions"))
	s.Authz, f, w = authz.Compile(&c.Authorization, authzOptions(c, scope))
	add(w, f)
	s.Posture, w, f = posture.CompileIn(c, scope)
	add(w, f)
	s.provisioning, w, f = compileProvisioning(c, scope)
	add(w, f)
	s.Users, f = authn.NewUsers(&c.Identity)
	add(nil, f)
	if len(faults) > 0 {
		return nil, warnings, c.WithSource(faults)
	}
	s.Rules = rules(s)
	warnings = append(warnings, s.checkRecipes()...)
	warnings = append(warnings, checkSecrets(s.Config)...)
	if f := s.runTests(); len(f) > 0 {
		return nil, warnings, c.WithSource(f)
	}
	return s, warnings, nil
}

// news is what of later faults is not the consequence of earlier ones: a value that was
// refused when it was read is wrong for those who use it, too.
func news(c *config.Config, earlier, later config.Faults) config.Faults {
	return slices.DeleteFunc(later, func(f config.Fault) bool {
		return c.Misspelt(f.Path) || slices.ContainsFunc(earlier, func(e config.Fault) bool {
			return f.Path != "" && f.Path == e.Path || !f.Pos.IsZero() && f.Pos == e.Pos
		})
	})
}

func authzOptions(c *config.Config, scope *expr.Scope) authz.Options {
	o := authz.Options{Scope: scope, Groups: knownGroups(c), Host: longestHost(c), NamePos: c.Appliance.Name.Pos}
	if c.Portal.Name.Value != "" {
		o.NamePos, o.NamePath = c.Portal.Name.Pos, "portal.name"
	}
	for i := range c.NAS {
		o.NAS = append(o.NAS, c.NAS[i].Name.Value)
		o.NASGroups = append(o.NASGroups, c.NAS[i].Group)
	}
	return o
}

// knownGroups are the groups that users and endpoints of the files are in.
func knownGroups(c *config.Config) (groups []string) {
	for i := range c.Identity.Stores {
		for j := range c.Identity.Stores[i].Users {
			groups = append(groups, c.Identity.Stores[i].Users[j].Groups...)
		}
	}
	for i := range c.Identity.MAB.Endpoints {
		groups = append(groups, c.Identity.MAB.Endpoints[i].Groups...)
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// PortalHost is host and port of the redirect URL for a portal on port.
func PortalHost(c *config.Config, port string) string {
	name := c.Portal.Name.Value
	if name == "" {
		name = c.Appliance.Name.Value
	}
	return net.JoinHostPort(name, port)
}

// longestHost is host and port with as many digits as the port can get.
func longestHost(c *config.Config) string {
	_, port, err := net.SplitHostPort(c.Listen.Portal.Value)
	if err != nil || port == "0" {
		port = "65535"
	}
	return PortalHost(c, port)
}

func rules(s *Snapshot) step.Rules {
	c := s.Config
	return step.Rules{
		Revision: s.Revision, Authz: s.Authz, Posture: s.Posture, NASGroup: s.group,
		Heartbeat: c.Posture.Agent.Heartbeat, PendingAlarm: c.Posture.Agent.PendingAlarm,
		TicketLifetime: c.Portal.TicketLifetime, PurgeWithoutStop: c.Sessions.PurgeWithoutStop,
		PurgeWithoutAccounting: c.Sessions.PurgeWithoutAccounting, KeepEnded: c.Sessions.KeepEnded,
		InterimMax: c.Sessions.PurgeWithoutInterim, IdleMax: c.Sessions.IdleTimeout, SessionMax: c.Sessions.SessionTimeout,
	}
}

func (s *Snapshot) group(nas string) string {
	if n := s.nas.byName[nas]; n != nil {
		return n.Group
	}
	return ""
}

// NAS finds the NAS that a packet from a comes from, nil when there is none.
func (s *Snapshot) NAS(a netip.Addr) *NAS { return s.nas.find(a) }

// NASByName finds a NAS by its name in the configuration.
func (s *Snapshot) NASByName(name string) *NAS { return s.nas.byName[name] }

// NASes lists them in the order of the file.
func (s *Snapshot) NASes() []*NAS { return s.nas.list }
