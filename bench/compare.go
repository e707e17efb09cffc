package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Comparison says how servers are compared.
type Comparison struct {
	Peers   []string      // of Peers
	Program string        // the appliance
	Rounds  int           // in each, every server has one turn
	Turn    time.Duration // of sending
	Window  int           // at each of the scenario's source ports; 0: the scenario's own
	Out     string        // directory for results; empty: none
	Command string        // as it was typed, for the results
	JSON    io.Writer     // the report as one JSON object, besides; may be nil
}

// Peers are what the appliance is compared with: FreeRADIUS with its default threads and
// tuned; our reactor with nothing behind it; the server of layeh.com/radius; and itself,
// overloaded.
var Peers = []string{peerFreeRADIUS, peerEcho, peerLayeh, peerOverload}

const (
	peerFreeRADIUS = "freeradius"
	peerEcho       = "echo"
	peerLayeh      = "layeh"
	peerOverload   = "overload"
)

// Limits of a comparison.
const (
	roundsMax = 100
	turnMax   = time.Minute
	triesMax  = 4 // of one turn, until it is not dirty; the cleanest counts
	// retryShare is what retries may take altogether, in the time that the turns take.
	retryShare = 1.0
	// overloadRounds are fewer: each finds the knee first and takes five turns' time.
	overloadRounds = 3
	overloadTries  = 2
)

// Dirty is what a turn may lose to others, as a share of a CPU, until it is marked: see
// disturbance.
const Dirty = 0.05

// lane is one server with one scenario: its sockets stay open from round to round.
type lane struct {
	name   string
	server *Server
	attack *attack
	turns  []*Result
	tries  int
}

// contest is the lanes of one comparison and the servers behind them.
type contest struct {
	r       *Runner
	how     Comparison
	out     io.Writer
	servers []*Server
	lanes   []*lane
	spare   time.Duration // that retries may still take
}

func (c *Comparison) check() error {
	if c.Rounds < 1 || c.Rounds > roundsMax {
		return fmt.Errorf("rounds: %d, and may be 1 to %d", c.Rounds, roundsMax)
	}
	if c.Turn <= 0 || c.Turn > turnMax {
		return fmt.Errorf("the length of a turn: %s, and may be up to %s", c.Turn, turnMax)
	}
	for _, p := range c.Peers {
		if !slices.Contains(Peers, p) {
			return fmt.Errorf("there is no peer %q; there are %v", p, Peers)
		}
	}
	return nil
}

func (c *contest) with(peer string) bool { return slices.Contains(c.how.Peers, peer) }

// end closes the sockets and stops the servers.
func (c *contest) end() error {
	var err error
	for _, l := range c.lanes {
		l.attack.close()
	}
	for _, s := range c.servers {
		err = errors.Join(err, s.Stop())
	}
	return err
}

// start keeps a server that has just been started, frozen until its turn.
func (c *contest) start(s *Server, err error) (*Server, error) {
	if err != nil {
		return nil, err
	}
	c.servers = append(c.servers, s)
	return s, s.freeze()
}

// add opens a lane and warms its server.
func (c *contest) add(ctx context.Context, name string, server *Server, s *Scenario) (*lane, error) {
	s.Time, s.Count, s.Rate = c.how.Turn, 0, 0
	if c.how.Window > 0 {
		s.Window = c.how.Window
	}
	a, err := c.r.open(s, &server.Target)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	l := &lane{name: name, server: server, attack: a}
	c.lanes = append(c.lanes, l)
	if err := server.thaw(); err != nil {
		return nil, err
	}
	if err := a.warm(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, server.freeze()
}

// play gives every lane its turns, round by round. The order changes from round to
// round, so that none has always the same neighbour.
func (c *contest) play(ctx context.Context) error {
	for round := range c.how.Rounds {
		for i := range c.lanes {
			l := c.lanes[(i+round)%len(c.lanes)]
			if err := c.turn(ctx, l); err != nil {
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
func (c *contest) turn(ctx context.Context, l *lane) error {
	if err := l.server.thaw(); err != nil {
		return err
	}
	// Each turn adds to what retries may take, so that the first ones do not use it up.
	c.spare += time.Duration(retryShare * float64(c.how.Turn))
	var best *Result
	for try := range triesMax {
		if try > 0 && c.spare < c.how.Turn {
			break
		}
		begun := time.Now()
		r, err := l.attack.measure(ctx)
		if err != nil {
			return err
		}
		if try > 0 {
			c.spare -= time.Since(begun)
		}
		l.tries++
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

// disturbance is what a turn lost to others, as a share of a CPU: what they and the host
// took of the server's CPU, and what they took of the generator's if nothing was left
// there.
func disturbance(r *Result) float64 {
	lost := r.Used.Foreign + r.Used.Steal
	if r.Used.Generator+r.Used.Beside > 0.9 {
		lost += r.Used.Beside
	}
	return lost
}

func dirty(r *Result) bool { return disturbance(r) > Dirty }

// marks say what was wrong with a turn.
func marks(r *Result) (text string) {
	if dirty(r) {
		text = fmt.Sprintf("  DIRTY (others %.0f%%, steal %.0f%%, beside the generator %.0f%%)", r.Used.Foreign*100, r.Used.Steal*100, r.Used.Beside*100)
	}
	for _, m := range r.Missed {
		text += "  MISSED " + m
	}
	return text
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
func generator(r *Result) float64 { return r.Used.Generator }
func toDisk(r *Result) float64    { return r.Written }
