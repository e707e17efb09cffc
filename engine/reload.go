package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sallyport/engine/record"
	"sallyport/engine/replay"
	"sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// ErrRestart marks a change of the configuration that only a restart can bring.
var ErrRestart = errors.New("this change needs a restart")

// ErrTooMany marks a configuration that changes more sessions than reload.most-changed of
// the one in force allows.
var ErrTooMany = errors.New("this configuration changes too many sessions")

// ReloadOptions say how a reload is meant. The zero value is that of SIGHUP.
type ReloadOptions struct {
	Force bool `json:"force"` // however many sessions change
	Try   bool `json:"try"`   // only say what would change
}

// Reloaded is what a reload did, or would do.
type Reloaded struct {
	Applied  bool           `json:"applied"`
	Revision string         `json:"config_revision"` // in force now
	Warnings []string       `json:"warnings,omitempty"`
	Impact   *replay.Result `json:"impact,omitempty"` // sessions whose authorization changes at once; nil: nobody asked
}

// Reload is ReloadWith as SIGHUP means it.
func (e *Engine) Reload() error {
	_, err := e.ReloadWith(ReloadOptions{})
	return err
}

// ReloadWith loads, compiles and tests the configuration as at the start, and swaps it in.
// On any fault the old one stays in force, whole, and the fault comes back. Each packet
// is judged by exactly one configuration, the one that was in force when it came.
func (e *Engine) ReloadWith(o ReloadOptions) (*Reloaded, error) {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	if e.life.Err() != nil {
		return nil, errors.New("the appliance stops")
	}
	old := e.snapshot()
	next, warnings, err := loadSnapshot(e.opts.Config)
	if err == nil {
		err = restartOnly(old, next)
	}
	out := &Reloaded{Revision: old.Revision}
	for _, w := range warnings {
		out.Warnings = append(out.Warnings, w.Error())
	}
	if err == nil {
		out.Impact, err = e.impact(old, next, o)
	}
	if o.Try {
		return out, err
	}
	if err != nil {
		e.log.Error("reload refused, the old configuration stays in force", "revision", old.Revision, "error", err)
		e.system(record.Failed, "Reload refused: the old configuration stays in force", err.Error())
		return out, err
	}
	e.swap(old, next, warnings)
	out.Applied, out.Revision = true, next.Revision
	return out, nil
}

// impact says for which sessions the next configuration decides otherwise as they stand,
// and refuses when those are more than the one in force allows. It is not looked for when
// nobody wants to know: it takes a decision for every session.
func (e *Engine) impact(old, next snapshot, o ReloadOptions) (*replay.Result, error) {
	reload := &old.Config.Reload
	if _, limited := reload.Limit(0); !limited && !o.Try {
		return nil, nil
	}
	r := replay.Impact(e.clock.Now(), e.table.All(), e.heard.of, &next.Rules)
	r.From = old.Revision
	if most, limited := reload.Limit(r.Events); limited && r.Sessions > most && !o.Force && !o.Try {
		return &r, fmt.Errorf("%w: %d of %d, and at most %d may (reload.most-changed: %s); sallyport reload --force brings it into force all the same\n%s",
			ErrTooMany, r.Sessions, r.Events, most, reload.Most.Value, r.Groupwise())
	}
	return &r, nil
}

// swap brings the next configuration into force.
func (e *Engine) swap(old, next snapshot, warnings config.Warnings) {
	e.opts.Logger(next.Config.Log)
	for _, w := range warnings {
		e.log.Warn("configuration", "warning", w.Error())
	}
	next.bind(e.memory, e.memo, e.counters)
	e.snap.Store(next)
	e.lookOn(next)
	e.suppress.exempt(next.Config.Records.NeverFold)
	e.log.Info("configuration reloaded", "from", old.Revision, "to", next.Revision)
	e.system(record.Passed, "Configuration reloaded: revision "+next.Revision, "")
	if next.Revision != old.Revision {
		// Without a message: agents show those to people, and this one is for agents.
		e.hub.broadcast(report.Event{Kind: report.EventPolicy})
		e.rounds.Go(func() { e.reauthorizeAll(next) })
	}
}

func (e *Engine) system(status, details, reason string) {
	e.livelog.Add(&record.Decision{
		Time: e.clock.Now().UTC(), Kind: record.KindSystem, Status: status, Details: details,
		Reason: reason, Server: e.snapshot().Config.Appliance.Name.Value, Revision: e.snapshot().Revision,
	})
}

