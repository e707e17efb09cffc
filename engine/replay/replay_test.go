package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/engine/policy"
	"sallyport/engine/posture"
	"sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/sessions"
)

var begin = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

const site = `
appliance: {name: posture.example.com, state: state}
nas: [{name: vpn, address: 192.0.2.1, secret: {file: secret}, recipe: cisco-asa}]
posture:
  conditions: {USB: {usb: {mass-storage: absent}}}
  requirements: {USB: {conditions: [USB]}}
  policy: [{rule: usb, requirements: [{name: USB}]}]
authorization:
  profiles: {Full: {vlan: %d}, Redirect: {redirect: {portal: client-provisioning, acl: ACL}}}
  rules:
    - {rule: healthy, when: 'session.posture == "Compliant"%s', profile: Full}
    - {rule: others, when: 'session.posture != "Compliant"', profile: Redirect}
`

// rules compiles a site: its VLAN, and what else the rule healthy asks.
func rules(t testing.TB, vlan int, more string) *step.Rules {
	t.Helper()
	return compiled(t, fmt.Sprintf(site, vlan, more))
}

func compiled(t testing.TB, text string) *step.Rules {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"sallyport.yaml": text, "secret": "a long random shared secret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, _, faults := policy.Load(filepath.Join(dir, "sallyport.yaml"))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return &s.Rules
}

// day is what an appliance saw: users log in, report, plug sticks in, fall silent, leave.
func day(users int) (events []*Event) {
	for i := range users {
		id := sessions.ID(fmt.Sprintf("s%03d", i))
		group := []string{"staff", "guests"}[i%2]
		at := begin.Add(time.Duration(i) * time.Second)
		a := step.Attributes{ID: id, NAS: "vpn", UserName: fmt.Sprint("user", i), OS: "linux", MACs: []string{"00:50:56:00:00:01"}}
		events = append(events, Login(at, &step.LoginInput{Attributes: a, Groups: []string{group}, Method: "pap"}, Outcome{}))
		for j := range 3 {
			facts := report.Facts{USB: &report.USB{Devices: []report.USBDevice{}}}
			if j == 1 {
				facts.USB.Devices = append(facts.USB.Devices, report.USBDevice{Port: "1-1", Ifaces: []string{"08/06/50"}, State: report.USBActive})
			}
			s := &sessions.Session{ID: id}
			s.Posture.Binding.Assurance = sessions.Ticket
			s.Posture.Binding.Nonce = "a-nonce-that-is-secret"
			r := &report.Report{Nonce: "a-nonce-that-is-secret", Trigger: report.TriggerEvent, System: report.System{OS: "linux"}, Facts: facts}
			events = append(events, PostureReport(at.Add(time.Duration(j+1)*time.Minute), s, r, Outcome{}))
		}
		stop := &step.AccountingInput{Attributes: a, Kind: step.AcctStop, At: at.Add(2 * time.Hour)}
		events = append(events, AccountingRecord(at.Add(2*time.Hour), stop))
	}
	slices.SortStableFunc(events, func(a, b *Event) int { return a.At.Compare(b.At) })
	return events
}

// recorded fills in what the rules decide.
func recorded(events []*Event, r *step.Rules) []*Event {
	w := NewWorld(r)
	for _, e := range events {
		o := w.Step(e)[e.Session]
		e.Outcome = &o
	}
	return events
}

func encode(t *testing.T, events []*Event) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	if err := encoder.Encode(Header{V: Version, Revision: "old", At: begin}); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := encoder.Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	return &b
}

func compare(t *testing.T, recording *bytes.Buffer, before, next *step.Rules) Result {
	t.Helper()
	c := NewComparison(before, next)
	if _, err := Read(recording, c.Event); err != nil {
		t.Fatal(err)
	}
	return c.Result()
}

// TestTheSameConfigurationChangesNothing: what was recorded is what comes out again, over
// expiries too.
func TestTheSameConfigurationChangesNothing(t *testing.T) {
	old := rules(t, 10, "")
	events := recorded(day(20), old)
	if r := compare(t, encode(t, events), nil, old); r.Changed != 0 || r.Events != 100 || r.Unknown != 0 {
		t.Errorf("%s", r.Text())
	}
	if r := compare(t, encode(t, events), old, rules(t, 10, "")); r.Changed != 0 {
		t.Errorf("%s", r.Text())
	}
}

// TestStricterRule: every decision that changes, grouped, with counts.
func TestStricterRule(t *testing.T) {
	old, next := rules(t, 10, ""), rules(t, 10, ` && "staff" in session.groups`)
	events := recorded(day(20), old)
	for _, before := range []*step.Rules{nil, old} {
		r := compare(t, encode(t, events), before, next)
		i := slices.IndexFunc(r.Groups, func(g *Group) bool { return g.Before.Profile == "Full" })
		if r.Sessions != 10 || i < 0 || r.Groups[i].After != (Outcome{"Default", "DenyAccess", "Compliant"}) || r.Groups[i].Sessions != 10 || r.Groups[i].Count != 20 {
			t.Errorf("%s", r.Text())
		}
		if text := r.Text() + r.JSON(); !strings.Contains(text, `rule "healthy", Full, Compliant -> rule "Default", DenyAccess, Compliant`) || !strings.Contains(text, `"kind":"result"`) {
			t.Error(text)
		}
	}
}

// TestNoSecretIsRecorded: what proves who somebody is stays out.
func TestNoSecretIsRecorded(t *testing.T) {
	if text := encode(t, day(1)).String(); strings.Contains(text, "secret") || strings.Contains(text, "nonce") {
		t.Error(text)
	}
}

