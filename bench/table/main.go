// Command table measures the session table and its journal: memory of a million and of
// five million sessions, a full garbage collection beside them, and the time from a
// crash to having them again.
//
//	fill     a process commits sessions in groups with a sync each, as the appliance
//	         does, writes pages on the way, and stops without closing anything
//	recover  another opens a copy of the journal as it was left, restores the table
//	         with a timer for every session, and then measures itself; five times
//
// The figures are medians: fresh memory of a shared machine comes at the speed at which
// its host gives it, and that differs by half from one process to the next. Half of the sessions are those of a VPN with an agent that has reported, half are
// devices on switch ports. It prints a FIGURE line for each target and fails when one
// is missed. The files are in the page cache: what is measured is not the disk's cold
// reading.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// target is what a number of sessions must not exceed.
type target struct {
	sessions           int
	suffix             string
	rss, gc, recovered float64 // megabytes, milliseconds, seconds; 0: no target
}

var targets = []target{
	{sessions: 1_000_000, suffix: "1m", rss: 400, recovered: 1.5},
	{sessions: 5_000_000, suffix: "5m", rss: 2000, gc: 50, recovered: 8},
}

// recoveries of the same journal, of which the median is the figure. An odd number.
const recoveries = 5

var errMissed = errors.New("a figure is missed")

func main() {
	var (
		fill    = flag.Int("fill", 0, "commit so many sessions into -dir and stop")
		recall  = flag.Bool("recover", false, "restore from -dir and measure")
		dir     = flag.String("dir", "", "directory; empty: a temporary one")
		only    = flag.Int("sessions", 0, "only this many sessions, with the targets of a million")
		results = flag.String("out", "", "file for the measurements, one JSON object a line")
	)
	flag.Parse()
	var err error
	switch {
	case *fill > 0:
		err = doFill(*dir, *fill, os.Stdout)
	case *recall:
		err = doRecover(*dir, os.Stdout)
	default:
		err = all(*dir, *only, *results, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// all runs every target and prints its figures.
func all(dir string, only int, results string, out io.Writer) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "sallyport-table-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	todo := targets
	if only > 0 {
		todo = []target{{sessions: only, suffix: "few", rss: 400, gc: 50, recovered: 1.5}}
	}
	var lines []byte
	missed := false
	for _, t := range todo {
		got, err := one(t, filepath.Join(dir, t.suffix))
		if err != nil {
			return err
		}
		for _, m := range got {
			line, err := json.Marshal(m)
			if err != nil {
				return err
			}
			lines = append(append(lines, line...), '\n')
			fmt.Fprintf(out, "%s\n", line)
		}
		missed = !figures(out, t, medians(got[1:])) || missed
	}
	if results != "" {
		if err := os.WriteFile(results, lines, 0o644); err != nil {
			return err
		}
	}
	if missed {
		return errMissed
	}
	return nil
}

// one is what the filling of a journal in at measures, and then every recovery of it.
func one(t target, at string) ([]Measurement, error) {
	got := make([]Measurement, 1+recoveries)
	err := child(&got[0], "-fill", fmt.Sprint(t.sessions), "-dir", at)
	for i := 1; i < len(got) && err == nil; i++ {
		again := fmt.Sprintf("%s-%d", at, i)
		if err = os.CopyFS(again, os.DirFS(at)); err == nil {
			err = child(&got[i], "-recover", "-dir", again)
		}
		err = errors.Join(err, os.RemoveAll(again))
	}
	return got, errors.Join(err, os.RemoveAll(at))
}

// medians are those of what has a target.
func medians(all []Measurement) *Measurement {
	var m Measurement
	for _, f := range []func(*Measurement) *float64{
		func(m *Measurement) *float64 { return &m.RSS },
		func(m *Measurement) *float64 { return &m.GC },
		func(m *Measurement) *float64 { return &m.Seconds },
	} {
		values := make([]float64, len(all))
		for i := range all {
			values[i] = *f(&all[i])
		}
		slices.Sort(values)
		*f(&m) = values[len(values)/2]
	}
	return &m
}

// figures prints the lines that scripts read. False when one is missed.
func figures(out io.Writer, t target, m *Measurement) bool {
	ok := true
	for _, f := range []struct {
		name, unit    string
		value, target float64
	}{
		{"rss", "mb", m.RSS, t.rss}, {"gc", "ms", m.GC, t.gc}, {"recovery", "s", m.Seconds, t.recovered},
	} {
		if f.target == 0 {
			continue
		}
		verdict := "ok"
		if f.value > f.target {
			verdict, ok = "MISSED", false
		}
		fmt.Fprintf(out, "FIGURE %s_%s_%s %.3f %s <= %g %s\n", f.name, t.suffix, f.unit, f.value, f.unit, f.target, verdict)
	}
	return ok
}

// child runs this program again, so that each measurement has a process to itself.
func child(m *Measurement, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.Command(self, args...)
	c.Stderr = os.Stderr
	b, err := c.Output()
	if err != nil {
		return fmt.Errorf("%v: %w", args, err)
	}
	return json.Unmarshal(b, m)
}
