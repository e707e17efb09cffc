package report

import "time"

// Kinds of fact: what Policy.Collect names. The first group has to be told in
// Policy.Probe what to look for; the second looks at all there is.
const (
	KindFiles     = "files"
	KindRegistry  = "registry"
	KindServices  = "services"
	KindProcesses = "processes"
	KindPackages  = "packages"

	KindUSB         = "usb"
	KindPatch       = "patch"
	KindEncryption  = "encryption"
	KindFirewall    = "firewall"
	KindAntiMalware = "antimalware"
)

// Probe names what the agent has to look for. Each item of it is answered by one item of
// the facts or more (a path below every user's directory, a name with "*").
type Probe struct {
	Files     []FileProbe     `json:"files,omitempty"`
	Registry  []RegistryProbe `json:"registry,omitempty"`
	Services  []string        `json:"services,omitempty"`  // "ssh.service"; on Linux ".service" may be left out
	Processes []string        `json:"processes,omitempty"` // name of the program's file, or its absolute path
	Packages  []string        `json:"packages,omitempty"`  // name, may have "*" at its ends
	Hardware  []string        `json:"hardware,omitempty"`  // of HardwareAttributes
	Scripts   []ScriptProbe   `json:"scripts,omitempty"`
}

// Roots of a path in a FileProbe. With RootAbsolute, which is the default, Path is
// absolute; else it is below the directory that the word stands for.
const (
	RootAbsolute       = "absolute"
	RootSystem         = "system"          // C:\Windows; "/" elsewhere
	RootSystem32       = "system32"        // C:\Windows\System32; /usr/lib elsewhere
	RootSystemDrive    = "system-drive"    // C:\; "/" elsewhere
	RootSystemPrograms = "system-programs" // C:\Program Files; /usr elsewhere
	RootUserProfile    = "user-profile"    // of every person with a home directory
	RootUserDesktop    = "user-desktop"    // of every person with a home directory
)

// What costs time to find out about a file, or changes all the time, and is only told
// when FileProbe.Want names it.
const (
	WantAccessed = "accessed"
	WantVersion  = "version"
	WantCRC32    = "crc32"
	WantSHA256   = "sha256"
)

// FileProbe asks about one path.
type FileProbe struct {
	Root string   `json:"root,omitempty"`
	Path string   `json:"path"`
	Want []string `json:"want,omitempty"` // WantSHA256 ...
}

// RegistryProbe asks about one key or value of the Windows registry.
type RegistryProbe struct {
	Hive  string `json:"hive"`            // HKLM, HKCU, HKU, HKCR, HKCC; HKCU is every person's
	Key   string `json:"key"`             // SOFTWARE\Example
	Value string `json:"value,omitempty"` // its name; empty with Default false: the key alone
	View  string `json:"view,omitempty"`  // "32" or "64"; empty: the system's own

	Default bool `json:"default,omitempty"` // the key's value without a name
}

// States of what was looked for. An item that is unknown carries a Reason.
const (
	StatePresent = "present" // a file, a key, a value
	StateAbsent  = "absent"  // not there; for a process: not running
	StateUnknown = "unknown" // cannot tell

	StateRunning   = "running"   // a service, a process
	StateStopped   = "stopped"   // a service that is there and does not run
	StateInstalled = "installed" // a package
	StateOn        = "on"        // a product protects
	StateOff       = "off"       // it is there and does not
)

// States of a volume besides StateUnknown.
const (
	VolumeEncrypted = "encrypted"
	VolumePartly    = "partly"    // some of the disks below it, or some of its content
	VolumePending   = "pending"   // encryption is under way
	VolumeSuspended = "suspended" // encrypted, but the key lies open
	VolumePlain     = "plain"
)

// Files answers Probe.Files.
type Files struct {
	Items []File `json:"items"`
	Error string `json:"error,omitempty"` // set: not all was looked for, and why
}

// File is one path. What the probe did not ask for, or the system does not know, is empty.
type File struct {
	Root     string    `json:"root,omitempty"` // as in the probe
	Path     string    `json:"path"`           // as in the probe
	User     string    `json:"user,omitempty"` // whose directory, for the roots that every person has
	State    string    `json:"state"`
	Reason   string    `json:"reason,omitempty"`
	Type     string    `json:"type,omitempty"` // file, directory, link, other
	Mode     string    `json:"mode,omitempty"` // "0644"
	Size     int64     `json:"size,omitempty"` // octets
	Created  time.Time `json:"created,omitzero"`
	Modified time.Time `json:"modified,omitzero"`
	Accessed time.Time `json:"accessed,omitzero"`
	Version  string    `json:"version,omitempty"` // "10.0.19041.1"
	CRC32    string    `json:"crc32,omitempty"`   // 8 lower-case hexadecimal digits, IEEE
	SHA256   string    `json:"sha256,omitempty"`  // 64 lower-case hexadecimal digits
}

// Registry answers Probe.Registry.
type Registry struct {
	Items []RegistryItem `json:"items"`
	Error string         `json:"error,omitempty"`
}

// RegistryItem is one key or value. Type is string, number, strings or binary; Data is
// the text, the number in decimal, the texts with line ends between them, or the octets in
// hexadecimal, cut where a text ends.
type RegistryItem struct {
	RegistryProbe
	User   string `json:"user,omitempty"` // for HKCU
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	Type   string `json:"type,omitempty"`
	Data   string `json:"data,omitempty"`
}

