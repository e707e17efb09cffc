package collect

import (
	"context"
	"strings"

	"github.com/godbus/dbus/v5"

	"sallyport/netio/report"
)

const (
	systemd     = "org.freedesktop.systemd1"
	systemdPath = dbus.ObjectPath("/org/freedesktop/systemd1")
)

// services asks systemd over the system bus.
func services(ctx context.Context, s *survey) *report.Services {
	if s.root != "/" && s.root != "" {
		return answerServices(s.probe.Services, func(string) (report.Service, string) {
			return report.Service{}, "the root is not this machine's, and its service manager cannot be asked"
		})
	}
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return answerServices(s.probe.Services, func(string) (report.Service, string) {
			return report.Service{}, "no service manager can be asked: " + reason(err)
		})
	}
	defer conn.Close()
	return answerServices(s.probe.Services, func(name string) (report.Service, string) { return askSystemd(ctx, conn, name) })
}

// answerServices asks for each name; ask gives the state, or why it is not known.
func answerServices(names []string, ask func(string) (report.Service, string)) *report.Services {
	out := &report.Services{Items: []report.Service{}}
	for _, name := range names {
		item, why := ask(name)
		item.Name = name
		if why != "" {
			item.State, item.Reason = report.StateUnknown, why
		}
		out.Items = append(out.Items, item)
	}
	return out
}

// unitName: systemctl(1) takes a name without a suffix for a service.
func unitName(name string) string {
	for _, suffix := range []string{".service", ".socket", ".timer", ".target", ".mount", ".path"} {
		if strings.HasSuffix(name, suffix) {
			return name
		}
	}
	return name + ".service"
}

// askSystemd loads a unit, which does not start it, and reads what it is.
func askSystemd(ctx context.Context, conn *dbus.Conn, name string) (report.Service, string) {
	var path dbus.ObjectPath
	err := conn.Object(systemd, systemdPath).CallWithContext(ctx, systemd+".Manager.LoadUnit", 0, unitName(name)).Store(&path)
	if err != nil {
		return report.Service{}, "systemd: " + Printable(err.Error())
	}
	var all map[string]dbus.Variant
	err = conn.Object(systemd, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", 0, systemd+".Unit").Store(&all)
	if err != nil {
		return report.Service{}, "systemd: " + Printable(err.Error())
	}
	text := func(property string) string {
		s, _ := all[property].Value().(string)
		return s
	}
	return unitState(text("LoadState"), text("ActiveState"), text("UnitFileState"))
}

// unitState says what a unit's states mean (org.freedesktop.systemd1(5)).
func unitState(load, active, file string) (report.Service, string) {
	var s report.Service
	switch file {
	case "enabled", "enabled-runtime", "static", "generated", "indirect", "alias", "transient":
		s.Start = "automatic"
	case "disabled", "linked", "linked-runtime":
		s.Start = "manual"
	case "masked", "masked-runtime":
		s.Start = "disabled"
	}
	if load == "not-found" {
		return report.Service{State: report.StateAbsent}, ""
	}
	switch active {
	case "active", "reloading", "refreshing":
		s.State = report.StateRunning
	case "inactive", "failed", "activating", "deactivating", "maintenance":
		s.State = report.StateStopped
	default:
		return s, "systemd says " + Printable(active) + " of it"
	}
	return s, ""
}
