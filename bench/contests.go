package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrMissed: figures are below their targets, and were printed.
var ErrMissed = errors.New("figures were missed")

// duplicatesEach is how many duplicates follow each request where their cost is
// measured: enough that they outweigh the first answer.
const duplicatesEach = 8

// scenario is a built-in one.
func scenario(name string) *Scenario {
	s, err := LoadScenario(name)
	if err != nil {
		return &Scenario{Name: name} // which no check lets through
	}
	return s
}

// field is the lanes by what they are for; one that was not asked for is nil.
type field struct {
	auth, fresh, acct, repeated *lane // the appliance
	threads, tuned              *lane // FreeRADIUS: logins
	detail, detailTuned         *lane // FreeRADIUS: accounting
	echo, layeh                 *lane
	overloads                   []*Result
}

// Compare runs the appliance and its peers in turn on one CPU, and prints the figures.
// The error is ErrMissed where one of them misses its target.
func (r *Runner) Compare(ctx context.Context, how Comparison, out io.Writer) (err error) {
	if err := how.check(); err != nil {
		return err
	}
	c := &contest{r: r, how: how, out: out}
	defer func() { err = errors.Join(err, c.end()) }()
	f := &field{}
	if err := c.ours(ctx, f); err != nil {
		return err
	}
	if err := c.theirs(ctx, f); err != nil {
		return err
	}
	if err := c.play(ctx); err != nil {
		return err
	}
	if err := c.overloads(ctx, f); err != nil {
		return err
	}
	report := c.report(f)
	if err := errors.Join(report.table(out), report.save(how.Out)); err != nil {
		return err
	}
	if how.JSON != nil {
		if err := json.NewEncoder(how.JSON).Encode(report); err != nil {
			return err
		}
	}
	return errors.Join(report.print(out), c.faults())
}

// ours starts an appliance for each scenario: what one leaves to be compacted is not
// another's cost.
func (c *contest) ours(ctx context.Context, f *field) error {
	repeated, fresh := scenario("duplicate"), scenario("auth")
	repeated.Again = duplicatesEach
	fresh.Name, fresh.Fresh, fresh.Made = "auth-fresh", true, 0
	for _, l := range []struct {
		name   string
		s      *Scenario
		to     **lane
		wanted bool
	}{
		{"auth: sallyport", scenario("auth"), &f.auth, c.with(peerFreeRADIUS) || c.with(peerEcho) || c.with(peerLayeh)},
		{"auth: sallyport, each a new session", fresh, &f.fresh, c.with(peerFreeRADIUS)},
		{"duplicate: sallyport, 8 after each", repeated, &f.repeated, c.with(peerFreeRADIUS)},
		{"accounting: sallyport, durable", scenario("accounting"), &f.acct, c.with(peerFreeRADIUS)},
	} {
		if !l.wanted {
			continue
		}
		s, err := c.start(Appliance(ctx, c.how.Program, c.r.ServerCPU, l.s))
		if err != nil {
			return err
		}
		if s.Disk == inMemory {
			return fmt.Errorf("%s lies in memory: a durable journal is to be measured on a disk; set TMPDIR to a directory there", s.dir)
		}
		if *l.to, err = c.add(ctx, l.name, s, l.s); err != nil {
			return err
		}
	}
	return nil
}

func (c *contest) theirs(ctx context.Context, f *field) error {
	users := scenario("auth").Users
	if c.with(peerFreeRADIUS) {
		for _, p := range []struct {
			how        Tuning
			auth, acct **lane
		}{{FreeRADIUSDefault, &f.threads, &f.detail}, {FreeRADIUSTuned, &f.tuned, &f.detailTuned}} {
			s, err := c.start(FreeRADIUS(ctx, p.how, c.r.ServerCPU, users))
			if err != nil {
				return err
			}
			if *p.auth, err = c.add(ctx, "auth: "+p.how.Name, s, scenario("auth")); err != nil {
				return err
			}
			if *p.acct, err = c.add(ctx, "accounting: "+p.how.Name+", detail file", s, scenario("accounting")); err != nil {
				return err
			}
		}
	}
	if c.with(peerLayeh) {
		s, err := c.start(Layeh(ctx, c.r.ServerCPU, users))
		if err != nil {
			return err
		}
		if f.layeh, err = c.add(ctx, "auth: layeh", s, scenario("auth")); err != nil {
			return err
		}
	}
	if c.with(peerEcho) {
		// Replies as long as the appliance's were while it got warm.
		s, err := c.start(Echo(ctx, c.r.ServerCPU, f.auth.attack.load.tally.replyOctets()))
		if err != nil {
			return err
		}
		back := scenario("auth")
		back.Name, back.echo = "echo", true
		if f.echo, err = c.add(ctx, fmt.Sprintf("echo: %d octets", f.auth.attack.load.tally.replyOctets()), s, back); err != nil {
			return err
		}
	}
	return nil
}

// overloads finds the knee and goes beyond it, a few times, each time anew.
func (c *contest) overloads(ctx context.Context, f *field) error {
	if !c.with(peerOverload) {
		return nil
	}
	s := scenario("overload")
	server, err := c.start(Appliance(ctx, c.how.Program, c.r.ServerCPU, s))
	if err != nil {
		return err
	}
	if err := server.thaw(); err != nil {
		return err
	}
	a, err := c.r.open(s, &server.Target)
	if a != nil {
		defer a.close()
	}
	if err != nil {
		return err
	}
	if err := a.warm(ctx); err != nil {
		return err
	}
	for round := range min(overloadRounds, c.how.Rounds) {
		var r *Result
		for range overloadTries {
			again, err := a.overload(ctx)
			if err != nil {
				return fmt.Errorf("overload, round %d: %w", round+1, err)
			}
			if r == nil || disturbance(again) < disturbance(r) {
				r = again
			}
			if !dirty(r) {
				break
			}
		}
		fmt.Fprintf(c.out, "round %d  overload: knee %.0f/s, %s%s\n", round+1, r.Knee.Rate, r.Overload, marks(r))
		f.overloads = append(f.overloads, r)
	}
	return nil
}
