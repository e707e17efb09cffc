package main

import (
	"fmt"
	"os"
	"strings"

	"sallyport/engine/record"
)

// printDetail prints a posture record as the field's "Posture More Detail Assessment".
func printDetail(line []byte) error {
	var p record.Posture
	if err := decode(line, &p); err != nil {
		return err
	}
	enforcement := 0
	if p.PRAEnforced {
		enforcement = 1
	}
	var out strings.Builder
	fmt.Fprintln(&out, "Posture More Detail Assessment")
	for _, row := range [][2]string{
		{"Logged At", p.LoggedAt.Local().Format("2006-01-02 15:04:05.000")}, {"Posture Status", p.Status},
		{"Username", p.Identity}, {"Mac Address", p.EndpointID}, {"IP address", p.IPAddress}, {"Location", p.Location},
		{"Network Device", p.NetworkDevice}, {"Session ID", p.SessionID}, {"Client Operating System", p.EndpointOS},
		{"Agent", p.Agent}, {"Assurance", p.Assurance}, {"PRA Enforcement", fmt.Sprint(enforcement)},
		{"PRA Interval", fmt.Sprint(p.PRAInterval)}, {"PRA Grace Time", fmt.Sprint(p.PRAGrace)}, {"PRA Action", p.PRAAction},
		{"CoA", orNone(p.CoA)}, {"Message", p.Message}, {"User Agreement Status", p.UserAgreement},
		{"System Name", p.SystemName}, {"System Domain", orNone(p.SystemDomain)}, {"System User", p.SystemUser},
		{"Authorization", p.Rule + " -> " + p.Profile}, {"Decision", p.DecisionID}, {"Configuration", p.Revision},
	} {
		fmt.Fprintf(&out, "  %-24s %s\n", row[0]+":", row[1])
	}
	for _, d := range p.USB {
		fmt.Fprintf(&out, "  %-24s %s %s:%s %s %s, %s, disks %s, mounted at %s\n", "USB storage:", d.Port, d.VID, d.PID, d.Manufacturer, d.Product,
			d.State, orNone(strings.Join(d.Disks, " ")), orNone(strings.Join(d.Mounts, " ")))
	}
	fmt.Fprintf(&out, "  %-22s %-18s %-11s %-8s %-22s %-22s %s\n", "Policy", "Name", "Enforcement", "Status", "Passed Conditions", "Failed Conditions", "Skipped Conditions")
	for _, q := range p.Policies {
		fmt.Fprintf(&out, "  %-22s %-18s %-11s %-8s %-22s %-22s %s\n", q.Policy, q.Name, q.Enforcement, q.Status,
			strings.Join(q.Passed, ", "), strings.Join(q.Failed, ", "), strings.Join(q.Skipped, ", "))
		if q.Reason != "" {
			fmt.Fprintf(&out, "    %s\n", q.Reason)
		}
	}
	_, err := fmt.Fprintln(os.Stdout, out.String())
	return err
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
