package posture

import (
	"slices"
	"sync"
	"time"

	"sallyport/engine/expr"
	"sallyport/netio/report"
	"sallyport/ops/config"
)

// source is one group of facts.
type source uint8

const (
	sourceUSB source = iota
	sourceFiles
	sourceRegistry
	sourceServices
	sourceProcesses
	sourcePackages
	sourceAntiMalware
	sourceFirewall
	sourceEncryption
	sourcePatch
	sourceSystem
	sourceHardware
	sourceScripts
	sources // the number of them
)

// sourceTable is what each group is called on the wire, and by people.
var sourceTable = [sources]struct{ kind, words string }{
	sourceUSB:         {report.KindUSB, "USB"},
	sourceFiles:       {report.KindFiles, "files"},
	sourceRegistry:    {report.KindRegistry, "the registry"},
	sourceServices:    {report.KindServices, "services"},
	sourceProcesses:   {report.KindProcesses, "processes"},
	sourcePackages:    {report.KindPackages, "installed programs"},
	sourceAntiMalware: {report.KindAntiMalware, "anti-malware"},
	sourceFirewall:    {report.KindFirewall, "the firewall"},
	sourceEncryption:  {report.KindEncryption, "disk encryption"},
	sourcePatch:       {report.KindPatch, "updates"},
	sourceSystem:      {"", "the system"}, // every report says it
	sourceHardware:    {report.KindHardware, "the hardware"},
	sourceScripts:     {report.KindScripts, "the script"},
}

// probed says that the agent looks only for what it was told to look for.
func (s source) probed() bool {
	switch s {
	case sourceFiles, sourceRegistry, sourceServices, sourceProcesses, sourcePackages, sourceHardware, sourceScripts:
		return true
	}
	return false
}

// evidence is what one assessment knows: the facts, found quickly. It is used by one
// goroutine at a time.
type evidence struct {
	now     time.Time
	at      time.Time // when the facts arrived
	session expr.Input
	facts   *report.Facts
	system  *report.System
	devices []storageDevice // USB storage that may count, by name
	counted bool            // devices is made
	index   [sources]chain
}

// factKey is by what a fact of a probed group is found: as the probe named it.
type factKey struct{ a, b, c, d string }

// chain finds the items of one group by key.
type chain struct {
	made  bool
	first map[factKey]int32
	next  []int32 // the item after this one with the same key; -1: none
}

var evidencePool = sync.Pool{New: func() any { return &evidence{} }}

// gather takes an evidence for one assessment. It is given back by release.
func gather(now time.Time, in *Input) *evidence {
	e := evidencePool.Get().(*evidence)
	e.now, e.at, e.session, e.facts, e.system = now, in.FactsAt, in.Session, in.Facts, in.System
	if e.facts == nil {
		e.facts = &noFacts
	}
	return e
}

var noFacts report.Facts

func (e *evidence) release() {
	for i := range e.index {
		c := &e.index[i]
		if c.made {
			clear(c.first)
			c.made, c.next = false, c.next[:0]
		}
	}
	clear(e.devices)
	*e = evidence{devices: e.devices[:0], index: e.index}
	evidencePool.Put(e)
}

// group says whether a group was collected, how many items it has, and what kept the
// agent from seeing all of it.
func (e *evidence) group(s source) (n int, trouble string, collected bool) {
	f := e.facts
	switch s {
	case sourceUSB:
		if f.USB != nil {
			return len(f.USB.Devices), f.USB.Error, true
		}
	case sourceFiles:
		if f.Files != nil {
			return len(f.Files.Items), f.Files.Error, true
		}
	case sourceRegistry:
		if f.Registry != nil {
			return len(f.Registry.Items), f.Registry.Error, true
		}
	case sourceServices:
		if f.Services != nil {
			return len(f.Services.Items), f.Services.Error, true
		}
	case sourceProcesses:
		if f.Processes != nil {
			return len(f.Processes.Items), f.Processes.Error, true
		}
	case sourcePackages:
		if f.Packages != nil {
			return len(f.Packages.Items), f.Packages.Error, true
		}
	default:
		return e.whole(s)
	}
	return 0, "", false
}

