package config

import "time"

// Condition is one test on facts. Exactly one kind is set. Comparisons are texts:
//
//	versions, numbers   ">= 4.18"  also = != < <= >
//	texts               "contains Pro"  also starts, ends, lacks, =, !=; without a word: =
//	times               "within 3d", "after 2026-01-31", "before 2026-01-31", "on 2026-01-31"
type Condition struct {
	Pos            Pos
	OS             []Text                   `key:"os" one:"windows|linux|macos"` // elsewhere it cannot tell; empty: wherever its kind exists
	MaxAge         time.Duration            `key:"max-age" range:"10s..7d"`      // facts older than this cannot tell; default: posture.agent.report-valid
	USB            *USBCondition            `key:"usb"`
	File           *FileCondition           `key:"file"`
	Registry       *RegistryCondition       `key:"registry"`
	Service        *ServiceCondition        `key:"service"`
	Process        *ProcessCondition        `key:"process"`
	Application    *ApplicationCondition    `key:"application"`
	AntiMalware    *AntiMalwareCondition    `key:"anti-malware"`
	AntiVirus      *AntiMalwareCondition    `key:"anti-virus"`   // anti-malware that the library calls so, or does not know
	AntiSpyware    *AntiMalwareCondition    `key:"anti-spyware"` // the same
	Firewall       *FirewallCondition       `key:"firewall"`
	DiskEncryption *DiskEncryptionCondition `key:"disk-encryption"`
	Patch          *PatchCondition          `key:"patch"`
	System         *SystemCondition         `key:"system"`
	Hardware       *HardwareCondition       `key:"hardware"`
	Script         *ScriptCondition         `key:"script"`
	Session        Text                     `key:"session"`  // CEL over the session, as in rules
	Compound       Text                     `key:"compound"` // other conditions, by name, with & | ! ( )
}

// USBCondition looks at USB mass storage.
type USBCondition struct {
	Pos         Pos
	MassStorage string `key:"mass-storage,required" one:"absent|present"`
	Allow       []Text `key:"allow"`                                           // vid:pid, vid:pid:serial, or a rule such as allow id 0951:1666 via-port "1-2"; they do not count
	SystemDisk  string `key:"system-disk" default:"ignore" one:"ignore|count"` // a disk that backs the running system
}

// FileCondition looks at one path. All that is given must hold.
type FileCondition struct {
	Pos      Pos
	Path     Text   `key:"path,required"`
	Root     string `key:"root" default:"absolute" one:"absolute|system|system32|system-drive|system-programs|user-profile|user-desktop"` // what the path is below
	Is       string `key:"is" default:"present" one:"present|absent"`
	Type     string `key:"type" one:"file|directory|link"`
	Created  Text   `key:"created"`
	Modified Text   `key:"modified"`
	Accessed Text   `key:"accessed"`
	Version  Text   `key:"version"`
	CRC32    []Text `key:"crc32"`                             // any of them
	SHA256   []Text `key:"sha256"`                            // any of them
	Users    string `key:"users" default:"all" one:"all|any"` // below every user's directory
}

// RegistryCondition looks at one key or value of the Windows registry.
type RegistryCondition struct {
	Pos     Pos
	Hive    string `key:"hive" default:"HKLM" one:"HKLM|HKCU|HKU|HKCR|HKCC"`
	Key     Text   `key:"key,required"`
	Value   Text   `key:"value"`   // its name; empty: the key itself
	Default bool   `key:"default"` // the key's value without a name
	View    string `key:"view" one:"32|64"`
	Is      string `key:"is" default:"present" one:"present|absent"`
	Text    Text   `key:"text"`                              // the value as a text
	Number  Text   `key:"number"`                            // the value as a number
	Version Text   `key:"version"`                           // the value as a version
	Users   string `key:"users" default:"all" one:"all|any"` // in HKCU
}

// ServiceCondition looks at one service.
type ServiceCondition struct {
	Pos   Pos
	Name  Text   `key:"name,required"`
	Is    string `key:"is" default:"running" one:"running|not-running|present|absent"`
	Start string `key:"start" one:"automatic|manual|disabled"`
}

// ProcessCondition looks for a program that runs.
type ProcessCondition struct {
	Pos  Pos
	Name Text   `key:"name,required"` // of its file, or its absolute path
	Is   string `key:"is" default:"running" one:"running|not-running"`
}

// ApplicationCondition looks for an installed package or program.
type ApplicationCondition struct {
	Pos     Pos
	Name    Text   `key:"name,required"` // may have * at its ends
	Is      string `key:"is" default:"installed" one:"installed|absent"`
	Vendor  Text   `key:"vendor"`
	Version Text   `key:"version"`
}

// AntiMalwareCondition looks for one product that does all that is given.
type AntiMalwareCondition struct {
	Pos         Pos
	Vendor      Text   `key:"vendor"`
	Product     Text   `key:"product"` // a comparison, or a product of the library
	Is          string `key:"is" default:"running" one:"installed|running|protecting"`
	Version     Text   `key:"version"`
	Definitions Text   `key:"definitions"`                            // their date, such as within 3d
	Against     string `key:"against" default:"now" one:"now|latest"` // what "within" counts from: now, or the newest that the library knows
}

// FirewallCondition looks for one product that filters.
type FirewallCondition struct {
	Pos      Pos
	Vendor   Text   `key:"vendor"`
	Product  Text   `key:"product"`
	Is       string `key:"is" default:"running" one:"installed|running"`
	Version  Text   `key:"version"`
	Profiles []Text `key:"profiles"` // that must be on, such as public
}

// DiskEncryptionCondition looks at what lies on the disks.
type DiskEncryptionCondition struct {
	Pos      Pos
	Location Text   `key:"location" default:"all-internal"`                      // system, all-internal, or one mount point or drive
	State    []Text `key:"state" one:"encrypted|partly|pending|suspended|plain"` // any of them; empty: encrypted
	By       Text   `key:"by"`                                                   // such as bitlocker
}

// PatchCondition looks at how far the system is behind.
type PatchCondition struct {
	Pos      Pos
	Manager  Text   `key:"manager"`
	Is       string `key:"is" default:"up-to-date" one:"installed|enabled|up-to-date"`
	Severity string `key:"severity" default:"critical" one:"critical|important|moderate|low|all"` // up to date means: nothing missing of this severity or a higher one
	Checked  Text   `key:"checked"`                                                               // when the list of updates was fetched, such as within 7d
	Build    Text   `key:"build"`                                                                 // of the running system
	Restart  string `key:"restart" one:"not-pending"`
}

// SystemCondition looks at what the system calls itself.
type SystemCondition struct {
	Pos      Pos
	Name     Text `key:"name"` // such as contains Enterprise
	Version  Text `key:"version"`
	Arch     Text `key:"arch"`
	Hostname Text `key:"hostname"`
	Domain   Text `key:"domain"`
	User     Text `key:"user"`
}

// HardwareCondition looks at one attribute of the machine.
type HardwareCondition struct {
	Pos       Pos
	Attribute Text `key:"attribute,required"` // such as serial
	Text      Text `key:"text"`
	Number    Text `key:"number"`
	Version   Text `key:"version"`
}

// ScriptCondition looks at what a script said. Only the script with the digest counts.
type ScriptCondition struct {
	Pos    Pos
	File   Text `key:"file,required"` // a plain name, in the agents directory
	SHA256 Text `key:"sha256,required"`
	Exit   Text `key:"exit" default:"= 0"`
	Output Text `key:"output"`

	Signature Text `key:"signature"` // of this name and digest, for agents that are told a remedy key
}
