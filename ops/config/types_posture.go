package config

import "time"

// Posture is what a healthy endpoint is, and what to do about one that is not.
type Posture struct {
	Conditions    Map[Condition]   `key:"conditions"`
	Remediations  Map[Remediation] `key:"remediations"`
	Publishers    Map[Publisher]   `key:"publishers"` // whose signatures launch and script may ask for
	Requirements  Map[Requirement] `key:"requirements"`
	Policy        []PostureRule    `key:"policy"`
	Reassessment  []Reassessment   `key:"reassessment"` // the first that matches; none: reports come by themselves
	Agent         PostureAgent     `key:"agent"`
	USBControl    *USBControl      `key:"usb-control"`                                                                       // how agents handle USB storage before they are asked; none: they react
	DefaultStatus string           `key:"default-status" default:"NotApplicable" one:"NotApplicable|Compliant|NonCompliant"` // when no rule is for the endpoint
	Library       Library          `key:"library"`
}

// Remediation is what brings a requirement back: one of a closed list, or, without a
// kind, a message. What the agent runs or fetches is named by its digest.
type Remediation struct {
	Pos         Pos
	USB         string        `key:"usb" one:"block"`
	Link        Text          `key:"link"`   // a page that the person is shown
	Launch      *Launch       `key:"launch"` // a program on the endpoint
	File        *Download     `key:"file"`   // a file that the endpoint is given
	Script      *Script       `key:"script"` // a script that the agent runs
	AntiMalware string        `key:"anti-malware" one:"update"`
	Firewall    string        `key:"firewall" one:"enable"`
	Patch       string        `key:"patch" one:"install|activate|update"` // what makes updates by itself, turning that on, or the updates that are missing
	Application *AppRemoval   `key:"application"`
	Mode        string        `key:"mode" default:"automatic" one:"automatic|manual"`
	Interval    time.Duration `key:"interval" default:"0s" range:"0s..1h"` // between tries; 0: once, until the next report
	Retries     int           `key:"retries" default:"0" range:"0..99"`
	Message     string        `key:"message"` // for the person
}

// Launch is a program that the endpoint has. It runs only when its file has the digest.
type Launch struct {
	Pos       Pos
	Path      Text   `key:"path,required"`
	SHA256    Text   `key:"sha256,required"`
	Publisher string `key:"publisher"` // who must have signed it: one of posture.publishers, or as its system knows it; empty: the digest alone counts
	Signature Text   `key:"signature"` // of this path, digest and arguments, for agents that are told a remedy key
	Arguments []Text `key:"arguments"`

	PublisherSignature Text `key:"publisher-signature"` // of the file, by the publisher's key
}

// Publisher is somebody whose files agents run.
type Publisher struct {
	Pos Pos
	Key Text `key:"key,required"` // Ed25519, base64
}

// Download is a file that is fetched, checked and put where the endpoint lets it be put.
type Download struct {
	Pos    Pos
	URL    Text `key:"url"`  // https, where it is fetched
	File   Text `key:"file"` // or a plain name, in the agents directory
	SHA256 Text `key:"sha256,required"`
	To     Text `key:"to"` // an absolute path, or a name in the agent's own directory for files; empty: the name it has

	Permissions string `key:"permissions" default:"0644" one:"0600|0640|0644|0700|0750|0755"`
	Signature   Text   `key:"signature"` // of all this, for agents that are told a remedy key
}

// Script is one that the agent runs. The appliance hands out the file; the agent runs
// what has the digest.
type Script struct {
	Pos    Pos
	File   Text `key:"file,required"` // a plain name, in the agents directory
	SHA256 Text `key:"sha256,required"`

	Signature Text   `key:"signature"` // of this name and digest, for agents that are told a remedy key
	Publisher string `key:"publisher"` // who must have signed it, one of posture.publishers; empty: the digest alone counts

	PublisherSignature Text `key:"publisher-signature"` // of the file, by the publisher's key
}

// AppRemoval ends or removes a program.
type AppRemoval struct {
	Pos  Pos
	Name Text   `key:"name,required"` // to stop: of a program's file, or its path; to uninstall: of a package
	Do   string `key:"do,required" one:"stop|uninstall"`
}

// What a condition that cannot tell means for its requirement.
const (
	CannotTellFails = "fail"
	CannotTellSkips = "skip"
)

// Requirement is conditions that must all hold, for some systems.
type Requirement struct {
	Pos         Pos
	OS          []Text `key:"os" one:"windows|linux|macos"` // empty: all
	Conditions  []Text `key:"conditions,required"`
	Remediation Text   `key:"remediation"` // empty: none
	CannotTell  string `key:"cannot-tell" default:"fail" one:"fail|skip"`
}

// Kinds of agent that rules may be for.
const (
	AgentInstalled = "agent"
	AgentTemporal  = "temporal"
	AgentNone      = "agentless"
)

