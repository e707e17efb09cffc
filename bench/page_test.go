package bench

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// wellFormed reads every drawing of a page as XML.
func wellFormed(t *testing.T, page string) (drawings int) {
	t.Helper()
	for at := strings.Index(page, "<svg"); at >= 0; at = strings.Index(page, "<svg") {
		end := strings.Index(page, "</svg>") + len("</svg>")
		d := xml.NewDecoder(strings.NewReader(page[at:end]))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v in %s", err, page[at:end])
			}
		}
		page = page[end:]
		drawings++
	}
	return drawings
}

// TestResultPage: one file that needs nothing else, with every plot that the result has.
func TestResultPage(t *testing.T) {
	r := fixed(t)
	r.Scenario.About = "<b>not markup</b>"
	r.Knee = &Knee{Rate: 900, Steps: []Step{{Rate: 1100, Answers: 1000}, {Rate: 900, Answers: 900, Good: true}}}
	r.Overload = &Overload{Begin: 0.2, End: 0.5, Times: 10}
	r.Storm = &Flooded{Series: moments(6, func(int) Moment { return Moment{Replies: 40} })}
	dir := t.TempDir()
	if err := r.Save(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "auth.html"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	if n := wellFormed(t, page); n != 5 {
		t.Errorf("%d plots, want 5", n)
	}
	for _, bad := range []string{"<script", "src=", "href=", "@import", "<b>not", "NaN", "Inf"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, want := range []string{"10.0 times the knee", "a CPU", "answers       1000 a second", "99.9%"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// TestAxis: ticks are round, few, and within the axis.
func TestAxis(t *testing.T) {
	for _, test := range []struct {
		a    axis
		want []float64
	}{
		{axis{low: 0, high: 10}, []float64{0, 2, 4, 6, 8, 10}},
		{axis{low: 0, high: 93_000}, []float64{0, 20_000, 40_000, 60_000, 80_000}},
		{axis{low: 3, high: 5}, []float64{3, 3.5, 4, 4.5, 5}},
		{axis{low: 0.01, high: 100, log: true}, []float64{0.01, 0.1, 1, 10, 100}},
	} {
		test.a.from, test.a.to = 0, 100
		got := test.a.ticks()
		if len(got) != len(test.want) {
			t.Errorf("%+v: %v, want %v", test.a, got, test.want)
			continue
		}
		for i := range got {
			if diff := got[i] - test.want[i]; diff > 1e-9 || diff < -1e-9 {
				t.Errorf("%+v: %v, want %v", test.a, got, test.want)
			}
		}
		if test.a.at(test.a.low) != 0 || test.a.at(test.a.high) != 100 {
			t.Errorf("%+v: the ends are at %g and %g", test.a, test.a.at(test.a.low), test.a.at(test.a.high))
		}
	}
	empty := (&chart{lines: []line{{name: "nothing"}}}).svg()
	if strings.Contains(empty, "NaN") || wellFormed(t, empty) != 1 {
		t.Error(empty)
	}
	for v, want := range map[float64]string{1_500_000: "1.5M", 93_000: "93k", 0.5: "0.5", 0: "0", 999: "999"} {
		if got := short(v); got != want {
			t.Errorf("%g is %q, want %q", v, got, want)
		}
	}
}

// fieldOf makes lanes whose turns have these rates and microseconds of CPU.
func fieldOf(t *testing.T, rates, cpu map[string][]float64) (*contest, map[string]*lane) {
	t.Helper()
	c := &contest{how: Comparison{Rounds: 3, Turn: time.Second, Command: "compare"}}
	lanes := map[string]*lane{}
	for name, all := range rates {
		l := &lane{name: name, tries: len(all)}
		for i, rate := range all {
			r := fixed(t)
			r.Rate, r.ServerCPU, r.Missed, r.Inside = rate, cpu[name][i], nil, &Inside{Allocs: 0.0002}
			l.turns = append(l.turns, r)
		}
		lanes[name] = l
		c.lanes = append(c.lanes, l)
	}
	slices.SortFunc(c.lanes, func(a, b *lane) int { return strings.Compare(a.name, b.name) })
	return c, lanes
}

// TestFigures: every figure of the contract, each from what it says, by its own rule.
func TestFigures(t *testing.T) {
	flat := func(v float64) []float64 { return []float64{v, v, v} }
	c, l := fieldOf(t,
		map[string][]float64{
			"auth": {120e3, 140e3, 130e3}, "fresh": flat(60e3), "acct": flat(160e3), "repeated": flat(50e3), "threads": flat(20e3),
			"tuned": flat(26e3), "detail": flat(19e3), "detailTuned": flat(25e3), "echo": flat(150e3), "layeh": flat(80e3),
		},
		map[string][]float64{
			"auth": flat(5), "fresh": flat(9), "acct": flat(5), "repeated": flat(5 + duplicatesEach*2), "threads": flat(40),
			"tuned": flat(25), "detail": flat(50), "detailTuned": flat(38), "echo": flat(4), "layeh": flat(12),
		})
	over := fixed(t)
	over.Scenario, over.Knee = *scenario("overload"), &Knee{Rate: 100e3}
	over.Overload = &Overload{Times: 10, Ratio: 0.93}
	over.Storm = &Flooded{}
	r := c.report(&field{auth: l["auth"], fresh: l["fresh"], acct: l["acct"], repeated: l["repeated"], threads: l["threads"], tuned: l["tuned"],
		detail: l["detail"], detailTuned: l["detailTuned"], echo: l["echo"], layeh: l["layeh"], overloads: []*Result{over}})
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		"FIGURE pap_vs_freeradius_default 6.500 x >= 6 ok",
		"FIGURE pap_vs_freeradius_tuned 5.000 x >= 3.5 ok",
		"FIGURE acct_vs_freeradius_detail 8.421 x >= 8 ok",
		"FIGURE duplicate_cost_ratio 0.400 x <= 0.7 ok",
		"FIGURE allocs_per_packet 0.000 objects <= 0 ok",
		"exactly 0.00020 [0.00020..0.00020]; below 0.001 counts as 0",
		"FIGURE pap_vs_echo 0.800 x >= 0.65 ok", // 0.867 by answers, 0.8 by CPU
		"FIGURE overload_goodput_ratio 0.930 x >= 0.9 ok",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	over.Overload.Times = 7
	c.lanes = nil
	slow := c.report(&field{auth: l["auth"], echo: l["tuned"], overloads: []*Result{over}})
	if err := slow.print(io.Discard); err == nil || !strings.Contains(err.Error(), "7.0 times the knee were offered") {
		t.Error("less than ten times the knee is an overload:", err)
	}
	dir := t.TempDir()
	if err := r.save(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "compare.html"))
	if err != nil || wellFormed(t, string(page)) != 4 || !strings.Contains(string(page), "pap_vs_echo") {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "compare.json"))
	var again map[string]any
	if err != nil || json.Unmarshal(text, &again) != nil || len(again["figures"].([]any)) != 7 {
		t.Error(err, again["figures"])
	}
}
