package posture

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/engine/expr"
	"sallyport/netio/report"
	"sallyport/ops/config"
	"sallyport/sessions"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const reference = `
  conditions:
    USB_Check: {usb: {mass-storage: absent}}
  remediations:
    USB_Block: {usb: block, mode: automatic, message: "Remove the USB disk; it has been blocked."}
  requirements:
    USB_Block: {os: [windows, linux], conditions: [USB_Check], remediation: USB_Block}
  policy:
    - {rule: USB check, when: 'endpoint.os == "windows" || endpoint.os == "linux"', requirements: [{name: USB_Block}]}
`

// load reads a posture section into a whole configuration.
func load(t testing.TB, section string) (*Policy, config.Warnings, config.Faults) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(path, []byte("appliance: {name: posture.example.com}\nposture:"+section), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, faults := config.Load(path)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return Compile(c)
}

func policy(t testing.TB, section string) *Policy {
	t.Helper()
	p, _, faults := load(t, section)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

func on(os string, facts *report.Facts) Input {
	return Input{Session: expr.Input{OS: os, Time: now}, Facts: facts, FactsAt: now}
}

func usb(devices ...report.USBDevice) *report.Facts {
	return &report.Facts{USB: &report.USB{Devices: devices}}
}

func stick() report.USBDevice {
	return report.USBDevice{Port: "1-2", VID: "0951", PID: "1666", Serial: "A1", Ifaces: []string{"08/06/50"}, Product: "DataTraveler", State: report.USBActive}
}

func in(state string, d report.USBDevice) report.USBDevice {
	d.State = state
	return d
}

// TestUSBCondition is every result of the condition, with its reason.
func TestUSBCondition(t *testing.T) {
	absent := usbCondition{}
	for _, one := range []struct {
		name   string
		c      usbCondition
		usb    *report.USB
		want   verdict
		reason string
	}{
		{"nobody looked", absent, nil, cannotTell, "did not look"},
		{"nothing there", absent, &report.USB{}, pass, ""},
		{"a stick", absent, usb(stick()).USB, fail, "DataTraveler (0951:1666) at port 1-2"},
		{"UAS", absent, usb(report.USBDevice{Port: "2-1", Ifaces: []string{"08/06/62"}, State: "active"}).USB, fail, "USB mass storage at port 2-1"},
		{"storage as one interface of several", absent, usb(report.USBDevice{Ifaces: []string{"03/01/01", "08/06/50"}, State: "active"}).USB, fail, ""},
		{"a phone that is no storage", absent, usb(report.USBDevice{Ifaces: []string{"06/01/01"}, State: "active"}).USB, pass, ""},
		{"no interfaces told", absent, usb(report.USBDevice{State: "active"}).USB, fail, ""},
		{"blocked", absent, usb(in(report.USBBlocked, stick())).USB, pass, ""},
		{"a state nobody knows", absent, usb(in("parked", stick())).USB, fail, ""},
		{"no state", absent, usb(in("", stick())).USB, fail, ""},
		{"system disk", absent, usb(in(report.USBProtected, stick())).USB, pass, ""},
		{"system disk that counts", usbCondition{countSystem: true}, usb(in(report.USBProtected, stick())).USB, fail, "backs the running system"},
		{"nothing seen, not all looked at", absent, &report.USB{Error: "permission denied"}, cannotTell, "permission denied"},
		{"seen although not all looked at", absent, &report.USB{Error: "x", Devices: []report.USBDevice{stick()}}, fail, "DataTraveler"},
		{"allowed kind", usbCondition{allow: []usbID{{vid: "0951", pid: "1666"}}}, usb(stick()).USB, pass, ""},
		{"allowed kind in capitals", usbCondition{allow: []usbID{{vid: "09ab", pid: "1666"}}}, usb(report.USBDevice{VID: "09AB", PID: "1666", State: "active"}).USB, pass, ""},
		{"allowed device", usbCondition{allow: []usbID{{"0951", "1666", "A1"}}}, usb(stick()).USB, pass, ""},
		{"another serial", usbCondition{allow: []usbID{{"0951", "1666", "B2"}}}, usb(stick()).USB, fail, ""},
		{"allowed beside another", usbCondition{allow: []usbID{{vid: "0951", pid: "1666"}}}, usb(stick(), report.USBDevice{VID: "dead", State: "active"}).USB, fail, "dead"},
		{"wanted and there", usbCondition{wantPresent: true}, usb(stick()).USB, pass, ""},
		{"wanted and missing", usbCondition{wantPresent: true}, &report.USB{}, fail, "no USB mass storage"},
		{"wanted, not all looked at", usbCondition{wantPresent: true}, &report.USB{Error: "x"}, cannotTell, ""},
		{"many", absent, usb(stick(), stick(), stick(), stick(), stick()).USB, fail, "and 2 more"},
	} {
		got, reason := one.c.judge(one.usb, (&evidence{facts: &report.Facts{USB: one.usb}}).storage())
		if got != one.want || !strings.Contains(reason, one.reason) || got == pass && reason != "" {
			t.Errorf("%s: %d %q, want %d %q", one.name, got, reason, one.want, one.reason)
		}
	}
}

// TestHostileDescriptors: what a device calls itself reaches tables and pages.
func TestHostileDescriptors(t *testing.T) {
	d := stick()
	d.Product = "x\x1b[2J\r\n\u202e" + strings.Repeat("y", 500) + "\xff"
	_, reason := (&usbCondition{}).judge(usb(d).USB, (&evidence{facts: usb(d)}).storage())
	if len(reason) > 200 || strings.ContainsAny(reason, "\x1b\r\n\u202e\xff") {
		t.Errorf("%q", reason)
	}
}

// TestReferenceStory is the reference's own policy through its states.
func TestReferenceStory(t *testing.T) {
	p := policy(t, reference)
	for _, one := range []struct {
		name   string
		in     Input
		want   sessions.PostureStatus
		status string // of the requirement
		action string
	}{
		{"before any report", on("windows", nil), sessions.Pending, Failed, ""},
		{"a stick is plugged in", on("windows", usb(stick())), sessions.NonCompliant, Failed, report.VerbUSBBlock},
		{"the stick is blocked", on("windows", usb(in(report.USBBlocked, stick()))), sessions.Compliant, Passed, ""},
		{"no stick", on("linux", usb()), sessions.Compliant, Passed, ""},
		{"the agent did not look", on("linux", &report.Facts{}), sessions.NonCompliant, Failed, ""},
		{"another system", on("macos", usb(stick())), sessions.NotApplicable, "", ""},
		{"nobody told the system", on("", usb(stick())), sessions.NonCompliant, Failed, report.VerbUSBBlock},
	} {
		a := p.Assess(now, one.in)
		if a.Status != one.want {
			t.Errorf("%s: %v, want %v", one.name, a.Status, one.want)
		}
		if one.status != "" && (len(a.Rules) != 1 || a.Rules[0].Status != one.status || a.Rules[0].Enforcement != config.Mandatory) {
			t.Errorf("%s: %+v", one.name, a.Rules)
		}
		if one.action == "" != (len(a.Actions) == 0) || one.action != "" && a.Actions[0].Verb != one.action {
			t.Errorf("%s: actions %+v", one.name, a.Actions)
		}
		if one.action != "" && a.Message != "Remove the USB disk; it has been blocked." {
			t.Errorf("%s: message %q", one.name, a.Message)
		}
	}
	if in := on("", nil); !p.Applies(&in) {
		t.Error("an endpoint whose system nobody told may be one that the policy is for")
	}
	if in := on("macos", nil); p.Applies(&in) {
		t.Error("the policy is for no macOS")
	}
	if in := on("windows", nil); !p.Applies(&in) {
		t.Error("the policy is for Windows")
	}
}

// TestOldFactsProveNothing: silence fails conditions, also those that may be skipped.
func TestOldFactsProveNothing(t *testing.T) {
	p := policy(t, `
  conditions: {USB_Check: {usb: {mass-storage: absent}}}
  requirements: {USB: {conditions: [USB_Check], cannot-tell: skip}}
  policy: [{rule: all, requirements: [{name: USB}]}]
  agent: {heartbeat: 1m, report-valid: 3m}
`)
	in := on("linux", usb())
	for _, one := range []struct {
		at   time.Time
		want sessions.PostureStatus
	}{
		{now, sessions.Compliant}, {now.Add(3 * time.Minute), sessions.Compliant}, {now.Add(3*time.Minute + 1), sessions.NonCompliant},
	} {
		a := p.Assess(one.at, in)
		if a.Status != one.want {
			t.Errorf("%v: %v %+v", one.at.Sub(now), a.Status, a.Rules)
		}
		if !a.ValidUntil.Equal(now.Add(3 * time.Minute)) {
			t.Errorf("valid until %v", a.ValidUntil)
		}
	}
	if a := p.Assess(now, on("linux", &report.Facts{})); a.Status != sessions.Compliant || a.Rules[0].Status != Skipped ||
		!slices.Equal(a.Rules[0].Skipped, []string{"USB_Check"}) || !strings.Contains(a.Rules[0].Reason, "cannot tell") {
		t.Errorf("a fact that the agent cannot see may be skipped, visibly: %+v", a)
	}
}

const enforcements = `
  conditions:
    USB_Check: {usb: {mass-storage: absent}}
    Dongle: {usb: {mass-storage: present}}
  remediations:
    Block: {usb: block, message: block it}
    Tell: {message: tell them, mode: manual}
  requirements:
    Strict: {conditions: [USB_Check], remediation: Block}
    Soft: {conditions: [USB_Check], remediation: Tell}
    Silent: {conditions: [USB_Check, Dongle], remediation: Block}
  policy:
    - {rule: staff, when: '"staff" in session.groups', requirements: [{name: Strict, enforcement: mandatory}]}
    - {rule: guests, when: '"guests" in session.groups', requirements: [{name: Soft, enforcement: optional}]}
    - {rule: everybody, requirements: [{name: Silent, enforcement: audit}, {name: Soft, enforcement: audit}]}
`

// TestRulesApplyTogether: all rules that match, each with its own enforcement.
func TestRulesApplyTogether(t *testing.T) {
	p := policy(t, enforcements)
	with := func(groups ...string) Input {
		in := on("linux", usb(stick()))
		in.Session.Groups = groups
		return in
	}
	for _, one := range []struct {
		name    string
		in      Input
		want    sessions.PostureStatus
		rules   string
		verbs   string
		message string
	}{
		{"audit is recorded only", with(), sessions.Compliant, "Silent:failed Soft:failed", "", ""},
		{"optional is shown", with("guests"), sessions.Compliant, "Soft:failed Silent:failed Soft:failed", "message", "tell them"},
		{"mandatory decides", with("staff"), sessions.NonCompliant, "Strict:failed Silent:failed Soft:failed", "usb.block", "block it"},
		{"all of them", with("staff", "guests"), sessions.NonCompliant, "Strict:failed Soft:failed Silent:failed Soft:failed", "usb.block message", "block it\ntell them"},
	} {
		a := p.Assess(now, one.in)
		var rules, verbs []string
		for _, r := range a.Rules {
			rules = append(rules, r.Requirement+":"+r.Status)
		}
		for _, act := range a.Actions {
			verbs = append(verbs, act.Verb)
		}
		if a.Status != one.want || strings.Join(rules, " ") != one.rules || strings.Join(verbs, " ") != one.verbs || a.Message != one.message {
			t.Errorf("%s: %v %v %v %q", one.name, a.Status, rules, verbs, a.Message)
		}
	}
	if r := p.Assess(now, with()).Rules[0]; !slices.Equal(r.Failed, []string{"USB_Check"}) || !slices.Equal(r.Passed, []string{"Dongle"}) {
		t.Errorf("%+v", r)
	}
}

// TestUnblocksWhatNothingBlocks: a policy that lets go says so to the agent.
func TestUnblocksWhatNothingBlocks(t *testing.T) {
	blocked := usb(in(report.USBBlocked, stick()))
	for name, one := range map[string]struct {
		section string
		want    string
	}{
		"nothing blocks any more": {"\n  agent: {heartbeat: 5m}\n", report.VerbUSBUnblock},
		"only an audit is left":   {strings.Replace(reference, "{name: USB_Block}", "{name: USB_Block, enforcement: audit}", 1), report.VerbUSBUnblock},
		"still to be blocked":     {reference, ""},
	} {
		a := policy(t, one.section).Assess(now, on("windows", blocked))
		got := ""
		for _, act := range a.Actions {
			got += act.Verb
		}
		if got != one.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestRuleThatCannotBeEvaluatedApplies: an error must not open a gate.
func TestRuleThatCannotBeEvaluatedApplies(t *testing.T) {
	p := policy(t, `
  conditions: {USB_Check: {usb: {mass-storage: absent}}}
  requirements: {USB: {conditions: [USB_Check]}}
  policy: [{rule: first group, when: 'session.groups[0] == "staff"', requirements: [{name: USB}]}]
`)
	a := p.Assess(now, on("linux", usb(stick())))
	if a.Status != sessions.NonCompliant || len(a.Errors) != 1 || !strings.Contains(a.Errors[0], `"first group" at `) {
		t.Errorf("%v %v", a.Status, a.Errors)
	}
}

func TestDefaultStatus(t *testing.T) {
	p := policy(t, "\n  default-status: Compliant\n")
	if a := p.Assess(now, on("linux", nil)); a.Status != sessions.Compliant || p.DefaultStatus() != sessions.Compliant {
		t.Errorf("%v", a.Status)
	}
}

// TestDocument: its ETag is its content's, and changes with what the endpoint must do.
func TestDocument(t *testing.T) {
	p := policy(t, enforcements)
	guest, staff, again := on("linux", nil), on("linux", nil), on("windows", nil)
	guest.Session.Groups, staff.Session.Groups = []string{"guests"}, []string{"staff"}
	again.Session.Groups = []string{"guests", "more"}
	a, b, c := p.Document(&guest), p.Document(&staff), p.Document(&again)
	if a.ETag == b.ETag || a.ETag != c.ETag || len(a.ETag) != 16 {
		t.Errorf("etags %q %q %q", a.ETag, b.ETag, c.ETag)
	}
	if !slices.Equal(a.Collect, []string{"usb"}) || len(a.Requirements) != 3 || a.Requirements[0].Remediation.Verb != report.VerbMessage {
		t.Errorf("%+v", a)
	}
	if none := policy(t, "\n  agent: {heartbeat: 5m}\n").Document(&guest); len(none.Collect) != 0 || none.HeartbeatS != 300 || none.ETag == "" {
		t.Errorf("%+v", none)
	}
}
