package expr

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/ops/config"
	"sallyport/sessions"
)

const allVars = Vars(1<<vars - 1)

// sample gives every variable a value of its own.
func sample() Input {
	return Input{
		Authenticated: true, Posture: sessions.Compliant, User: "user", Groups: []string{"b", "a"}, NAS: "nas", NASGroup: "group",
		Method: "pap", Assurance: sessions.Ticket, CallingStationID: "calling", CalledStationID: "called", TunnelGroup: "tunnel",
		NASPortType: "Ethernet", ServiceType: "Framed", FramedIP: "10.0.0.1", OS: "linux", MAC: "mac", Agent: "agent",
		Time: time.Unix(1e9, 0), // Sunday 01:46 UTC
	}
}

// other is a value that sample does not have.
func other(v Var) string {
	switch v {
	case Authenticated:
		return "false"
	case InGrace:
		return "true"
	case Posture:
		return "Pending"
	case Assurance:
		return "none"
	case Hour, Weekday:
		return "5"
	}
	return "other"
}

// TestKeyHoldsExactlyTheSet: for every variable and every set, a change of the variable
// changes the key when, and only when, it is in the set.
func TestKeyHoldsExactlyTheSet(t *testing.T) {
	before := sample()
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		set := Vars(r.Uint64()) & allVars
		for v := range allVars.All() {
			after, ok := v.With(before, other(v))
			if !ok || v.Value(&after) == v.Value(&before) {
				t.Fatalf("%s was not changed to %s", v, other(v))
			}
			same := string(set.AppendKey(nil, &before)) == string(set.AppendKey(nil, &after))
			if same == set.Has(v) {
				t.Fatalf("set %b: %s changed, keys the same: %v", set, v, same)
			}
		}
	}
}

// TestKeysCannotBeConfused: where one value ends and the next begins is in the key.
func TestKeysCannotBeConfused(t *testing.T) {
	for _, pair := range [][2]Input{
		{{User: "a", NAS: "bc"}, {User: "ab", NAS: "c"}},
		{{Groups: []string{"a", "b"}}, {Groups: []string{"ab"}}},
		{{Groups: []string{"a"}, User: "b"}, {Groups: []string{"a", "b"}}},
		{{User: "\x01a"}, {NAS: "a"}},
		{{User: strings.Repeat("a", 128)}, {User: strings.Repeat("a", 129)}},
	} {
		set := Vars(1<<User | 1<<NAS | 1<<Groups)
		if string(set.AppendKey(nil, &pair[0])) == string(set.AppendKey(nil, &pair[1])) {
			t.Errorf("%+v and %+v have one key", pair[0], pair[1])
		}
	}
}

// TestGroupsHaveNoOrder: the same groups in another order, or twice, are the same.
func TestGroupsHaveNoOrder(t *testing.T) {
	set := Vars(1 << Groups)
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 3 * groupRoom {
		var in Input
		for i := range n {
			in.Groups = append(in.Groups, string(rune('a'+i%26))+string(rune('a'+i/26)))
		}
		want := string(set.AppendKey(nil, &in))
		in.Groups = append(slices.Clone(in.Groups), in.Groups[:n/2]...)
		r.Shuffle(len(in.Groups), func(i, j int) { in.Groups[i], in.Groups[j] = in.Groups[j], in.Groups[i] })
		before := slices.Clone(in.Groups)
		if got := string(set.AppendKey(nil, &in)); got != want {
			t.Fatalf("%d groups: another key", n)
		}
		if !slices.Equal(before, in.Groups) {
			t.Fatal("the groups were put in order in place")
		}
	}
}

func TestWith(t *testing.T) {
	for v := range allVars.All() {
		before := sample()
		after, ok := v.With(before, other(v))
		got := v.Value(&after)
		if v == Failed {
			if got != "other" {
				t.Errorf("failed: %s", got)
			}
			continue
		}
		if v == Groups {
			if got != "a, b, other" {
				t.Errorf("groups: %s", got)
			}
			back, _ := v.With(after, "other")
			got = v.Value(&back)
			if got != "a, b" || !slices.Equal(before.Groups, []string{"b", "a"}) {
				t.Errorf("groups: %s, and before %v", got, before.Groups)
			}
			continue
		}
		if !ok || got != other(v) {
			t.Errorf("%s: %q, want %q", v, got, other(v))
		}
		for w := range allVars.All() {
			if w != v && w.Value(&before) != w.Value(&after) {
				t.Errorf("%s changed %s", v, w)
			}
		}
	}
	for v, bad := range map[Var]string{Posture: "Sick", Authenticated: "yes", Assurance: "strong", Hour: "24", Weekday: "-1"} {
		if _, ok := v.With(sample(), bad); ok {
			t.Errorf("%s took %q", v, bad)
		}
	}
}

func TestKeyAllocatesNothing(t *testing.T) {
	for i := range groupRoom {
		in := sample()
		for j := range i {
			in.Groups = append(in.Groups, string(rune('z'-j)))
		}
		in.Groups = in.Groups[2:] // out of order
		n := testing.AllocsPerRun(100, func() {
			var room [1024]byte
			here := in
			if len(allVars.AppendKey(room[:0], &here)) == 0 {
				t.Fatal("no key")
			}
		})
		if n != 0 {
			t.Fatalf("%d groups: %v allocations", i, n)
		}
	}
}

// FuzzCompile: whatever is written, a fault or a condition comes back; the condition
// evaluates without a panic, and only what it says it reads can change its result.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`session.authenticated && session.posture == "Compliant"`, `session.groups.exists(g, g == "a")`, `{"a": [1]}["a"][0] == time.hour`,
		`size(session.groups.map(g, g + "x").filter(g, g.matches("a+"))) > 1`, `timestamp("2026-01-01T00:00:00Z").getFullYear() == 2026`,
		`session.user == r"a" ? true : !(endpoint.os in ["linux", ""])`, `"é\u00e9" == session.nas`, `((`, `a.b.c(d)`, `type(session.user) == string`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, faults := Compile(config.Text{Value: text}, "when")
		if (c == nil) != (len(faults) > 0) {
			t.Fatalf("%v %v", c, faults)
		}
		for _, fault := range faults {
			if fault.Message == "" {
				t.Fatal("a fault without words")
			}
		}
		if c == nil {
			return
		}
		in := sample()
		want, wantErr := c.Eval(&in)
		c.Trace(&in)
		for v := range allVars.All() {
			if c.Reads().Has(v) {
				continue
			}
			changed, _ := v.With(in, other(v))
			if got, err := c.Eval(&changed); got != want || (err == nil) != (wantErr == nil) {
				t.Fatalf("%s is not read, and changes the result", v)
			}
		}
	})
}
