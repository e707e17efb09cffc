package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/cmd/sallyport-agent/core"
	"sallyport/cmd/sallyport-agent/devicekey"
	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/cmd/sallyport-agent/remedy"
	"sallyport/cmd/sallyport-agent/uplink"
	"sallyport/cmd/sallyport-agent/usbguard"
	"sallyport/netio/report"
	"sallyport/ops/clock"
)

// eventsMax is how many answers may wait for the loop; those that bring more wait.
const eventsMax = 64

// gatherFor is how long the kernel's messages about one device are gathered before it is
// looked at: it sends four within some milliseconds. Blocking does not wait for that.
const gatherFor = 20 * time.Millisecond

// daemon is the rim around core: one loop that steps it, and goroutines that do what it
// says and bring the answers back.
type daemon struct {
	opts     *options
	dir      keep.Dir
	log      *slog.Logger
	clock    clock.Clock
	core     *core.Agent
	client   *uplink.Client
	key      crypto.Signer // the device's
	surveyor *collect.Surveyor
	usb      *remedy.USB
	tools    *remedy.Tools
	gate     *remedy.Strict
	ruled    ruling // by which USB storage is handled; the loop\'s own
	list     *remedy.List
	guard    *usbguard.Guard // nil: not here
	looks    chan struct{}   // somebody decided about a device; room for one
	status   *statusFile
	voice    *voice

	ctx    context.Context // of the whole agent
	events chan core.Event
	work   sync.WaitGroup

	starting sync.Mutex                        // held while work is begun
	wound    bool                              // guarded by starting: nothing new is begun
	acting   sync.Mutex                        // one action about USB at a time
	renewed  chan string                       // to which version; room for one
	asked    atomic.Pointer[string]            // the appliance whose policy is looked by
	onTrial  bool                              // no appliance has answered this build yet; the loop's
	renewing sync.Mutex                        // held while a newer build is looked for
	using    sync.Mutex                        // one other action at a time: it may take minutes
	striking atomic.Int32                      // devices that are being blocked as they appear
	seen     atomic.Pointer[collect.Inventory] // by the last look
	reflex   atomic.Pointer[report.Action]     // what a new storage interface brings about; nil: nothing

	link     context.Context // of the present link; the loop's own
	abandon  context.CancelFunc
	stopPoll context.CancelFunc
}

// newDaemon opens everything but watches nothing yet. release lets the state directory
// go.
func newDaemon(ctx context.Context, opts *options, once bool, s *streams) (*daemon, func(), error) {
	if err := opts.check(); err != nil {
		return nil, nil, err
	}
	dir, err := keep.Open(opts.State)
	if err != nil {
		return nil, nil, err
	}
	release, err := dir.Lock()
	if err != nil {
		return nil, nil, err
	}
	if !once && takenBack(s.err) {
		release()
		return nil, nil, errors.New("whoever looks after the service starts the build of before")
	}
	stuck := whileStarting(once)
	d, err := build(ctx, opts, dir, once, s)
	stuck()
	if err != nil {
		release()
		return nil, nil, err
	}
	return d, release, nil
}

