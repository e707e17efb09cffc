// Package core is the agent's state machine: time and events as values go in, effects
// as values come out. It opens nothing, waits for nothing and reads no clock; the
// program around it does what the effects say and brings the answers back as events.
//
//	           Found              Claimed          policy there
//	Searching -------> Claiming ----------> Preparing --------> Bound
//	    ^  ^              |                     |                 |
//	    |  '--- refused --'                     |                 |
//	    '------- session over, appliance lost, key not bound ----'
//
// While Bound one report at a time is under way. A report is made when the first facts
// are there (initial), when facts differ from those last judged (event), when an action
// ended (remediated), and when the appliance or the heartbeat asks (periodic). What
// cannot be sent is sent again, the same octets, with growing pauses; after too many
// failures the search begins again. Blocked devices stay blocked through all of that:
// only the end of the session or the appliance's word gives them back.
package core

import (
	"crypto/sha256"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"

	"sallyport/netio/report"
)

// Limits and pauses.
const (
	pauseFirst       = time.Second
	pauseMax         = time.Minute
	heartbeatDefault = 15 * time.Minute // continuous monitoring of the field
	heartbeatMin     = 5 * time.Second
	heartbeatMax     = 24 * time.Hour
	failuresMax      = 4                // in a row, of reports or polls, then the appliance counts as lost
	calmAfter        = 12 * time.Second // connecting and the handshake fail within ten
	coolFirst        = 10 * time.Second
	coolMax          = 5 * time.Minute // between repetitions of an action that changed nothing
	actionsMax       = 16              // of one verdict that are obeyed
	eventsMax        = 256             // of one answer that are read
	renewEvery       = 6 * time.Hour   // a new policy asks sooner
)

// The repetition of an action has room for at least one more attempt per heartbeat.
const _ = uint(heartbeatDefault - coolMax)

// Phase is how far the agent has come.
type Phase uint8

// The phases, see the package comment.
const (
	Searching Phase = iota
	Claiming
	Preparing
	Bound
)

// String is the phase in words.
func (p Phase) String() string {
	return [...]string{"looking for the appliance", "claiming the session", "fetching the policy", "bound to the session"}[p]
}

// Config is what the state machine is made with.
type Config struct {
	Agent     report.Agent
	System    report.System
	BootID    string
	Heartbeat time.Duration // replaces the appliance's when not zero
	Once      bool          // one assessment: no waiting for events
	Holding   bool          // something is blocked from before
	Observe   bool          // no reflexes: nothing is to be blocked here
	Renew     bool          // ask for newer builds, and for settings
	Session   string        // the last one before this start: nothing redirects to one that is open
	Seed      uint64        // of the jitter
}

// Agent is the state machine. One goroutine steps it.
type Agent struct {
	cfg   Config
	rng   *rand.Rand
	start time.Time

	now time.Time // of the step under way
	out []Effect

	phase Phase
	since time.Time
	gen   uint64 // of the link: answers to an older one are late news
	link  link

	searching   bool // a search is under way
	searchAgain bool // and what it finds may be old already
	searchAt    time.Time
	searchPause pause
	claimAt     time.Time

	session  report.Claimed
	policy   *report.Policy
	fetching string // etag under way

	collecting   bool
	collectAgain bool // something changed during the look
	lookedTwice  bool // and that look is being repeated
	facts        *report.Facts
	judged       [sha256.Size]byte // facts the last verdict was about
	everJudged   bool              // in this session
	want         string            // trigger of a report that is wanted
	fresh        bool              // facts were collected since it was wanted

	surveying   bool // a look at everything but USB is under way
	surveyAgain bool
	surveyed    string        // etag of the policy by which others were looked for
	others      *report.Facts // what that found
	surveyAt    time.Time

	armed    bool              // a verdict came in this session: reflexes may act
	dealt    [sha256.Size]byte // facts of now that a reflex or the appliance has dealt with
	reflexed [sha256.Size]byte // facts the last reflex was about
	witness  *report.Facts     // facts to be told although they are over
	holdAt   time.Time         // until then nothing else is told

	seq      uint64
	nonce    string
	sending  *sending
	retryAt  time.Time
	retry    pause
	failures int
	beatAt   time.Time

	polling bool
	after   uint64
	pollAt  time.Time
	renewAt time.Time // when to ask for a newer build again
	calmAt  time.Time // when a poll has waited long enough to say that all is well

	running map[string]report.Action
	results []report.ActionResult
	mended  bool // an action that is not about USB ended, and no report has told what came of it
	cool    map[string]*cooling
	refused map[string]bool // verbs, in this session
	holding bool            // something may be blocked

	lastSession string // to ask for when the appliance is found again
	view        View
	shown       map[string]bool // messages for the person, until a verdict has none
}

// link is the appliance and session the agent tries to belong to.
type link struct {
	appliance string
	sessionID string
	ticket    string
}

// New makes an agent that has not started.
func New(cfg Config) *Agent {
	return &Agent{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x5a11)), running: map[string]report.Action{},
		cool: map[string]*cooling{}, refused: map[string]bool{}, shown: map[string]bool{}, holding: cfg.Holding, lastSession: cfg.Session}
}

