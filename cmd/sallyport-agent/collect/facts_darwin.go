package collect

import (
	"context"
	"strings"

	"sallyport/netio/report"
)

// What macOS tells through its own programs. None of this was run on one.

// processes asks ps, which gives the file of every process.
func processes(ctx context.Context, s *survey) *report.Processes {
	text, err := output(ctx, "ps", "-axo", "comm=")
	if err != nil {
		return &report.Processes{Items: []report.Process{}, Error: "cannot list processes: " + reason(err)}
	}
	var running []string
	for line := range strings.Lines(text) {
		running = append(running, strings.TrimSpace(line))
	}
	return answerProcesses(ctx, s.probe.Processes, running, false)
}

// services asks launchctl: one that is loaded is listed, with a process when it runs.
func services(ctx context.Context, s *survey) *report.Services {
	text, err := output(ctx, "launchctl", "list")
	out := &report.Services{Items: []report.Service{}}
	if err != nil {
		out.Error = "launchctl cannot be asked: " + reason(err)
		return out
	}
	states := map[string]string{}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 3 {
			states[f[2]] = report.StateStopped
			if f[0] != "-" {
				states[f[2]] = report.StateRunning
			}
		}
	}
	for _, name := range s.probe.Services {
		state := states[name]
		if state == "" {
			state = report.StateAbsent
		}
		out.Items = append(out.Items, report.Service{Name: name, State: state})
	}
	return out
}

// encryption asks fdesetup for FileVault, which is of the system's volume.
func encryption(ctx context.Context, _ *survey) *report.Encryption {
	text, err := output(ctx, "fdesetup", "status")
	v := report.Volume{Mount: "/", FS: "apfs", System: true, By: "filevault", State: report.StateUnknown, Reason: "fdesetup says something else"}
	switch {
	case err != nil:
		v.Reason = "fdesetup cannot be asked: " + reason(err)
	case strings.Contains(text, "Encryption in progress"):
		v.State, v.Reason = report.VolumePending, ""
	case strings.Contains(text, "FileVault is On"):
		v.State, v.Reason = report.VolumeEncrypted, ""
	case strings.Contains(text, "FileVault is Off"):
		v.State, v.Reason, v.By = report.VolumePlain, "", ""
	}
	return &report.Encryption{Volumes: []report.Volume{v}}
}

// firewall asks the application firewall.
func firewall(ctx context.Context, _ *survey) *report.Firewall {
	text, err := output(ctx, "/usr/libexec/ApplicationFirewall/socketfilterfw", "--getglobalstate")
	p := report.Product{Name: "Application Firewall", Vendor: "Apple", State: report.StateUnknown, Reason: "socketfilterfw says something else"}
	switch {
	case err != nil:
		p.Reason = "socketfilterfw cannot be asked: " + reason(err)
	case strings.Contains(text, "enabled"):
		p.State, p.Reason = report.StateOn, ""
	case strings.Contains(text, "disabled"):
		p.State, p.Reason = report.StateOff, ""
	}
	return &report.Firewall{Products: []report.Product{p}}
}

func antiMalware(context.Context, *survey) *report.AntiMalware {
	return &report.AntiMalware{Products: []report.Product{}, Error: notInThisBuild}
}

func packages(_ context.Context, s *survey) *report.Packages {
	out := &report.Packages{Items: answerPackages(s.probe.Packages, nil, false), Error: notInThisBuild}
	unknownPackages(out.Items, notInThisBuild)
	return out
}

func patch(context.Context, *survey) *report.Patch { return &report.Patch{Error: notInThisBuild} }
