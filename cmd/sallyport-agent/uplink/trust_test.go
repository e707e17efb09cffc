package uplink

import (
	"os"
	"strings"
	"testing"

	"sallyport/cmd/sallyport-agent/keep"
)

func stateDir(t *testing.T) keep.Dir {
	t.Helper()
	dir, err := keep.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestParsePin(t *testing.T) {
	digits := strings.Repeat("0123456789abcdef", 4)
	for text, ok := range map[string]bool{
		"sha256:" + digits:                                             true,
		"SHA256:" + strings.ToUpper(digits):                            true,
		"sha256:" + strings.TrimSuffix(strings.Repeat("AB:", 32), ":"): true,
		digits:                      false,
		"sha256:":                   false,
		"sha256:" + digits[1:]:      false,
		"sha1:" + digits:            false,
		"sha256:" + digits + digits: false,
	} {
		if _, err := ParsePin(text); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestNameRules(t *testing.T) {
	for _, c := range []struct {
		rule, host string
		want       bool
	}{
		{"posture.example.com", "posture.example.com", true},
		{"posture.example.com", "POSTURE.example.com.", true},
		{"posture.example.com", "x.posture.example.com", false},
		{"*.example.com", "posture.example.com", true},
		{"*.example.com", "a.b.example.com", false},
		{"*.example.com", "example.com", false},
		{"*.example.com", ".example.com", false},
		{"*.example.com", "evilexample.com", false},
		{"*", "example.com", false},
		{"*example.com", "evilexample.com", false},
		{"10.0.0.1", "10.0.0.1", true},
		{"", "", true}, // an empty host never gets here
	} {
		if got := matches(c.rule, c.host); got != c.want {
			t.Errorf("%q %q: %v", c.rule, c.host, got)
		}
	}
}

func TestMemory(t *testing.T) {
	dir := stateDir(t)
	m, err := LoadMemory(dir)
	if err != nil {
		t.Fatal(err)
	}
	save := func(id string, seq uint64) {
		t.Helper()
		if err := m.SaveSeq(id, seq); err != nil {
			t.Fatal(err)
		}
	}
	save("S1", 5)
	save("S1", 4) // never down
	for i := range sessionsMax {
		save("other"+string(rune('a'+i)), 1)
	}
	save("S1", 6) // it was taken with 5, but S1 is forgotten by now
	for i := range appliancesMax + 3 {
		if err := m.Remember("https://a" + string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
	}
	if m, err = LoadMemory(dir); err != nil {
		t.Fatal(err)
	}
	if m.Seq("S1") != 6+seqAhead-1 || m.Seq("othera") != 0 || m.Seq("otherz") != 0 {
		t.Errorf("%d %d", m.Seq("S1"), m.Seq("othera"))
	}
	if got := m.Appliances(); len(got) != appliancesMax || got[0] != "https://ak" {
		t.Errorf("%v", got)
	}
	if err := os.WriteFile(dir.Path(memoryFile), []byte("["), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadMemory(dir); err == nil {
		t.Error("a broken memory was believed")
	}
}

func FuzzRedirect(f *testing.F) {
	f.Add("https://posture:8443/portal/gateway?sessionId=0a30&ticket=abc")
	f.Add("http://[::1]/portal/gateway?sessionId=%00&ticket=")
	f.Add("https://[fe80::1%25eth0]:8443/portal/gateway?ticket=a;b&sessionId=c")
	f.Fuzz(func(t *testing.T, location string) {
		found, err := parseRedirect(location)
		if err == nil && (!strings.HasPrefix(found.Appliance, "https://") || found.SessionID == "" || found.Ticket == "" ||
			len(found.SessionID) > sessionIDMax || len(found.Ticket) > ticketMax) {
			t.Fatalf("%q gave %+v", location, found)
		}
	})
}
