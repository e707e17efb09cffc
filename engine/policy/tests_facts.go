package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"sallyport/netio/report"
	"sallyport/ops/config"
)

// facts are those of a test's report: USB in its short form, the others with the names
// that agents use.
func facts(r *config.StepReport) (report.Facts, *config.Fault) {
	var f report.Facts
	if len(r.Facts.JSON) > 0 {
		d := json.NewDecoder(bytes.NewReader(r.Facts.JSON))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			message := strings.TrimPrefix(err.Error(), "json: ")
			return f, &config.Fault{Pos: r.Facts.Pos, Message: "the facts are not as agents write them: " + message,
				Hint: "names and values are those of the posture report, such as {services: {items: [{name: ssh, state: running}]}}"}
		}
	}
	if r.USB == nil && r.USBError == "" {
		return f, nil
	}
	u := &report.USB{Error: r.USBError, Devices: []report.USBDevice{}}
	if r.USB != nil {
		for i, d := range *r.USB {
			port := d.Port
			if port == "" {
				port = fmt.Sprintf("1-%d", i+1)
			}
			u.Devices = append(u.Devices, report.USBDevice{
				Port: port, VID: d.VID, PID: d.PID, Serial: d.Serial, Ifaces: d.Ifaces, State: d.State,
			})
		}
	}
	f.USB = u
	return f, nil
}