// Services answers Probe.Services.
type Services struct {
	Items []Service `json:"items"`
	Error string    `json:"error,omitempty"`
}

// Service is one service of the system.
type Service struct {
	Name   string `json:"name"`  // as in the probe
	State  string `json:"state"` // running, stopped, absent, unknown
	Reason string `json:"reason,omitempty"`
	Start  string `json:"start,omitempty"` // automatic, manual, disabled
}

// Processes answers Probe.Processes.
type Processes struct {
	Items []Process `json:"items"`
	Error string    `json:"error,omitempty"`
}

// Process is one program that was looked for, running as often as it may.
type Process struct {
	Name   string   `json:"name"`  // as in the probe
	State  string   `json:"state"` // running, absent, unknown
	Reason string   `json:"reason,omitempty"`
	Paths  []string `json:"paths,omitempty"` // of the files it runs from, each once
}

// Packages answers Probe.Packages.
type Packages struct {
	Items []Package `json:"items"`
	Error string    `json:"error,omitempty"`
}

// Package is one installed package or program, or a name that nothing has.
type Package struct {
	Probe   string `json:"probe"`          // as in the probe
	Name    string `json:"name,omitempty"` // as installed
	State   string `json:"state"`          // installed, absent, unknown
	Reason  string `json:"reason,omitempty"`
	Version string `json:"version,omitempty"`
	Vendor  string `json:"vendor,omitempty"`
	Source  string `json:"source,omitempty"` // dpkg, rpm, registry, bundle
}

// Patch is how far the system is behind what its source of updates offers.
type Patch struct {
	Manager        string    `json:"manager,omitempty"`         // apt, dnf, windows-update, softwareupdate
	Error          string    `json:"error,omitempty"`           // set: what follows is not known, and why
	Checked        time.Time `json:"checked,omitzero"`          // when the list of updates was brought up to date
	Pending        int       `json:"pending"`                   // updates not installed
	Security       int       `json:"security"`                  // those of them that mend security
	Updates        []Update  `json:"updates,omitempty"`         // some of them, security first
	Automatic      string    `json:"automatic,omitempty"`       // on, off, unknown: installs by itself
	Build          string    `json:"build,omitempty"`           // "10.0.19045.5011"; the running kernel
	RestartPending string    `json:"restart_pending,omitempty"` // on, off, unknown
}

// Update is one that is not installed.
type Update struct {
	Name      string `json:"name"`
	Installed string `json:"installed,omitempty"`
	Offered   string `json:"offered,omitempty"`
	Security  bool   `json:"security,omitempty"`
}

// Encryption is what lies on the disks and how.
type Encryption struct {
	Volumes []Volume `json:"volumes"`
	Error   string   `json:"error,omitempty"`
}

// Volume is one mounted file system on a disk, or a volume with a drive letter.
type Volume struct {
	Mount    string `json:"mount"`            // "/home", "C:"
	Device   string `json:"device,omitempty"` // "dm-0"
	FS       string `json:"fs,omitempty"`
	State    string `json:"state"` // VolumeEncrypted ...
	Reason   string `json:"reason,omitempty"`
	By       string `json:"by,omitempty"`       // luks1, luks2, plain, bitlocker, filevault
	System   bool   `json:"system,omitempty"`   // the running system stands on it
	External bool   `json:"external,omitempty"` // on USB
}

// Firewall is what filters what comes in.
type Firewall struct {
	Products []Product `json:"products"`
	Error    string    `json:"error,omitempty"`
}

// AntiMalware is what looks for malware.
type AntiMalware struct {
	Products []Product `json:"products"`
	Error    string    `json:"error,omitempty"`
}

// Product is one that protects. The fields about definitions and RealTime are of
// anti-malware, Profiles is of firewalls.
type Product struct {
	Name          string    `json:"name"`
	Vendor        string    `json:"vendor,omitempty"`
	Version       string    `json:"version,omitempty"`
	State         string    `json:"state"` // on, off, unknown
	Reason        string    `json:"reason,omitempty"`
	RealTime      string    `json:"real_time,omitempty"` // on, off, unknown
	Definitions   string    `json:"definitions,omitempty"`
	DefinitionsAt time.Time `json:"definitions_at,omitzero"`
	Profiles      []string  `json:"profiles,omitempty"` // "public on", "private off"
}

// Modes of USB control.
const (
	USBObserve  = "observe"  // report, block nothing
	USBReactive = "reactive" // block what appears
	USBStrict   = "strict"   // let nothing appear but what is allowed, hubs and keyboards
)

// What is done when files on a disk stay open until the grace time is over.
const (
	BusyKeep   = "keep"   // the disk stays, the action fails
	BusyKill   = "kill"   // the processes that hold it are ended
	BusyDetach = "detach" // it is written out, detached from the tree and taken away
)

// USBControl is how the agent handles USB storage before it is asked. The agent's own
// configuration may be stricter than Mode, never laxer.
type USBControl struct {
	Mode  string   `json:"mode"`
	Allow []string `json:"allow,omitempty"` // as in Action.Allow
	Busy  string   `json:"busy,omitempty"`  // BusyKeep, which is the default, ...

	// GraceS is how many seconds a person has to close files; 0: the agent's default.
	GraceS int `json:"grace_s,omitempty"`
}
