package config

import "time"

// Provisioning is which agent is offered to whom.
type Provisioning struct {
	AgentsDirectory Path            `key:"agents-directory"`
	Resources       Map[Resource]   `key:"resources"` // agent-windows, agent-linux and agent-macos are built in
	Rules           []ProvisionRule `key:"rules"`

	Configurations Map[AgentConfiguration] `key:"configurations"` // settings that go with an agent
}

// AgentConfiguration is settings of an agent, as its configuration file has them.
type AgentConfiguration struct {
	Pos            Pos
	DiscoveryHosts []Text        `key:"discovery-hosts"`                        // HOST or HOST:PORT, asked over HTTP; the NAS answers with a redirect
	Servers        []Text        `key:"servers"`                                // HOST or HOST:PORT of appliances, when nothing redirects
	NameRules      []Text        `key:"name-rules"`                             // names that an appliance may have, such as *.example.com
	Heartbeat      time.Duration `key:"heartbeat" range:"5s..24h"`              // default: what the appliance says
	USBMode        string        `key:"usb-mode" one:"observe|reactive|strict"` // default: what the appliance says
}

// Resource is one thing that the portal hands out.
type Resource struct {
	Pos     Pos
	OS      string `key:"os,required" one:"windows|linux|macos"`
	Arch    string `key:"arch" one:"amd64|arm64|386|arm"` // empty: the file fits all, or the name tells
	File    string `key:"file"`                           // in the agents directory; empty: by the usual name
	Version string `key:"version"`
	SHA256  string `key:"sha256"` // hexadecimal; empty: not checked

	Signature Text `key:"signature"` // of this version, system and digest: agents update themselves to nothing else
}

// ProvisionRule offers a resource. The first match wins.
type ProvisionRule struct {
	Pos           Pos
	Rule          Text   `key:"rule,required"`
	OS            []Text `key:"os" one:"windows|linux|macos"`
	Groups        []Text `key:"groups"` // of the identity, any of them; empty: everybody
	When          Text   `key:"when"`   // CEL; empty: always
	Give          Text   `key:"give,required"`
	Configuration Text   `key:"configuration"` // that goes with it; empty: none
}

// Authorization is what an identity with a posture may do.
type Authorization struct {
	Conditions Map[Text]    `key:"conditions"` // CEL with a name: others write condition.NAME
	DACLs      Map[DACL]    `key:"dacls"`
	Parts      Map[Profile] `key:"parts"`      // of profiles, which name them in use
	Profiles   Map[Profile] `key:"profiles"`   // PermitAccess and DenyAccess are built in
	Exceptions []AuthzRule  `key:"exceptions"` // tried before the rules
	Rules      []AuthzRule  `key:"rules"`
	Default    Text         `key:"default" default:"DenyAccess"`
}

// Names of the built-in profiles.
const (
	PermitAccess = "PermitAccess" // accept, nothing more
	DenyAccess   = "DenyAccess"   // reject
)

// DACL is a downloadable access list: a list of lines or one block of text.
type DACL struct {
	Pos   Pos
	Lines []Text
}

// AuthzRule gives a profile when all that it asks for holds. The first match wins.
type AuthzRule struct {
	Pos      Pos
	Rule     Text   `key:"rule,required"`
	NAS      []Text `key:"nas"`       // names, any of them; empty: every one
	NASGroup []Text `key:"nas-group"` // any of them; empty: every one
	Groups   []Text `key:"groups"`    // of the identity, any of them; empty: everybody
	When     Text   `key:"when"`      // CEL; may be left out when one of those above is there
	Profile  Text   `key:"profile,required"`
}

