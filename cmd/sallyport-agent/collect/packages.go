package collect

import (
	"slices"
	"strings"

	"sallyport/netio/report"
)

// installed is one package or program of the system.
type installed struct{ name, version, vendor, source string }

// packagesPerProbe bounds what a name with "*" brings.
const packagesPerProbe = 32

// answerPackages sorts what is installed to the names that were asked for.
func answerPackages(probes []string, all []installed, fold bool) []report.Package {
	items := []report.Package{}
	for _, probe := range probes {
		var found []report.Package
		for _, p := range all {
			if matches(probe, p.name, fold) {
				found = append(found, report.Package{Probe: probe, Name: printable(p.name, pathMax), State: report.StateInstalled,
					Version: Printable(p.version), Vendor: Printable(p.vendor), Source: p.source})
			}
		}
		if len(found) == 0 {
			found = []report.Package{{Probe: probe, State: report.StateAbsent}}
		}
		slices.SortFunc(found, func(a, b report.Package) int { return strings.Compare(a.Name+a.Version, b.Name+b.Version) })
		items = append(items, found[:min(len(found), packagesPerProbe)]...)
	}
	return items
}

// matches compares a name with one that may have "*" at its ends.
func matches(pattern, name string, fold bool) bool {
	if fold {
		pattern, name = strings.ToLower(pattern), strings.ToLower(name)
	}
	middle, open := strings.CutPrefix(pattern, "*")
	middle, end := strings.CutSuffix(middle, "*")
	switch {
	case open && end:
		return strings.Contains(name, middle)
	case open:
		return strings.HasSuffix(name, middle)
	case end:
		return strings.HasPrefix(name, middle)
	}
	return name == pattern
}

// unknownPackages is for a list that could not be read: what is not seen may be there.
func unknownPackages(items []report.Package, why string) {
	for i := range items {
		if items[i].State == report.StateAbsent {
			items[i].State, items[i].Reason = report.StateUnknown, why
		}
	}
}
