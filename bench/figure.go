package bench

import (
	"fmt"
	"io"
	"slices"
)

// Spread is a median and its ends.
type Spread struct {
	Least  float64 `json:"least"`
	Median float64 `json:"median"`
	Most   float64 `json:"most"`
}

func spreadOf(all []float64) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return Spread{sorted[0], (sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[n-1]}
}

func (s Spread) format(number string) string {
	return fmt.Sprintf(number+" ["+number+".."+number+"]", s.Median, s.Least, s.Most)
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
	Name   string  `json:"name"`
	Spread Spread  `json:"spread"`
	Unit   string  `json:"unit"`  // x for a ratio
	Least  bool    `json:"least"` // the target is the least that will do, not the most
	Target float64 `json:"target"`
}

// OK says whether the median reaches the target.
func (f *Figure) OK() bool {
	if f.Least {
		return f.Spread.Median >= f.Target
	}
	return f.Spread.Median <= f.Target
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
	fmt.Fprintf(out, "FIGURE %s %.3f %s %s %g %s\n", f.Name, f.Spread.Median, f.Unit, relation, f.Target, verdict)
}