// PostureRule says which requirements an endpoint must meet. All rules that match
// apply together.
type PostureRule struct {
	Pos          Pos
	Rule         Text              `key:"rule,required"`
	Disabled     bool              `key:"disabled"`
	OS           []Text            `key:"os" one:"windows|linux|macos"`
	Groups       []Text            `key:"groups"`                    // of the identity, any of them; empty: everybody
	Type         []Text            `key:"type" one:"agent|temporal"` // of the agent; empty: both
	When         Text              `key:"when"`                      // CEL; empty: always
	Requirements []RuleRequirement `key:"requirements,required"`
	Grace        time.Duration     `key:"grace" default:"0s" range:"0s..30d"` // an endpoint that was Compliant keeps its access so long
}

// Enforcements of a requirement.
const (
	Mandatory = "mandatory" // a failure makes the endpoint NonCompliant
	Optional  = "optional"  // a failure is shown to the person
	Audit     = "audit"     // a failure is recorded only
)

// RuleRequirement is a requirement as one rule enforces it.
type RuleRequirement struct {
	Pos         Pos
	Name        Text   `key:"name,required"`
	Enforcement string `key:"enforcement" default:"mandatory" one:"mandatory|optional|audit"`
}

// What a reassessment that failed, or that nobody answered, does.
const (
	ReassessContinue  = "continue"
	ReassessRemediate = "remediate"
	ReassessLogoff    = "logoff"
)

// Reassessment asks compliant endpoints again after some time.
type Reassessment struct {
	Pos      Pos
	Rule     Text          `key:"rule,required"`
	Groups   []Text        `key:"groups"` // any of them; empty: everybody
	OS       []Text        `key:"os" one:"windows|linux|macos"`
	When     Text          `key:"when"` // CEL; empty: always
	Interval time.Duration `key:"interval" default:"4h" range:"1m..30d"`
	Grace    time.Duration `key:"grace" default:"5m" range:"10s..24h"` // for the answer
	Action   string        `key:"action" default:"continue" one:"continue|remediate|logoff"`
}

// What becomes of a session whose agent fell silent.
const (
	LostKeeps        = "keep"
	LostNonCompliant = "noncompliant"
	LostDisconnects  = "disconnect"
)

// What happens when the time for remediation is over and the endpoint is not healthy.
const (
	OverKeeps       = "keep"
	OverDisconnects = "disconnect"
)

// PostureAgent times the conversation with the agent.
type PostureAgent struct {
	Pos              Pos
	Heartbeat        time.Duration `key:"heartbeat" default:"15m" range:"5s..24h"`      // the agent reports at least so often
	ReportValid      time.Duration `key:"report-valid" range:"10s..7d"`                 // facts older than this prove nothing; default: three heartbeats
	PendingAlarm     time.Duration `key:"pending-alarm" default:"10m" range:"10s..24h"` // Pending for longer than this is worth an alarm
	Lost             string        `key:"lost" default:"noncompliant" one:"keep|noncompliant|disconnect"`
	Lease            time.Duration `key:"lease" default:"0s" range:"0s..365d"`                        // a Compliant endpoint that comes back is believed so long without a report; 0: never
	RemediationTimer time.Duration `key:"remediation-timer" default:"4m" range:"1m..300m"`            // the time to become healthy, from the first report that says otherwise
	TemporalValid    time.Duration `key:"temporal-valid" default:"24h" range:"1m..30d"`               // a report of an agent that runs once
	Agentless        string        `key:"agentless" default:"keep" one:"keep|Compliant|NonCompliant"` // what a Pending endpoint becomes when no agent has come by pending-alarm
	RemediationOver  string        `key:"remediation-over" default:"keep" one:"keep|disconnect"`
	Revoked          []Text        `key:"revoked"` // devices that are believed nothing any more, lost or stolen: 24 hexadecimal digits each, as sallyport sessions shows them
}

// USBControl is how agents handle USB storage. What is allowed counts in no USB condition.
type USBControl struct {
	Pos   Pos
	Mode  string        `key:"mode" default:"reactive" one:"observe|reactive|strict"` // report only; block what appears; let nothing appear
	Allow []Text        `key:"allow"`                                                 // as in a USB condition
	Busy  string        `key:"busy" default:"keep" one:"keep|kill|detach"`            // a disk with open files, when the grace time is over
	Grace time.Duration `key:"grace" default:"0s" range:"0s..1h"`                     // to close files; 0: the agent's own
}

// Library is a catalogue of products and conditions, signed by whoever keeps it.
type Library struct {
	Pos  Pos
	File Path `key:"file"` // YAML with its signature; empty: the one that the appliance brings along
	Key  Text `key:"key"`  // Ed25519, base64: whose signature it must have

	Content LibraryContent `key:"-"` // what the file says
}

// LibraryContent is one version of a library. Its conditions can be used as
// library.NAME, its products by their names.
type LibraryContent struct {
	Version    Text           `key:"version,required"` // the later, the greater
	Products   Map[Product]   `key:"products"`
	Conditions Map[Condition] `key:"conditions"`
}

// Product is one that endpoints may have.
type Product struct {
	Pos     Pos
	Names   Text   `key:"names,required"` // that endpoints tell contain this
	Classes []Text `key:"classes,required" one:"anti-malware|anti-virus|anti-spyware|firewall|disk-encryption|patch"`
	Latest  Text   `key:"latest"` // date of its newest definitions
}
