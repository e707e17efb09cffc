package report

import (
	"encoding/json"
	"fmt"
)

// Tidy brings what a collector found within the bounds that DecodeClaim checks: free
// text is cut and cleaned, lists of addresses are cut.
func (c *Claim) Tidy() { c.fields(&walker{tidy: true}) }

// Tidy brings what collectors found within the bounds that DecodeReport checks: free
// text is cut and cleaned, lists of disks and mounts are cut; devices that do not fit are
// left out, and Error of the group says so.
func (r *Report) Tidy() { r.fields(&walker{tidy: true}) }

// Encode tidies the report and writes it within ReportBytesMax: groups of facts that do
// not fit, the largest first, are emptied and say so, so that conditions on them cannot
// tell. The error is for a time outside RFC 3339.
func (r *Report) Encode() ([]byte, error) {
	r.Tidy()
	for {
		body, err := json.Marshal(r)
		if err != nil || len(body) <= ReportBytesMax || !r.Facts.shorten() {
			return body, err
		}
	}
}

func (c *Claim) fields(w *walker) {
	w.token("session_id", c.SessionID, SessionIDMax)
	w.plain("ticket", c.Ticket, tokenMax)
	w.texts("macs", &c.MACs, addressesMax, addressMax)
	w.texts("ips", &c.IPs, addressesMax, addressMax)
	w.need("key", c.Key)
	w.plain("key", c.Key, keyTextLen)
	w.plain("certificate", c.Certificate, certificateTextMax)
	w.token("boot_id", c.BootID, tokenMax)
	w.in("agent", c.Agent.fields)
	w.in("system", c.System.fields)
}

func (a *Agent) fields(w *walker) {
	w.need("name", a.Name)
	w.text("name", &a.Name, wordMax)
	w.text("version", &a.Version, wordMax)
	w.token("kind", a.Kind, wordMax)
	w.text("failed_build", &a.FailedBuild, reasonMax)
}

func (s *System) fields(w *walker) {
	w.token("os", s.OS, wordMax)
	w.text("os_name", &s.OSName, nameMax)
	w.text("os_version", &s.OSVersion, nameMax)
	w.token("arch", s.Arch, wordMax)
	w.text("hostname", &s.Hostname, nameMax)
	w.text("domain", &s.Domain, nameMax)
	w.text("user", &s.User, nameMax)
}

func (c *Claimed) fields(w *walker) {
	w.need("session_id", c.SessionID)
	w.token("session_id", c.SessionID, SessionIDMax)
	w.token("assurance", c.Assurance, wordMax)
	w.need("status", c.Status)
	w.token("status", c.Status, wordMax)
	w.need("nonce", c.Nonce)
	w.token("nonce", c.Nonce, tokenMax)
	w.plain("policy_etag", c.PolicyETag, tokenMax)
	w.seconds("heartbeat_s", c.HeartbeatS)
}

func (r *Report) fields(w *walker) {
	w.need("session_id", r.SessionID)
	w.token("session_id", r.SessionID, SessionIDMax)
	w.need("nonce", r.Nonce)
	w.token("nonce", r.Nonce, tokenMax)
	w.plain("policy_etag", r.PolicyETag, tokenMax)
	w.token("boot_id", r.BootID, tokenMax)
	if r.MonoMS < 0 {
		w.fail(malformed("mono_ms: %d is negative", r.MonoMS))
	}
	w.one("trigger", r.Trigger, TriggerInitial, TriggerEvent, TriggerPeriodic, TriggerRemediated)
	w.in("agent", r.Agent.fields)
	w.in("system", r.System.fields)
	w.in("facts", r.Facts.fields)
	if w.count("actions", len(r.Actions), actionsMax) {
		for i := range r.Actions {
			w.in(fmt.Sprintf("actions[%d]", i), r.Actions[i].fields)
		}
	}
}

func (u *USB) fields(w *walker) {
	if w.tidy && len(u.Devices) > devicesMax {
		u.Devices = u.Devices[:devicesMax]
		u.Error = fmt.Sprintf("more than %d USB storage devices", devicesMax)
	}
	w.text("error", &u.Error, reasonMax)
	if w.count("devices", len(u.Devices), devicesMax) {
		for i := range u.Devices {
			w.in(fmt.Sprintf("devices[%d]", i), u.Devices[i].fields)
		}
	}
}

func (d *USBDevice) fields(w *walker) {
	w.text("bus", &d.Bus, wordMax)
	w.need("port", d.Port)
	w.text("port", &d.Port, wordMax)
	w.text("vid", &d.VID, usbTextMax)
	w.text("pid", &d.PID, usbTextMax)
	w.text("serial", &d.Serial, usbTextMax)
	w.text("manufacturer", &d.Manufacturer, usbTextMax)
	w.text("product", &d.Product, usbTextMax)
	if len(d.Ifaces) == 0 {
		w.fail(malformed("%sifaces: missing or empty", w.prefix))
	}
	if w.count("ifaces", len(d.Ifaces), ifacesMax) {
		for i, s := range d.Ifaces {
			if !isIface(s) {
				w.fail(malformed("%sifaces[%d]: %.40q is not class/subclass/protocol such as \"08/06/50\"", w.prefix, i, s))
			}
		}
	}
	w.text("driver", &d.Driver, nameMax)
	w.texts("disks", &d.Disks, nodesMax, nameMax)
	w.texts("mounts", &d.Mounts, nodesMax, pathMax)
	w.token("connect", d.Connect, wordMax)
	w.one("state", d.State, USBActive, USBBlocked, USBProtected)
}

