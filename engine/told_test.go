package engine

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"sallyport/coa"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// toldRules read everything that an agent tells.
const toldRules = `
    - {rule: Temporal,  when: 'endpoint.agent_kind == "temporal"', profile: Temporal}
    - {rule: Lab,       when: 'endpoint.hostname.startsWith("lab-") && endpoint.domain == "example.com"', profile: Lab}
    - {rule: Old,       when: 'endpoint.os_version == "11"', profile: Old}
    - {rule: Walled,    when: 'fact.firewall == "on" && fact.updates == "current"', profile: Walled}
    - {rule: Encrypted, when: 'fact.encryption == "encrypted" && fact.antimalware == "on" && fact.usb_storage == "none"', profile: Encrypted}
`

const toldProfiles = `
    Temporal:  {filter-id: temporal}
    Lab:       {filter-id: lab}
    Old:       {filter-id: old}
    Walled:    {filter-id: walled}
    Encrypted: {filter-id: encrypted}
    Full:      {filter-id: full}`

// TestRulesReadWhatTheAgentTells: with every report, after a restart, and when the NAS asks
// again, until the agent is lost.
func TestRulesReadWhatTheAgentTells(t *testing.T) {
	s := newStage(t, "\n    Full:     {filter-id: full}", toldProfiles, "RULES\n", toldRules)
	s.login(audit)
	walled := `{"usb": {"devices": []}, "firewall": {"products": [{"name": "nftables", "state": "on"}]}, "patch": {"manager": "apt", "pending": 0, "security": 0}}`
	for _, c := range []struct {
		facts string
		tell  func(*report.Report)
		want  string
	}{
		{healthy, func(*report.Report) {}, "Full"},
		{healthy, func(r *report.Report) { r.System.OSVersion = "11" }, "Old"},
		{healthy, func(r *report.Report) { r.System.Hostname, r.System.Domain = "lab-7", "example.com" }, "Lab"},
		{healthy, func(r *report.Report) { r.Agent.Kind = "temporal" }, "Temporal"},
		{walled, func(r *report.Report) { r.System.OSVersion = "12" }, "Walled"},
		{strings.Replace(walled, `"security": 0`, `"security": 2`, 1), func(*report.Report) {}, "Full"},
		{`{"usb": {"devices": []}, "antimalware": {"products": [{"name": "ClamAV", "state": "on"}]}, "encryption": {"volumes": [{"mount": "/", "state": "encrypted"}]}}`,
			func(*report.Report) {}, "Encrypted"},
		{walled, func(r *report.Report) { r.System.Hostname = strings.Repeat("ü", 300) }, "Walled"},
	} {
		s.pass(time.Minute)
		s.reports(audit, report.TriggerEvent, c.facts, c.tell)
		if got := s.sent(); got != "push "+c.want {
			t.Fatalf("%s: %s", c.want, got)
		}
		s.settle(coa.ACK)
	}
	x := s.session(audit)
	if n := len(x.Hostname); n > 253 || n < 252 || x.Hostname != strings.Repeat("ü", n/2) {
		t.Errorf("a host name of %d octets", n)
	}
	s.crash()
	s.login(audit)
	if after := s.session(audit); after.Grant.Profile != "Walled" || after.Posture.Facts != (sessions.Facts{Storage: "none", Firewall: "on", Updates: "current"}) {
		t.Errorf("after a restart %s by %+v", after.Grant.Profile, after.Posture.Facts)
	}
	s.pass(time.Hour)
	if x = s.session(audit); x.Posture.Facts != (sessions.Facts{}) || x.Change == nil || x.Change.Grant.Profile != "Redirect" {
		t.Errorf("the agent is lost, and what it saw is believed: %+v", x.Posture)
	}
}

// TestAKeptSessionIsItsOwn: a record that outlives its group shares no text with it.
func TestAKeptSessionIsItsOwn(t *testing.T) {
	s := &sessions.Session{Change: &sessions.Change{}}
	fillTexts(reflect.ValueOf(s).Elem())
	kept := keepSession(s)
	if !reflect.DeepEqual(s, kept) {
		t.Fatalf("%+v", kept)
	}
	sharedText(t, "Session", reflect.ValueOf(s).Elem(), reflect.ValueOf(kept).Elem())
}

func fillTexts(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		fillTexts(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fillTexts(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillTexts(v.Index(0))
	case reflect.String:
		v.SetString(string([]byte("a text")))
	}
}

func sharedText(t *testing.T, name string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Pointer:
		sharedText(t, name, a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if a.Field(i).CanSet() {
				sharedText(t, name+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
			}
		}
	case reflect.Slice:
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", name)
		}
		sharedText(t, name, a.Index(0), b.Index(0))
	case reflect.String:
		if octets(a.String())[0] != 0 && &octets(a.String())[0] == &octets(b.String())[0] {
			t.Errorf("%s is shared", name)
		}
	}
}
