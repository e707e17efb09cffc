// Package main measures the policy: how long an assessment takes, what a packet's
// authorization costs, and how long a running appliance needs to bring another configuration
// of a large site into force, while it answers logins.
//
//	assess_us      1,000 facts of every kind against 200 requirements
//	decide_ns      a decision that was made before for the same values
//	decide_allocs  its allocations
//	reload_s       5,000 NASes, 500 rules, 200 requirements: read, checked, compiled, tested, in force
//
// Each figure is the median of some runs. A figure that is missed makes the exit status 1.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sallyport/bench"
	"sallyport/engine/authz"
	"sallyport/engine/expr"
	"sallyport/engine/policy"
	"sallyport/ops/clock"
	"sallyport/sessions"
)

// runs is how often each figure is taken; its median counts.
const runs = 5

var wall clock.System

func main() {
	dir, err := os.MkdirTemp("", "bench-policy")
	if err == nil {
		err = measure(dir)
	}
	os.RemoveAll(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-policy:", err)
		os.Exit(1)
	}
}

func measure(dir string) error {
	path := filepath.Join(dir, "sallyport.yaml")
	if err := write(dir, 5000, 500, 200); err != nil {
		return err
	}
	snap, _, faults := policy.Load(path)
	if err := faults.Err(); err != nil {
		return err
	}
	assess, err := assessTime(snap)
	if err != nil {
		return err
	}
	decide, allocs, err := decideCost(snap)
	if err != nil {
		return err
	}
	reload, err := reloadTime(path)
	if err != nil {
		return err
	}
	sound := true
	for _, f := range []bench.Figure{
		{Name: "assess_us", Spread: assess(1e6), Unit: "us", Target: 200},
		{Name: "decide_ns", Spread: decide(1e9), Unit: "ns", Target: 150},
		{Name: "decide_allocs", Spread: bench.Spread{Least: allocs, Median: allocs, Most: allocs}, Unit: "allocs", Target: 0},
		{Name: "reload_s", Spread: reload(1), Unit: "s", Target: 1},
	} {
		f.Print(os.Stdout)
		sound = sound && f.OK()
	}
	if !sound {
		return errors.New("a figure was missed")
	}
	return nil
}

// spans are what several runs took, made a spread of some unit by its number a second.
type spans func(perSecond float64) bench.Spread

// assessTime is how long one assessment of everything takes.
func assessTime(snap *policy.Snapshot) (spans, error) {
	in := everything()
	now := in.FactsAt
	a := snap.Posture.Assess(now, in)
	if len(a.Rules) != 200 || a.Status != sessions.Compliant {
		return nil, fmt.Errorf("the assessment is not the one to measure: %v with %d requirements: %s", a.Status, len(a.Rules), a.Message)
	}
	fmt.Printf("assess: %d facts, %d requirements, %v\n", facts(in.Facts), len(a.Rules), a.Status)
	return median(func() time.Duration { return each(2000, func() { snap.Posture.Assess(now, in) }) }), nil
}

// decideCost is what a decision costs that the memory knows.
func decideCost(snap *policy.Snapshot) (spans, float64, error) {
	memo, err := authz.NewMemo(16 << 20)
	if err != nil {
		return nil, 0, err
	}
	defer memo.Close()
	snap.Authz.Remember(memo)
	in := user(7)
	want := snap.Authz.Decide(&in)
	deadline := wall.Now().Add(5 * time.Second)
	for hits, _ := memo.Stats(); hits == 0; hits, _ = memo.Stats() {
		if snap.Authz.Decide(&in); wall.Now().After(deadline) {
			return nil, 0, errors.New("no decision is remembered")
		}
	}
	if got := snap.Authz.Decide(&in); got.Rule != want.Rule || got.Default {
		return nil, 0, fmt.Errorf("the remembered decision is %q, evaluated it was %q", got.Rule, want.Rule)
	}
	allocs := testing.AllocsPerRun(10000, func() { snap.Authz.Decide(&in) })
	return median(func() time.Duration { return each(1_000_000, func() { snap.Authz.Decide(&in) }) }), allocs, nil
}

func user(n int) expr.Input {
	return expr.Input{
		Authenticated: true, Posture: sessions.Compliant, User: "user", Groups: []string{"employees", "staff"},
		NAS: fmt.Sprintf("nas-%d", n), OS: "windows",
	}
}

func each(n int, do func()) time.Duration {
	begin := wall.Now()
	for range n {
		do()
	}
	return wall.Now().Sub(begin) / time.Duration(n)
}

func median(take func() time.Duration) spans {
	all := make([]time.Duration, runs)
	for i := range all {
		all[i] = take()
	}
	slices.Sort(all)
	return func(perSecond float64) bench.Spread {
		return bench.Spread{Least: all[0].Seconds() * perSecond, Median: all[runs/2].Seconds() * perSecond, Most: all[runs-1].Seconds() * perSecond}
	}
}
