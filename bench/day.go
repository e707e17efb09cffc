package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Limits of a day.
const (
	dayMax       = 60_000           // sessions: each has an address of 127.78.0.0/16
	atOnceMax    = 4096             // sessions on their way
	changeWait   = 20 * time.Second // for the CoA after a report
	sessionLimit = time.Minute
)

// The phases of a session. Latency of the first counts from the moment that the session
// was due, of the change from the moment that its report was sent, of the others from
// the end of the phase before.
const (
	phaseLogin   = iota // Access-Request -> Access-Accept with a redirect
	phaseStart          // Accounting-Request: Start
	phaseClaim          // TCP, TLS, the agent binds its key by the ticket
	phaseReport         // signed report -> verdict Compliant
	phaseChange         // signed report -> CoA-Request that ends the redirect, acknowledged
	phaseInterim        // Accounting-Request: Interim-Update
	phaseStop           // Accounting-Request: Stop
	phases
)

var phaseNames = [phases]string{"login", "start", "claim", "report", "report-to-CoA", "interim", "stop"}

// Phase is one step of all sessions of a day.
type Phase struct {
	Name    string  `json:"name"`
	Count   uint64  `json:"count"` // sessions that got through it
	Failed  uint64  `json:"failed"`
	Fault   string  `json:"fault"` // the first one
	Latency Latency `json:"latency"`
}

func (p *Phase) failed() string {
	if p.Failed == 0 {
		return ""
	}
	return fmt.Sprintf("; %d failed, the first: %s", p.Failed, p.Fault)
}

// day is sessions from login to logoff, through every part of the appliance.
type day struct {
	s   *Scenario
	nas *gateway

	mu       sync.Mutex
	phases   [phases]Phase
	latency  [phases]*hdrhistogram.Histogram
	finished uint64
}

// day runs the scenario: sessions begin at a constant rate, whatever becomes of those
// before.
func (r *Runner) day(ctx context.Context, s *Scenario, t *Target) (*Result, error) {
	if err := errors.Join(s.Check(), Loopback(t.Auth), Loopback(t.Acct)); err != nil {
		return nil, err
	}
	if t.CoA == 0 {
		return nil, fmt.Errorf("%s was not started here: nobody knows where its changes of authorization go", t.Name)
	}
	d := &day{s: s}
	for i := range d.latency {
		d.latency[i], d.phases[i].Name = newHistogram(), phaseNames[i]
	}
	var err error
	if d.nas, err = openGateway(s, t); err != nil {
		return nil, err
	}
	defer d.nas.close()
	result := &Result{Scenario: *s, Seed: rand.Uint64()>>11 | 1, Target: t.Auth.String(), Server: t.Name, Disk: t.Disk,
		Begun: time.Now().UTC().Truncate(time.Second), Machine: describeMachine(), Pinned: r.Pinned}
	inside, err := look(ctx, t)
	if err != nil {
		return nil, err
	}
	before := readUsage(t.PID, r.ServerCPU, r.GeneratorCPU)
	begun := time.Now()
	started, unsent, err := d.all(ctx, r, begun)
	if err != nil {
		return nil, err
	}
	result.Used = before.until(readUsage(t.PID, r.ServerCPU, r.GeneratorCPU))
	if result.Inside, err = inside.until(ctx, max(1, started)); err != nil {
		return nil, err
	}
	result.Counts = Counts{Requests: started, Unsent: unsent, Answered: d.finished}
	result.Rate = math.Round(float64(d.finished)/time.Since(begun).Seconds()*10) / 10
	for i := range d.phases {
		d.phases[i].Latency = latencyOf(d.latency[i])
	}
	result.Phases, result.First = d.phases[:], 1
	result.histogram, result.Latency = d.latency[phaseChange], d.phases[phaseChange].Latency
	if t.PID != 0 && d.finished > 0 {
		result.ServerCPU = float64(result.Used.serverTime) / float64(time.Microsecond) / float64(d.finished)
	}
	result.judge()
	return result, nil
}

// all starts every session when it is due and waits for the last one.
func (d *day) all(ctx context.Context, r *Runner, begun time.Time) (started, unsent uint64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	room := make(chan struct{}, atOnceMax)
	count := min(d.s.Sessions, int(d.s.Rate*d.s.Time.Seconds()))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := range count {
		due := begun.Add(time.Duration(float64(n) * float64(time.Second) / d.s.Rate))
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return started, unsent, ctx.Err()
		case <-timer.C:
		}
		select {
		case room <- struct{}{}:
		default:
			unsent++
			continue
		}
		started++
		running.Add(1)
		go func() {
			defer running.Done()
			defer func() { <-room }()
			limited, end := context.WithTimeout(ctx, sessionLimit)
			defer end()
			d.session(limited, uint64(n), due)
		}()
		if r.Progress != nil && n%20 == 0 {
			fmt.Fprintf(r.Progress, "\r%s %d of %d sessions began, %d on their way\x1b[K", d.s.Name, n+1, count, len(room))
		}
	}
	running.Wait()
	if r.Progress != nil {
		fmt.Fprint(r.Progress, "\r\x1b[K")
	}
	return started, unsent, nil
}

// session lives from login to logoff; the first step that fails ends it.
func (d *day) session(ctx context.Context, n uint64, due time.Time) {
	address := netip.AddrFrom4([4]byte{127, 78, byte(n >> 8), byte(n)})
	at := due
	var redirect string
	var a *agent
	var change <-chan time.Time
	var reported time.Time
	defer func() { a.close() }()
	steps := [phases]func() error{
		phaseLogin: func() (err error) { redirect, change, err = d.nas.login(ctx, n); return err },
		phaseStart: func() error { return d.nas.account(ctx, n, 0, address) },
		phaseClaim: func() (err error) {
			if a, err = newAgent(redirect, address); err != nil {
				return err
			}
			return a.claim(ctx)
		},
		phaseReport: func() error {
			reported = time.Now()
			return a.report(ctx)
		},
		phaseChange: func() error {
			at = reported
			select {
			case <-change:
				return nil
			case <-time.After(changeWait):
				return fmt.Errorf("no CoA-Request within %s", changeWait)
			}
		},
		phaseInterim: func() error { return d.nas.account(ctx, n, 1, address) },
		phaseStop:    func() error { return d.nas.account(ctx, n, 2, address) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			d.fail(i, err)
			return
		}
		now := time.Now()
		d.pass(i, now.Sub(at))
		at = now
	}
}

func (d *day) pass(phase int, latency time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.phases[phase].Count++
	_ = d.latency[phase].RecordValue(max(1, min(latency, time.Duration(latencyMax)).Microseconds()))
	if phase == phases-1 {
		d.finished++
	}
}

func (d *day) fail(phase int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phases[phase].Failed++; d.phases[phase].Failed == 1 {
		d.phases[phase].Fault = err.Error()
	}
}