// run steps core until ctx ends, or with until set, until it says so after a step.
func (d *daemon) run(until func() bool) error {
	defer d.wind()
	devices, err := collect.WatchUSB(d.ctx, d.opts.Sysroot, d.log, d.appeared)
	if err != nil {
		d.log.Error("USB changes cannot be watched; only the heartbeat looks for them", "error", err)
	}
	network, err := collect.WatchNetwork(d.ctx, d.log)
	if err != nil {
		d.log.Error("network changes cannot be watched", "error", err)
	}
	woke := collect.WatchSleep(d.ctx)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	if runtime.GOOS == "linux" && d.opts.Sysroot == "/" && os.Geteuid() != 0 {
		d.log.Warn("not running as root: USB storage is seen but cannot be blocked")
	}
	timer, gather := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer timer.Stop()
	defer gather.Stop()
	var late <-chan time.Time // nil: this build is not on trial
	if d.onTrial {
		trial := time.NewTimer(trialTime)
		defer trial.Stop()
		late = trial.C
	}
	d.step(core.Started{})
	for until == nil || !until() {
		timer.Reset(d.untilNext())
		select {
		case <-d.ctx.Done():
			return d.ctx.Err()
		case ev := <-d.events:
			d.step(ev)
		case <-devices:
			gather.Reset(gatherFor)
		case <-d.looks:
			gather.Reset(gatherFor)
		case <-gather.C:
			if d.striking.Load() > 0 { // its end brings a look, and it should have the processor
				gather.Reset(gatherFor)
				continue
			}
			d.step(core.DevicesChanged{})
		case <-network:
			d.client.Forget()
			d.step(core.NetworkChanged{})
		case <-woke:
			d.log.Info("this machine has slept")
			d.client.Forget()
			d.step(core.Resumed{})
		case <-hangup:
			d.log.Info("asked to look for the appliance again")
			d.step(core.NetworkChanged{})
		case version := <-d.renewed:
			return errRenewed(version)
		case <-late:
			if d.onTrial {
				if err := d.unanswered(); err != nil {
					return err
				}
			}
		case <-timer.C:
			d.step(core.Tick{})
		}
	}
	return nil
}

func (d *daemon) untilNext() time.Duration {
	next := d.core.Next()
	if next.IsZero() {
		return time.Hour
	}
	return max(next.Sub(d.clock.Now()), 0)
}

// wind ends what is under way and waits for it.
func (d *daemon) wind() {
	d.starting.Lock()
	d.wound = true
	d.starting.Unlock()
	d.abandon()
	d.work.Wait()
	d.voice.wait()
	devicekey.Close(d.key)
	d.strict(false, nil) // without an agent nothing would get in at all
	d.status.stop(d.core.View(), d.list.Entries())
}

func (d *daemon) step(ev core.Event) {
	d.logEvent(ev)
	for _, e := range d.core.Step(d.clock.Now(), ev) {
		d.do(e)
	}
	d.reflex.Store(d.core.Reflex())
	d.rule()
	view := d.core.View()
	if d.onTrial && !view.ReportAt.IsZero() {
		d.onTrial = false
		d.answered()
	}
	d.status.update(view, d.list.Entries(), d.usbControl())
}

// appeared is told of a new interface before anybody looks. In strict mode it may be let
// in. One with storage that the policy would have blocked is blocked without waiting.
func (d *daemon) appeared(iface string, storage bool) {
	d.admit(iface)
	action := d.reflex.Load()
	if action == nil || !storage {
		return
	}
	d.striking.Add(1)
	d.background(d.ctx, func(ctx context.Context) core.Event {
		defer d.striking.Add(-1)
		outcome, struck := d.usb.Strike(ctx, iface, action.Allow, func(dev collect.Device) {
			select {
			case d.events <- core.Struck{Action: *action, Device: dev.USBDevice}:
			case <-ctx.Done():
			}
		})
		if !struck {
			return core.DevicesChanged{}
		}
		return core.ActionEnded{Result: report.ActionResult{ID: action.ID, Result: outcome.Result, Error: outcome.Detail}}
	})
}

// say shows the person a message: on standard output, in the status, by the hook.
func (d *daemon) say(text string) {
	d.log.Info("message for the person", "text", text)
	d.status.message(text, d.clock.Now())
	d.voice.say(text)
}

// background runs f and brings its event to the loop, unless ctx ended meanwhile.
func (d *daemon) background(ctx context.Context, f func(ctx context.Context) core.Event) {
	d.starting.Lock()
	defer d.starting.Unlock()
	if d.wound {
		return
	}
	d.work.Go(func() {
		ev := f(ctx)
		select {
		case <-ctx.Done():
		case d.events <- ev:
		}
	})
}

func (d *daemon) newLink() {
	if d.abandon != nil {
		d.abandon()
	}
	d.link, d.abandon = context.WithCancel(d.ctx)
	d.stopPoll = func() {}
}

