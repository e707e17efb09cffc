package engine

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/ops/assert"
)

// simFlawSeeds is how many seeds a broken rule may survive: a run of all tests takes about
// as many.
const simFlawSeeds = 300

// TestBrokenRulesAreNoticed breaks one rule of the core after the other, and wants the
// simulation to notice each. It is the test of the oracles: a rule that nobody would miss
// is not watched.
func TestBrokenRulesAreNoticed(t *testing.T) {
	if testing.Short() || assert.Enabled {
		t.Skip("-short or the race detector: the flaws are looked for in a run without")
	}
	configs := simConfigs(t)
	for name, broken := range map[string]flaws{
		"answers before the commit":      {answersFirst: true},
		"skips an index":                 {skipsIndex: true},
		"uses an epoch again":            {reusesEpoch: true},
		"does not send open changes":     {forgetsChange: true},
		"counts octets twice":            {countsTwice: true},
		"publishes what was not written": {ignoresDisk: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= simFlawSeeds; seed++ {
				if r := simulate(seed, simScript(seed), broken, configs); r.failure != "" {
					rule, _, _ := strings.Cut(r.failure, ":")
					t.Logf("noticed by seed %d: %s", seed, rule)
					return
				}
			}
			t.Errorf("%d seeds noticed nothing", simFlawSeeds)
		})
	}
}

// TestSeedsThatFailed runs what failed before: seeds as they were then are in the comments,
// and what counts are the scripts, which stay what they are when the generator changes.
// The journal's own goroutines are not part of a script, so each runs twice.
func TestSeedsThatFailed(t *testing.T) {
	configs := simConfigs(t)
	entries, err := os.ReadDir("testdata/sim")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Run(strings.TrimSuffix(entry.Name(), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile("testdata/sim/" + entry.Name())
			if err != nil {
				t.Fatal(err)
			}
			ops, err := parseScript(string(text))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if r := simulate(seedOf(t, string(text)), ops, flaws{}, configs); r.failure != "" {
					t.Fatalf("%s\n%s", r.failure, strings.Join(r.trace[max(0, len(r.trace)-60):], "\n"))
				}
			}
		})
	}
}

// seedOf reads the line "# seed N".
func seedOf(t *testing.T, text string) uint64 {
	t.Helper()
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if number, ok := strings.CutPrefix(lines.Text(), "# seed "); ok {
			n, err := strconv.ParseUint(strings.Fields(number)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("there is no line: # seed N")
	return 0
}

// TestASeedIsASeed: the same seed does the same again, to the last line.
func TestASeedIsASeed(t *testing.T) {
	configs := simConfigs(t)
	for seed := range uint64(3) {
		var ops []simOp
		for _, o := range simScript(seed + 1) {
			if o.kind != "disk" { // the journal heals in a goroutine
				ops = append(ops, o)
			}
		}
		one, two := simulate(seed+1, ops, flaws{}, configs), simulate(seed+1, ops, flaws{}, configs)
		for i := range max(len(one.trace), len(two.trace)) {
			if i >= len(one.trace) || i >= len(two.trace) || one.trace[i] != two.trace[i] {
				t.Fatalf("seed %d differs in line %d:\n%s\n\n%s", seed+1, i,
					strings.Join(one.trace[max(0, i-5):min(i+5, len(one.trace))], "\n"), strings.Join(two.trace[max(0, i-5):min(i+5, len(two.trace))], "\n"))
			}
		}
		if one.endsAt < 10*time.Minute {
			t.Errorf("seed %d ends after %s: %s", seed+1, one.endsAt, one.failure)
		}
	}
}
