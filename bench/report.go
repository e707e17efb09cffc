package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// allocsCount is the allocations a packet from which on they count: less is the process
// at large, its timers and its journal, spread over the packets of a turn.
const allocsCount = 0.001

// Report is what a comparison measured.
type Report struct {
	Begun     time.Time    `json:"begun"`
	Command   string       `json:"command"`
	Machine   Machine      `json:"machine"`
	Rounds    int          `json:"rounds"`
	Turn      float64      `json:"turn"` // seconds
	Lanes     []LaneReport `json:"lanes"`
	Overloads []*Result    `json:"overloads"`
	Figures   []Figure     `json:"figures"`
	Notes     []string     `json:"notes"`
	faults    []error
}

// LaneReport is one server with one scenario, over all rounds.
type LaneReport struct {
	Name      string    `json:"name"`
	Rate      Spread    `json:"rate"`      // answers a second
	ServerCPU Spread    `json:"server_us"` // microseconds an answer
	P50       Spread    `json:"p50_ms"`    // milliseconds
	P99       Spread    `json:"p99_ms"`    // milliseconds
	Generator Spread    `json:"generator"` // share of its CPU
	Written   Spread    `json:"written"`   // octets to disks, an answer
	Reply     int       `json:"reply_octets"`
	Dirty     int       `json:"dirty"`      // turns that count although others disturbed them
	Tries     int       `json:"tries"`      // turns altogether, those taken again included
	Again     uint64    `json:"sent_again"` // requests retransmitted
	Lost      uint64    `json:"lost"`       // requests without an answer
	Turns     []*Result `json:"turns"`
}

func (l *lane) report() LaneReport {
	p := LaneReport{
		Name: l.name, Rate: spreadOf(l.of(rate)), ServerCPU: spreadOf(l.of(serverCPU)), P50: spreadOf(l.of(p50)), P99: spreadOf(l.of(p99)),
		Generator: spreadOf(l.of(generator)), Written: spreadOf(l.of(toDisk)), Reply: l.turns[len(l.turns)-1].Reply, Tries: l.tries, Turns: l.turns,
	}
	for _, r := range l.turns {
		if dirty(r) {
			p.Dirty++
		}
		p.Again += r.Counts.Retransmitted
		p.Lost += r.Counts.GivenUp + r.Counts.Unrepeated
	}
	return p
}