// do carries out one effect. What belongs to a link ends with it; looking at the
// endpoint and actions do not.
func (d *daemon) do(e core.Effect) {
	switch e := e.(type) {
	case core.Abandon:
		d.newLink()
	case core.Collect:
		d.background(d.ctx, func(context.Context) core.Event {
			begun := time.Now()
			inv := collect.USB(d.opts.Sysroot)
			d.log.Debug("looked for USB storage", "devices", len(inv.Devices), "took", time.Since(begun))
			d.seen.Store(&inv)
			d.forget(inv)
			return core.Facts{Facts: report.Facts{USB: inv.Report()}}
		})
	case core.Survey:
		d.background(d.ctx, func(ctx context.Context) core.Event {
			d.asked.Store(&e.Appliance)
			return core.Surveyed{ETag: e.Policy.ETag, Facts: d.surveyor.Survey(ctx, &e.Policy)}
		})
	case core.Search:
		d.background(d.link, func(ctx context.Context) core.Event { return d.search(ctx, e) })
	case core.Claim:
		d.background(d.link, func(ctx context.Context) core.Event { return d.claim(ctx, e) })
	case core.FetchPolicy:
		d.background(d.link, func(ctx context.Context) core.Event { return d.fetch(ctx, e) })
	case core.Send:
		d.background(d.link, func(ctx context.Context) core.Event { return d.send(ctx, e) })
	case core.Poll:
		d.stopPoll()
		var ctx context.Context
		ctx, d.stopPoll = context.WithCancel(d.link)
		d.background(ctx, func(ctx context.Context) core.Event { return d.poll(ctx, e) })
	case core.Run:
		d.background(d.ctx, func(ctx context.Context) core.Event { return core.ActionEnded{Result: d.act(ctx, e)} })
	case core.Unblock:
		d.background(d.ctx, func(ctx context.Context) core.Event { return d.unblock(ctx, e) })
	case core.Renew:
		d.background(d.link, func(ctx context.Context) core.Event { d.renew(ctx, e); return core.Tick{} })
	case core.Show:
		d.say(e.Text)
	}
}

func (d *daemon) search(ctx context.Context, e core.Search) core.Event {
	found, err := d.client.Discover(ctx)
	if err != nil {
		return core.NotFound{Gen: e.Gen, Err: err.Error()}
	}
	return core.Found{Gen: e.Gen, Appliance: found.Appliance, SessionID: found.SessionID, Ticket: found.Ticket}
}

func (d *daemon) claim(ctx context.Context, e core.Claim) core.Event {
	claimed, err := d.client.Claim(ctx, e.Appliance, e.SessionID, e.Ticket)
	d.status.enrolled(d.client.Enrolment())
	if err != nil {
		return failed(e.Gen, core.DoingClaim, 0, err)
	}
	return core.Claimed{Gen: e.Gen, Claimed: *claimed}
}

func (d *daemon) fetch(ctx context.Context, e core.FetchPolicy) core.Event {
	policy, err := d.client.Policy(ctx, e.Appliance, e.ETag)
	if err != nil {
		return failed(e.Gen, core.DoingPolicy, 0, err)
	}
	if d.client.Enrolment().Authority != "" { // then it was signed
		d.tools.Vouch(policy.Publishers)
	}
	return core.PolicyFetched{Gen: e.Gen, Policy: *policy}
}

func (d *daemon) send(ctx context.Context, e core.Send) core.Event {
	verdict, err := d.client.Report(ctx, e.Appliance, e.SessionID, e.Seq, e.Body)
	if err != nil {
		return failed(e.Gen, core.DoingReport, e.Seq, err)
	}
	return core.Judged{Gen: e.Gen, Seq: e.Seq, Verdict: *verdict}
}

func (d *daemon) poll(ctx context.Context, e core.Poll) core.Event {
	events, err := d.client.Events(ctx, e.Appliance, e.SessionID, e.After)
	if err != nil {
		return failed(e.Gen, core.DoingPoll, 0, err)
	}
	return core.Heard{Gen: e.Gen, Events: *events}
}

