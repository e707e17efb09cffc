package console

import (
	"testing"
	"time"

	"sallyport/ops/clock"
)

func TestLike(t *testing.T) {
	for _, c := range []struct {
		s, pattern string
		want       bool
	}{
		{"cisco", "Cisco", true}, {"cisco", "cisc", false}, {"cisco", "cisc*", true}, {"cisco", "*", true}, {"", "*", true},
		{"00:0c:29:c9:d9:37", "00:0C:29:*", true}, {"00:0c:29:c9:d9:37", "*37", true}, {"00:0c:29:c9:d9:37", "*:c9:*", true},
		{"abab", "ab*ab", true}, {"ab", "ab*ab", false}, {"aXbXc", "a*b*c", true}, {"acb", "a*b*c", false}, {"abc", "a**c", true},
	} {
		if got := like(c.s, c.pattern); got != c.want {
			t.Errorf("like(%q, %q) = %v", c.s, c.pattern, got)
		}
	}
}

func TestMatch(t *testing.T) {
	row := &Fields{Identity: "cisco", EndpointID: "00:0c:29:c9:d9:37", NetworkDevice: "BSNS-ASA5515-11", PostureStatus: "Compliant"}
	for _, c := range []struct {
		filter Filter
		want   bool
	}{
		{Filter{}, true},
		{Filter{Fields: Fields{Identity: "CISCO", PostureStatus: "compliant"}}, true},
		{Filter{Fields: Fields{Identity: "cisco", PostureStatus: "Pending"}}, false},
		{Filter{Text: "asa5515"}, true}, {Filter{Text: "asa5516"}, false},
		{Filter{Fields: Fields{Kind: "coa"}}, false},
		{Filter{Fields: Fields{Identity: "c*"}, Text: "D9:37"}, true},
	} {
		if got := c.filter.Match(row); got != c.want {
			t.Errorf("%+v: %v", c.filter, got)
		}
		if c.filter.Empty() != (c.filter == Filter{}) {
			t.Errorf("%+v: empty?", c.filter)
		}
	}
	f := Filter{Fields: Fields{Identity: "cisco"}}
	if n := testing.AllocsPerRun(100, func() { f.Match(row) }); n != 0 {
		t.Errorf("a plain filter allocates %v times a row", n)
	}
}

// TestPacer: a page gets so many rows a second, and the others are counted.
func TestPacer(t *testing.T) {
	c := clock.NewManual(storyStart)
	p := &pacer{clock: c}
	passed := 0
	for range 1000 {
		if skipped, ok := p.next(); ok {
			passed++
			if skipped != 0 {
				t.Error("nothing was skipped before")
			}
		}
	}
	if passed != pageRate {
		t.Errorf("%d rows in one second", passed)
	}
	c.Advance(time.Second)
	if skipped, ok := p.next(); !ok || skipped != 1000-pageRate {
		t.Errorf("in the next second: %v, %d skipped", ok, skipped)
	}
}

func TestUnits(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 18408: "18.0 KiB", 5 << 30: "5.0 GiB", 1<<64 - 1: "16.0 EiB"} {
		if got := octets(n); got != want {
			t.Errorf("%d octets are %q, want %q", n, got, want)
		}
	}
	if got := seconds(442); got != "7m22s" {
		t.Errorf("442 s are %q", got)
	}
}
