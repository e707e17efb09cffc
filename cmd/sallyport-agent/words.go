package main

import (
	"fmt"
	"strings"
	"time"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/cmd/sallyport-agent/core"
	"sallyport/cmd/sallyport-agent/remedy"
	"sallyport/cmd/sallyport-agent/uplink"
	"sallyport/netio/report"
)

// words is the status for people.
func words(s *status, running bool, now time.Time) string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", label, fmt.Sprintf(format, args...))
	}
	if running {
		line("Agent", "running, version %s, process %d, for %s", s.Agent, s.PID, ago(now, s.Started))
	} else {
		line("Agent", "not running; what follows was true at %s, %s ago", clockTime(s.Updated), ago(now, s.Updated))
	}
	line("Phase", "%s for %s", s.Phase, ago(now, s.Since))
	if s.Appliance != "" {
		line("Appliance", "%s", s.Appliance)
	}
	if s.DeviceKey.In != "" {
		line("Device key", "%s", s.DeviceKey)
	}
	if s.Failed != nil {
		line("Build", "%s, at %s", s.Failed, clockTime(s.Failed.At))
	}
	enrolmentWords(line, s.Enrolment)
	if s.SessionID != "" {
		line("Session", "%s, bound by %s", s.SessionID, orElse(s.Assurance, "nothing"))
		posture := fmt.Sprintf("%s since %s (%s), epoch %d", orElse(s.View.Status, "Unknown"), clockTime(s.StatusSince), ago(now, s.StatusSince), s.Epoch)
		if running && s.Phase != core.Bound.String() {
			posture += "; so the appliance said last, and may think otherwise by now"
		}
		line("Posture", "%s", posture)
	} else {
		line("Posture", "no session, so nobody has judged this endpoint")
	}
	if !s.ReportAt.IsZero() {
		line("Report", "%s at %s, decision %s", s.Trigger, clockTime(s.ReportAt), orElse(s.DecisionID, "without a number"))
	}
	if !s.NextAt.IsZero() {
		line("Next report", "at the latest at %s", clockTime(s.NextAt))
	}
	for _, o := range s.Requirements {
		line("Requirement", "%s", outcome(o))
	}
	usbWords(line, s)
	for _, a := range s.Actions {
		line("Action", "%s", strings.TrimSuffix(fmt.Sprintf("%s %s: %s", a.ID, a.Result, a.Error), ": "))
	}
	if s.Problem != "" {
		line("Problem", "%s, for %s", s.Problem, ago(now, s.ProblemSince))
	}
	for _, m := range s.Said {
		line("Message", "%s  %s", clockTime(m.At), strings.ReplaceAll(m.Text, "\n", " / "))
	}
	return b.String()
}

func enrolmentWords(line func(label, format string, args ...any), e *uplink.Enrolment) {
	switch {
	case e == nil:
	case e.Authority == "":
		line("Enrolled", "no: %s", orElse(e.Problem, "not yet"))
	case e.Until.IsZero():
		line("Enrolled", "obeys %s alone; it has no device certificate: %s", e.Authority, orElse(e.Problem, "not yet"))
	default:
		line("Enrolled", "obeys %s alone; its certificate ends at %s", e.Authority, clockTime(e.Until))
	}
}

func usbWords(line func(label, format string, args ...any), s *status) {
	if s.USBControl != nil {
		line("USB control", "%s", s.USBControl)
	}
	switch {
	case s.USB == nil:
		line("USB storage", "not looked at yet")
		return
	case s.USB.Error != "":
		line("USB storage", "cannot tell: %s", s.USB.Error)
	case len(s.USB.Devices) == 0:
		line("USB storage", "none")
	}
	for _, d := range s.USB.Devices {
		line("USB storage", "%s at %s: %s", orElse(strings.TrimSpace(d.Manufacturer+" "+d.Product), d.VID+":"+d.PID), d.Port, deviceState(d, s.Blocked))
	}
}

func deviceState(d report.USBDevice, blocked []remedy.Entry) string {
	switch d.State {
	case report.USBProtected:
		return "in use by the running system, never blocked"
	case report.USBBlocked:
		for _, e := range blocked {
			if e.Port == d.Port && e.Serial == d.Serial {
				return "blocked by this agent at " + clockTime(e.At)
			}
		}
		return "blocked, not by this agent"
	}
	if len(d.Mounts) > 0 {
		return "can be used, mounted at " + strings.Join(d.Mounts, ", ")
	}
	return "can be used"
}

func outcome(o report.Outcome) string {
	parts := []string{fmt.Sprintf("%s (%s): %s", o.Requirement, o.Enforcement, o.Status)}
	if len(o.Failed) > 0 {
		parts = append(parts, "failed conditions: "+strings.Join(o.Failed, ", "))
	}
	if len(o.Skipped) > 0 {
		parts = append(parts, "skipped conditions: "+strings.Join(o.Skipped, ", "))
	}
	if o.Reason != "" {
		parts = append(parts, o.Reason)
	}
	return strings.Join(parts, "; ")
}

// verdictWords is what once prints.
func verdictWords(s *status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", collect.Printable(s.View.Status))
	for _, o := range s.Requirements {
		fmt.Fprintf(&b, "  %s\n", outcome(o))
	}
	return b.String()
}

func clockTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// ago is a length of time that people read: never finer than a second.
func ago(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	return max(now.Sub(then), 0).Round(time.Second).String()
}
