package report

import "fmt"

func (p *Probe) fields(w *walker) {
	each(w, "files", p.Files, func(f *FileProbe) {
		w.one("root", f.Root, "", RootAbsolute, RootSystem, RootSystem32, RootSystemDrive, RootSystemPrograms, RootUserProfile, RootUserDesktop)
		w.need("path", f.Path)
		w.text("path", &f.Path, pathMax)
		w.texts("want", &f.Want, factsMax, wordMax)
	})
	each(w, "registry", p.Registry, func(r *RegistryProbe) { r.fields(w) })
	w.texts("services", &p.Services, factsMax, nameMax)
	w.texts("processes", &p.Processes, factsMax, pathMax)
	w.texts("packages", &p.Packages, factsMax, nameMax)
	w.texts("hardware", &p.Hardware, factsMax, wordMax)
	each(w, "scripts", p.Scripts, func(s *ScriptProbe) { s.fields(w) })
}

func (r *RegistryProbe) fields(w *walker) {
	w.one("hive", r.Hive, "HKLM", "HKCU", "HKU", "HKCR", "HKCC")
	w.need("key", r.Key)
	w.text("key", &r.Key, pathMax)
	w.text("value", &r.Value, nameMax)
	w.one("view", r.View, "", "32", "64")
}

func (u *USBControl) fields(w *walker) {
	w.one("mode", u.Mode, USBObserve, USBReactive, USBStrict)
	w.texts("allow", &u.Allow, allowMax, allowTextMax)
	w.one("busy", u.Busy, "", BusyKeep, BusyKill, BusyDetach)
	w.seconds("grace_s", u.GraceS)
}

func (f *Facts) fields(w *walker) {
	group(w, KindUSB, f.USB)
	group(w, KindFiles, f.Files)
	group(w, KindRegistry, f.Registry)
	group(w, KindServices, f.Services)
	group(w, KindProcesses, f.Processes)
	group(w, KindPackages, f.Packages)
	group(w, KindPatch, f.Patch)
	group(w, KindEncryption, f.Encryption)
	group(w, KindFirewall, f.Firewall)
	group(w, KindAntiMalware, f.AntiMalware)
	group(w, KindHardware, f.Hardware)
	group(w, KindScripts, f.Scripts)
}

// group walks a group of facts that was collected.
func group[G any, P interface {
	*G
	fields(*walker)
}](w *walker, name string, g P) {
	if g != nil {
		w.in(name, g.fields)
	}
}

// each walks the items of a list, of which there may be factsMax.
func each[T any](w *walker, name string, list []T, fields func(*T)) {
	if !w.count(name, len(list), factsMax) {
		return
	}
	for i := range list {
		w.in(fmt.Sprintf("%s[%d]", name, i), func(*walker) { fields(&list[i]) })
	}
}

// items is each for facts, whose list a collector may have made too long.
func items[T any](w *walker, name string, list *[]T, trouble *string, fields func(*T)) {
	if w.tidy && len(*list) > factsMax {
		*list = (*list)[:factsMax]
		*trouble = fmt.Sprintf("more than %d items", factsMax)
	}
	w.text("error", trouble, reasonMax)
	each(w, name, *list, fields)
}

// known checks a state and that a reason stands with one that is not known.
func known(w *walker, state string, reason *string, set ...string) {
	w.one("state", state, append(set, StateUnknown)...)
	if state == StateUnknown {
		w.need("reason", *reason)
	}
	w.text("reason", reason, reasonMax)
}

func (f *Files) fields(w *walker) {
	items(w, "items", &f.Items, &f.Error, func(i *File) {
		w.text("root", &i.Root, wordMax)
		w.need("path", i.Path)
		w.text("path", &i.Path, pathMax)
		w.text("user", &i.User, nameMax)
		known(w, i.State, &i.Reason, StatePresent, StateAbsent)
		w.token("type", i.Type, wordMax)
		w.token("mode", i.Mode, wordMax)
		w.text("version", &i.Version, nameMax)
		w.token("crc32", i.CRC32, wordMax)
		w.token("sha256", i.SHA256, wordMax)
	})
}

