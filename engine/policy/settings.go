package policy

import (
	"fmt"
	"strings"

	"sallyport/engine/authz"
	"sallyport/engine/posture"
	"sallyport/ops/config"
)

// Settings is a configuration of an agent, ready to be handed out beside it.
type Settings struct {
	Name string
	Text string // the agent's configuration file
}

// AgentSettings is the configuration that goes with what provisioning gives an endpoint,
// nil when there is none.
func (s *Snapshot) AgentSettings(in *authz.Input) *Settings {
	if r := s.provisioning.rule(in); r != nil {
		return r.settings
	}
	return nil
}

// AgentUpdate is what an agent that runs a version should replace itself by, nil with the
// reason when it should not. Only a build whose digest is written down is one, and never
// an older one: to go back is for people.
func (s *Snapshot) AgentUpdate(in *authz.Input, running string) (*Resource, string) {
	r := s.Offer(in)
	switch {
	case r == nil:
		return nil, "no provisioning rule is for the endpoint"
	case r.Version == "" || r.SHA256 == "":
		return nil, fmt.Sprintf("the resource %s says no version or no sha256, and cannot be an update", r.Name)
	}
	order, ok := posture.CompareVersions(r.Version, running)
	switch {
	case !ok:
		return nil, fmt.Sprintf("the versions %q and %q cannot be compared", r.Version, running)
	case order == 0:
		return nil, "the agent is up to date"
	case order < 0:
		return nil, fmt.Sprintf("the agent runs %s, and %s is older: an agent is not taken back without a person", running, r.Version)
	}
	return r, ""
}

// FileName is the resource's file in the agents directory: the one it names, or the usual one.
func (r *Resource) FileName() string {
	if r.File != "" {
		return r.File
	}
	name := "sallyport-agent-" + r.OS
	if r.Arch != "" {
		name += "-" + r.Arch
	}
	if r.OS == "windows" {
		name += ".exe"
	}
	return name
}

// compileSettings makes the file of every configuration.
func compileSettings(c *config.Config) (map[string]*Settings, config.Faults) {
	out := map[string]*Settings{}
	var faults config.Faults
	for name, w := range c.Provisioning.Configurations.All() {
		path := "provisioning.configurations." + name
		var b strings.Builder
		fmt.Fprintf(&b, "# %s, handed out by %s\n", name, c.Appliance.Name.Value)
		for _, list := range []struct {
			key, option string
			values      []config.Text
			sound       func(string) bool
			hint        string
		}{
			{"discovery-hosts", "discovery-host", w.DiscoveryHosts, isHostPort, "HOST or HOST:PORT, no URL"},
			{"servers", "server", w.Servers, isHostPort, "HOST or HOST:PORT, no URL"},
			{"name-rules", "name-rule", w.NameRules, isNameRule, "a host name, or *. and a domain"},
		} {
			var words []string
			for i, v := range list.values {
				if !list.sound(v.Value) {
					faults = append(faults, config.Fault{Pos: v.Pos, Path: fmt.Sprintf("%s.%s[%d]", path, list.key, i),
						Message: fmt.Sprintf("%q cannot stand here", v.Value), Hint: list.hint})
				}
				words = append(words, v.Value)
			}
			if len(words) > 0 {
				fmt.Fprintf(&b, "%s = %s\n", list.option, strings.Join(words, ","))
			}
		}
		if w.Heartbeat > 0 {
			fmt.Fprintf(&b, "heartbeat = %s\n", w.Heartbeat)
		}
		if w.USBMode != "" {
			fmt.Fprintf(&b, "usb-mode = %s\n", w.USBMode)
		}
		out[name] = &Settings{Name: name, Text: b.String()}
	}
	return out, faults
}

func isHostPort(s string) bool { return s != "" && !strings.ContainsAny(s, "/@,#= \n") }

func isNameRule(s string) bool {
	rest := strings.TrimPrefix(s, "*.")
	return rest != "" && !strings.ContainsAny(rest, "*/:,#= \n")
}
