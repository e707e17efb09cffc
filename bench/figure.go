package bench

import (
	"fmt"
	"io"
	"slices"
)

// spread is a median and its ends.
type spread struct{ least, median, most float64 }

func spreadOf(all []float64) spread {
	if len(all) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return spread{sorted[0], (sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[n-1]}
}

func (s spread) format(number string) string {
	return fmt.Sprintf(number+" ["+number+".."+number+"]", s.median, s.least, s.most)
}

// ratios divides turn by turn: those of one round were near each other in time, and so
// had the same machine.
func ratios(over, under []float64) (all []float64) {
	for i := range min(len(over), len(under)) {
		if under[i] > 0 {
			all = append(all, over[i]/under[i])
		}
	}
	return all
}

// Figure is one number that must reach a target.
type Figure struct {
	Name   string
	Spread spread
	Unit   string // x for a ratio
	Least  bool   // the target is the least that will do, not the most
	Target float64
}

// OK says whether the median reaches the target.
func (f *Figure) OK() bool {
	if f.Least {
		return f.Spread.median >= f.Target
	}
	return f.Spread.median <= f.Target
}

// Print writes the spread for people, and the line that scripts read:
//
//	FIGURE <name> <value> <unit> <=|>= <target> ok|MISSED
func (f *Figure) Print(out io.Writer) {
	verdict, relation := "MISSED", "<="
	if f.OK() {
		verdict = "ok"
	}
	if f.Least {
		relation = ">="
	}
	fmt.Fprintf(out, "%s: %s\n", f.Name, f.Spread.format("%.3f"))
	fmt.Fprintf(out, "FIGURE %s %.3f %s %s %g %s\n", f.Name, f.Spread.median, f.Unit, relation, f.Target, verdict)
}
