package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sallyport/engine/authn"
	"sallyport/engine/authz"
	"sallyport/engine/posture"
	"sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// testBegin is the time at which a policy test begins that names none: a Monday at noon.
var testBegin = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

// Limits of a test.
const (
	// expiriesMax bounds what the passing of time may do between two steps: reassessments
	// of every minute for three days.
	expiriesMax = 10000
	// happenedMax is how many of the last things that happened are told.
	happenedMax = 6
)

// runTests runs the policy tests of the configuration with the functions that the
// appliance runs (engine/step), and returns one fault for each expectation that fails.
// Every CoA is acknowledged at once: what a NAS refuses is no matter of policy.
func (s *Snapshot) runTests() config.Faults {
	var faults config.Faults
	for i := range s.Config.Tests {
		t := &testRun{
			snapshot: s, test: &s.Config.Tests[i], path: fmt.Sprintf("tests[%d]", i), begin: testBegin,
		}
		t.run()
		faults = append(faults, t.faults...)
	}
	return faults
}

// testRun is one test under way.
type testRun struct {
	snapshot *Snapshot
	test     *config.Test
	path     string
	begin    time.Time
	login    step.LoginInput
	faults   config.Faults

	session    *sessions.Session // nil: nobody is logged in
	decision   *authz.Decision   // the last one
	input      authz.Input       // that it was made of
	assessment *posture.Assessment
	sent       []sent // CoAs of the step at hand
	happened   []string
	reports    uint64
}

// sent is one CoA.
type sent struct{ kind, profile, reason string }

func (t *testRun) fault(pos config.Pos, path, message, hint string) {
	if pos.IsZero() {
		pos = t.test.Pos
	}
	t.faults = append(t.faults, config.Fault{
		Pos: pos, Path: t.path + path, Message: fmt.Sprintf("test %q%s", t.test.Name.Value, message), Hint: hint,
	})
}

func (t *testRun) run() {
	if !t.given() {
		return
	}
	for i := range t.test.Steps {
		one := &t.test.Steps[i]
		path := fmt.Sprintf(".steps[%d]", i)
		now := t.begin.Add(one.At)
		t.sent, t.happened = nil, nil
		t.pass(now)
		if !t.act(now, one, path) {
			return // what follows would fail for this reason alone
		}
		t.expect(one, path+".expect")
	}
}

// given builds the login out of what the test assumes. False when that is impossible.
func (t *testRun) given() bool {
	g, before := &t.test.Given, len(t.faults)
	s := t.snapshot
	if g.NAS.Value != "" && s.nas.byName[g.NAS.Value] == nil {
		var names []string
		for _, n := range s.nas.list {
			names = append(names, n.Name)
		}
		t.fault(g.NAS.Pos, ".given.nas", fmt.Sprintf(": there is no NAS %q", g.NAS.Value), config.DidYouMean(g.NAS.Value, names))
	}
	a := &t.login.Attributes
	*a = step.Attributes{
		ID: "policy-test", NAS: g.NAS.Value, UserName: g.User, OS: g.OS, TunnelGroup: g.TunnelGroup,
		CallingStationID: g.CallingStationID, CalledStationID: g.CalledStationID,
		NASPortType: t.number(g.NASPortType, "nas-port-type", func(x *sessions.Session, n uint32) { x.NASPortType = n }, func(in *authz.Input) string { return in.NASPortType }),
		ServiceType: t.number(g.ServiceType, "service-type", func(x *sessions.Session, n uint32) { x.ServiceType = n }, func(in *authz.Input) string { return in.ServiceType }),
	}
	if g.MAC.Value != "" {
		mac, ok := config.CanonicalMAC(g.MAC.Value)
		if !ok {
			t.fault(g.MAC.Pos, ".given.mac", fmt.Sprintf(": %q is not a MAC address", g.MAC.Value), "")
		}
		a.MACs = []string{mac}
	}
	if g.FramedIP.Value != "" {
		ip, err := netip.ParseAddr(g.FramedIP.Value)
		if err != nil {
			t.fault(g.FramedIP.Pos, ".given.framed-ip", fmt.Sprintf(": %q is not an IP address", g.FramedIP.Value), "")
		} else if ip.Is4() {
			a.FramedIP = ip
		} else {
			a.FramedIPv6 = ip
		}
	}
	if g.Time.Value != "" {
		at, err := time.Parse(time.RFC3339, g.Time.Value)
		if err != nil {
			t.fault(g.Time.Pos, ".given.time", fmt.Sprintf(": %q is not a time", g.Time.Value), "such as 2026-01-05T08:30:00Z")
		}
		t.begin = at
	}
	t.identity(g)
	return len(t.faults) == before
}

