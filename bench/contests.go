package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// ErrMissed: figures are below their targets, and were printed.
var ErrMissed = errors.New("figures were missed")

// duplicatesEach is how many duplicates follow each request where their cost is
// measured: enough that they outweigh the first answer.
const duplicatesEach = 8

// compared is what both comparisons share: servers that are stopped at the end.
type compared struct {
	contest
	servers []*Server
}

func (c *compared) end() error {
	c.close()
	var err error
	for _, s := range c.servers {
		err = errors.Join(err, s.Stop())
	}
	return err
}

// server keeps one that has just been started.
func (c *compared) server(s *Server, err error) (*Server, error) {
	if s != nil {
		c.servers = append(c.servers, s)
	}
	return s, err
}

// scenario is a built-in one.
func scenario(name string) *Scenario {
	s, err := LoadScenario(name)
	if err != nil {
		return &Scenario{Name: name} // which no check lets through
	}
	return s
}

// CompareFreeRADIUS runs the appliance and FreeRADIUS, both ways, in turn.
func (r *Runner) CompareFreeRADIUS(ctx context.Context, how Comparison, out io.Writer) (err error) {
	if err := how.check(); err != nil {
		return err
	}
	c := &compared{contest: contest{r: r, how: how, out: out}}
	defer func() { err = errors.Join(err, c.end()) }()
	users := scenario("auth").Users
	// An appliance for each scenario: what one leaves to be compacted is not another's cost.
	var ours [3]*Server
	for i := range ours {
		if ours[i], err = c.server(Appliance(ctx, how.Program, r.ServerCPU, users)); err != nil {
			return err
		}
		if err := ours[i].freeze(); err != nil {
			return err
		}
	}
	threads, err := c.server(FreeRADIUS(ctx, FreeRADIUSDefault, r.ServerCPU, users))
	if err != nil {
		return err
	}
	tuned, err := c.server(FreeRADIUS(ctx, FreeRADIUSTuned, r.ServerCPU, users))
	if err != nil {
		return err
	}
	if err := errors.Join(threads.freeze(), tuned.freeze()); err != nil {
		return err
	}
	repeated := scenario("duplicate")
	repeated.Again = duplicatesEach
	for _, l := range []struct {
		name string
		of   *Server
		s    *Scenario
	}{
		{"auth: sallyport", ours[0], scenario("auth")},
		{"auth: freeradius default threads", threads, scenario("auth")},
		{"auth: freeradius -s tuned", tuned, scenario("auth")},
		{"accounting: sallyport, durable", ours[1], scenario("accounting")},
		{"accounting: freeradius default + detail", threads, scenario("accounting")},
		{"duplicate: sallyport, 8 after each", ours[2], repeated},
	} {
		if err := c.add(ctx, l.name, l.of, l.s); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	if err := c.play(ctx); err != nil {
		return err
	}
	if err := errors.Join(c.table(), c.save("freeradius")); err != nil {
		return err
	}
	fmt.Fprintln(out)
	lighter(out, c.lanes[0], c.lanes[1])
	lighter(out, c.lanes[0], c.lanes[2])
	lighter(out, c.lanes[3], c.lanes[4])
	return errors.Join(c.figures(freeradiusFigures(c.lanes),
		"not measured: overload_goodput_ratio (a ramp to the knee is not built yet)"), c.faults())
}

// freeradiusFigures are made of the lanes in the order of CompareFreeRADIUS.
func freeradiusFigures(lanes []*lane) []Figure {
	ours, threads, tuned, acct, detail, repeated := lanes[0], lanes[1], lanes[2], lanes[3], lanes[4], lanes[5]
	var cost []float64
	for i, all := range repeated.of(serverCPU) {
		first := ours.turns[i].ServerCPU
		if first > 0 {
			cost = append(cost, (all-first)/duplicatesEach/first)
		}
	}
	list := []Figure{
		{"pap_vs_freeradius_default", spreadOf(ratios(ours.of(rate), threads.of(rate))), "x", true, 6},
		{"pap_vs_freeradius_tuned", spreadOf(ratios(ours.of(rate), tuned.of(rate))), "x", true, 3.5},
		{"acct_vs_freeradius_detail", spreadOf(ratios(acct.of(rate), detail.of(rate))), "x", true, 8},
		{"duplicate_cost_ratio", spreadOf(cost), "x", false, 0.7},
	}
	if allocs := ours.of(allocs); len(allocs) > 0 {
		list = append(list, Figure{"allocs_per_packet", spreadOf(allocs), "allocs", false, 0.001})
	}
	return list
}

// CompareEcho runs the appliance and the bare reactor in turn.
func (r *Runner) CompareEcho(ctx context.Context, how Comparison, out io.Writer) (err error) {
	if err := how.check(); err != nil {
		return err
	}
	c := &compared{contest: contest{r: r, how: how, out: out}}
	defer func() { err = errors.Join(err, c.end()) }()
	ours, err := c.server(Appliance(ctx, how.Program, r.ServerCPU, scenario("auth").Users))
	if err != nil {
		return err
	}
	echo, err := c.server(Echo(ctx, r.ServerCPU))
	if err != nil {
		return err
	}
	back := scenario("auth")
	back.Name, back.echo = "echo", true
	if err := errors.Join(ours.freeze(), echo.freeze()); err != nil {
		return err
	}
	if err := errors.Join(c.add(ctx, "auth: sallyport", ours, scenario("auth")), c.add(ctx, "auth: echo", echo, back)); err != nil {
		return err
	}
	if err := c.play(ctx); err != nil {
		return err
	}
	if err := errors.Join(c.table(), c.save("echo")); err != nil {
		return err
	}
	figure := Figure{"pap_vs_echo", spreadOf(ratios(c.lanes[0].of(rate), c.lanes[1].of(rate))), "x", true, 0.65}
	return errors.Join(c.figures([]Figure{figure}, ""), c.faults())
}

// lighter says how two servers compare by the CPU of an answer, which others on the core
// disturb less than the rate.
func lighter(out io.Writer, ours, theirs *lane) {
	fmt.Fprintf(out, "by CPU an answer, %s against %s: %sx\n", ours.name, theirs.name,
		spreadOf(ratios(theirs.of(serverCPU), ours.of(serverCPU))).format("%.2f"))
}

// figures prints all of them, then says which were not measured.
func (c *contest) figures(list []Figure, missing string) error {
	fmt.Fprintln(c.out)
	var err error
	for i := range list {
		list[i].Print(c.out)
		if !list[i].OK() {
			err = ErrMissed
		}
	}
	if missing != "" {
		fmt.Fprintln(c.out, missing)
	}
	return err
}
