package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// Comparison says how servers are compared.
type Comparison struct {
	Program string        // the appliance
	Rounds  int           // in each, every server has one turn
	Turn    time.Duration // of sending
	Window  int           // at each of the scenario's source ports; 0: the scenario's own
	Out     string        // directory for every turn's result; empty: none
}

// Limits of a comparison.
const (
	roundsMax = 100
	turnMax   = time.Minute
	triesMax  = 4 // of one turn, until it is not dirty; the cleanest counts
)

// Dirty is what the core of a server may lose to others during a turn, as a share, until
// the turn is marked: the host's steal and other processes together.
const Dirty = 0.05

// lane is one server with one scenario: its sockets stay open from round to round.
type lane struct {
	name   string
	server *Server
	attack *attack
	turns  []*Result
}

// contest is the lanes of one comparison.
type contest struct {
	r     *Runner
	how   Comparison
	lanes []*lane
	out   io.Writer
}

func (c *Comparison) check() error {
	if c.Rounds < 1 || c.Rounds > roundsMax {
		return fmt.Errorf("rounds: %d, and may be 1 to %d", c.Rounds, roundsMax)
	}
	if c.Turn <= 0 || c.Turn > turnMax {
		return fmt.Errorf("the length of a turn: %s, and may be up to %s", c.Turn, turnMax)
	}
	return nil
}

// add opens a lane, warms its server, and freezes it until its turn.
func (c *contest) add(ctx context.Context, name string, server *Server, s *Scenario) error {
	s.Time, s.Count, s.Rate = c.how.Turn, 0, 0
	if c.how.Window > 0 {
		s.Window = c.how.Window
	}
	a, err := c.r.open(s, &server.Target)
	if err != nil {
		return err
	}
	c.lanes = append(c.lanes, &lane{name: name, server: server, attack: a})
	if server.frozen {
		if err := server.thaw(); err != nil {
			return err
		}
	}
	if err := a.warm(ctx); err != nil {
		return err
	}
	return server.freeze()
}

func (c *contest) close() {
	for _, l := range c.lanes {
		l.attack.close()
	}
}

// play gives every lane its turns, round by round. The order changes from round to
// round, so that none has always the same neighbour.
func (c *contest) play(ctx context.Context) error {
	for round := range c.how.Rounds {
		for i := range c.lanes {
			l := c.lanes[(i+round)%len(c.lanes)]
			if err := l.turn(ctx); err != nil {
				return fmt.Errorf("%s, round %d: %w", l.name, round+1, err)
			}
			last := l.turns[len(l.turns)-1]
			fmt.Fprintf(c.out, "round %d  %-40s %8.0f/s  %6.2f us  p99 %s%s\n", round+1, l.name, last.Rate, last.ServerCPU, ms(last.Latency.P99), marks(last))
		}
	}
	return nil
}

// turn thaws a server, measures it, and freezes it again. A turn that others disturbed
// is taken again; when none was clean the one that was disturbed least counts, marked.
func (l *lane) turn(ctx context.Context) error {
	if err := l.server.thaw(); err != nil {
		return err
	}
	var best *Result
	for range triesMax {
		r, err := l.attack.measure(ctx)
		if err != nil {
			return err
		}
		if best == nil || disturbance(r) < disturbance(best) {
			best = r
		}
		if !dirty(best) {
			break
		}
	}
	l.turns = append(l.turns, best)
	return l.server.freeze()
}

// disturbance is what the server's core lost to others, as a share.
func disturbance(r *Result) float64 { return r.Used.Foreign + r.Used.Steal }

func dirty(r *Result) bool { return disturbance(r) > Dirty }

// marks say what was wrong with a turn.
func marks(r *Result) (text string) {
	if dirty(r) {
		text = fmt.Sprintf("  DIRTY (others %.0f%%, steal %.0f%%)", r.Used.Foreign*100, r.Used.Steal*100)
	}
	for _, m := range r.Missed {
		text += "  MISSED " + m
	}
	return text
}

// of collects one number of every turn.
func (l *lane) of(number func(*Result) float64) (all []float64) {
	for _, r := range l.turns {
		all = append(all, number(r))
	}
	return all
}

func rate(r *Result) float64      { return r.Rate }
func serverCPU(r *Result) float64 { return r.ServerCPU }
func allocs(r *Result) float64    { return r.Inside.Allocs }
func p50(r *Result) float64       { return float64(r.Latency.P50) / 1000 }
func p99(r *Result) float64       { return float64(r.Latency.P99) / 1000 }

// table writes the medians and the spread of every lane.
func (c *contest) table() error {
	w := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "\nmedian [least..most] of %d turns of %s\tanswers/s\tserver CPU us\tp50 ms\tp99 ms\tdirty\tsent again\tnot answered\n", c.how.Rounds, c.how.Turn)
	for _, l := range c.lanes {
		dirties, again, lost := 0, uint64(0), uint64(0)
		for _, r := range l.turns {
			if dirty(r) {
				dirties++
			}
			again += r.Counts.Retransmitted
			lost += r.Counts.GivenUp + r.Counts.Unrepeated
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\n", l.name, spreadOf(l.of(rate)).format("%.0f"), spreadOf(l.of(serverCPU)).format("%.2f"),
			spreadOf(l.of(p50)).format("%.2f"), spreadOf(l.of(p99)).format("%.2f"), dirties, again, lost)
	}
	return w.Flush()
}

// save writes every turn's result, a JSON object a line.
func (c *contest) save(peer string) error {
	if c.how.Out == "" {
		return nil
	}
	if err := os.MkdirAll(c.how.Out, 0o755); err != nil {
		return err
	}
	var text bytes.Buffer
	for _, l := range c.lanes {
		for _, r := range l.turns {
			if err := r.JSON(&text); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(c.how.Out, "compare-"+peer+".json"), text.Bytes(), 0o644)
}

// faults are objectives that a lane missed: a ratio of servers that do not answer as
// they should says nothing.
func (c *contest) faults() error {
	var all []error
	for _, l := range c.lanes {
		for _, r := range l.turns {
			for _, m := range r.Missed {
				all = append(all, fmt.Errorf("%s: %s", l.name, m))
			}
		}
	}
	return errors.Join(all...)
}
