package bench

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "rewrite golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatalf("%s is\n%s, want\n%s; -rewrite accepts it", name, got, want)
	}
}

// fixed is a result of known numbers.
func fixed(t *testing.T) *Result {
	t.Helper()
	s := scenario("auth")
	s.Time = time.Second
	s.Objectives = Objectives{Answered: 1, P50: 400 * time.Microsecond, P99: time.Second, Rate: 2000}
	tally := newTally(0, second)
	for i := range int64(1000) {
		tally.issue(i * second / 1000)
		tally.answer(i*second/1000+i*1000, &slot{due: i * second / 1000, tries: 1})
	}
	tally.Counts.Requests, tally.Counts.Datagrams, tally.Counts.Received = 1001, 1006, 1003
	tally.Counts.Retransmitted, tally.Counts.GivenUp, tally.Counts.Wrong = 5, 1, 3
	l := &load{scenario: s, end: second}
	r := &Result{
		Scenario: *s, Seed: 42, Target: "127.0.0.1:1812", Server: "sallyport", Begun: time.Unix(1800000000, 0).UTC(),
		Machine: Machine{CPU: "a CPU", CPUs: 2, MemoryMB: 1024, Kernel: "6", Go: "go"}, Pinned: true,
		Counts: tally.Counts, Rate: tally.rate(l), Latency: latencyOf(tally.latency), histogram: tally.latency, Series: tally.series.whole(), First: 0.95, ServerCPU: 12.34,
		Used: Used{Server: 0.5, Generator: 0.25, Foreign: 0.02, Steal: 0.01},
	}
	r.judge()
	return r
}

// TestResultText: the table, the JSON object and the distribution, as they are printed.
func TestResultText(t *testing.T) {
	r := fixed(t)
	var table, object, percentiles strings.Builder
	for _, err := range []error{r.Table(&table), r.JSON(&object), r.Percentiles(&percentiles)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "result.txt", table.String())
	golden(t, "result.json", object.String())
	golden(t, "result.hgrm", percentiles.String())
	dir := t.TempDir()
	if err := r.Save(dir); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "auth.json")); err != nil || string(text) != object.String() {
		t.Fatal("auth.json is not the JSON object", err)
	}
}

// TestNothingSentIsMissed: a run that did nothing has not reached its objectives.
func TestNothingSentIsMissed(t *testing.T) {
	r := &Result{}
	if r.judge(); len(r.Missed) == 0 {
		t.Fatal("no objective missed")
	}
}

// TestFigureLine: the line is as scripts read it, and the median decides.
func TestFigureLine(t *testing.T) {
	for _, test := range []struct {
		f    Figure
		want string
	}{
		{Figure{"a", spreadOf([]float64{7, 5, 6.5}), "x", true, 6}, "a: 6.500 [5.000..7.000]\nFIGURE a 6.500 x >= 6 ok\n"},
		{Figure{"b", spreadOf([]float64{7, 5}), "x", true, 6.1}, "b: 6.000 [5.000..7.000]\nFIGURE b 6.000 x >= 6.1 MISSED\n"},
		{Figure{"c", spreadOf([]float64{0.5}), "allocs", false, 0.001}, "c: 0.500 [0.500..0.500]\nFIGURE c 0.500 allocs <= 0.001 MISSED\n"},
		{Figure{"d", spreadOf(nil), "x", true, 1}, "d: 0.000 [0.000..0.000]\nFIGURE d 0.000 x >= 1 MISSED\n"},
	} {
		var out strings.Builder
		test.f.Print(&out)
		if out.String() != test.want {
			t.Errorf("got\n%swant\n%s", out.String(), test.want)
		}
	}
}

// TestRatiosArePaired: turn by turn, and a server that answered nothing gives no ratio.
func TestRatiosArePaired(t *testing.T) {
	if got := ratios([]float64{10, 30, 5}, []float64{5, 10, 0}); len(got) != 2 || got[0] != 2 || got[1] != 3 {
		t.Fatal(got)
	}
}
