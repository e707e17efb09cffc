package main

import (
	"slices"
	"time"

	"sallyport/cmd/sallyport-agent/remedy"
	"sallyport/netio/report"
)

// ruling is how USB storage is handled now.
type ruling struct {
	mode  string
	allow []string
}

// rule applies what the configuration, or else the policy of the session, says of USB.
func (d *daemon) rule() {
	var control report.USBControl
	if c := d.core.Control(); c != nil {
		control = *c
	}
	now := ruling{mode: control.Mode, allow: control.Allow}
	if d.opts.USBMode != "" {
		now.mode = d.opts.USBMode
	}
	if action := d.core.Reflex(); action != nil && now.allow == nil {
		now.allow = action.Allow
	}
	if now.mode == d.ruled.mode && slices.Equal(now.allow, d.ruled.allow) {
		return
	}
	d.ruled = now
	d.usb.SetBusy(control.Busy, time.Duration(control.GraceS)*time.Second)
	d.strict(now.mode == report.USBStrict, now.allow)
	d.log.Info("USB storage is handled anew", "mode", orElse(now.mode, report.USBReactive), "allowed", len(now.allow), "when_in_use", orElse(control.Busy, report.BusyKeep))
}

func (d *daemon) strict(on bool, allow []string) {
	if err := d.gate.Set(on, allow); err != nil {
		d.log.Error("the kernel cannot be told whether to let new USB interfaces in", "strict", on, "error", err)
	}
}

// admit lets a new interface in, in strict mode, when it may come.
func (d *daemon) admit(iface string) {
	in, err := d.gate.Admit(iface)
	switch {
	case err != nil:
		d.log.Error("a USB interface stays out", "interface", iface, "error", err)
	case in:
		d.log.Info("USB interface let in", "interface", iface)
	}
}

// observing refuses to block where the configuration says so.
func (d *daemon) observing(verb string) (remedy.Outcome, bool) {
	if d.opts.USBMode == report.USBObserve && verb == report.VerbUSBBlock {
		return remedy.Outcome{Result: remedy.Refused, Detail: "this agent is configured to observe USB storage, not to block it"}, true
	}
	return remedy.Outcome{}, false
}
