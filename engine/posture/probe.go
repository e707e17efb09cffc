package posture

import (
	"fmt"
	"slices"

	"sallyport/netio/report"
)

// probesMax bounds what an agent is asked to look for in one list: it takes no more.
const probesMax = 128

// ask adds to a document what a condition needs of the agent on a system. What has no
// room is left out and said: its condition then cannot tell.
func (p *Policy) ask(doc *report.Policy, c *condition, os string, m *match) {
	if len(c.os) > 0 && !c.os.has(os) {
		return
	}
	for _, s := range c.sources {
		if kind := sourceTable[s].kind; kind != "" && !slices.Contains(doc.Collect, kind) {
			doc.Collect = append(doc.Collect, kind)
		}
	}
	for i := range c.probes {
		if c.probes[i].os.has(os) && !c.probes[i].into(doc) {
			m.errors = append(m.errors, fmt.Sprintf("condition %q: an agent looks for %d things of a kind at most, and this is one more", c.name, probesMax))
		}
	}
}

// into adds the probe to a document, false when there is no room.
func (p *probe) into(doc *report.Policy) bool {
	if doc.Probe == nil {
		doc.Probe = &report.Probe{}
	}
	to := doc.Probe
	switch {
	case p.file != nil:
		return addFile(&to.Files, p.file)
	case p.registry != nil:
		if !slices.Contains(to.Registry, *p.registry) {
			return addTo(&to.Registry, *p.registry)
		}
	case p.service != "":
		return addName(&to.Services, p.service)
	case p.process != "":
		return addName(&to.Processes, p.process)
	case p.pkg != "":
		return addName(&to.Packages, p.pkg)
	case p.hardware != "":
		return addName(&to.Hardware, p.hardware)
	case p.script != nil:
		if !slices.Contains(to.Scripts, *p.script) {
			return addTo(&to.Scripts, *p.script)
		}
	}
	return true
}

// addFile joins what is wanted of the same path: one probe, one answer.
func addFile(list *[]report.FileProbe, f *report.FileProbe) bool {
	for i := range *list {
		have := &(*list)[i]
		if have.Root != f.Root || have.Path != f.Path {
			continue
		}
		for _, want := range f.Want {
			if !slices.Contains(have.Want, want) {
				have.Want = append(slices.Clip(have.Want), want)
			}
		}
		slices.Sort(have.Want)
		return true
	}
	return addTo(list, report.FileProbe{Root: f.Root, Path: f.Path, Want: slices.Clone(f.Want)})
}

func addName(list *[]string, name string) bool {
	return slices.Contains(*list, name) || addTo(list, name)
}

func addTo[T any](list *[]T, one T) bool {
	if len(*list) >= probesMax {
		return false
	}
	*list = append(*list, one)
	return true
}