// whole is group for what the agent looks at as a whole.
func (e *evidence) whole(s source) (n int, trouble string, collected bool) {
	f := e.facts
	switch s {
	case sourceAntiMalware:
		if f.AntiMalware != nil {
			return len(f.AntiMalware.Products), f.AntiMalware.Error, true
		}
	case sourceFirewall:
		if f.Firewall != nil {
			return len(f.Firewall.Products), f.Firewall.Error, true
		}
	case sourceEncryption:
		if f.Encryption != nil {
			return len(f.Encryption.Volumes), f.Encryption.Error, true
		}
	case sourcePatch:
		if f.Patch != nil {
			return 1, f.Patch.Error, true
		}
	case sourceSystem:
		if e.system != nil {
			return 1, "", true
		}
	case sourceHardware:
		if f.Hardware != nil {
			return len(f.Hardware.Items), f.Hardware.Error, true
		}
	case sourceScripts:
		if f.Scripts != nil {
			return len(f.Scripts.Items), f.Scripts.Error, true
		}
	}
	return 0, "", false
}

// item is one observation of a group that was collected.
func (e *evidence) item(s source, i int) subject {
	f := e.facts
	switch s {
	case sourceFiles:
		return (*fileFact)(&f.Files.Items[i])
	case sourceRegistry:
		return (*registryFact)(&f.Registry.Items[i])
	case sourceServices:
		return (*serviceFact)(&f.Services.Items[i])
	case sourceProcesses:
		return (*processFact)(&f.Processes.Items[i])
	case sourcePackages:
		return (*packageFact)(&f.Packages.Items[i])
	case sourceAntiMalware:
		return (*productFact)(&f.AntiMalware.Products[i])
	case sourceFirewall:
		return (*productFact)(&f.Firewall.Products[i])
	case sourceEncryption:
		return (*volumeFact)(&f.Encryption.Volumes[i])
	case sourcePatch:
		return (*patchFact)(f.Patch)
	case sourceHardware:
		return (*hardwareFact)(&f.Hardware.Items[i])
	case sourceScripts:
		return (*scriptFact)(&f.Scripts.Items[i])
	}
	return (*systemFact)(e.system)
}

// key is by what an item of a probed group is found.
func (e *evidence) key(s source, i int) factKey {
	f := e.facts
	switch s {
	case sourceFiles:
		x := &f.Files.Items[i]
		return fileKey(x.Root, x.Path)
	case sourceRegistry:
		return registryKey(&f.Registry.Items[i].RegistryProbe)
	case sourceServices:
		return factKey{a: f.Services.Items[i].Name}
	case sourceProcesses:
		return factKey{a: f.Processes.Items[i].Name}
	case sourcePackages:
		return factKey{a: f.Packages.Items[i].Probe}
	case sourceHardware:
		return factKey{a: f.Hardware.Items[i].Attribute}
	}
	return factKey{a: f.Scripts.Items[i].SHA256}
}

func fileKey(root, path string) factKey {
	if root == report.RootAbsolute {
		root = ""
	}
	return factKey{a: root, b: path}
}

func registryKey(p *report.RegistryProbe) factKey {
	k := factKey{p.Hive, p.Key, p.Value, p.View}
	if p.Default {
		k.c = "\x00default"
	}
	return k
}

// find is the first item with a key, -1 when there is none.
func (e *evidence) find(s source, key *factKey) int {
	c := &e.index[s]
	if !c.made {
		e.build(s, c)
	}
	if i, ok := c.first[*key]; ok {
		return int(i)
	}
	return -1
}

// build indexes a group from its end, so that chains run in the order of the report.
func (e *evidence) build(s source, c *chain) {
	n, _, _ := e.group(s)
	c.made = true
	if c.first == nil {
		c.first = make(map[factKey]int32, n)
	}
	for range n {
		c.next = append(c.next, -1)
	}
	for i := n - 1; i >= 0; i-- {
		key := e.key(s, i)
		if after, ok := c.first[key]; ok {
			c.next[i] = after
		}
		c.first[key] = int32(i)
	}
}

// Unasked says whether what an endpoint must have rests on facts that its agent was not
// asked for, or has not told: such an assessment says nothing about the endpoint. An agent
// that looked and could not see is not meant.
func (p *Policy) Unasked(now time.Time, in Input) bool {
	e := gather(now, &in)
	defer e.release()
	for _, r := range p.match(&in.Session).requirements {
		if r.enforcement == config.Mandatory && slices.ContainsFunc(r.conditions, func(i int) bool { return p.unasked(e, i) }) {
			return true
		}
	}
	return false
}

func (p *Policy) unasked(e *evidence, i int) bool {
	c := &p.conditions[i]
	switch {
	case len(c.os) > 0 && !c.os.includes(e.session.OS):
		return false
	case c.usb != nil:
		return e.facts.USB == nil
	case c.items != nil:
		_, trouble, collected := e.group(c.items.source)
		return !collected || c.items.source.probed() && trouble == "" && e.find(c.items.source, &c.items.key) < 0
	}
	return slices.ContainsFunc(c.children, func(child int) bool { return p.unasked(e, child) })
}