// report turns lanes into figures.
func (c *contest) report(f *field) *Report {
	r := &Report{Begun: time.Now().UTC().Truncate(time.Second), Command: c.how.Command, Machine: describeMachine(),
		Rounds: c.how.Rounds, Turn: c.how.Turn.Seconds(), Overloads: f.overloads}
	for _, l := range c.lanes {
		r.Lanes = append(r.Lanes, l.report())
	}
	for _, l := range r.Lanes {
		if l.Generator.Median >= busy {
			r.note("the generator was busy with %q, %.0f%% of its CPU: that server may do more than was measured", l.Name, l.Generator.Median*100)
		}
	}
	r.freeradius(f)
	if f.echo != nil {
		r.echo(f)
	}
	if f.layeh != nil {
		r.note("against layeh.com/radius: %sx by answers, %sx by CPU an answer", versus(f.auth, f.layeh), lighter(f.auth, f.layeh))
	}
	if f.overloads != nil {
		r.overload(f)
	}
	return r
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

func (r *Report) figure(name string, all []float64, unit string, least bool, target float64) {
	r.Figures = append(r.Figures, Figure{Name: name, Spread: spreadOf(all), Unit: unit, Least: least, Target: target})
}

func (r *Report) freeradius(f *field) {
	if f.threads == nil {
		return
	}
	r.figure("pap_vs_freeradius_default", ratios(f.auth.of(rate), f.threads.of(rate)), "x", true, 6)
	r.figure("pap_vs_freeradius_tuned", ratios(f.auth.of(rate), f.tuned.of(rate)), "x", true, 3.5)
	r.figure("acct_vs_freeradius_detail", ratios(f.acct.of(rate), f.detail.of(rate)), "x", true, 8)
	r.figure("duplicate_cost_ratio", duplicateCost(f.repeated, f.auth), "x", false, 0.7)
	r.allocations(f)
	r.note("by CPU an answer, against FreeRADIUS: logins %sx with default threads, %sx tuned; accounting %sx",
		lighter(f.auth, f.threads), lighter(f.auth, f.tuned), lighter(f.acct, f.detail))
	r.note("accounting against FreeRADIUS -s tuned with a detail file: %sx", versus(f.acct, f.detailTuned))
	r.note("logins that each begin a new session, against FreeRADIUS: %sx with default threads, %sx tuned", versus(f.fresh, f.threads), versus(f.fresh, f.tuned))
}

// duplicateCost is the CPU of one duplicate by that of a first answer.
func duplicateCost(repeated, first *lane) (all []float64) {
	for i, together := range repeated.of(serverCPU) {
		if one := first.turns[i].ServerCPU; one > 0 {
			all = append(all, (together-one)/duplicatesEach/one)
		}
	}
	return all
}

// allocations are those of the scenario that allocates most.
func (r *Report) allocations(f *field) {
	var worst []float64
	for i := range f.auth.turns {
		most := 0.0
		for _, l := range []*lane{f.auth, f.acct, f.repeated} {
			most = max(most, l.turns[i].Inside.Allocs)
		}
		worst = append(worst, most)
	}
	exact := spreadOf(worst)
	r.note("allocations a packet, whole process, the worst of logins, accounting and duplicates: exactly %s; below %g counts as 0", exact.format("%.5f"), allocsCount)
	if exact.Median < allocsCount {
		exact.Median = 0
	}
	r.Figures = append(r.Figures, Figure{Name: "allocs_per_packet", Spread: exact, Unit: "objects", Target: 0})
	for _, l := range []*lane{f.auth, f.fresh, f.acct, f.repeated} {
		r.note("allocations a packet, %s: %s", l.name, spreadOf(l.of(allocs)).format("%.5f"))
	}
}

// echo compares by answers and by CPU, and takes the smaller: where the generator is the
// limit of the echo, answers alone would flatter.
func (r *Report) echo(f *field) {
	byRate, byCPU := ratios(f.auth.of(rate), f.echo.of(rate)), ratios(f.echo.of(serverCPU), f.auth.of(serverCPU))
	var smaller []float64
	for i := range min(len(byRate), len(byCPU)) {
		smaller = append(smaller, min(byRate[i], byCPU[i]))
	}
	r.figure("pap_vs_echo", smaller, "x", true, 0.65)
	r.note("of the echo: %s by answers, %s by CPU an answer; the figure takes the smaller of each round. The generator was busy %s with the echo, %s with logins",
		spreadOf(byRate).format("%.3f"), spreadOf(byCPU).format("%.3f"), spreadOf(f.echo.of(generator)).format("%.2f"), spreadOf(f.auth.of(generator)).format("%.2f"))
}

func (r *Report) overload(f *field) {
	var ratio, knee, recovery []float64
	for _, o := range f.overloads {
		ratio, knee, recovery = append(ratio, o.Overload.Ratio), append(knee, o.Knee.Rate), append(recovery, o.Overload.Recovery)
		if o.Overload.Times < 0.95*o.Scenario.Overload {
			r.faults = append(r.faults, fmt.Errorf("overload: %.1f times the knee were offered, %g were to be: overload_goodput_ratio is of less", o.Overload.Times, o.Scenario.Overload))
		}
		if o.Knee.Generator {
			r.note("overload: the generator was busy beyond a knee of %.0f/s; the server's may be higher", o.Knee.Rate)
		}
	}
	r.figure("overload_goodput_ratio", ratio, "x", true, 0.9)
	r.note("knee of the overload: %s answers a second; all is well %s s after it (-1: never within %s)", spreadOf(knee).format("%.0f"), spreadOf(recovery).format("%.2f"), afterTime)
}

func versus(ours, theirs *lane) string {
	return spreadOf(ratios(ours.of(rate), theirs.of(rate))).format("%.2f")
}

// lighter says how servers compare by the CPU of an answer, which others on the core
// disturb less than the rate.
func lighter(ours, theirs *lane) string {
	return spreadOf(ratios(theirs.of(serverCPU), ours.of(serverCPU))).format("%.2f")
}

// table writes the medians and the spread of every lane.
func (r *Report) table(out io.Writer) error {
	if len(r.Lanes) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "\nmedian [least..most] of %d turns of %g s\tanswers/s\tserver CPU us\tp50 ms\tp99 ms\tgenerator\tdisk octets\treply octets\tdirty\ttries\tsent again\tlost\n", r.Rounds, r.Turn)
	for _, l := range r.Lanes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.0f%%\t%.0f\t%d\t%d\t%d\t%d\t%d\n", l.Name, l.Rate.format("%.0f"), l.ServerCPU.format("%.2f"),
			l.P50.format("%.2f"), l.P99.format("%.2f"), l.Generator.Median*100, l.Written.Median, l.Reply, l.Dirty, l.Tries, l.Again, l.Lost)
	}
	return w.Flush()
}

// print writes notes and figures; the error says whether one was missed.
func (r *Report) print(out io.Writer) error {
	fmt.Fprintln(out)
	for _, n := range r.Notes {
		fmt.Fprintln(out, n)
	}
	fmt.Fprintln(out)
	err := errors.Join(r.faults...)
	missed := false
	for i := range r.Figures {
		r.Figures[i].Print(out)
		missed = missed || !r.Figures[i].OK()
	}
	if missed {
		err = errors.Join(err, ErrMissed)
	}
	return err
}

// save writes compare.json and compare.html into a directory.
func (r *Report) save(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "compare.json"), append(text, '\n'), 0o644),
		savePage(dir, "compare", r.Page))
}
