package config

import (
	"testing"
	"time"
)

func TestMACSpellings(t *testing.T) {
	for _, s := range []string{
		"00:50:56:aa:bb:cc", "00-50-56-AA-BB-CC", "0050.56aa.bbcc", "005056AABBCC", "0050-56aa-bbcc", "00.50.56.aa.bb.cc",
	} {
		if got, ok := CanonicalMAC(s); !ok || got != "00:50:56:aa:bb:cc" {
			t.Errorf("%s: %q %v", s, got, ok)
		}
	}
	for _, s := range []string{
		"", "00:50:56:aa:bb", "00:50:56:aa:bb:cc:dd", "00:50:56-aa:bb:cc", "0:0505:6aa:bb:ccx", "00505:6aabbcc",
		"00:50:56:aa:bb:cg", "::::::::::::", "0050.56aa:bbcc", "10.48.66.202", "00:50:56:aa:bb:c:",
	} {
		if got, ok := CanonicalMAC(s); ok {
			t.Errorf("%q is taken for the MAC %s", s, got)
		}
	}
	raw := []byte("00-50-56-AA-BB-CC")
	if n := testing.AllocsPerRun(100, func() { ParseMAC(raw) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDurations(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "5d": 120 * time.Hour, "1w2d3h": (9*24 + 3) * time.Hour, "1.5h": 90 * time.Minute,
		"250ms": 250 * time.Millisecond, "0": 0, "0s": 0, "1d12h": 36 * time.Hour,
	} {
		if got, err := parseDuration(s); err != nil || got != want {
			t.Errorf("%s: %v %v", s, got, err)
		}
	}
	for _, s := range []string{"", "5", "d", "-5d", "5dd", "5d-1h", "1y", "5 m", "+5m", "99999999999d"} {
		if got, err := parseDuration(s); err == nil {
			t.Errorf("%q is taken for %v", s, got)
		}
	}
}

func TestNearest(t *testing.T) {
	among := []string{"Compliant", "NonCompliant", "Pending", "NotApplicable", "session-timeout"}
	for word, want := range map[string]string{
		"compliant": "Compliant", "Complaint": "Compliant", "NonComplient": "NonCompliant", "Non-Compliant": "NonCompliant",
		"sessionTimeout": "session-timeout", "Pend": "Pending", "quarantine": "", "": "", "x": "",
	} {
		if got := Nearest(word, among); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func TestExpiry(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, one := range []struct {
		expires          time.Time
		faults, warnings int
	}{
		{now.Add(-time.Second), 1, 0},
		{now.Add(13 * 24 * time.Hour), 0, 1},
		{now.Add(15 * 24 * time.Hour), 0, 0},
	} {
		l := &loader{}
		l.checkExpiry(Pos{}, one.expires, now)
		if len(l.faults) != one.faults || len(l.warnings) != one.warnings {
			t.Errorf("%v: %v %v", one.expires, l.faults, l.warnings)
		}
	}
}

// TestSchemaDefaultsAreSound converts every default and bound of the schema, so that
// setDefault cannot fail later.
func TestSchemaDefaultsAreSound(t *testing.T) {
	l := &loader{lines: map[string][]string{}, config: &Config{}}
	d := l.decoder()
	places := schemaOf(reflectConfig)
	if len(places) < 80 {
		t.Errorf("the schema has %d keys", len(places))
	}
	for _, v := range sampleValues() {
		d.finishValue(v, "", Pos{})
	}
}
