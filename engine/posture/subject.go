package posture

import (
	"strconv"
	"strings"
	"time"

	"sallyport/netio/report"
)

// subject is one observation, whatever it is of. An empty text and a zero time are not
// known.
type subject interface {
	label() string                  // as people call it
	status() (state, reason string) // report.StateUnknown comes with a reason
	text(field) string
	time(field) time.Time
}

type (
	fileFact     report.File
	registryFact report.RegistryItem
	serviceFact  report.Service
	processFact  report.Process
	packageFact  report.Package
	productFact  report.Product
	volumeFact   report.Volume
	patchFact    report.Patch
	systemFact   report.System
	hardwareFact report.HardwareItem
	scriptFact   report.Script
)

func (f *fileFact) label() string {
	name := "file " + clean(f.Path)
	if f.User != "" {
		name += " of " + clean(f.User)
	}
	return name
}

func (f *fileFact) status() (string, string) { return f.State, f.Reason }

func (f *fileFact) text(w field) string {
	switch w {
	case fieldType:
		return f.Type
	case fieldVersion:
		return f.Version
	case fieldCRC32:
		return f.CRC32
	case fieldSHA256:
		return f.SHA256
	}
	return ""
}

func (f *fileFact) time(w field) time.Time {
	switch w {
	case fieldCreated:
		return f.Created
	case fieldModified:
		return f.Modified
	case fieldAccessed:
		return f.Accessed
	}
	return time.Time{}
}

func (f *registryFact) label() string {
	name := clean(f.Hive) + `\` + clean(f.Key)
	switch {
	case f.Default:
		name += " (default)"
	case f.Value != "":
		name += " " + clean(f.Value)
	}
	if f.User != "" {
		name += " of " + clean(f.User)
	}
	return name
}

func (f *registryFact) status() (string, string) { return f.State, f.Reason }

func (f *registryFact) text(w field) string {
	if w == fieldData {
		return f.Data
	}
	return ""
}

func (f *registryFact) time(field) time.Time { return time.Time{} }

func (f *serviceFact) label() string            { return "service " + clean(f.Name) }
func (f *serviceFact) status() (string, string) { return f.State, f.Reason }

func (f *serviceFact) text(w field) string {
	if w == fieldStart {
		return f.Start
	}
	return ""
}

func (f *serviceFact) time(field) time.Time { return time.Time{} }

func (f *processFact) label() string            { return "program " + clean(f.Name) }
func (f *processFact) status() (string, string) { return f.State, f.Reason }
func (f *processFact) text(field) string        { return "" }
func (f *processFact) time(field) time.Time     { return time.Time{} }

func (f *packageFact) label() string {
	if f.Name == "" {
		return clean(f.Probe)
	}
	return clean(f.Name)
}

func (f *packageFact) status() (string, string) { return f.State, f.Reason }

func (f *packageFact) text(w field) string {
	switch w {
	case fieldName:
		return f.Name
	case fieldVersion:
		return f.Version
	case fieldVendor:
		return f.Vendor
	}
	return ""
}

func (f *packageFact) time(field) time.Time { return time.Time{} }

func (f *productFact) label() string            { return clean(f.Name) }
func (f *productFact) status() (string, string) { return f.State, f.Reason }

func (f *productFact) text(w field) string {
	switch w {
	case fieldName:
		return f.Name
	case fieldVendor:
		return f.Vendor
	case fieldVersion:
		return f.Version
	case fieldRealTime:
		return known(f.RealTime)
	case fieldProfiles:
		return profilesOn(f.Profiles)
	}
	return ""
}

// profilesOn are the profiles that are on, between commas; nothing was told when there
// are none at all.
func profilesOn(list []string) string {
	if len(list) == 0 {
		return ""
	}
	on := ","
	for _, one := range list {
		if name, state, _ := strings.Cut(one, " "); state == report.StateOn {
			on += strings.ToLower(name) + ","
		}
	}
	return on
}

func (f *productFact) time(w field) time.Time {
	if w == fieldDefinitions {
		return f.DefinitionsAt
	}
	return time.Time{}
}

func (f *volumeFact) label() string            { return "volume " + clean(f.Mount) }
func (f *volumeFact) status() (string, string) { return f.State, f.Reason }

func (f *volumeFact) text(w field) string {
	switch w {
	case fieldMount:
		return strings.ToLower(f.Mount)
	case fieldSystem:
		return strconv.FormatBool(f.System)
	case fieldExternal:
		return strconv.FormatBool(f.External)
	case fieldBy:
		return f.By
	}
	return ""
}

func (f *volumeFact) time(field) time.Time { return time.Time{} }

func (f *patchFact) label() string { return "updates" }

func (f *patchFact) status() (string, string) {
	if f.Manager == "" {
		return report.StateAbsent, ""
	}
	return report.StateInstalled, ""
}

func (f *patchFact) text(w field) string {
	switch w {
	case fieldManager:
		return f.Manager
	case fieldAutomatic:
		return known(f.Automatic)
	case fieldRestart:
		return known(f.RestartPending)
	case fieldSecurity:
		return strconv.Itoa(f.Security)
	case fieldPending:
		return strconv.Itoa(f.Pending)
	case fieldBuild:
		return f.Build
	}
	return ""
}

func (f *patchFact) time(w field) time.Time {
	if w == fieldChecked {
		return f.Checked
	}
	return time.Time{}
}

// known is a word that is not the word for not knowing.
func known(word string) string {
	if word == report.StateUnknown {
		return ""
	}
	return word
}

func (f *systemFact) label() string            { return "the system" }
func (f *systemFact) status() (string, string) { return report.StatePresent, "" }

func (f *systemFact) text(w field) string {
	switch w {
	case fieldName:
		return f.OSName
	case fieldVersion:
		return f.OSVersion
	case fieldArch:
		return f.Arch
	case fieldHostname:
		return f.Hostname
	case fieldDomain:
		return f.Domain
	case fieldUser:
		return f.User
	}
	return ""
}

func (f *systemFact) time(field) time.Time { return time.Time{} }

func (f *hardwareFact) label() string            { return clean(f.Attribute) }
func (f *hardwareFact) status() (string, string) { return f.State, f.Reason }

func (f *hardwareFact) text(w field) string {
	if w == fieldData {
		return f.Value
	}
	return ""
}

func (f *hardwareFact) time(field) time.Time { return time.Time{} }

func (f *scriptFact) label() string { return "script " + clean(f.Name) }

func (f *scriptFact) status() (string, string) { return f.State, f.Reason }

func (f *scriptFact) text(w field) string {
	switch w {
	case fieldExit:
		return strconv.Itoa(f.Exit)
	case fieldOutput:
		return f.Output
	}
	return ""
}

func (f *scriptFact) time(field) time.Time { return time.Time{} }