// identity takes the user's groups, or the endpoint's in MAC authentication bypass, from
// where the appliance takes them. A user that no store knows may have those given.
func (t *testRun) identity(g *config.Given) {
	t.login.Method = g.Method
	groups := t.snapshot.Users.Groups(g.User)
	if g.Method == "mab" {
		id, outcome := t.snapshot.Users.MAB(g.MAC.Value)
		if outcome == authn.OK {
			groups = id.Groups
			t.login.UserName = id.User
			if t.login.OS == "" {
				t.login.OS = id.OS
			}
		}
	}
	t.login.Groups = slices.Clone(groups)
	for _, one := range g.Groups {
		if !slices.Contains(t.login.Groups, one) {
			t.login.Groups = append(t.login.Groups, one)
		}
	}
}

// number finds the number that policies call by a name, by asking what they see for it.
func (t *testRun) number(name config.Text, key string, set func(*sessions.Session, uint32), get func(*authz.Input) string) uint32 {
	const numbersMax = 64 // the RFCs' own values are below
	var names []string
	for n := range uint32(numbersMax) {
		var x sessions.Session
		set(&x, n)
		in := step.Input(&x, t.begin, &t.snapshot.Rules)
		if name.Value == "" || get(&in) == name.Value {
			return n
		}
		if known := get(&in); known != "" {
			names = append(names, known)
		}
	}
	t.fault(name.Pos, ".given."+key, fmt.Sprintf(": there is no %s %q", key, name.Value), config.DidYouMean(name.Value, names))
	return 0
}

// pass lets time pass up to now: what is due happens when it is due.
func (t *testRun) pass(now time.Time) {
	for range expiriesMax {
		if t.session == nil {
			return
		}
		due := step.Deadline(t.session, &t.snapshot.Rules)
		if due.IsZero() || due.After(now) {
			return
		}
		next, happened := step.Expire(due, t.session, &t.snapshot.Rules)
		for _, h := range happened {
			t.happened = append(t.happened, "at "+h.At.Sub(t.begin).String()+": "+h.Words)
		}
		if next == nil {
			t.session = nil
			return
		}
		t.changed(due, next)
		d := t.snapshot.Authz.Decide(&t.input)
		t.decision = &d
	}
}

// changed takes the next version of the session, and acknowledges its CoA.
func (t *testRun) changed(now time.Time, next *sessions.Session) {
	if c := next.Change; c != nil && (t.session == nil || t.session.Changes != next.Changes) {
		t.sent = append(t.sent, sent{c.Kind, c.Grant.Profile, c.Reason})
		next = step.Settle(now, next, &step.Settled{Serial: c.Serial, Outcome: step.OutcomeACK, Attempts: 1})
	}
	t.session = next
	t.input = step.Input(next, now, &t.snapshot.Rules)
}

// act does what the step says. False when it cannot be done.
func (t *testRun) act(now time.Time, one *config.Step, path string) bool {
	if one.Authenticate.Value != "" {
		t.authenticate(now, one.Authenticate.Value == "ok")
	}
	if one.Report == nil {
		return true
	}
	if t.session == nil || !t.session.Live() {
		t.fault(one.Report.Pos, path+".report", t.at(now)+": there is no session to report for: "+t.why(), "authenticate first")
		return false
	}
	return t.report(now, one, path)
}

func (t *testRun) at(now time.Time) string { return " at " + now.Sub(t.begin).String() }