func failed(gen uint64, doing string, seq uint64, err error) core.Event {
	f := core.Failed{Gen: gen, Doing: doing, Seq: seq, Err: fmt.Sprintf("%s: %v", doing, err)}
	errors.As(err, &f.Problem)
	return f
}

// act carries out an action of the closed list; core lets no other through.
func (d *daemon) act(ctx context.Context, e core.Run) report.ActionResult {
	a, begun := e.Action, time.Now()
	var outcome remedy.Outcome
	switch a.Verb {
	case report.VerbUSBBlock, report.VerbUSBUnblock:
		outcome = d.actOnUSB(ctx, e)
	default:
		outcome = d.use(ctx, e)
	}
	d.log.Info("action ended", "verb", a.Verb, "id", a.ID, "result", outcome.Result, "detail", outcome.Detail, "took", time.Since(begun))
	return report.ActionResult{ID: a.ID, Result: outcome.Result, Error: outcome.Detail}
}

func (d *daemon) actOnUSB(ctx context.Context, e core.Run) remedy.Outcome {
	d.acting.Lock()
	defer d.acting.Unlock()
	observed, observing := d.observing(e.Action.Verb)
	inv := d.seen.Load()
	switch {
	case observing:
		return observed
	case e.Action.Verb == report.VerbUSBUnblock:
		return d.usb.Unblock(ctx)
	case e.Reflex && inv != nil:
		return d.usb.BlockSeen(ctx, e.Action.Allow, *inv)
	}
	return d.usb.Block(ctx, e.Action.Allow)
}

func (d *daemon) use(ctx context.Context, e core.Run) remedy.Outcome {
	d.using.Lock()
	defer d.using.Unlock()
	defer d.tools.Forget()
	return d.tools.Do(ctx, &e.Action, d.files(e.Appliance))
}

// files fetches from an appliance.
func (d *daemon) files(appliance string) remedy.Fetch {
	return func(ctx context.Context, name string, most int) ([]byte, error) {
		return d.client.File(ctx, appliance, name, most)
	}
}

// ask runs scripts that answer a question of the policy.
func (d *daemon) ask(ctx context.Context, probes []report.ScriptProbe) *report.Scripts {
	return d.tools.Ask(ctx, probes, d.files(*d.asked.Load()))
}

// forget strikes what is not plugged in any more from what is written down as blocked,
// unless an action is under way, which does it too.
func (d *daemon) forget(inv collect.Inventory) {
	if inv.Error != "" || !d.list.Over(inv) || !d.acting.TryLock() {
		return
	}
	defer d.acting.Unlock()
	if err := d.usb.Forget(); err != nil {
		d.log.Warn("cannot forget a blocked device that is gone", "error", err)
	}
}

func (d *daemon) unblock(ctx context.Context, e core.Unblock) core.Event {
	d.acting.Lock()
	defer d.acting.Unlock()
	outcome := d.usb.Unblock(ctx)
	d.log.Info("giving back what was blocked", "why", e.Why, "result", outcome.Result, "detail", outcome.Detail)
	return core.Unblocked{Err: outcome.Detail}
}

// logEvent says the news; what comes all the time only with --verbose.
func (d *daemon) logEvent(ev core.Event) {
	switch ev := ev.(type) {
	case core.Found:
		d.log.Info("appliance found", "appliance", ev.Appliance, "session", ev.SessionID, "redirected", ev.Ticket != "")
	case core.NotFound:
		d.log.Info("no appliance", "error", ev.Err)
	case core.Claimed:
		d.log.Info("session claimed", "session", ev.SessionID, "assurance", ev.Assurance, "status", ev.Status)
	case core.Judged:
		d.log.Info("judged", "status", ev.Verdict.Status, "epoch", ev.Verdict.Epoch, "decision", ev.Verdict.DecisionID, "seq", ev.Seq)
	case core.Failed:
		d.log.Warn("failed", "error", ev.Err)
	case core.Tick, core.Facts:
	default:
		d.log.Debug("event", "event", fmt.Sprintf("%T", ev))
	}
}
