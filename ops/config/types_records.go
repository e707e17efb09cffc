package config

import (
	"strconv"
	"strings"
	"time"
)

// Records bounds what is kept of the past.
type Records struct {
	Keep      time.Duration `key:"keep" default:"30d" range:"1h..3650d"`          // posture reports on disk
	Livelog   int           `key:"livelog" default:"10000" range:"100..10000000"` // rows in memory
	Folded    int           `key:"folded" default:"10000" range:"100..10000000"`  // failures in memory that rows with a count stand for, to be opened
	NeverFold []string      `key:"never-fold"`                                    // endpoints and users whose every failure is a row of its own
	Recording Recording     `key:"recording"`
}

// Recording is where the appliance writes down what it was told, for sallyport replay.
type Recording struct {
	Pos       Pos
	File      Path `key:"file"`                                       // empty: nothing is recorded
	Megabytes int  `key:"megabytes" default:"256" range:"4..1048576"` // of FILE and its older half, FILE.1, together
}

// Reload guards the sessions against a configuration that says more than was meant.
type Reload struct {
	Pos  Pos
	Most Text `key:"most-changed"` // refuse a reload that changes more sessions than this: a number, or a share such as 5%; empty: no limit
}

// Limit is how many of so many live sessions a reload may change; false: any number.
func (r *Reload) Limit(live int) (most int, limited bool) {
	share, percent := strings.CutSuffix(r.Most.Value, "%")
	n, err := strconv.Atoi(share)
	switch {
	case err != nil || n < 0 || percent && n > 100:
		return 0, false // not given: what is wrong was refused
	case percent:
		return live * n / 100, true
	}
	return n, true
}

// Shadow is a configuration that is tried beside the one in force.
type Shadow struct {
	Pos  Pos
	File Path `key:"file"` // a whole configuration; it decides on live events, differences are counted, nothing is enforced; empty: none
}