// isIface wants three octets as sysfs writes them: "08/06/50".
func isIface(s string) bool {
	if len(s) != 8 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if slash := i%3 == 2; slash != (c == '/') || !slash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func (a *ActionResult) fields(w *walker) {
	w.need("id", a.ID)
	w.token("id", a.ID, tokenMax)
	w.one("result", a.Result, "done", "failed", "refused", "pending")
	w.text("error", &a.Error, reasonMax)
}

func (p *Policy) fields(w *walker) {
	w.need("etag", p.ETag)
	w.plain("etag", p.ETag, tokenMax)
	w.texts("collect", &p.Collect, collectMax, wordMax)
	w.seconds("heartbeat_s", p.HeartbeatS)
	if p.Probe != nil {
		w.in("probe", p.Probe.fields)
	}
	if p.USB != nil {
		w.in("usb", p.USB.fields)
	}
	if w.count("publishers", len(p.Publishers), PublishersMax) {
		for i := range p.Publishers {
			w.in(fmt.Sprintf("publishers[%d]", i), p.Publishers[i].fields)
		}
	}
	if !w.count("requirements", len(p.Requirements), requirementsMax) {
		return
	}
	for i := range p.Requirements {
		w.in(fmt.Sprintf("requirements[%d]", i), p.Requirements[i].fields)
	}
}

func (r *Requirement) fields(w *walker) {
	w.need("name", r.Name)
	w.text("name", &r.Name, nameMax)
	w.one("enforcement", r.Enforcement, "mandatory", "optional", "audit")
	w.texts("conditions", &r.Conditions, conditionsMax, nameMax)
	if r.Remediation != nil {
		w.in("remediation", r.Remediation.fields)
	}
}

func (v *Verdict) fields(w *walker) {
	w.need("session_id", v.SessionID)
	w.token("session_id", v.SessionID, SessionIDMax)
	w.need("status", v.Status)
	w.token("status", v.Status, wordMax)
	w.token("decision_id", v.DecisionID, tokenMax)
	w.need("nonce", v.Nonce)
	w.token("nonce", v.Nonce, tokenMax)
	w.seconds("next_s", v.NextS)
	w.plain("policy_etag", v.PolicyETag, tokenMax)
	if w.count("actions", len(v.Actions), actionsMax) {
		for i := range v.Actions {
			w.in(fmt.Sprintf("actions[%d]", i), v.Actions[i].fields)
		}
	}
	w.message("message", &v.Message)
	if w.count("requirements", len(v.Requirements), outcomesMax) {
		for i := range v.Requirements {
			w.in(fmt.Sprintf("requirements[%d]", i), v.Requirements[i].fields)
		}
	}
}

func (o *Outcome) fields(w *walker) {
	w.text("policy", &o.Policy, nameMax)
	w.text("requirement", &o.Requirement, nameMax)
	w.token("enforcement", o.Enforcement, wordMax)
	w.one("status", o.Status, "passed", "failed", "skipped")
	w.texts("passed", &o.Passed, conditionsMax, nameMax)
	w.texts("failed", &o.Failed, conditionsMax, nameMax)
	w.texts("skipped", &o.Skipped, conditionsMax, nameMax)
	w.text("reason", &o.Reason, reasonMax)
}

func (d *Discovery) fields(w *walker) {
	w.need("appliance", d.Appliance)
	w.text("appliance", &d.Appliance, nameMax)
	w.need("api", d.API)
	w.token("api", d.API, nameMax)
	w.plain("authority", d.Authority, keyTextLen)
	w.plain("vouch", d.Vouch, signatureTextMax)
}

func (e *Events) fields(w *walker) {
	if !w.count("events", len(e.Events), eventsMax) {
		return
	}
	for i := range e.Events {
		w.in(fmt.Sprintf("events[%d]", i), e.Events[i].fields)
	}
}

func (e *Event) fields(w *walker) {
	w.need("kind", e.Kind)
	w.token("kind", e.Kind, wordMax)
	w.token("status", e.Status, wordMax)
	w.plain("policy_etag", e.ETag, tokenMax)
	w.message("message", &e.Message)
}

func (p *Problem) fields(w *walker) {
	if p.Status < 400 || p.Status > 599 {
		w.fail(malformed("status: %d is not from 400 to 599", p.Status))
	}
	w.need("code", p.Code)
	w.token("code", p.Code, wordMax)
	w.text("detail", &p.Detail, reasonMax)
	w.seconds("retry_after_s", p.Retry)
	w.token("nonce", p.Nonce, tokenMax)
	w.token("session_id", p.Session, SessionIDMax)
}
