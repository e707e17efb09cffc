package authz

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
	"time"

	"sallyport/engine/expr"
	"sallyport/ops/config"
	"sallyport/sessions"
)

var (
	rewrite = flag.Bool("rewrite", false, "write the golden output anew")
	seed    = flag.Uint64("seed", 0, "of the random inputs; 0: by the time")
)

// load reads a configuration as serve does: the authorization part is given, the rest
// is as small as can be.
func load(t testing.TB, authorization string) (*config.Config, string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(path, []byte(authorization), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, faults := config.Load(path)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return c, dir
}

func compile(t testing.TB, authorization string) *Policy {
	t.Helper()
	c, _ := load(t, "appliance: {name: posture-1.example.com}\n"+authorization)
	p, faults, _ := Compile(&c.Authorization, Options{Host: "posture-1.example.com:8443"})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return p
}

func remembering(t testing.TB, p *Policy) *Policy {
	t.Helper()
	m, err := NewMemo(16 << 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	p.Remember(m)
	return p
}

const reference = `
authorization:
  dacls: {PERMIT_ALL_TRAFFIC: ["permit ip any any"]}
  profiles:
    PermitAccess:     {dacl: PERMIT_ALL_TRAFFIC}
    Posture_Redirect: {redirect: {portal: client-provisioning, acl: ACL_WEBAUTH_REDIRECT}}
  rules:
    - {rule: Compliant_Devices_Access, when: 'session.authenticated && session.posture == "Compliant"', profile: PermitAccess}
    - {rule: Posture_Unknown,          when: 'session.posture != "Compliant"', profile: Posture_Redirect}
  default: DenyAccess
`

func TestReferencePolicy(t *testing.T) {
	p := compile(t, reference)
	for _, c := range []struct {
		in      Input
		rule    string
		profile string
	}{
		{Input{Authenticated: true, Posture: sessions.Compliant}, "Compliant_Devices_Access", "PermitAccess"},
		{Input{Authenticated: true, Posture: sessions.Pending}, "Posture_Unknown", "Posture_Redirect"},
		{Input{Authenticated: true, Posture: sessions.NotApplicable}, "Posture_Unknown", "Posture_Redirect"},
		{Input{Posture: sessions.Compliant}, "Default", "DenyAccess"},
	} {
		d := p.Decide(&c.in)
		if d.Rule != c.rule || d.Profile.Name != c.profile || d.Default != (c.rule == "Default") || (d.Index < 0) != d.Default {
			t.Errorf("%+v: %+v", c.in, d)
		}
	}
	if want := expr.Vars(1<<expr.Posture | 1<<expr.Authenticated); p.Reads() != want {
		t.Errorf("reads %b, want %b", p.Reads(), want)
	}
}

// everything reads every variable, in every way that the language has.
const everything = `
authorization:
  profiles: {A: {vlan: a}, B: {vlan: b}, C: {vlan: c}, D: {vlan: d}, E: {vlan: e}, F: {vlan: f}}
  exceptions:
    - {rule: X1, when: 'session.user.lowerAscii() == "root" && session.nas != "n1"', profile: DenyAccess}
  rules:
    - {rule: R1, when: 'session.authenticated && session.posture in ["Compliant", "NotApplicable"] && session.assurance == "ticket"', profile: A}
    - {rule: R2, when: '"admins" in session.groups && time.hour >= 8 && time.hour < 18 && time.weekday in [1, 2, 3, 4, 5]', profile: B}
    - {rule: R3, when: 'session.groups.exists(g, g.startsWith("vip")) || session.groups.size() > 3', profile: C}
    - {rule: R4, when: 'session.groups[1] == "staff"', profile: D}
    - {rule: R5, when: 'int(session.tunnel_group) > 5 && session.method != "mab"', profile: E}
    - {rule: R6, when: 'session.nas_group == "g1" && session.calling_station_id.matches("^00-..") && endpoint.mac.endsWith("f")', profile: F}
    - {rule: R7, when: 'session.called_station_id + session.nas_port_type == "aa" ? session.service_type == "a" : endpoint.agent == "a"', profile: A}
    - {rule: R8, when: 'session.framed_ip == "a" && endpoint.os == "linux"', profile: B}
`

func randomInput(r *rand.Rand) Input {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	word := func() string { return pick("", "a", "b", "n1", "g1", "7", "3", "00-1f", "root", "ROOT") }
	in := Input{
		Authenticated: r.IntN(2) == 0, Posture: sessions.PostureStatus(r.IntN(5)), Assurance: sessions.Assurance(r.IntN(3)),
		User: word(), NAS: word(), NASGroup: word(), Method: pick("pap", "mab", ""), CallingStationID: word(), CalledStationID: word(),
		TunnelGroup: word(), NASPortType: word(), ServiceType: word(), FramedIP: word(), OS: pick("", "linux", "windows"),
		MAC: word(), Agent: word(), Time: time.Unix(r.Int64N(14*24*3600), 0),
	}
	for range r.IntN(6) {
		in.Groups = append(in.Groups, pick("admins", "vip1", "staff", "a", "z"))
	}
	return in
}

// TestRememberedEqualsEvaluated: whatever the inputs and their order, the memory says
// what the rules say.
func TestRememberedEqualsEvaluated(t *testing.T) {
	p := remembering(t, compile(t, everything))
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", *seed)
	r := rand.New(rand.NewPCG(*seed, 0))
	pool := make([]Input, 300) // few enough that they come again
	for i := range pool {
		pool[i] = randomInput(r)
	}
	rules := map[string]int{}
	for range 20000 {
		in := pool[r.IntN(len(pool))]
		r.Shuffle(len(in.Groups), func(i, j int) { in.Groups[i], in.Groups[j] = in.Groups[j], in.Groups[i] })
		before := in
		before.Groups = append([]string(nil), in.Groups...)
		got, want := p.Decide(&in), p.evaluate(&before)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: %+v\nremembered %+v\nevaluated  %+v", *seed, in, got, want)
		}
		if !reflect.DeepEqual(in, before) {
			t.Fatalf("seed %d: the input was changed: %+v, was %+v", *seed, in, before)
		}
		rules[got.Rule]++
	}
	if hits, misses := p.memo.Stats(); hits < 10000 || misses < 200 {
		t.Errorf("%d hits, %d misses: the memory is not what was tested", hits, misses)
	}
	if len(rules) < 7 {
		t.Errorf("only the rules %v decided", rules)
	}
}

// TestReadsDecideAlone: a variable that is not read cannot change a decision, and one
// that is read makes another key.
func TestReadsDecideAlone(t *testing.T) {
	const s = 7
	r := rand.New(rand.NewPCG(s, 0))
	p := compile(t, reference)
	for range 2000 {
		a, b := randomInput(r), randomInput(r)
		b.Authenticated, b.Posture = a.Authenticated, a.Posture
		if p.Decide(&a).Rule != p.Decide(&b).Rule {
			t.Fatalf("seed %d: %+v and %+v differ", s, a, b)
		}
		if string(p.reads.AppendKey(nil, &a)) != string(p.reads.AppendKey(nil, &b)) {
			t.Fatalf("seed %d: keys of %+v and %+v differ", s, a, b)
		}
	}
}

// TestSameSumIsNoMatch: two keys with one hash are two decisions.
func TestSameSumIsNoMatch(t *testing.T) {
	m, err := NewMemo(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.put(42, []byte("one"), &Decision{Rule: "one"})
	m.cache.Wait()
	if d := m.get(42, []byte("one")); d == nil || d.Rule != "one" {
		t.Fatalf("one: %v", d)
	}
	if d := m.get(42, []byte("two")); d != nil {
		t.Fatalf("two has the decision of one: %v", d)
	}
}

// TestMemoOutlivesPolicies: one memory, two policies, no decision of the other.
func TestMemoOutlivesPolicies(t *testing.T) {
	first := remembering(t, compile(t, reference))
	second := compile(t, "authorization: {rules: [{rule: all, when: 'session.posture != \"Pending\" || session.authenticated', profile: PermitAccess}]}")
	second.Remember(first.memo)
	in := Input{Authenticated: true, Posture: sessions.Pending}
	for range 3 {
		if d := first.Decide(&in); d.Rule != "Posture_Unknown" {
			t.Fatal(d)
		}
		if d := second.Decide(&in); d.Rule != "all" {
			t.Fatal(d)
		}
		first.memo.cache.Wait()
	}
	if hits, _ := first.memo.Stats(); hits != 4 {
		t.Errorf("%d hits, want 4", hits)
	}
	first.memo.Close()
	if d := first.Decide(&in); d.Rule != "Posture_Unknown" {
		t.Fatal("after the memory was closed: ", d)
	}
}

// TestRunTimeErrorIsNoMatch: the rule is passed over, and the decision says so, when it
// is remembered as well.
func TestRunTimeErrorIsNoMatch(t *testing.T) {
	p := remembering(t, compile(t, everything))
	in := Input{TunnelGroup: "none", Method: "pap"}
	for range 2 {
		d := p.Decide(&in)
		if !d.Default || len(d.Errors) != 2 || d.Errors[0].Rule != "R4" || d.Errors[1].Rule != "R5" || d.Errors[1].Pos.Line == 0 {
			t.Fatalf("%+v", d)
		}
		p.memo.cache.Wait()
	}
}

// TestDecideAllocatesNothing: 1,000 runs average below one. The cache's own notes cost
// 512 octets every 64 look-ups, see Memo.
func TestDecideAllocatesNothing(t *testing.T) {
	p := remembering(t, compile(t, everything))
	in := Input{
		Authenticated: true, User: "cisco", Groups: []string{"staff", "employees", "admins"}, NAS: "BSNS-ASA5515-11", Method: "pap",
		CallingStationID: "192.0.2.7", CalledStationID: "198.51.100.1", TunnelGroup: "RA", Time: time.Unix(1e9, 0),
	}
	p.Decide(&in)
	p.memo.cache.Wait()
	rule := ""
	n := testing.AllocsPerRun(1000, func() {
		here := in // as callers do: made for the call
		d := p.Decide(&here)
		rule = d.Rule
	})
	if n != 0 {
		t.Errorf("%v allocations a decision", n)
	}
	if hits, _ := p.memo.Stats(); hits < 1000 || rule == "" {
		t.Errorf("%d hits: the hit path is not what was measured", hits)
	}
}

func BenchmarkDecide(b *testing.B) {
	run := func(authorization string, in Input, remember bool) func(*testing.B) {
		return func(b *testing.B) {
			p := compile(b, authorization)
			if remember {
				remembering(b, p)
				p.Decide(&in)
				p.memo.cache.Wait()
			}
			b.ReportAllocs()
			for b.Loop() {
				here := in
				p.Decide(&here)
			}
		}
	}
	in := Input{
		Authenticated: true, Posture: sessions.Pending, User: "cisco", Groups: []string{"employees"}, NAS: "BSNS-ASA5515-11", Method: "pap",
		CallingStationID: "192.0.2.7", CalledStationID: "198.51.100.1", TunnelGroup: "RA", Time: time.Unix(1e9, 0),
	}
	b.Run("reference/remembered", run(reference, in, true))
	b.Run("reference/evaluated", run(reference, in, false))
	b.Run("everything/remembered", run(everything, in, true))
	b.Run("everything/evaluated", run(everything, in, false))
	many := "authorization:\n  rules:\n"
	for i := range 200 {
		many += "    - {rule: r" + strconv.Itoa(i) + ", when: 'session.user == \"u" + strconv.Itoa(i) + "\"', profile: PermitAccess}\n"
	}
	b.Run("200 rules/remembered", run(many, in, true))
	b.Run("200 rules/evaluated", run(many, in, false))
}
