package collect

import (
	"context"

	"sallyport/netio/report"
)

// hardware answers the attributes that were asked for, each by what the system has to say.
func hardware(_ context.Context, s *survey) *report.Hardware {
	out := &report.Hardware{Items: []report.HardwareItem{}}
	for _, attribute := range s.probe.Hardware {
		value, why := hardwareValue(s.root, attribute)
		item := report.HardwareItem{Attribute: attribute, State: report.StatePresent, Value: Printable(value)}
		switch {
		case why != "":
			item.State, item.Reason = report.StateUnknown, why
		case item.Value == "":
			item.State = report.StateAbsent
		}
		out.Items = append(out.Items, item)
	}
	return out
}