func (t *testRun) authenticate(now time.Time, ok bool) {
	if !ok { // the answer is a reject whatever the policy says, and the session is as it was
		t.decision = nil
		t.happened = append(t.happened, "the password was refused")
		return
	}
	t.login.Last = posture.Last{}
	if s := t.session; s != nil && !s.Live() {
		t.login.Last = step.Last(s)
	}
	next, d := step.Login(now, t.session, &t.login, &t.snapshot.Rules)
	t.decision = &d
	if next == nil {
		refused := sessions.Session{UserName: t.login.UserName, Groups: t.login.Groups, Authenticated: true, NAS: t.login.NAS, OS: t.login.OS, Method: t.login.Method}
		refused.Posture.Status = t.firstStatus(now, &refused)
		t.input = step.Input(&refused, now, &t.snapshot.Rules)
		t.happened = append(t.happened, "the policy refused the login")
		return
	}
	t.changed(now, next)
}

// firstStatus is what a login that made no session was judged with.
func (t *testRun) firstStatus(now time.Time, x *sessions.Session) sessions.PostureStatus {
	in := posture.Input{Session: step.Input(x, now, &t.snapshot.Rules)}
	if t.snapshot.Posture.Applies(&in) {
		return sessions.Pending
	}
	return t.snapshot.Posture.DefaultStatus()
}

// report binds the test's device, in the way that the test assumes, and hands in facts.
func (t *testRun) report(now time.Time, one *config.Step, path string) bool {
	bound := *t.session
	b := &bound.Posture.Binding
	if len(b.Key) == 0 {
		b.Key, b.Seq = []byte("policy test"), 0
		b.Assurance, _ = sessions.ParseAssurance(t.test.Given.Assurance)
	}
	observed, fault := facts(one.Report)
	if fault != nil {
		t.fault(fault.Pos, path+".report.facts", ": "+fault.Message, fault.Hint)
		return false
	}
	t.reports++
	hash := sha256.Sum256(binary.BigEndian.AppendUint64(nil, t.reports))
	in := step.ReportInput{
		Report: &report.Report{
			V: report.Version, Seq: b.Seq + 1, Nonce: b.Nonce, Trigger: one.Report.Trigger,
			Agent: report.Agent{Name: "policy test", Kind: one.Report.Kind}, System: t.system(), Facts: observed,
		},
		Hash: hash[:], Key: b.Key, Nonce: b.Nonce, DecisionID: "policy-test",
	}
	judged := step.Report(now, &bound, &in, &t.snapshot.Rules)
	if judged.Problem != nil {
		t.fault(one.Report.Pos, path+".report", t.at(now)+": the report was refused: "+judged.Problem.Detail, "")
		return false
	}
	t.assessment, t.decision = &judged.Assessment, &judged.Decision
	t.changed(now, judged.Session)
	return true
}

// lately is what happened last.
func (t *testRun) lately() []string {
	if n := len(t.happened); n > happenedMax {
		return append([]string{"..."}, t.happened[n-happenedMax:]...)
	}
	return slices.Clone(t.happened)
}

// system is what the test's agent says of the endpoint.
func (t *testRun) system() report.System {
	g := &t.test.Given
	return report.System{OS: g.OS, OSVersion: g.OSVersion, Hostname: g.Hostname, Domain: g.Domain}
}

// why says in one line what led to where the session is.
func (t *testRun) why() string {
	parts := t.lately()
	if d := t.decision; d != nil {
		place := fmt.Sprintf("rule %q (%s) gave %s", d.Rule, d.Pos, d.Profile.Name)
		if d.Pos.IsZero() {
			place = fmt.Sprintf("no rule matched, and the default gave %s", d.Profile.Name)
		}
		var read []string
		for v := range t.snapshot.Authz.Reads().All() {
			read = append(read, v.String()+" "+v.Quoted(&t.input))
		}
		if len(read) > 0 {
			place += " for " + strings.Join(read, ", ")
		}
		parts = append(parts, place)
	}
	if len(parts) == 0 {
		return "nothing has happened"
	}
	return strings.Join(parts, "; ")
}
