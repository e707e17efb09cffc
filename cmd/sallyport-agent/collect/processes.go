package collect

import (
	"context"
	"path"
	"slices"
	"strings"

	"sallyport/netio/report"
)

// pathsMax bounds the files that are told for one name.
const pathsMax = 16

// answerProcesses sorts the programs that run to the names that were asked for: a name
// with a separator is the whole path, any other the last part of it. fold compares without
// regard to case.
func answerProcesses(ctx context.Context, probes, running []string, fold bool) *report.Processes {
	same := func(a, b string) bool {
		if fold {
			return strings.EqualFold(a, b)
		}
		return a == b
	}
	out := &report.Processes{Items: []report.Process{}}
	for _, name := range probes {
		if ctx.Err() != nil {
			out.Error = "there was no time for all names"
			return out
		}
		p := report.Process{Name: name, State: report.StateAbsent}
		for _, file := range running {
			slashed := strings.ReplaceAll(file, `\`, "/")
			if same(file, name) || !strings.ContainsAny(name, `/\`) && same(path.Base(slashed), name) {
				p.State = report.StateRunning
				if shown := printable(file, pathMax); !slices.Contains(p.Paths, shown) && len(p.Paths) < pathsMax {
					p.Paths = append(p.Paths, shown)
				}
			}
		}
		slices.Sort(p.Paths)
		out.Items = append(out.Items, p)
	}
	return out
}