// restartOnly names what cannot change while packets flow.
func restartOnly(old, next snapshot) error {
	var what []string
	for _, c := range []struct {
		name   string
		differ bool
	}{
		{"appliance.name", old.Config.Appliance.Name.Value != next.Config.Appliance.Name.Value},
		{"portal.name", old.Config.Portal.Name.Value != next.Config.Portal.Name.Value},
		{"portal.certificate", old.Config.Portal.Certificate.Value != next.Config.Portal.Certificate.Value},
		{"provisioning.agents-directory", old.Config.Provisioning.AgentsDirectory.Value != next.Config.Provisioning.AgentsDirectory.Value},
		{"appliance.state", old.Config.Appliance.State.Value != next.Config.Appliance.State.Value},
		{"listen", !slices.Equal(addresses(old.Config), addresses(next.Config))},
		{"records.folded", old.Config.Records.Folded != next.Config.Records.Folded},
		{"records.livelog", old.Config.Records.Livelog != next.Config.Records.Livelog},
		{"portal.limits", old.Config.Portal.Limits != next.Config.Portal.Limits},
		{"nas.coa.source", !slices.Equal(old.CoASources, next.CoASources)},
	} {
		if c.differ {
			what = append(what, c.name)
		}
	}
	if len(what) > 0 {
		return fmt.Errorf("%w: %v", ErrRestart, what)
	}
	return nil
}

func addresses(c *config.Config) (out []string) {
	for _, a := range slices.Concat(c.Listen.Authentication, []config.Address{{Value: "|"}}, c.Listen.Accounting) {
		out = append(out, a.Value)
	}
	return append(out, c.Listen.Portal.Value, c.Listen.Console.Value, c.Listen.Metrics.Value)
}

// reauthorizeAll decides again for every session, in groups that leave room for
// packets. A reload that comes meanwhile starts its own round; this one then stops.
func (e *Engine) reauthorizeAll(snap snapshot) {
	var ids []sessions.ID // all of them: what is due when may have changed too
	for s := range e.table.All() {
		ids = append(ids, s.ID)
	}
	changed, seen, tell := 0, 0, time.Now().Add(stormTell)
	for group := range slices.Chunk(ids, stormGroup) {
		begun := time.Now()
		n, ok := e.reauthorize(snap, group)
		if !ok || n > 0 && !e.breathe(time.Since(begun)) {
			return
		}
		changed, seen = changed+n, seen+len(group)
		if changed > 0 && time.Now().After(tell) {
			tell = time.Now().Add(stormTell)
			e.system(record.Session, fmt.Sprintf("The new configuration is being applied: %d of %d sessions, %d change, %d wait for their NAS",
				seen, len(ids), changed, e.table.Counts().Changing), "")
		}
	}
	if changed > 0 {
		e.system(record.Session, fmt.Sprintf("The new configuration changes what %d of %d sessions may do", changed, len(ids)), "")
	}
	if err := writeNew(e.revisionFile(snap), []byte(snap.Revision)); err != nil {
		e.log.Warn("the next start decides again for every session", "error", err)
	}
}

// A storm of changes takes its time, so that those who log in meanwhile do not notice:
// after each group, that is judged, journaled and given to the CoA engine, it rests for
// stormRest times as long as that took.
const (
	stormGroup = 16
	stormRest  = 4
	stormTell  = 2 * time.Second // between two rows that tell how far it is
)

// breathe rests after a group; false: the engine ends.
func (e *Engine) breathe(took time.Duration) bool {
	rest := time.NewTimer(stormRest * took)
	defer rest.Stop()
	select {
	case <-rest.C:
		return true
	case <-e.life.Done():
		return false
	}
}

// reauthorizeAgain is how long a group of sessions waits that could not be written.
const reauthorizeAgain = time.Second

// reauthorize decides again for a group of sessions, until that is in the journal. It says
// how many change; false: another configuration came, or the end.
func (e *Engine) reauthorize(snap snapshot, group []sessions.ID) (changed int, ok bool) {
	for e.snapshot() == snap {
		ev := &reauthorizeEvent{ids: group, finished: make(chan struct{})}
		if e.core.submitWait(e.life, ev) != nil {
			return 0, false
		}
		select {
		case <-ev.finished:
		case <-e.coreDone:
			return 0, false
		}
		if ev.fault == nil {
			return ev.changed, true
		}
		select {
		case <-time.After(reauthorizeAgain):
		case <-e.life.Done():
			return 0, false
		}
	}
	return 0, false
}

// revisionFile holds the revision by which every session was authorized last.
func (e *Engine) revisionFile(snap snapshot) string {
	return filepath.Join(snap.Config.Appliance.State.Value, "revision")
}

// catchUp decides again for every session when the configuration is not the one by which
// that was done last: it was changed while the appliance was down, or it ended before all
// sessions had their turn.
func (e *Engine) catchUp() {
	snap := e.snapshot()
	if last, err := os.ReadFile(e.revisionFile(snap)); err != nil || string(last) != snap.Revision {
		e.rounds.Go(func() { e.reauthorizeAll(snap) })
	}
}

type reauthorizeEvent struct {
	ids      []sessions.ID
	changed  int
	fault    error // of the commit: nothing changed
	finished chan struct{}
}

func (ev *reauthorizeEvent) step(c *core, now time.Time) {
	rules := &c.e.snapshot().Rules
	for _, id := range ev.ids {
		old := c.get(id)
		if old == nil {
			continue
		}
		if next := step.Reauthorize(now, old, rules); next != old {
			c.put(old, next)
			ev.changed++
		}
		c.table.Schedule(id, step.Deadline(old, rules))
	}
}

func (ev *reauthorizeEvent) done(_ *core, err error) {
	ev.fault = err
	close(ev.finished)
}
