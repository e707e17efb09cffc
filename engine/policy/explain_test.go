package policy

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/engine/authz"
	"sallyport/engine/posture"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// TestWhy: the whole of a decision, and the change that would have opened the gate; made,
// it opens it.
func TestWhy(t *testing.T) {
	_, _, dir := unpack(t, "testdata/reference.txt")
	s, _, faults := Load(filepath.Join(dir, "sallyport.yaml"))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	session := authz.Input{Authenticated: true, OS: "windows", User: "cisco", NAS: s.NASes()[0].Name}
	stick := report.USBDevice{Port: "1-1", Ifaces: []string{"08/06/50"}, State: report.USBActive}
	ask := func(devices ...report.USBDevice) Why {
		in := posture.Input{Session: session, Facts: &report.Facts{USB: &report.USB{Devices: devices}}, FactsAt: now}
		return s.Explain(now, Question{DecisionID: "d1", Posture: in})
	}
	w := ask(stick)
	if w.Opens == nil || len(w.Opens.Changes) != 1 || !strings.HasPrefix(w.Opens.Changes[0], "USB_Check passes") {
		t.Fatalf("%+v", w.Opens)
	}
	open := ask()
	if open.Opens != nil || open.Authorization.Profile != w.Opens.Profile || open.Authorization.Rule != w.Opens.Rule {
		t.Errorf("%+v, and %s by %s was promised", open.Authorization, w.Opens.Profile, w.Opens.Rule)
	}
	for _, text := range []string{w.Text(), w.JSON()} {
		for _, want := range []string{"d1", s.Revision, "sallyport.yaml", "USB mass storage", "in use", "NonCompliant", "USB_Check"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in %s", want, text)
			}
		}
	}
	session.Posture = sessions.Compliant
	held := s.Explain(now, Question{Held: true, Posture: posture.Input{Session: session}})
	if held.Opens != nil || held.Posture == nil || held.Posture.Status != "Pending" {
		t.Errorf("%+v", held)
	}
}