// Profile is an authorization profile as written; engine/authz makes it real.
type Profile struct {
	Pos            Pos
	Use            []Text        `key:"use"`    // parts; what the profile says itself comes before what they say
	Reject         bool          `key:"reject"` // answer Access-Reject; only attributes such as Reply-Message go with it
	Redirect       *Redirect     `key:"redirect"`
	DACL           Text          `key:"dacl"`
	VLAN           Text          `key:"vlan"` // number or name
	FilterID       Text          `key:"filter-id"`
	Class          Text          `key:"class"`
	SGT            int           `key:"sgt" range:"1..65519"` // security group tag; 0: none
	SessionTimeout time.Duration `key:"session-timeout" range:"1m..365d"`
	Reauthenticate bool          `key:"reauthenticate"` // Termination-Action RADIUS-Request (RFC 2865 section 5.29)
	GroupPolicy    Text          `key:"group-policy"`   // Class as "OU=name;", as ASA selects a group policy
	Attributes     []Attribute   `key:"attributes"`     // by dictionary name
}

// Redirect sends web traffic to a portal.
type Redirect struct {
	Pos    Pos
	Portal Text `key:"portal,required"`
	ACL    Text `key:"acl,required"` // a list that the NAS already has
}

// Attribute is one RADIUS attribute by dictionary name, with its values in order.
type Attribute struct {
	Name   Text
	Values []Text
}

// Test is one policy test: a login and what follows it, in time.
type Test struct {
	Pos   Pos
	Name  Text   `key:"name,required"`
	Given Given  `key:"given"`
	Steps []Step `key:"steps,required"`
}

// Given is the session that a test is about.
type Given struct {
	Pos              Pos
	User             string   `key:"user"`
	Groups           []string `key:"groups"` // besides those that the user's store tells
	NAS              Text     `key:"nas"`
	OS               string   `key:"os" one:"windows|linux|macos"`
	OSVersion        string   `key:"os-version"` // as the agent tells, as are the two below
	Hostname         string   `key:"hostname"`
	Domain           string   `key:"domain"`
	MAC              Text     `key:"mac"`
	Method           string   `key:"method" default:"pap"`
	CallingStationID string   `key:"calling-station-id"`
	CalledStationID  string   `key:"called-station-id"`
	TunnelGroup      string   `key:"tunnel-group"`
	NASPortType      Text     `key:"nas-port-type"`
	ServiceType      Text     `key:"service-type"`
	FramedIP         Text     `key:"framed-ip"`
	Time             Text     `key:"time"` // when the test begins, RFC 3339; default: a Monday at noon, UTC
	Assurance        string   `key:"assurance" default:"ticket" one:"none|address-mac|ticket|ticket-elsewhere|key"`
}

// Step is one moment of a test: something happens, or only time passes.
type Step struct {
	Pos          Pos
	At           time.Duration `key:"at"` // since the test began
	Authenticate Text          `key:"authenticate" one:"ok|fail"`
	Report       *StepReport   `key:"report"`
	Expect       Expect        `key:"expect"`
}

// StepReport is a posture report in a test.
type StepReport struct {
	Pos      Pos
	USB      *[]StepUSB `key:"usb"` // absent: the agent did not collect it
	USBError string     `key:"usb-error"`
	Facts    Raw        `key:"facts"` // other facts, with the names that agents use: {services: {items: [{name: ssh, state: running}]}}
	Kind     string     `key:"kind" one:"agent|temporal"`
	Trigger  string     `key:"trigger" default:"event" one:"initial|event|periodic|remediated"`
}

// StepUSB is one USB device of a test's report.
type StepUSB struct {
	Ifaces []string `key:"ifaces,required"`
	State  string   `key:"state" default:"active" one:"active|blocked|protected_system_disk"`
	VID    string   `key:"vid"`
	PID    string   `key:"pid"`
	Serial string   `key:"serial"`
	Port   string   `key:"port"`
}

// Expect is what must be true after a step. Empty fields are not looked at.
type Expect struct {
	Pos     Pos
	Profile Text `key:"profile"`
	Rule    Text `key:"rule"`
	Posture Text `key:"posture" one:"Unknown|Pending|Compliant|NonCompliant|NotApplicable"`
	CoA     Text `key:"coa"` // the profile that a CoA brings, disconnect, or none
}

// Words for a step after which nothing may be sent to the NAS, or the end of the session.
const (
	NoCoA         = "none"
	DisconnectCoA = "disconnect"
)