// TestRunsAlike: the same recording gives the same words every time.
func TestRunsAlike(t *testing.T) {
	old, next := rules(t, 10, ""), rules(t, 10, ` && time.hour < 13`)
	events := day(30)
	first := compare(t, encode(t, events), old, next)
	for range 5 {
		if again := compare(t, encode(t, events), old, next); again.Text() != first.Text() {
			t.Fatalf("%s\n%s", first.Text(), again.Text())
		}
	}
}

// TestRead: what is no recording says so, a cut end is none.
func TestRead(t *testing.T) {
	whole := encode(t, day(2)).String()
	for text, want := range map[string]string{
		"{}\n": "line 1: this is not a recording",
		strings.Replace(whole, "login", "logon", 1):                 `an event of kind "logon"`,
		whole[:strings.IndexByte(whole, '\n')+1] + "{\"at\":\n{}\n": "line 2",
		whole[:len(whole)-10]:                                       "",
		"":                                                          "",
	} {
		n := 0
		_, err := Read(strings.NewReader(text), func(*Event) error { n++; return nil })
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}

// TestRecorder: the file stays within its size, its newer half is whole, and what is in it
// can be read.
func TestRecorder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recording")
	r, err := NewRecorder(path, recordingMin, "rev", begin)
	if err != nil {
		t.Fatal(err)
	}
	events := day(100)
	added := 0
	for deadline := time.Now().Add(20 * time.Second); ; {
		for _, e := range events {
			r.Add(e)
			added++
		}
		if _, err := os.Stat(path + ".1"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the file never turned")
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	dropped, _ := r.Dropped()
	read := 0
	for _, name := range []string{path, path + ".1"} {
		info, err := os.Stat(name)
		if err != nil || info.Size() > recordingMin/2 || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info, err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		h, err := Read(f, func(*Event) error { read++; return nil })
		f.Close()
		if err != nil || h.Revision != "rev" {
			t.Errorf("%+v %v", h, err)
		}
	}
	if read == 0 || read-2+int(dropped) > added {
		t.Errorf("%d added, %d dropped, %d read", added, dropped, read)
	}
	r.Add(Configuration(begin, "too late"))
	if n, _ := r.Dropped(); n != dropped+1 {
		t.Errorf("%d dropped after Close, want one more than %d", n, dropped)
	}
	if r, err = NewRecorder(path, recordingMin, "again", begin); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path + ".1"); err != nil || info.Size() == 0 {
		t.Errorf("what was there is not the older half: %v", err)
	}
	if _, err := NewRecorder(path, 100, "rev", begin); err == nil {
		t.Error("a recording of 100 octets")
	}
}

// TestShadow counts what another configuration would do, and does none of it.
func TestShadow(t *testing.T) {
	real, shadow := NewWorld(rules(t, 10, "")), NewShadow(rules(t, 10, ` && "staff" in session.groups`))
	for _, e := range day(10) {
		o := real.Step(e)[e.Session]
		s := real.sessions[e.Session]
		switch {
		case s == nil || !s.Live():
		case e.Kind == KindLogin:
			shadow.Login(e.At, s, o)
		case e.Kind == KindReport:
			before := *s
			shadow.Report(e.At, s, &report.Report{Trigger: e.Report.Trigger, System: e.Report.System, Facts: e.Report.Facts}, o)
			if s.Version != before.Version {
				t.Fatal("the shadow changed the session")
			}
		}
	}
	r := shadow.Result()
	if r.Events != 40 || r.Sessions != 5 || r.Changed != 10 || len(r.Groups) != 1 {
		t.Errorf("%s", r.Text())
	}
}

// TestLeaseInARecording: whoever comes back is believed by the lease of the configuration
// that is tried, from what the recording shows of the endpoint; by what the appliance knew
// when the earlier session is not in it.
func TestLeaseInARecording(t *testing.T) {
	leased := func(span string) *step.Rules {
		return compiled(t, strings.Replace(fmt.Sprintf(site, 10, ""), "posture:\n", "posture:\n  agent: {lease: "+span+"}\n", 1))
	}
	events := day(1)[:2] // a login and the report of a healthy endpoint
	again := *events[0].Attributes
	in := &step.LoginInput{Attributes: again.step("back"), Groups: events[0].Groups, Method: "pap"}
	in.Last = posture.Last{Status: sessions.Compliant, At: events[1].At}
	back := Login(events[1].At.Add(30*time.Minute), in, Outcome{})
	for _, test := range []struct {
		what   string
		rules  *step.Rules
		events []*Event
		want   string
	}{
		{"seen", leased("1h"), append(slices.Clone(events), back), "Compliant"},
		{"seen, too long ago", leased("20m"), append(slices.Clone(events), back), "Pending"},
		{"no lease", rules(t, 10, ""), append(slices.Clone(events), back), "Pending"},
		{"told", leased("1h"), []*Event{back}, "Compliant"},
		{"told, too long ago", leased("20m"), []*Event{back}, "Pending"},
		{"seen, and never healthy", leased("1h"), []*Event{events[0], back}, "Pending"},
	} {
		w := NewWorld(test.rules)
		_, err := Read(encode(t, test.events), func(e *Event) error { w.Step(e); return nil })
		if o := w.Outcome("back"); err != nil || o.Posture != test.want {
			t.Errorf("%s: %v, want %s (%v)", test.what, o, test.want, err)
		}
	}
}
