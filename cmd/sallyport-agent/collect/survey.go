package collect

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"sallyport/netio/report"
)

// surveyLimit bounds the look at one group of facts. What is not there by then is told as
// not known; the look itself is abandoned and its result thrown away.
const surveyLimit = 10 * time.Second

// Surveyor looks at everything but USB storage, and remembers what costs much to find out
// for as long as nothing it rests on has changed.
type Surveyor struct {
	root string

	// Scripts runs what the policy asks to have run; nil: nothing is, and what scripts say
	// cannot be told. It is set before the first Survey.
	Scripts func(context.Context, []report.ScriptProbe) *report.Scripts

	mu      sync.Mutex // guards what follows
	updates *report.Patch
	basis   string // of updates
}

// NewSurveyor looks below root, "/" for this machine.
func NewSurveyor(root string) *Surveyor { return &Surveyor{root: root} }

// survey is what collectors are given: where to look and what for.
type survey struct {
	root  string // "/" for this machine
	probe report.Probe
	by    *Surveyor // nil: nothing is remembered
}

// remembered gives the answer of before when it rests on the same basis, and else the
// answer of look, which is remembered unless it is an error.
func (s *survey) remembered(basis string, look func() *report.Patch) *report.Patch {
	if s.by == nil {
		return look()
	}
	s.by.mu.Lock()
	defer s.by.mu.Unlock()
	if s.by.updates == nil || s.by.basis != basis {
		p := look()
		if p.Error != "" {
			return p
		}
		s.by.updates, s.by.basis = p, basis
	}
	p := *s.by.updates
	p.Updates = slices.Clone(p.Updates)
	return &p
}

// assign puts a group into the facts.
type assign func(*report.Facts)

// group is one kind of fact.
type group struct {
	look   func(context.Context, *survey) assign
	failed func(reason string) assign
}

// groupOf makes a group of a collector, of where its facts belong, and of what stands
// there when it did not come to an end.
func groupOf[G any](place func(*report.Facts) **G, look func(context.Context, *survey) *G, failed func(reason string) *G) group {
	put := func(g *G) assign { return func(f *report.Facts) { *place(f) = g } }
	return group{
		look:   func(ctx context.Context, s *survey) assign { return put(look(ctx, s)) },
		failed: func(reason string) assign { return put(failed(reason)) },
	}
}

// groups are the kinds of fact besides USB storage.
var groups = map[string]group{
	report.KindFiles: groupOf(func(f *report.Facts) **report.Files { return &f.Files }, files,
		func(why string) *report.Files { return &report.Files{Items: []report.File{}, Error: why} }),
	report.KindRegistry: groupOf(func(f *report.Facts) **report.Registry { return &f.Registry }, registryItems,
		func(why string) *report.Registry { return &report.Registry{Items: []report.RegistryItem{}, Error: why} }),
	report.KindServices: groupOf(func(f *report.Facts) **report.Services { return &f.Services }, services,
		func(why string) *report.Services { return &report.Services{Items: []report.Service{}, Error: why} }),
	report.KindProcesses: groupOf(func(f *report.Facts) **report.Processes { return &f.Processes }, processes,
		func(why string) *report.Processes { return &report.Processes{Items: []report.Process{}, Error: why} }),
	report.KindPackages: groupOf(func(f *report.Facts) **report.Packages { return &f.Packages }, packages,
		func(why string) *report.Packages { return &report.Packages{Items: []report.Package{}, Error: why} }),
	report.KindPatch: groupOf(func(f *report.Facts) **report.Patch { return &f.Patch }, patch,
		func(why string) *report.Patch { return &report.Patch{Error: why} }),
	report.KindEncryption: groupOf(func(f *report.Facts) **report.Encryption { return &f.Encryption }, encryption,
		func(why string) *report.Encryption { return &report.Encryption{Volumes: []report.Volume{}, Error: why} }),
	report.KindFirewall: groupOf(func(f *report.Facts) **report.Firewall { return &f.Firewall }, firewall,
		func(why string) *report.Firewall { return &report.Firewall{Products: []report.Product{}, Error: why} }),
	report.KindAntiMalware: groupOf(func(f *report.Facts) **report.AntiMalware { return &f.AntiMalware }, antiMalware,
		func(why string) *report.AntiMalware {
			return &report.AntiMalware{Products: []report.Product{}, Error: why}
		}),
	report.KindScripts: groupOf(func(f *report.Facts) **report.Scripts { return &f.Scripts }, scripts,
		func(why string) *report.Scripts { return &report.Scripts{Items: []report.Script{}, Error: why} }),
	report.KindHardware: groupOf(func(f *report.Facts) **report.Hardware { return &f.Hardware }, hardware,
		func(why string) *report.Hardware { return &report.Hardware{Items: []report.HardwareItem{}, Error: why} }),
}

func scripts(ctx context.Context, s *survey) *report.Scripts {
	if s.by == nil || s.by.Scripts == nil {
		return nil
	}
	return s.by.Scripts(ctx, s.probe.Scripts)
}

// Survey looks at what a policy asks for besides USB storage, one group after the other
// at low priority. Kinds it does not know are left out: conditions on them cannot tell.
func (y *Surveyor) Survey(ctx context.Context, p *report.Policy) report.Facts {
	s := &survey{root: y.root, by: y}
	if p.Probe != nil {
		s.probe = *p.Probe
	}
	var f report.Facts
	for _, kind := range p.Collect {
		if g, ok := groups[kind]; ok {
			g.within(ctx, s, surveyLimit)(&f)
		}
	}
	return f
}

// within runs a look on a goroutine of its own, so that a disk that hangs or a service
// that does not answer holds nobody up for longer than the limit.
func (g group) within(ctx context.Context, s *survey, limit time.Duration) assign {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan assign, 1)
	go func() {
		lowPriority()
		done <- g.look(ctx, s)
	}()
	select {
	case set := <-done:
		return set
	case <-ctx.Done():
		select {
		case set := <-done: // both at once
			return set
		default:
			return g.failed(fmt.Sprintf("it took longer than %s to find out", limit))
		}
	}
}

const notInThisBuild = "not implemented on this system in this build"