func (r *Registry) fields(w *walker) {
	items(w, "items", &r.Items, &r.Error, func(i *RegistryItem) {
		i.RegistryProbe.fields(w)
		w.text("user", &i.User, nameMax)
		known(w, i.State, &i.Reason, StatePresent, StateAbsent)
		w.token("type", i.Type, wordMax)
		w.chars("data", &i.Data, dataMax, func(r rune) bool { return r != '\n' && Deceiving(r) })
	})
}

func (s *Services) fields(w *walker) {
	items(w, "items", &s.Items, &s.Error, func(i *Service) {
		w.need("name", i.Name)
		w.text("name", &i.Name, nameMax)
		known(w, i.State, &i.Reason, StateRunning, StateStopped, StateAbsent)
		w.token("start", i.Start, wordMax)
	})
}

func (p *Processes) fields(w *walker) {
	items(w, "items", &p.Items, &p.Error, func(i *Process) {
		w.need("name", i.Name)
		w.text("name", &i.Name, pathMax)
		known(w, i.State, &i.Reason, StateRunning, StateAbsent)
		w.texts("paths", &i.Paths, pathsMax, pathMax)
	})
}

func (p *Packages) fields(w *walker) {
	items(w, "items", &p.Items, &p.Error, func(i *Package) {
		w.need("probe", i.Probe)
		w.text("probe", &i.Probe, nameMax)
		w.text("name", &i.Name, nameMax)
		known(w, i.State, &i.Reason, StateInstalled, StateAbsent)
		w.text("version", &i.Version, nameMax)
		w.text("vendor", &i.Vendor, nameMax)
		w.token("source", i.Source, wordMax)
	})
}

func (p *Patch) fields(w *walker) {
	w.token("manager", p.Manager, wordMax)
	if p.Pending < 0 || p.Security < 0 {
		w.fail(malformed("%spending or security: negative", w.prefix))
	}
	w.one("automatic", p.Automatic, "", StateOn, StateOff, StateUnknown)
	w.one("restart_pending", p.RestartPending, "", StateOn, StateOff, StateUnknown)
	w.text("build", &p.Build, nameMax)
	w.text("error", &p.Error, reasonMax)
	if w.tidy {
		p.Updates = p.Updates[:min(len(p.Updates), factsMax)]
	}
	each(w, "updates", p.Updates, func(u *Update) {
		w.need("name", u.Name)
		w.text("name", &u.Name, nameMax)
		w.text("installed", &u.Installed, nameMax)
		w.text("offered", &u.Offered, nameMax)
	})
}

func (e *Encryption) fields(w *walker) {
	items(w, "volumes", &e.Volumes, &e.Error, func(v *Volume) {
		w.need("mount", v.Mount)
		w.text("mount", &v.Mount, pathMax)
		w.text("device", &v.Device, nameMax)
		w.text("fs", &v.FS, wordMax)
		known(w, v.State, &v.Reason, VolumeEncrypted, VolumePartly, VolumePending, VolumeSuspended, VolumePlain)
		w.token("by", v.By, wordMax)
	})
}

func (f *Firewall) fields(w *walker) { products(w, &f.Products, &f.Error) }

func (a *AntiMalware) fields(w *walker) { products(w, &a.Products, &a.Error) }

func products(w *walker, list *[]Product, trouble *string) {
	items(w, "products", list, trouble, func(p *Product) {
		w.need("name", p.Name)
		w.text("name", &p.Name, nameMax)
		w.text("vendor", &p.Vendor, nameMax)
		w.text("version", &p.Version, nameMax)
		known(w, p.State, &p.Reason, StateOn, StateOff)
		w.one("real_time", p.RealTime, "", StateOn, StateOff, StateUnknown)
		w.text("definitions", &p.Definitions, nameMax)
		w.texts("profiles", &p.Profiles, pathsMax, nameMax)
	})
}