// Step takes one event at a time now, which never goes back, and says what to do.
func (a *Agent) Step(now time.Time, ev Event) []Effect {
	a.now, a.out = now, nil
	switch ev := ev.(type) {
	case Started:
		a.start, a.since = now, now
		a.collect()
		a.search()
	case Tick:
		a.tick()
	case NetworkChanged:
		a.networkChanged()
	case Resumed:
		a.resumed()
	case DevicesChanged:
		a.collect()
	case Facts:
		a.collected(ev)
	case Surveyed:
		a.surveyEnded(ev)
	case Found:
		a.found(ev)
	case NotFound:
		a.notFound(ev)
	case Claimed:
		a.claimed(ev)
	case PolicyFetched:
		a.policyFetched(ev)
	case Judged:
		a.judge(ev)
	case Failed:
		a.failed(ev)
	case Heard:
		a.heard(ev)
	case Struck:
		a.struck(ev)
	case ActionEnded:
		a.actionEnded(ev)
	case Unblocked:
		a.unblocked(ev)
	}
	a.advance()
	return a.out
}

func (a *Agent) emit(e Effect) { a.out = append(a.out, e) }

func (a *Agent) enter(p Phase) {
	if a.phase != p {
		a.phase, a.since = p, a.now
	}
}

// deadlines are all the times something is to be done at.
func (a *Agent) deadlines() []*time.Time {
	list := []*time.Time{&a.searchAt, &a.claimAt, &a.retryAt, &a.beatAt, &a.pollAt, &a.calmAt, &a.surveyAt, &a.holdAt, &a.renewAt}
	for _, key := range sortedKeys(a.cool) {
		list = append(list, &a.cool[key].at)
	}
	return list
}

// Next is when the agent wants a Tick at the latest; zero: not at all.
func (a *Agent) Next() time.Time {
	var next time.Time
	for _, d := range a.deadlines() {
		if !d.IsZero() && (next.IsZero() || d.Before(next)) {
			next = *d
		}
	}
	return next
}

// due says whether a deadline has come, and clears it.
func (a *Agent) due(d *time.Time) bool {
	if d.IsZero() || d.After(a.now) {
		return false
	}
	*d = time.Time{}
	return true
}

func (a *Agent) tick() {
	if a.due(&a.searchAt) {
		a.search()
	}
	if a.due(&a.claimAt) && a.phase == Claiming {
		a.claim()
	}
	if a.due(&a.retryAt) && a.sending != nil {
		a.send()
	}
	if a.due(&a.beatAt) && a.phase == Bound {
		a.wantReport(report.TriggerPeriodic)
	}
	if a.due(&a.pollAt) && a.phase >= Preparing {
		a.poll()
	}
	if a.due(&a.calmAt) && a.polling {
		a.calm()
	}
	if a.due(&a.surveyAt) && a.phase >= Preparing {
		a.survey()
	}
	if a.due(&a.renewAt) && a.phase == Bound {
		a.renew()
	}
	a.due(&a.holdAt)
	a.repeatActions()
}

// networkChanged: what waited for a better time is tried now, and the NAS may redirect
// to another session.
func (a *Agent) networkChanged() {
	a.searchPause = pause{}
	a.search()
	if a.phase < Preparing {
		return
	}
	if a.sending != nil && !a.retryAt.IsZero() {
		a.retryAt = time.Time{}
		a.send()
	}
	a.polling = false // the old one may hang on an address that is gone
	a.poll()
}

// resumed: sticks may have come and gone, the appliance may have given us up, and every
// timer is late by the sleep.
func (a *Agent) resumed() {
	a.networkChanged()
	if a.phase >= Preparing {
		a.survey()
	}
	if a.phase == Bound {
		a.wantReport(report.TriggerPeriodic)
	} else {
		a.collect()
	}
}

// collect asks for facts; one look at a time, and one more when something changed
// during the look.
func (a *Agent) collect() {
	if a.collecting {
		a.collectAgain = true
		return
	}
	a.collecting = true
	a.emit(Collect{})
}

func (a *Agent) collected(ev Facts) {
	a.collecting = false
	bounded := report.Report{Facts: ev.Facts}
	bounded.Tidy() // now, so that equal facts have equal digests
	a.facts = &bounded.Facts
	defer a.reflex() // what is asked for last is begun first where there is one processor
	if !a.collectAgain {
		a.lookedTwice, a.fresh = false, true
		return
	}
	a.collectAgain = false
	a.collect()
	if a.lookedTwice { // it never stops changing: what was seen is reported all the same
		a.fresh = true
	}
	a.lookedTwice = true
}

// offered are the facts the policy asks for; before there is a policy, USB storage.
func (a *Agent) offered() report.Facts {
	var f report.Facts
	if a.others != nil && a.policy != nil && a.surveyed == a.policy.ETag {
		f = *a.others
	}
	f.USB = nil
	if a.policy == nil || slices.Contains(a.policy.Collect, report.KindUSB) {
		f.USB = a.facts.USB
	}
	return f
}

// digest identifies facts. Marshalling plain structs of strings cannot fail.
func digest(f report.Facts) [sha256.Size]byte {
	b, err := json.Marshal(f)
	if err != nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(b)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// pause is how long to wait before the next attempt; its zero value is the shortest.
type pause struct{ next time.Duration }

// wait is the pause, somewhere in its upper half so that agents do not come in step,
// and doubles it for the next time.
func (a *Agent) wait(p *pause) time.Duration {
	d := max(p.next, pauseFirst)
	p.next = min(2*d, pauseMax)
	return d/2 + time.Duration(a.rng.Int64N(int64(d/2)))
}
