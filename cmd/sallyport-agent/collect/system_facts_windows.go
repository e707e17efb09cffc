package collect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"sallyport/netio/report"
)

// services asks the service control manager.
func services(_ context.Context, s *survey) *report.Services {
	out := &report.Services{Items: []report.Service{}}
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		out.Error = "the service manager cannot be asked: " + Printable(err.Error())
		return out
	}
	defer windows.CloseServiceHandle(manager)
	for _, name := range s.probe.Services {
		out.Items = append(out.Items, askService(manager, name))
	}
	return out
}

func askService(manager windows.Handle, name string) report.Service {
	item := report.Service{Name: name}
	text, err := windows.UTF16PtrFromString(name)
	var h windows.Handle
	if err == nil {
		h, err = windows.OpenService(manager, text, windows.SERVICE_QUERY_STATUS|windows.SERVICE_QUERY_CONFIG)
	}
	switch {
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST), errors.Is(err, windows.ERROR_INVALID_NAME):
		item.State = report.StateAbsent
		return item
	case err != nil:
		item.State, item.Reason = report.StateUnknown, Printable(err.Error())
		return item
	}
	service := &mgr.Service{Name: name, Handle: h}
	defer service.Close()
	status, err := service.Query()
	switch {
	case err != nil:
		item.State, item.Reason = report.StateUnknown, Printable(err.Error())
	case status.State == svc.Running:
		item.State = report.StateRunning
	default:
		item.State = report.StateStopped
	}
	if config, err := service.Config(); err == nil {
		switch config.StartType {
		case mgr.StartAutomatic, 0, 1: // 0 and 1: with the kernel
			item.Start = "automatic"
		case mgr.StartManual:
			item.Start = "manual"
		case mgr.StartDisabled:
			item.Start = "disabled"
		}
	}
	return item
}

// processes takes a snapshot and asks each process for its file; of one that may not be
// opened the snapshot's name has to do.
func processes(ctx context.Context, s *survey) *report.Processes {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return &report.Processes{Items: []report.Process{}, Error: "cannot list processes: " + Printable(err.Error())}
	}
	defer windows.CloseHandle(snapshot)
	var running []string
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		file := windows.UTF16ToString(entry.ExeFile[:])
		if whole := processFile(entry.ProcessID); whole != "" {
			file = whole
		}
		running = append(running, file)
	}
	return answerProcesses(ctx, s.probe.Processes, running, true)
}

func processFile(pid uint32) string {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return ""
	}
	defer windows.CloseHandle(h)
	buf := make([]uint16, windows.MAX_LONG_PATH)
	n := uint32(len(buf))
	if windows.QueryFullProcessImageName(h, 0, &buf[0], &n) != nil {
		return ""
	}
	return windows.UTF16ToString(buf[:n])
}

const uninstall = `SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall`

// packages reads what can be uninstalled: of the machine in both views, and of people
// whose hive is loaded.
func packages(ctx context.Context, s *survey) *report.Packages {
	var all []installed
	read := func(hive registry.Key, path string, view uint32) {
		k, err := registry.OpenKey(hive, path, registry.ENUMERATE_SUB_KEYS|view)
		if err != nil {
			return
		}
		defer k.Close()
		names, _ := k.ReadSubKeyNames(-1)
		for _, name := range names {
			if ctx.Err() != nil {
				return
			}
			if p, ok := uninstallable(hive, path+`\`+name, view); ok {
				all = append(all, p)
			}
		}
	}
	read(registry.LOCAL_MACHINE, uninstall, registry.WOW64_64KEY)
	read(registry.LOCAL_MACHINE, uninstall, registry.WOW64_32KEY)
	for _, sid := range peopleSIDs() {
		read(registry.USERS, sid+`\`+uninstall, 0)
	}
	return &report.Packages{Items: answerPackages(s.probe.Packages, unique(all), true)}
}

func uninstallable(hive registry.Key, path string, view uint32) (installed, bool) {
	k, err := registry.OpenKey(hive, path, registry.QUERY_VALUE|view)
	if err != nil {
		return installed{}, false
	}
	defer k.Close()
	p := installed{source: "registry"}
	p.name, _, _ = k.GetStringValue("DisplayName")
	p.version, _, _ = k.GetStringValue("DisplayVersion")
	p.vendor, _, _ = k.GetStringValue("Publisher")
	return p, p.name != ""
}

// unique leaves out what both views show: there is one on a 32-bit system.
func unique(all []installed) []installed {
	seen := map[installed]bool{}
	var out []installed
	for _, p := range all {
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}

// patch tells the build and whether a restart waits. What is pending is only known to
// Windows Update, which this build does not ask.
func patch(context.Context, *survey) *report.Patch {
	v := windows.RtlGetVersion()
	p := &report.Patch{Manager: "windows-update", RestartPending: report.StateOff, Error: "which updates are pending is not asked by this build"}
	p.Build = fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
	if ubr, ok := registryNumber(`SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "UBR"); ok {
		p.Build += fmt.Sprintf(".%d", ubr)
	}
	for _, key := range []string{`SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`,
		`SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`} {
		if registryThere(key) {
			p.RestartPending = report.StateOn
		}
	}
	return p
}

const (
	firewallPolicy  = `SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\`
	firewallDomains = `SOFTWARE\Policies\Microsoft\WindowsFirewall\`
)

// firewall reads the three profiles of Windows' own firewall, where a domain's policy goes
// first, and whether its service runs. It is on when every profile is: which of them is in
// force changes with the network.
func firewall(ctx context.Context, _ *survey) *report.Firewall {
	p := report.Product{Name: "Windows Defender Firewall", Vendor: "Microsoft", State: report.StateOn}
	known := 0
	for _, profile := range []struct{ shown, key string }{{"domain", "DomainProfile"}, {"private", "StandardProfile"}, {"public", "PublicProfile"}} {
		on, ok := registryNumber(firewallDomains+profile.key, "EnableFirewall")
		if !ok {
			on, ok = registryNumber(firewallPolicy+profile.key, "EnableFirewall")
		}
		switch {
		case !ok:
			p.Profiles = append(p.Profiles, profile.shown+" unknown")
			continue
		case on == 0:
			p.State = report.StateOff
			p.Profiles = append(p.Profiles, profile.shown+" off")
		default:
			p.Profiles = append(p.Profiles, profile.shown+" on")
		}
		known++
	}
	service := services(ctx, &survey{probe: report.Probe{Services: []string{"MpsSvc"}}})
	switch {
	case known < 3:
		p.State, p.Reason = report.StateUnknown, "not all of its profiles are in the registry"
	case len(service.Items) == 1 && service.Items[0].State == report.StateStopped:
		p.State, p.Reason = report.StateOff, "its service MpsSvc does not run"
	}
	return &report.Firewall{Products: []report.Product{p}}
}

// powershell is where Windows keeps it; another in the path is not asked.
func powershell() string {
	return os.Getenv("SystemRoot") + `\System32\WindowsPowerShell\v1.0\powershell.exe`
}
