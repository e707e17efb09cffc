package bench

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestBuiltInScenarios: each loads, and is what its file is called.
func TestBuiltInScenarios(t *testing.T) {
	names := Scenarios()
	for _, must := range []string{"accounting", "auth", "duplicate", "garbage", "steady"} {
		if !slices.Contains(names, must) {
			t.Errorf("there is no scenario %s", must)
		}
	}
	for _, name := range names {
		s, err := LoadScenario(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if s.Name != name || s.About == "" {
			t.Errorf("%s calls itself %q: %q", name, s.Name, s.About)
		}
	}
}

// TestScenarioFaults: what is wrong is named, all of it.
func TestScenarioFaults(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"name: x\nkind: auth\nwindw: 3\n", "windw"},
		{"name: x\nkind: radius\n", `kind is "radius", and may be auth, accounting or day`},
		{"name: x\nkind: auth\nwindow: 257\n", "window is 257, and may be 1 to 256"},
		{"name: x\nkind: auth\nports: 100000\n", "ports is 100000"},
		{"name: x\nkind: auth\ntime: 24h\n", "time is 24h0m0s, and may be up to 10m0s"},
		{"name: x\nkind: auth\nrate: -1\n", "rate is -1"},
		{"name: x\nkind: auth\ncount: 1000000000\n", "count is 1000000000"},
		{"name: x\nkind: auth\nretransmit: {initial: 40s}\n", "retransmit: initial"},
		{"name: x\nkind: auth\nobjectives: {answered: 99}\n", "objectives.answered is 99"},
		{"name: x\nkind: none\nwindow: 300\n", "window is 300"},
	} {
		if _, err := ParseScenario([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.text, err, test.want)
		}
	}
	if _, err := LoadScenario("nope"); err == nil || !strings.Contains(err.Error(), "there are accounting, auth") {
		t.Error(err)
	}
}

// TestLoopbackOnly: load is not put on networks.
func TestLoopbackOnly(t *testing.T) {
	for text, ok := range map[string]bool{
		"127.0.0.1:1812": true, "127.9.9.9:1": true, "[::1]:1812": true, "[::ffff:127.0.0.1]:1812": true,
		"10.0.0.1:1812": false, "0.0.0.0:1812": false, "[::]:1812": false, "192.0.2.1:1": false, "127.0.0.1:0": false,
	} {
		if err := Loopback(netip.MustParseAddrPort(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}
